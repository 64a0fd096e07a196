//! Quoted messages that could not be had, in groups that have one cause and one remedy.

use sqlx::sqlite::SqliteRow;

use super::attention::{BoundedCount, Cause};
use super::chat::person_of_direct_chat;
use super::decode::Columns;
use super::resource::upstream;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::chat::Title;
use crate::domain::download::Upstream;
use crate::domain::id::{ChatId, MessageId};
use crate::domain::time::Timestamp;

/// How many of a group are shown.
const SHOWN: i64 = 3;

/// Quoted messages that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailedQuotes {
    /// How many there are.
    pub count: BoundedCount,
    /// What kept them, in the order of the reasons' names and the apps.
    pub groups: Vec<QuotedGroup>,
}

/// Those that have one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedGroup {
    /// What they have in common.
    pub cause: Cause,
    /// The newest of them.
    pub newest: Vec<FailedQuote>,
}

/// A quoted message that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedQuote {
    /// The message.
    pub message_id: MessageId,
    /// The message that made it known.
    pub quoted_by: MessageId,
    /// The chat of both.
    pub chat_id: Option<ChatId>,
    /// The chat's name.
    pub chat_name: Option<String>,
    /// `p2p` or `group`.
    pub chat_type: Option<String>,
    /// What the one person in the chat is called, where there is but one.
    pub chat_person: Option<String>,
    /// What the platform said when it was last asked.
    pub upstream: Option<Upstream>,
    /// When that was.
    pub asked_at: Option<Timestamp>,
}

/// The newest of each group, among as many as are counted. Where the message that quotes is hidden,
/// so is what it quotes.
const FAILED: &str = concat!(
    "WITH failed AS (
    SELECT q.quoted_row_id, q.app_id, q.reason_code
    FROM quoted_messages AS q
    LEFT JOIN messages AS m ON m.app_id = q.app_id AND m.message_id = q.quoted_by
    WHERE q.state = 'failed' AND COALESCE(m.hidden, 0) = 0
    LIMIT ?
), placed AS (
    SELECT
        quoted_row_id,
        row_number() OVER (PARTITION BY app_id, reason_code ORDER BY quoted_row_id DESC) AS place,
        COUNT(*) OVER () AS counted
    FROM failed
)
SELECT
    q.quoted_row_id, q.app_id, q.message_id, q.quoted_by, NULLIF(q.chat_id, '') AS chat_id, c.name AS chat_name,
    c.chat_type, ",
    person_of_direct_chat!(),
    " AS chat_person,
    q.reason_code, q.upstream_http_status, q.upstream_code, q.upstream_msg, q.upstream_log_id, q.asked_at,
    placed.counted
FROM placed
JOIN quoted_messages AS q ON q.quoted_row_id = placed.quoted_row_id
LEFT JOIN chats AS c ON c.app_id = q.app_id AND c.chat_id = q.chat_id
WHERE placed.place <= ?
ORDER BY q.reason_code, q.app_id, q.quoted_row_id DESC"
);

/// Every group with its newest.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn failed(catalogue: &Catalogue) -> Result<FailedQuotes, CatalogueError> {
    let rows = sqlx::query(FAILED).bind(BoundedCount::LIMIT).bind(SHOWN).fetch_all(catalogue.read()).await?;
    let mut quotes = FailedQuotes::default();
    for row in &rows {
        let q = Columns::of(row, "quoted_messages", "quoted_row_id")?;
        let cause = Cause {
            app_id: q.required("app_id", Columns::parsed)?,
            reason: q.required("reason_code", Columns::parsed)?,
        };
        let quote = FailedQuote::decode(row)?;
        quotes.count = BoundedCount::of(q.required("counted", Columns::number)?);
        match quotes.groups.last_mut().filter(|group| group.cause == cause) {
            Some(group) => group.newest.push(quote),
            None => quotes.groups.push(QuotedGroup { cause, newest: vec![quote] }),
        }
    }
    Ok(quotes)
}

/// How many there are.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_failed(catalogue: &Catalogue) -> Result<BoundedCount, CatalogueError> {
    let counted = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (
            SELECT 1
            FROM quoted_messages AS q
            LEFT JOIN messages AS m ON m.app_id = q.app_id AND m.message_id = q.quoted_by
            WHERE q.state = 'failed' AND COALESCE(m.hidden, 0) = 0
            LIMIT ?
        )",
    );
    let counted: i64 = counted.bind(BoundedCount::LIMIT).fetch_one(catalogue.read()).await?;
    Ok(BoundedCount::of(counted))
}

impl FailedQuote {
    /// What people know the chat by.
    #[must_use]
    pub fn chat_title(&self) -> Option<Title<'_>> {
        let (name, person) = (self.chat_name.as_deref(), self.chat_person.as_deref());
        Some(Title::new(self.chat_id.as_ref()?, name, self.chat_type.as_deref(), person))
    }

    fn decode(row: &SqliteRow) -> Result<Self, CatalogueError> {
        let q = Columns::of(row, "quoted_messages", "quoted_row_id")?;
        Ok(Self {
            message_id: q.required("message_id", Columns::parsed)?,
            quoted_by: q.required("quoted_by", Columns::parsed)?,
            chat_id: q.parsed("chat_id")?,
            chat_name: q.text("chat_name")?,
            chat_type: q.text("chat_type")?,
            chat_person: q.text("chat_person")?,
            upstream: upstream(&q)?,
            asked_at: q.time("asked_at")?,
        })
    }
}
