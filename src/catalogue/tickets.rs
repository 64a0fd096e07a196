//! Helpdesk tickets: the messages in them, and their images, which are asked for by position.

use sqlx::{QueryBuilder, Sqlite};

use super::connections::Connections;
use super::{CatalogueError, Transaction, resources};
use crate::domain::download::State;
use crate::domain::id::{AppId, ChatId, MessageId, OpenId, TenantKey};
use crate::domain::message::Sender;
use crate::domain::resource::Role;
use crate::domain::source::Source;
use crate::domain::time::Timestamp;

/// Images in one INSERT: well below SQLite's limit of bound values.
const INSERT_ROWS: usize = 500;

/// A message in a ticket that is about to be recorded.
#[derive(Debug)]
pub struct NewTicketMessage<'a> {
    /// The app that was told.
    pub app_id: &'a AppId,
    /// The tenant it belongs to.
    pub tenant_key: Option<&'a TenantKey>,
    /// The ticket.
    pub ticket_id: &'a str,
    /// The message in the ticket.
    pub msg_id: &'a str,
    /// The same message as the chat knows it.
    pub message_id: Option<&'a MessageId>,
    /// Its chat.
    pub chat_id: Option<&'a ChatId>,
    /// Who sent it.
    pub sender: &'a Sender,
    /// Its type.
    pub message_type: &'a str,
    /// What it says.
    pub text: Option<&'a str>,
    /// Its images, each with its position in a post, or without one.
    pub images: &'a [Option<u32>],
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// When it was first seen.
    pub seen_at: Timestamp,
}

/// The key of a ticket image: it has none of its own, so its three coordinates stand for it.
#[must_use]
pub fn key_of(ticket_id: &str, msg_id: &str, index: Option<u32>) -> String {
    format!("{ticket_id}/{msg_id}/{}", index.unwrap_or(0))
}

/// Records a message of a ticket and its images. What is known already is only tied together.
///
/// # Errors
/// If SQLite fails.
pub async fn insert(transaction: &mut Transaction, new: &NewTicketMessage<'_>) -> Result<(), CatalogueError> {
    let message = insert_message(transaction, new).await?;
    insert_images(transaction, new, message.as_ref()).await?;
    let in_post = new.images.iter().filter(|index| index.is_some()).count();
    if in_post > 0 {
        sqlx::query(NOTE_POST)
            .bind(new.app_id.as_str())
            .bind(new.ticket_id)
            .bind(new.msg_id)
            .bind(i64::try_from(in_post).unwrap_or(i64::MAX))
            .execute(transaction.connection())
            .await?;
    }
    Ok(())
}

/// A message of a ticket as the catalogue has it.
#[derive(sqlx::FromRow)]
struct KnownMessage {
    message_row_id: i64,
    chat_id: String,
}

/// Records the message as one like any other, and returns what is known of it; none if the event
/// does not tell which message of which chat it is. It has no delivery of its own: if the chat's
/// event comes as well, that one completes it and knows its chat better.
async fn insert_message(
    transaction: &mut Transaction,
    new: &NewTicketMessage<'_>,
) -> Result<Option<KnownMessage>, CatalogueError> {
    let (Some(message_id), Some(chat_id)) = (new.message_id, new.chat_id) else { return Ok(None) };
    sqlx::query(
        "INSERT INTO messages (app_id, message_id, tenant_key, chat_id, sender_open_id, sender_type, message_type,
             text, sent_at, seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (app_id, message_id) DO UPDATE SET text = excluded.text, message_type = excluded.message_type
         WHERE messages.event_row_id IS NULL",
    )
    .bind(new.app_id.as_str())
    .bind(message_id.as_str())
    .bind(new.tenant_key.map(TenantKey::as_str))
    .bind(chat_id.as_str())
    .bind(new.sender.open_id.as_ref().map(OpenId::as_str))
    .bind(new.sender.kind.map(|kind| kind.as_str()))
    .bind(new.message_type)
    .bind(new.text)
    .bind(new.sent_at.map(Timestamp::unix_ms))
    .bind(new.seen_at.unix_ms())
    .execute(transaction.connection())
    .await?;
    resources::adopt(transaction, &[(new.app_id, message_id)]).await?;
    let known = sqlx::query_as("SELECT message_row_id, chat_id FROM messages WHERE app_id = ? AND message_id = ?")
        .bind(new.app_id.as_str())
        .bind(message_id.as_str())
        .fetch_one(transaction.connection())
        .await?;
    Ok(Some(known))
}

async fn insert_images(
    transaction: &mut Transaction,
    new: &NewTicketMessage<'_>,
    message: Option<&KnownMessage>,
) -> Result<(), CatalogueError> {
    let message_row = message.map(|message| message.message_row_id);
    let chat_id = message.map(|message| message.chat_id.as_str()).or(new.chat_id.map(ChatId::as_str)).unwrap_or("");
    let listed_at = new.sent_at.unwrap_or(new.seen_at).unix_ms();
    for some in new.images.chunks(INSERT_ROWS) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO resources (app_id, tenant_key, source, owner, type, key, role, index_asked, message_row_id,
                 chat_id, sender_open_id, message_type, state, listed_at, seen_at) ",
        );
        insert.push_values(some, |mut row, index| {
            row.push_bind(new.app_id.as_str())
                .push_bind(new.tenant_key.map(TenantKey::as_str))
                .push_bind(Source::TicketImage.as_str())
                .push_bind(new.ticket_id)
                .push_bind("")
                .push_bind(key_of(new.ticket_id, new.msg_id, *index))
                .push_bind(Role::Image.as_str())
                .push_bind(index.is_some())
                .push_bind(message_row)
                .push_bind(chat_id)
                .push("(SELECT sender_open_id FROM messages WHERE message_row_id = ")
                .push_bind_unseparated(message_row)
                .push_unseparated(")")
                .push("(SELECT message_type FROM messages WHERE message_row_id = ")
                .push_bind_unseparated(message_row)
                .push_unseparated(")")
                .push_bind(State::Pending.as_str())
                .push_bind(listed_at)
                .push_bind(new.seen_at.unix_ms());
        });
        insert.push(
            " ON CONFLICT (app_id, source, owner, type, key) WHERE source <> 'message' OR message_row_id IS NULL DO UPDATE SET
                 tenant_key = COALESCE(excluded.tenant_key, tenant_key),
                 state = iif(state = 'impossible' AND index_asked <> excluded.index_asked, 'pending', state),
                 index_asked = excluded.index_asked,
                 message_row_id = COALESCE(excluded.message_row_id, message_row_id),
                 chat_id = CASE
                     WHEN excluded.chat_id = '' THEN chat_id
                     WHEN excluded.message_row_id IS NULL AND message_row_id IS NOT NULL THEN chat_id
                     ELSE excluded.chat_id
                 END,
                 sender_open_id = COALESCE(excluded.sender_open_id, sender_open_id),
                 message_type = COALESCE(excluded.message_type, message_type),
                 listed_at = excluded.listed_at",
        );
        insert.build().persistent(false).execute(transaction.connection()).await?;
    }
    Ok(())
}

const NOTE_POST: &str = "INSERT INTO ticket_posts (app_id, ticket_id, msg_id, images) VALUES (?, ?, ?, ?)
     ON CONFLICT (app_id, ticket_id, msg_id) DO UPDATE SET images = excluded.images";

/// Records how many images a post has.
///
/// # Errors
/// If SQLite fails.
pub async fn note_images(
    write: &Connections,
    app_id: &AppId,
    ticket_id: &str,
    msg_id: &str,
    images: u32,
) -> Result<(), CatalogueError> {
    let note = sqlx::query(NOTE_POST).bind(app_id.as_str()).bind(ticket_id).bind(msg_id).bind(images);
    note.execute(write).await?;
    Ok(())
}

/// How many images a post has, if that is known.
///
/// # Errors
/// If SQLite fails.
pub async fn images_of(
    read: &Connections,
    app_id: &AppId,
    ticket_id: &str,
    msg_id: &str,
) -> Result<Option<u32>, CatalogueError> {
    let images =
        sqlx::query_scalar("SELECT images FROM ticket_posts WHERE app_id = ? AND ticket_id = ? AND msg_id = ?");
    Ok(images.bind(app_id.as_str()).bind(ticket_id).bind(msg_id).fetch_optional(read).await?)
}
