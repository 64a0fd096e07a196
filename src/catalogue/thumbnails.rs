//! Thumbnails: which picture stands for a resource, and which blobs there are to make one of.

use rusqlite::OptionalExtension as _;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::connections::Connections;
use super::{Catalogue, CatalogueError};
use crate::domain::digest::Digest;
use crate::domain::id::ResourceId;

/// Bytes that may be a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Their digest.
    pub digest: Digest,
    /// Their type.
    pub mime: String,
    /// Their length.
    pub size_bytes: u64,
}

/// A blob and its place in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Its place.
    pub row: i64,
    /// What it is.
    pub picture: Picture,
}

/// What stands for a resource: its own bytes, or a video's cover. Nothing if there are no such bytes or the
/// resource is hidden. Blocks.
///
/// # Errors
/// If the catalogue cannot be read.
pub fn picture_of(catalogue: &Catalogue, id: ResourceId) -> Result<Option<Picture>, CatalogueError> {
    catalogue.direct.ask(|connection| {
        let mut question = connection.prepare_cached(
            "SELECT p.resource_row_id, b.digest, p.mime, p.size_bytes
             FROM resources AS r
             LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
             JOIN resources AS p ON p.resource_row_id = iif(r.role = 'video', (
                 SELECT c.resource_row_id FROM resources AS c
                 WHERE c.message_row_id = r.message_row_id AND c.source = r.source AND c.type = 'image'
                     AND c.key = r.cover_key
             ), r.resource_row_id)
             JOIN blobs AS b ON b.blob_row_id = p.blob_row_id
             WHERE r.resource_row_id = ? AND COALESCE(m.hidden, 0) = 0 AND p.state = 'stored'",
        )?;
        let found = question.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        found.optional()?.map(|columns| picture("resources", columns)).transpose()
    })
}

/// The place of the blob that arrived last; 0 if there is none.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn last_arrived(read: &Connections) -> Result<i64, CatalogueError> {
    Ok(sqlx::query_scalar("SELECT COALESCE(MAX(blob_row_id), 0) FROM blobs").fetch_one(read).await?)
}

/// Blobs that arrived after this one, in their order.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn arrived_after(read: &Connections, row: i64, limit: u32) -> Result<Vec<Arrived>, CatalogueError> {
    let blobs = sqlx::query(
        "SELECT blob_row_id AS row, digest, mime, size_bytes FROM blobs
         WHERE blob_row_id > ? AND damage IS NULL ORDER BY blob_row_id LIMIT ?",
    );
    decode(&blobs.bind(row).bind(limit).fetch_all(read).await?)
}

/// Blobs that arrived before this one, the last first.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn arrived_before(read: &Connections, row: i64, limit: u32) -> Result<Vec<Arrived>, CatalogueError> {
    let blobs = sqlx::query(
        "SELECT blob_row_id AS row, digest, mime, size_bytes FROM blobs
         WHERE blob_row_id < ? AND damage IS NULL ORDER BY blob_row_id DESC LIMIT ?",
    );
    decode(&blobs.bind(row).bind(limit).fetch_all(read).await?)
}

fn decode(rows: &[SqliteRow]) -> Result<Vec<Arrived>, CatalogueError> {
    rows.iter().map(arrived).collect()
}

fn arrived(row: &SqliteRow) -> Result<Arrived, CatalogueError> {
    let number = row.try_get("row")?;
    let columns = (number, row.try_get("digest")?, row.try_get("mime")?, row.try_get("size_bytes")?);
    Ok(Arrived { row: number, picture: picture("blobs", columns)? })
}

/// A picture, from the number of its row in a table, its digest, its type and its length.
fn picture(table: &'static str, columns: (i64, Vec<u8>, Option<String>, i64)) -> Result<Picture, CatalogueError> {
    let (row, digest, mime, size_bytes) = columns;
    let bad = |column, message: &str| CatalogueError::BadValue { table, column, row, message: message.to_owned() };
    Ok(Picture {
        digest: Digest::try_from(digest.as_slice()).map_err(|_| bad("digest", "this is no digest"))?,
        mime: mime.unwrap_or_default(),
        size_bytes: u64::try_from(size_bytes).map_err(|_| bad("size_bytes", "less than nothing"))?,
    })
}
