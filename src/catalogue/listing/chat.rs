//! Chats as they are shown: each with its counts, which are kept, not counted.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

use super::cursor::{Cursor, Scope};
use super::decode::Columns;
use super::{ListingError, Page, PageRequest, cut, resume};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::chat::{Downloads, Title};
use crate::domain::id::{AppId, ChatId};
use crate::domain::time::Timestamp;

/// The name of the person in `c`, if that is a chat of one person with the bot. Only what was
/// delivered by itself tells who that is: what lies in a forward may be anybody's, and is older.
macro_rules! person_of_direct_chat {
    () => {
        "CASE WHEN c.chat_type = 'p2p' THEN (
            SELECT person.name FROM senders AS person
            WHERE person.app_id = c.app_id AND person.open_id = (
                SELECT told.sender_open_id FROM messages AS told
                WHERE +told.app_id = c.app_id AND told.chat_id = c.chat_id
                    AND told.sender_type = 'user' AND told.event_row_id IS NOT NULL AND told.hidden = 0
                ORDER BY told.sent_at DESC
                LIMIT 1
            )
        ) END"
    };
}
pub(in crate::catalogue) use person_of_direct_chat;

/// A chat, as one app sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Chat {
    /// The app.
    pub app_id: AppId,
    /// The chat.
    pub chat_id: ChatId,
    /// Its name, if it was looked up.
    pub chat_name: Option<String>,
    /// `p2p` or `group`.
    pub chat_type: Option<String>,
    /// Whether the bot is in it, if an event told.
    pub bot_in_chat: Option<bool>,
    /// Whether its members may download, if an event told.
    pub downloads: Option<Downloads>,
    /// When it was disbanded.
    pub disbanded_at: Option<Timestamp>,
    /// Messages seen.
    pub messages: u64,
    /// Resources in them.
    pub resources: u64,
    /// Resources whose bytes are safe.
    pub stored: u64,
    /// Resources that are still being worked on.
    pub pending: u64,
    /// Resources that ended without bytes.
    pub failed: u64,
    /// Bytes of stored resources, equal ones counted each time.
    pub bytes: u64,
    /// When the last message was sent.
    pub last_message_at: Option<Timestamp>,
    /// What the one person in it is called, where there is but one.
    #[serde(skip)]
    pub person: Option<String>,
    #[serde(skip)]
    row_id: i64,
}

/// One page of the chats, as `v_chats` shows them but without reading all of them; the one heard of last first: an order that stays while messages come in.
///
/// # Errors
/// If the cursor does not fit, or the catalogue cannot be read.
pub async fn chats(catalogue: &Catalogue, request: &PageRequest, now: Timestamp) -> Result<Page<Chat>, ListingError> {
    let scope = Scope { list: "chats", filter: &[] };
    let cursor = resume(request, &scope)?;
    let asked_at = cursor.map_or(now, |cursor| cursor.asked_at);
    let rows = sqlx::query(concat!(
        "SELECT
            c.chat_row_id, c.app_id, c.chat_id, c.name AS chat_name, c.chat_type, c.bot_in_chat, c.downloads,
            c.disbanded_at, c.messages,
            COALESCE(SUM(t.resources), 0) AS resources,
            COALESCE(SUM(t.resources) FILTER (WHERE t.state = 'stored'), 0) AS stored,
            COALESCE(SUM(t.resources) FILTER (WHERE t.state IN ('pending', 'running')), 0) AS pending,
            COALESCE(SUM(t.resources) FILTER (WHERE t.state IN ('blocked', 'gone', 'impossible')), 0) AS failed,
            COALESCE(SUM(t.bytes) FILTER (WHERE t.state = 'stored'), 0) AS bytes,
            c.last_message_at, ",
        person_of_direct_chat!(),
        " AS person
        FROM (
            SELECT chat_row_id, app_id, chat_id, name, chat_type, bot_in_chat, downloads, disbanded_at, messages,
                last_message_at
            FROM chats
            WHERE chat_row_id < ?
            ORDER BY chat_row_id DESC
            LIMIT ?
        ) AS c
        LEFT JOIN chat_tallies AS t ON t.app_id = c.app_id AND t.chat_id = c.chat_id
        GROUP BY c.chat_row_id
        ORDER BY c.chat_row_id DESC",
    ))
    .bind(cursor.map_or(i64::MAX, |cursor| cursor.row))
    .bind(i64::from(request.limit) + 1)
    .fetch_all(catalogue.read())
    .await?;
    let chats = rows.iter().map(Chat::decode).collect::<Result<_, _>>()?;
    Ok(cut(chats, request, |last: &Chat| Cursor { asked_at, sort: last.row_id, row: last.row_id }.encode(&scope)))
}

impl Chat {
    /// What people know it by.
    #[must_use]
    pub fn title(&self) -> Title<'_> {
        Title::new(&self.chat_id, self.chat_name.as_deref(), self.chat_type.as_deref(), self.person.as_deref())
    }

    fn decode(row: &SqliteRow) -> Result<Self, CatalogueError> {
        let c = Columns::of(row, "chats", "chat_row_id")?;
        Ok(Self {
            app_id: c.required("app_id", Columns::parsed)?,
            chat_id: c.required("chat_id", Columns::parsed)?,
            chat_name: c.text("chat_name")?,
            chat_type: c.text("chat_type")?,
            bot_in_chat: c.number::<i64>("bot_in_chat")?.map(|there| there != 0),
            downloads: c.parsed("downloads")?,
            disbanded_at: c.time("disbanded_at")?,
            messages: c.required("messages", Columns::number)?,
            resources: c.required("resources", Columns::number)?,
            stored: c.required("stored", Columns::number)?,
            pending: c.required("pending", Columns::number)?,
            failed: c.required("failed", Columns::number)?,
            bytes: c.required("bytes", Columns::number)?,
            last_message_at: c.time("last_message_at")?,
            person: c.text("person")?,
            row_id: c.row_id(),
        })
    }
}
