//! Names of chats and senders, looked up by a part of them.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::pieces::expression;
use super::{chat_piece, quoted, sender_piece};
use crate::catalogue::CatalogueError;
use crate::catalogue::connections::Connections;
use crate::catalogue::listing::selection::apps_of;
use crate::domain::folding::{Needle, fold};

/// How many chats and how many senders one word may stand for, those that were heard of last. A
/// surname may be that of thousands, and each of them is looked for.
const NAMES: u32 = 200;

/// The marks of chats and senders in the index of names.
pub(super) const KINDS: [&str; 2] = ["_chat", "_sender"];

/// A chat or a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::catalogue) enum NameRow {
    Chat { row: i64, id: String },
    Sender { row: i64, id: String },
}

impl NameRow {
    /// The id on the platform.
    pub(in crate::catalogue) fn id(&self) -> &str {
        match self {
            Self::Chat { id, .. } | Self::Sender { id, .. } => id,
        }
    }

    /// The mark of its resources in the text index.
    pub(in crate::catalogue) fn piece(&self) -> String {
        match self {
            Self::Chat { row, .. } => chat_piece(*row),
            Self::Sender { row, .. } => sender_piece(*row),
        }
    }
}

/// The chats and senders that have something in their name.
pub(in crate::catalogue) async fn named_like(
    read: &Connections,
    needle: &Needle,
) -> Result<Vec<NameRow>, CatalogueError> {
    let [chats, senders] = KINDS.map(|kind| format!("{} AND {}", expression(needle), quoted(kind)));
    let rows = sqlx::query(
        "SELECT * FROM (
             SELECT 'chat' AS kind, c.chat_row_id AS row_id, c.chat_id AS id, c.name
             FROM name_index AS n CROSS JOIN chats AS c ON c.chat_row_id = n.rowid / 2
             WHERE n.name_index MATCH ?1
             ORDER BY n.rowid DESC
             LIMIT +?3
         )
         UNION ALL
         SELECT * FROM (
             SELECT 'sender' AS kind, s.sender_row_id AS row_id, s.open_id AS id, s.name
             FROM name_index AS n CROSS JOIN senders AS s ON s.sender_row_id = n.rowid / 2
             WHERE n.name_index MATCH ?2
             ORDER BY n.rowid DESC
             LIMIT +?3
         )",
    )
    .bind(chats)
    .bind(senders)
    .bind(NAMES)
    .fetch_all(read)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: Option<String> = row.try_get("name")?;
        if name.is_some_and(|name| needle.is_in(&fold(&name))) {
            found.push(decode(row)?);
        }
    }
    Ok(found)
}

fn decode(row: &SqliteRow) -> Result<NameRow, CatalogueError> {
    let (id, kind) = (row.try_get("id")?, row.try_get::<&str, _>("kind")?);
    let row = row.try_get("row_id")?;
    Ok(if kind == "chat" { NameRow::Chat { row, id } } else { NameRow::Sender { row, id } })
}

/// The rows of chats with one of these ids, one for each app that knows it.
pub(in crate::catalogue) async fn chats_with_id(
    read: &Connections,
    ids: &[String],
) -> Result<Vec<NameRow>, CatalogueError> {
    let apps = apps_of("chats");
    let sql = format!(
        "SELECT 'chat' AS kind, chat_row_id AS row_id, chat_id AS id FROM chats
         WHERE app_id IN {apps} AND chat_id IN (SELECT value FROM json_each(?))"
    );
    with_id(read, sql, ids).await
}

/// The rows of senders with one of these ids, one for each app that knows it.
pub(in crate::catalogue) async fn senders_with_id(
    read: &Connections,
    ids: &[String],
) -> Result<Vec<NameRow>, CatalogueError> {
    let apps = apps_of("senders");
    let sql = format!(
        "SELECT 'sender' AS kind, sender_row_id AS row_id, open_id AS id FROM senders
         WHERE app_id IN {apps} AND open_id IN (SELECT value FROM json_each(?))"
    );
    with_id(read, sql, ids).await
}

async fn with_id(read: &Connections, sql: String, ids: &[String]) -> Result<Vec<NameRow>, CatalogueError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let list = serde_json::Value::from(ids).to_string();
    // Only our own words are in the text; the ids are bound.
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(list).fetch_all(read).await?;
    rows.iter().map(decode).collect()
}
