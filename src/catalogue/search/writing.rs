//! Bringing the index up to date with what triggers have noted.

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::names::KINDS;
use super::pieces::joined;
use super::{SEARCHED_CHARACTERS, SHARERS_BITS, chat_piece, sender_piece};
use crate::catalogue::{BATCH, CatalogueError, Transaction};
use crate::domain::id::ResourceId;

/// Rows in one portion of what is caught up: few milliseconds for whoever waits behind it.
const PORTION: usize = 256;
/// Bytes of text in one portion; long texts cost more than many rows.
const PORTION_BYTES: usize = 256 << 10;

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The index knows everything.
    Done,
    /// It may not.
    More,
}

/// Indexes the resources that were added last, at most so many: those of a batch, in the
/// transaction that adds them. A text that is too long for that is left for [`catch_up`].
///
/// # Errors
/// If SQLite fails.
pub async fn index_newest(transaction: &mut Transaction, count: usize) -> Result<(), CatalogueError> {
    if count > 0 {
        index_resources(transaction.connection(), count.min(BATCH)).await?;
    }
    Ok(())
}

/// Indexes a portion of what the index does not know yet.
///
/// # Errors
/// If SQLite fails.
pub async fn catch_up(transaction: &mut Transaction) -> Result<Progress, CatalogueError> {
    let connection = transaction.connection();
    let names = index_names(connection).await?;
    let resources = index_resources(connection, PORTION).await?;
    Ok(if names + resources == 0 { Progress::Done } else { Progress::More })
}

/// A resource that the index does not know, or no longer as it is.
struct Pending {
    resource_row: i64,
    /// Its row in the index so far.
    known: Option<i64>,
    /// The first free row in the index for its millisecond, and the last there can be.
    free: (i64, i64),
    text_bytes: usize,
    pieces: String,
}

const SELECT_PENDING: &str = "SELECT p.resource_row_id, r.listed_at, r.role, r.file_name,
        substr(m.text, 1, ?2) AS text, c.chat_row_id, s.sender_row_id,
        (SELECT MAX(x.search_row_id) FROM search_rows AS x
         WHERE x.search_row_id BETWEEN r.listed_at << ?3 AND (r.listed_at << ?3) + (1 << ?3) - 1) AS last,
        (SELECT x.search_row_id FROM search_rows AS x
         WHERE p.again AND x.search_row_id BETWEEN r.listed_at << ?3 AND (r.listed_at << ?3) + (1 << ?3) - 1
             AND x.resource_row_id = p.resource_row_id) AS known
    FROM search_pending AS p
    CROSS JOIN resources AS r ON r.resource_row_id = p.resource_row_id
    LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
    LEFT JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id
    LEFT JOIN senders AS s ON s.app_id = r.app_id AND s.open_id = r.sender_open_id
    ORDER BY p.resource_row_id DESC
    LIMIT +?1";

impl Pending {
    fn decode(row: &SqliteRow) -> Result<Self, CatalogueError> {
        let mut marks = vec![format!("_r{}", row.try_get::<&str, _>("role")?)];
        marks.extend(row.try_get::<Option<i64>, _>("chat_row_id")?.map(chat_piece));
        marks.extend(row.try_get::<Option<i64>, _>("sender_row_id")?.map(sender_piece));
        let texts: [Option<&str>; 2] = [row.try_get("file_name")?, row.try_get("text")?];
        let texts: Vec<&str> = texts.into_iter().flatten().collect();
        let first = row.try_get::<i64, _>("listed_at")? << SHARERS_BITS;
        let last: Option<i64> = row.try_get("last")?;
        Ok(Self {
            resource_row: row.try_get("resource_row_id")?,
            known: row.try_get("known")?,
            free: (last.map_or(first, |last| last + 1), first + (1 << SHARERS_BITS) - 1),
            text_bytes: texts.iter().map(|text| text.len()).sum(),
            pieces: joined(&texts, &marks),
        })
    }
}

/// Says which resource has no place in the index.
async fn warn_of_crowd(connection: &mut SqliteConnection, id: ResourceId) -> Result<(), CatalogueError> {
    let about = "SELECT r.app_id, COALESCE(m.message_id, iif(r.source = 'message', r.owner, NULL))
         FROM resources AS r LEFT JOIN messages AS m USING (message_row_id) WHERE r.resource_row_id = ?";
    let about = sqlx::query_as::<_, (String, Option<String>)>(about).bind(id.0).fetch_optional(connection).await?;
    let (app_id, message_id) = about.unwrap_or_default();
    tracing::warn!(resource.id = %id, message.id = message_id, app.id = app_id,
        "Too many resources in one millisecond: not searchable");
    Ok(())
}

/// Returns how many resources it indexed.
async fn index_resources(connection: &mut SqliteConnection, limit: usize) -> Result<usize, CatalogueError> {
    let mut pending = take_pending(connection, limit).await?;
    // In the order of their numbers: among those of one millisecond, later rows come later.
    pending.sort_by_key(|one| (one.free.1, one.resource_row));
    let (mut rows, mut index, mut known) = (Vec::new(), Vec::new(), Vec::new());
    let mut taken = i64::MIN;
    for one in &pending {
        known.extend(one.known);
        let (free, last) = one.free;
        let search_row = free.max(taken.saturating_add(1));
        if search_row > last {
            warn_of_crowd(connection, ResourceId(one.resource_row)).await?;
            continue;
        }
        taken = search_row;
        rows.push(json!([search_row, one.resource_row]));
        index.push(json!([search_row, one.pieces]));
    }
    if !known.is_empty() {
        let forget = "UPDATE search_rows SET resource_row_id = NULL
             WHERE search_row_id IN (SELECT value FROM json_each(?))";
        run(connection, forget, Value::from(known)).await?;
    }
    if !pending.is_empty() {
        let done: Vec<i64> = pending.iter().map(|one| one.resource_row).collect();
        run(connection, INSERT_ROWS, Value::from(rows)).await?;
        run(connection, INSERT_PIECES, Value::from(index)).await?;
        run(connection, FORGET_PENDING, Value::from(done)).await?;
    }
    Ok(pending.len())
}

const INSERT_ROWS: &str = "INSERT INTO search_rows (search_row_id, resource_row_id)
     SELECT value ->> 0, value ->> 1 FROM json_each(?)";
const INSERT_PIECES: &str = "INSERT INTO search_index (rowid, pieces)
     SELECT value ->> 0, value ->> 1 FROM json_each(?)";
const FORGET_PENDING: &str = "DELETE FROM search_pending WHERE resource_row_id IN (SELECT value FROM json_each(?))";

async fn take_pending(connection: &mut SqliteConnection, limit: usize) -> Result<Vec<Pending>, CatalogueError> {
    let select = sqlx::query(SELECT_PENDING)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(SEARCHED_CHARACTERS)
        .bind(SHARERS_BITS);
    let mut rows = select.fetch(connection);
    let (mut pending, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let one = Pending::decode(&row)?;
        bytes += one.text_bytes;
        pending.push(one);
        if bytes > PORTION_BYTES {
            break;
        }
    }
    Ok(pending)
}

/// Returns how many names it indexed.
async fn index_names(connection: &mut SqliteConnection) -> Result<usize, CatalogueError> {
    let rows = sqlx::query(
        "SELECT p.name_row_id, iif(p.name_row_id % 2 = 0, c.name, s.name) AS name
         FROM name_pending AS p
         LEFT JOIN chats AS c ON c.chat_row_id = iif(p.name_row_id % 2 = 0, p.name_row_id / 2, NULL)
         LEFT JOIN senders AS s ON s.sender_row_id = iif(p.name_row_id % 2 = 1, p.name_row_id / 2, NULL)
         LIMIT ?",
    )
    .bind(i64::try_from(PORTION).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await?;
    let (mut known, mut index) = (Vec::new(), Vec::new());
    for row in &rows {
        let name_row: i64 = row.try_get("name_row_id")?;
        let [chat, sender] = KINDS;
        let kind = if name_row % 2 == 0 { chat } else { sender };
        let name: Option<&str> = row.try_get("name")?;
        known.push(name_row);
        index.extend(name.map(|name| json!([name_row, joined(&[name], &[kind.to_owned()])])));
    }
    if !rows.is_empty() {
        let forget = "DELETE FROM name_index WHERE rowid IN (SELECT value FROM json_each(?))";
        run(connection, forget, Value::from(known.as_slice())).await?;
        let insert = "INSERT INTO name_index (rowid, pieces) SELECT value ->> 0, value ->> 1 FROM json_each(?)";
        run(connection, insert, Value::from(index)).await?;
        let done = "DELETE FROM name_pending WHERE name_row_id IN (SELECT value FROM json_each(?))";
        run(connection, done, Value::from(known)).await?;
    }
    Ok(rows.len())
}

/// Runs a statement over a list that is bound as one JSON value.
async fn run(connection: &mut SqliteConnection, sql: &'static str, list: Value) -> Result<(), CatalogueError> {
    sqlx::query(sql).bind(list.to_string()).execute(connection).await?;
    Ok(())
}
