//! Messages in helpdesk tickets.

use serde_json::Value;

use super::Unreadable;
use super::fields::{id, required_segment, text_or_number, time, word};
use super::message::tenant_key;
use crate::domain::id::{ChatId, MessageId, TenantKey};
use crate::domain::message::{Sender, SenderType};
use crate::domain::time::Timestamp;

/// The most images that are read from one ticket message; a client sends a handful.
const MAX_IMAGES: usize = 1_000;

/// A message in a helpdesk ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketMessage {
    /// The tenant it belongs to.
    pub tenant_key: Option<TenantKey>,
    /// The ticket, digits.
    pub ticket_id: String,
    /// The message in the ticket, digits.
    pub ticket_message_id: String,
    /// The same message as the chat knows it.
    pub message_id: Option<MessageId>,
    /// Its chat, digits instead of `oc_…`.
    pub chat_id: Option<ChatId>,
    /// Who sent it.
    pub sender: Sender,
    /// `text`, `post` or `image`.
    pub message_type: Option<String>,
    /// What it says.
    pub text: Option<String>,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Its images, by their position in a post; an image message has one without position.
    pub images: Vec<Option<u32>>,
}

/// Reads a `helpdesk.ticket_message.created_v1` event. The page and the samples disagree on several
/// types, so numbers are accepted as texts and texts as numbers.
pub(super) fn created(event: &Value) -> Result<TicketMessage, Unreadable> {
    let ticket_id = required_segment(event, "/event/ticket/ticket_id")?;
    let ticket_message_id = required_segment(event, "/event/ticket_message_id")?;
    // The page calls the sender's type 1 for a bot, 2 for a guest, 3 for an agent.
    let kind = match text_or_number(event, "/event/sender_type").as_deref() {
        Some("1") => Some(SenderType::Bot),
        Some("2" | "3") => Some(SenderType::User),
        _ => None,
    };
    Ok(TicketMessage {
        tenant_key: tenant_key(event),
        message_id: id(event, "/event/message_id"),
        chat_id: text_or_number(event, "/event/chat_id").and_then(|chat_id| chat_id.parse().ok()),
        sender: Sender { open_id: id(event, "/event/sender_id/open_id"), kind },
        message_type: word(event, "/event/content/msg_type").or_else(|| word(event, "/event/msg_type")),
        text: word(event, "/event/text").or_else(|| word(event, "/event/content/content")),
        sent_at: time(event, "/header/create_time"),
        images: images(event),
        ticket_id,
        ticket_message_id,
    })
}

/// The keys cannot be downloaded by themselves; the API takes the ticket, the message and the position.
fn images(event: &Value) -> Vec<Option<u32>> {
    let in_post = event.pointer("/event/content/image_keys").and_then(Value::as_array);
    match in_post.filter(|keys| !keys.is_empty()) {
        Some(keys) => (0..).map(Some).take(keys.len().min(MAX_IMAGES)).collect(),
        None => word(event, "/event/content/image_key").map(|_| None).into_iter().collect(),
    }
}
