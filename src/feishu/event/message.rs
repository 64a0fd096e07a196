//! Messages, as an event pushes them and as listings return them.

use serde_json::Value;

use super::Unreadable;
use super::fields::{clean, id, required, required_id, required_text, text, time, word};
use crate::domain::id::{AppId, ChatId, MessageId, OpenId, TenantKey};
use crate::domain::message::{Message, Sender, SenderType};
use crate::domain::time::Timestamp;

/// One message of a listing, or of an opened forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The message.
    pub message: Message,
    /// The forward that it lies in; none for the container itself and for what is no forward.
    pub upper_message_id: Option<MessageId>,
    /// Whether it was recalled; its content is then a fixed text, or nothing.
    pub deleted: bool,
    /// When it was last edited.
    pub updated_at: Option<Timestamp>,
}

/// Reads the message of an `im.message.receive_v1` event.
pub(super) fn received(app_id: &AppId, event: &Value) -> Result<Message, Unreadable> {
    Ok(Message {
        app_id: app_id.clone(),
        tenant_key: tenant_key(event),
        message_id: required_id(event, "/event/message/message_id")?,
        chat_id: required_id(event, "/event/message/chat_id")?,
        chat_type: word(event, "/event/message/chat_type"),
        thread_id: word(event, "/event/message/thread_id"),
        root_id: word(event, "/event/message/root_id"),
        parent_id: word(event, "/event/message/parent_id"),
        sender: Sender {
            open_id: id(event, "/event/sender/sender_id/open_id"),
            kind: sender_type(event, "/event/sender/sender_type"),
        },
        message_type: clean(required(event, "/event/message/message_type")?),
        content: required_text(event, "/event/message/content")?.to_owned(),
        sent_at: time(event, "/event/message/create_time").or_else(|| time(event, "/header/create_time")),
        names: names(event.pointer("/event/message/mentions")),
    })
}

/// Reads one message of a listing (`/im/v1/messages`, `/im/v1/messages/:message_id`). The tenant is
/// the one given; so is the chat where the item names none, as inside a forward.
///
/// # Errors
/// Says which field is missing or wrong.
pub fn read_item(
    app_id: &AppId,
    (tenant_key, chat_id): (Option<&TenantKey>, Option<&ChatId>),
    item: &Value,
) -> Result<Item, Unreadable> {
    let message = Message {
        app_id: app_id.clone(),
        tenant_key: tenant_key.cloned(),
        message_id: required_id(item, "/message_id")?,
        chat_id: id(item, "/chat_id").or_else(|| chat_id.cloned()).map_or_else(|| required_id(item, "/chat_id"), Ok)?,
        chat_type: None,
        thread_id: word(item, "/thread_id"),
        root_id: word(item, "/root_id"),
        parent_id: word(item, "/parent_id"),
        sender: Sender { open_id: item_sender(item), kind: sender_type(item, "/sender/sender_type") },
        message_type: clean(required(item, "/msg_type")?),
        // A recalled message has none.
        content: text(item, "/body/content").unwrap_or_default().to_owned(),
        sent_at: time(item, "/create_time"),
        names: names(item.get("mentions")),
    };
    let deleted = item.get("deleted").and_then(Value::as_bool) == Some(true);
    let updated_at = time(item, "/update_time").filter(|_| item.get("updated") == Some(&Value::Bool(true)));
    Ok(Item { message, upper_message_id: id(item, "/upper_message_id"), deleted, updated_at })
}

/// The tenant that an event belongs to, in either envelope.
pub(super) fn tenant_key(event: &Value) -> Option<TenantKey> {
    id(event, "/header/tenant_key").or_else(|| id(event, "/event/tenant_key"))
}

/// The sender of a listed message, unless the id is of another kind than `open_id`.
fn item_sender(item: &Value) -> Option<OpenId> {
    match text(item, "/sender/id_type") {
        None | Some("open_id") => id(item, "/sender/id"),
        Some(_) => None,
    }
}

/// Events say `bot` for what listings call `app`.
fn sender_type(value: &Value, path: &str) -> Option<SenderType> {
    match text(value, path)? {
        "user" => Some(SenderType::User),
        "bot" | "app" => Some(SenderType::Bot),
        _ => None,
    }
}

/// Names from mentions; events nest the ids in an object, listings give one id and its kind.
fn names(mentions: Option<&Value>) -> Vec<(OpenId, String)> {
    let named = |mention: &Value| {
        let open_id = match mention.get("id")? {
            Value::String(open_id) if text(mention, "/id_type").is_none_or(|kind| kind == "open_id") => open_id,
            ids => ids.get("open_id")?.as_str()?,
        };
        Some((open_id.parse().ok()?, word(mention, "/name")?))
    };
    mentions.and_then(Value::as_array).into_iter().flatten().filter_map(named).collect()
}
