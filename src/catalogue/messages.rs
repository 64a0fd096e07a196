//! Messages, and the chats and senders that are learnt from them.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Row, Sqlite};

use super::connections::Connections;
use super::statements::{by_statement, is_usual};
use super::{CatalogueError, Transaction, resources};
use crate::domain::id::{AppId, ChatId, EventRowId, MessageId, OpenId};
use crate::domain::message::{Message, Problem};
use crate::domain::time::Timestamp;

/// A message that is about to be recorded.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// The delivery that told it; none if it was found in a forward or asked for.
    pub event: Option<EventRowId>,
    /// The message itself.
    pub message: &'a Message,
    /// Its text, as a person would search it.
    pub text: Option<&'a str>,
    /// What is wrong with its content.
    pub problem: Option<Problem>,
    /// When it was first seen.
    pub seen_at: Timestamp,
}

/// Records messages and returns the deliveries whose message is new. One that is known already stays
/// as it is, but for two that count as new: it was known by hearsay only (from a ticket, a forward, a
/// quote), and this is its first delivery; or it could not be read, and now it can. What could be read
/// is never replaced by what cannot.
///
/// # Errors
/// If SQLite fails.
pub async fn insert(
    transaction: &mut Transaction,
    messages: &[NewMessage<'_>],
) -> Result<HashSet<EventRowId>, CatalogueError> {
    let mut new = HashSet::new();
    for some in by_statement(messages) {
        new.extend(insert_some(transaction, some).await?);
        let told: Vec<_> = some.iter().map(|new| (&new.message.app_id, &new.message.message_id)).collect();
        resources::adopt(transaction, &told).await?;
    }
    Ok(new)
}

/// What becomes of a message that is known already. A `nonsupport` is a shell that stands for a message
/// which the event does not carry. The content of a forward is never needed; what could not be read is
/// inside it, and asking for that again is not a delivery's business.
const KNOWN_ALREADY: &str = " ON CONFLICT (app_id, message_id) DO UPDATE SET
        tenant_key = excluded.tenant_key, chat_id = excluded.chat_id, chat_type = excluded.chat_type,
        thread_id = excluded.thread_id, root_id = excluded.root_id, parent_id = excluded.parent_id,
        sender_open_id = excluded.sender_open_id, sender_type = excluded.sender_type,
        message_type = iif(
            excluded.problem IS NOT NULL AND messages.problem IS NULL, messages.message_type, excluded.message_type
        ),
        text = iif(excluded.problem IS NOT NULL AND messages.problem IS NULL, messages.text, excluded.text),
        problem = iif(messages.problem IS NULL, NULL, excluded.problem),
        event_row_id = excluded.event_row_id, sent_at = excluded.sent_at
    WHERE excluded.event_row_id IS NOT NULL AND (
        messages.event_row_id IS NULL
        OR (excluded.problem IS NULL AND excluded.message_type <> 'merge_forward' AND messages.problem IS NOT NULL)
        OR (excluded.problem IS NULL AND excluded.message_type <> 'nonsupport'
            AND messages.message_type = 'nonsupport')
    )
    RETURNING event_row_id";

async fn insert_some(
    transaction: &mut Transaction,
    messages: &[NewMessage<'_>],
) -> Result<Vec<EventRowId>, CatalogueError> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO messages (app_id, message_id, tenant_key, chat_id, chat_type, thread_id, root_id, parent_id,
             sender_open_id, sender_type, message_type, text, problem, event_row_id, sent_at, seen_at) ",
    );
    insert.push_values(messages, |mut row, new| {
        let message = new.message;
        row.push_bind(message.app_id.as_str())
            .push_bind(message.message_id.as_str())
            .push_bind(message.tenant_key.as_ref().map(|key| key.as_str()))
            .push_bind(message.chat_id.as_str())
            .push_bind(message.chat_type.as_deref())
            .push_bind(message.thread_id.as_deref())
            .push_bind(message.root_id.as_deref())
            .push_bind(message.parent_id.as_deref())
            .push_bind(message.sender.open_id.as_ref().map(OpenId::as_str))
            .push_bind(message.sender.kind.map(|kind| kind.as_str()))
            .push_bind(message.message_type.as_str())
            .push_bind(new.text)
            .push_bind(new.problem.map(Problem::as_str))
            .push_bind(new.event.map(|event| event.0))
            .push_bind(message.sent_at.map(Timestamp::unix_ms))
            .push_bind(new.seen_at.unix_ms());
    });
    insert.push(KNOWN_ALREADY);
    let rows = insert.build().persistent(is_usual(messages.len())).fetch_all(transaction.connection()).await?;
    let told = rows.iter().map(|row| row.try_get::<Option<i64>, _>("event_row_id"));
    let told = told.filter_map(|event| event.transpose().map(|event| event.map(EventRowId)));
    Ok(told.collect::<Result<_, _>>()?)
}

/// Marks a message of whose content something could not be read.
///
/// # Errors
/// If SQLite fails.
pub async fn mark_unreadable(
    write: &Connections,
    app_id: &AppId,
    message_id: &MessageId,
) -> Result<(), CatalogueError> {
    sqlx::query("UPDATE messages SET problem = ? WHERE app_id = ? AND message_id = ?")
        .bind(Problem::ContentUnreadable.as_str())
        .bind(app_id.as_str())
        .bind(message_id.as_str())
        .execute(write)
        .await?;
    Ok(())
}

/// Replaces what was read from a message's content, if it was this delivery that told it; what was
/// read elsewhere stays if the delivery cannot be read. Returns whether it was this delivery.
///
/// # Errors
/// If SQLite fails.
pub async fn reread(transaction: &mut Transaction, new: &NewMessage<'_>) -> Result<bool, CatalogueError> {
    let done = sqlx::query(
        "UPDATE messages SET
             text = iif(?2 IS NOT NULL AND problem IS NULL, text, ?1),
             problem = iif(problem IS NULL, NULL, ?2),
             message_type = iif(?2 IS NOT NULL AND problem IS NULL, message_type, ?3)
         WHERE app_id = ?4 AND message_id = ?5 AND event_row_id = ?6",
    )
    .bind(new.text)
    .bind(new.problem.map(Problem::as_str))
    .bind(new.message.message_type.as_str())
    .bind(new.message.app_id.as_str())
    .bind(new.message.message_id.as_str())
    .bind(new.event.map(|event| event.0))
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives a message what a listing shows of it, where its delivery could not be read.
///
/// # Errors
/// If SQLite fails.
pub async fn read_elsewhere(transaction: &mut Transaction, listed: &NewMessage<'_>) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE messages SET text = ?, problem = NULL, message_type = ?
         WHERE app_id = ? AND message_id = ? AND message_type <> 'merge_forward' AND problem IS NOT NULL",
    )
    .bind(listed.text)
    .bind(listed.message.message_type.as_str())
    .bind(listed.message.app_id.as_str())
    .bind(listed.message.message_id.as_str())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Somebody who sent a message, or was mentioned in one.
#[derive(Debug, Clone, Copy)]
pub struct NewSender<'a> {
    /// The app that saw them.
    pub app_id: &'a AppId,
    /// Who it is, as this app sees them.
    pub open_id: &'a OpenId,
    /// Where they were seen.
    pub chat_id: &'a ChatId,
    /// Their name, and when it is to be looked up anew; none if the message does not tell.
    pub named: Option<(&'a str, Timestamp)>,
}

/// Records senders, with their names where they are known; a name that is known is only replaced
/// by another one. Where there is none it is due to be looked up.
///
/// # Errors
/// If SQLite fails.
pub async fn note_senders(transaction: &mut Transaction, senders: &[NewSender<'_>]) -> Result<(), CatalogueError> {
    for some in by_statement(senders) {
        note_some(transaction, some).await?;
    }
    Ok(())
}

async fn note_some(transaction: &mut Transaction, senders: &[NewSender<'_>]) -> Result<(), CatalogueError> {
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO senders (app_id, open_id, name, chat_id, name_due_at) ");
    insert.push_values(senders, |mut row, sender| {
        row.push_bind(sender.app_id.as_str())
            .push_bind(sender.open_id.as_str())
            .push_bind(sender.named.map(|(name, _)| name))
            .push_bind(sender.chat_id.as_str())
            .push_bind(sender.named.map_or(0, |(_, due_at)| due_at.unix_ms()));
    });
    insert.push(
        " ON CONFLICT (app_id, open_id) DO UPDATE SET name = excluded.name, name_due_at = excluded.name_due_at
          WHERE excluded.name IS NOT NULL AND excluded.name IS NOT name",
    );
    insert.build().persistent(is_usual(senders.len())).execute(transaction.connection()).await?;
    Ok(())
}
