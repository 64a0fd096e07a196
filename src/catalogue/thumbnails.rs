//! Thumbnails: which picture stands for a resource, and which blobs there are to make one of.

use crate::catalogue::connections::Connections;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::CatalogueError;
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

/// What stands for a resource: its own bytes, or the cover of a video, which comes after it in its
/// message and before the next video. Nothing if there are no such bytes or the resource is hidden.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn picture_of(read: &Connections, id: ResourceId) -> Result<Option<Picture>, CatalogueError> {
    let row = sqlx::query(
        "SELECT p.resource_row_id AS row, p.sha256, p.mime, p.size_bytes
         FROM resources AS r
         LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
         JOIN resources AS p ON p.resource_row_id = iif(r.role = 'video', (
             SELECT MIN(c.resource_row_id) FROM resources AS c
             WHERE c.message_row_id = r.message_row_id AND c.resource_row_id > r.resource_row_id
                 AND c.role IN ('cover', 'video')
         ), r.resource_row_id)
         WHERE r.resource_row_id = ? AND COALESCE(m.hidden, 0) = 0 AND p.state = 'stored' AND p.role <> 'video'",
    );
    let row = row.bind(id.0).fetch_optional(read).await?;
    row.map(|row| picture(&row, "resources")).transpose()
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
        "SELECT blob_row_id AS row, sha256, mime, size_bytes FROM blobs
         WHERE blob_row_id > ? ORDER BY blob_row_id LIMIT ?",
    );
    decode(&blobs.bind(row).bind(limit).fetch_all(read).await?)
}

/// Blobs that arrived before this one, the last first.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn arrived_before(read: &Connections, row: i64, limit: u32) -> Result<Vec<Arrived>, CatalogueError> {
    let blobs = sqlx::query(
        "SELECT blob_row_id AS row, sha256, mime, size_bytes FROM blobs
         WHERE blob_row_id < ? ORDER BY blob_row_id DESC LIMIT ?",
    );
    decode(&blobs.bind(row).bind(limit).fetch_all(read).await?)
}

fn decode(rows: &[SqliteRow]) -> Result<Vec<Arrived>, CatalogueError> {
    rows.iter().map(|row| Ok(Arrived { row: row.try_get("row")?, picture: picture(row, "blobs")? })).collect()
}

fn picture(row: &SqliteRow, table: &'static str) -> Result<Picture, CatalogueError> {
    let number: i64 = row.try_get("row")?;
    let bad = |column, message| CatalogueError::BadValue { table, column, row: number, message };
    let digest: String = row.try_get("sha256")?;
    let size_bytes: i64 = row.try_get("size_bytes")?;
    Ok(Picture {
        digest: digest.parse().map_err(|_| bad("sha256", "this is no digest".to_owned()))?,
        mime: row.try_get::<Option<String>, _>("mime")?.unwrap_or_default(),
        size_bytes: u64::try_from(size_bytes).map_err(|_| bad("size_bytes", "less than nothing".to_owned()))?,
    })
}
