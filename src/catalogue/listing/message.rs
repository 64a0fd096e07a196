//! Messages as they are shown: what was said around a resource, once for each app that saw it.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use super::decode::Columns;
use super::selection::apps_of;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::id::{AppId, ChatId, MessageId, OpenId, TenantKey};
use crate::domain::message::{Problem, SenderType};
use crate::domain::time::Timestamp;

/// Who sent something. The members are null where nobody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sender {
    /// The sender as this app sees them.
    pub open_id: Option<OpenId>,
    /// Their name, if it was looked up.
    pub name: Option<String>,
    /// Person or bot.
    #[serde(rename = "type")]
    pub kind: Option<SenderType>,
}

impl Sender {
    pub(super) fn decode(columns: &Columns<'_>) -> Result<Self, CatalogueError> {
        Ok(Self {
            open_id: columns.parsed("sender_open_id")?,
            name: columns.text("sender_name")?,
            kind: columns.parsed("sender_type")?,
        })
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Message {
    /// The app that saw it.
    pub app_id: AppId,
    /// The tenant it belongs to.
    pub tenant_key: Option<TenantKey>,
    /// Its id.
    pub message_id: MessageId,
    /// The chat.
    pub chat_id: ChatId,
    /// The chat's name, if it was looked up.
    pub chat_name: Option<String>,
    /// `p2p` or `group`.
    pub chat_type: Option<String>,
    /// The topic.
    pub thread_id: Option<String>,
    /// The message it answers.
    pub parent_id: Option<String>,
    /// Who sent it.
    pub sender: Sender,
    /// Its type, as the platform says.
    pub message_type: String,
    /// What can be read of it.
    pub text: Option<String>,
    /// What is wrong with it.
    pub problem: Option<Problem>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// When it was first heard of.
    pub seen_at: Timestamp,
    /// When it was recalled.
    pub recalled_at: Option<Timestamp>,
    /// By whom, in the platform's words.
    pub recalled_by: Option<String>,
}

/// What [`Message`] is read from.
const SELECT_MESSAGES: &str = "SELECT
    m.message_row_id, m.app_id, m.tenant_key, m.message_id, m.chat_id, c.name AS chat_name,
    COALESCE(m.chat_type, c.chat_type) AS chat_type, m.thread_id, m.parent_id, m.sender_open_id,
    s.name AS sender_name, m.sender_type, m.message_type, m.text, m.problem, m.sent_at, m.seen_at, m.recalled_at,
    m.recalled_by
FROM messages AS m
LEFT JOIN chats AS c ON c.app_id = m.app_id AND c.chat_id = m.chat_id
LEFT JOIN senders AS s ON s.app_id = m.app_id AND s.open_id = m.sender_open_id";

/// The messages with this id, one for each app, without those that are hidden.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn find(catalogue: &Catalogue, id: &MessageId) -> Result<Vec<Message>, CatalogueError> {
    let sql = format!(
        "{SELECT_MESSAGES} WHERE m.app_id IN {apps} AND m.message_id = ? AND m.hidden = 0 ORDER BY m.app_id",
        apps = apps_of("messages"),
    );
    // Only our own words are in the text; the id is bound.
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).fetch_all(catalogue.read()).await?;
    rows.iter().map(Message::decode).collect()
}

/// A message among those around it in its chat, oldest first: at most `each` before it and as many
/// after it. What is hidden is left out; a message without a time has no place among others.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn around(catalogue: &Catalogue, message: &Message, each: u32) -> Result<Vec<Message>, CatalogueError> {
    let mut around = neighbours(catalogue, message, Side::Before, each).await?;
    around.reverse();
    around.push(message.clone());
    around.extend(neighbours(catalogue, message, Side::After, each).await?);
    Ok(around)
}

/// Which neighbours are meant.
#[derive(Debug, Clone, Copy)]
enum Side {
    Before,
    After,
}

/// The neighbours of a message on one side, the nearest first.
async fn neighbours(
    catalogue: &Catalogue,
    message: &Message,
    side: Side,
    limit: u32,
) -> Result<Vec<Message>, CatalogueError> {
    let (comparison, order) = match side {
        Side::Before => ("<", "DESC"),
        Side::After => (">", "ASC"),
    };
    let sql = format!(
        "{SELECT_MESSAGES} WHERE +m.app_id = ?1 AND m.chat_id = ?2 AND m.hidden = 0
            AND (m.sent_at, m.message_row_id) {comparison} (
                ?3, (SELECT message_row_id FROM messages WHERE app_id = ?1 AND message_id = ?4)
            )
        ORDER BY m.sent_at {order}, m.message_row_id {order} LIMIT ?5"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(message.app_id.as_str())
        .bind(message.chat_id.as_str())
        .bind(message.sent_at.map(Timestamp::unix_ms))
        .bind(message.message_id.as_str())
        .bind(i64::from(limit))
        .fetch_all(catalogue.read())
        .await?;
    rows.iter().map(Message::decode).collect()
}

impl Message {
    fn decode(row: &SqliteRow) -> Result<Self, CatalogueError> {
        let m = Columns::of(row, "messages", "message_row_id")?;
        Ok(Self {
            app_id: m.required("app_id", Columns::parsed)?,
            tenant_key: m.parsed("tenant_key")?,
            message_id: m.required("message_id", Columns::parsed)?,
            chat_id: m.required("chat_id", Columns::parsed)?,
            chat_name: m.text("chat_name")?,
            chat_type: m.text("chat_type")?,
            thread_id: m.text("thread_id")?,
            parent_id: m.text("parent_id")?,
            sender: Sender::decode(&m)?,
            message_type: m.required("message_type", Columns::text)?,
            text: m.text("text")?,
            problem: m.parsed("problem")?,
            sent_at: m.time("sent_at")?,
            seen_at: m.required("seen_at", Columns::time)?,
            recalled_at: m.time("recalled_at")?,
            recalled_by: m.text("recalled_by")?,
        })
    }
}
