//! Events: what the platform pushes, in both envelopes, and messages as listings return them.
//!
//! Only what a use case needs is required; every other field may be missing or of a wrong type and
//! then counts as missing. Whether an event is authentic is decided before, in `webhook`.
//! Shapes: the platform's documentation, `/document/ukTMukTMukTM/uUTNz4SN1MjL1UzM` (envelopes),
//! `/document/uAjLw4CM/ukTMukTMukTM/reference/im-v1/message/events/receive` and the other events' pages.

mod fields;
mod message;
mod ticket;

use serde_json::Value;

use self::fields::{clean, id, required, required_id, text, time, word};
pub use self::message::{Item, read_item};
pub use self::ticket::TicketMessage;
use super::json;
use crate::domain::chat::Downloads;
use crate::domain::id::{AppId, ChatId, MessageId};
use crate::domain::message::Message;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// An event, by what it means for the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody sent a message.
    MessageReceived(Message),
    /// A message was recalled.
    Recalled {
        /// The message.
        message_id: MessageId,
        /// Its chat.
        chat_id: Option<ChatId>,
        /// When.
        recalled_at: Option<Timestamp>,
        /// By whom: `message_owner`, `group_owner`, `group_manager` or `enterprise_manager`.
        recall_type: Option<String>,
    },
    /// The bot was added to a chat.
    BotAdded(ChatNotice),
    /// The bot was removed from a chat.
    BotDeleted(ChatNotice),
    /// A chat was disbanded.
    ChatDisbanded(ChatNotice),
    /// A chat was renamed, restricted, or changed otherwise.
    ChatUpdated(ChatNotice),
    /// A store app's ticket, pushed about once an hour.
    AppTicket {
        /// The ticket; with the app's secret it buys tokens.
        ticket: Secret,
        /// When it was sent first: one that is delivered again after hours is not the newest.
        sent_at: Option<Timestamp>,
    },
    /// A message in a helpdesk ticket.
    TicketMessage(TicketMessage),
    /// An event that the archive has no use for.
    Unused {
        /// Its type.
        event_type: String,
    },
}

/// What an event says about a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatNotice {
    /// The chat.
    pub chat_id: ChatId,
    /// Its name now; groups may have none.
    pub name: Option<String>,
    /// Whether members may download what is in it, if the event says so.
    pub downloads: Option<Downloads>,
    /// When it came about.
    pub told_at: Option<Timestamp>,
}

/// Why an event cannot be used: one line that names a field, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Reads the payload of an authentic event.
///
/// # Errors
/// Says which field is missing or wrong.
pub fn read(app_id: &AppId, payload: &str) -> Result<Event, Unreadable> {
    let event = json::read(payload).map_err(|reason| Unreadable(format!("the payload {reason}")))?;
    read_value(app_id, &event)
}

/// Reads an event that is parsed already.
///
/// # Errors
/// Says which field is missing or wrong.
pub fn read_value(app_id: &AppId, event: &Value) -> Result<Event, Unreadable> {
    // Version 2.0 says so in `schema`; 1.0 has no such member and keeps the type inside the event.
    let event_type_path = if event.get("schema").is_some() { "/header/event_type" } else { "/event/type" };
    let event_type = required(event, event_type_path)?;
    match event_type {
        "im.message.receive_v1" => message::received(app_id, event).map(Event::MessageReceived),
        "im.message.recalled_v1" => recalled(event),
        "im.chat.member.bot.added_v1" => chat_notice(event).map(Event::BotAdded),
        "im.chat.member.bot.deleted_v1" => chat_notice(event).map(Event::BotDeleted),
        "im.chat.disbanded_v1" => chat_notice(event).map(Event::ChatDisbanded),
        "im.chat.updated_v1" => chat_notice(event).map(Event::ChatUpdated),
        "app_ticket" => app_ticket(event),
        "helpdesk.ticket_message.created_v1" => ticket::created(event).map(Event::TicketMessage),
        _ => Ok(Event::Unused { event_type: clean(event_type) }),
    }
}

fn app_ticket(event: &Value) -> Result<Event, Unreadable> {
    // Seconds with a fraction, as text.
    let seconds = text(event, "/ts").and_then(|ts| ts.split('.').next());
    let sent_at = seconds.and_then(Timestamp::from_platform).or_else(|| time(event, "/header/create_time"));
    Ok(Event::AppTicket { ticket: Secret::new(required(event, "/event/app_ticket")?), sent_at })
}

fn recalled(event: &Value) -> Result<Event, Unreadable> {
    Ok(Event::Recalled {
        message_id: required_id(event, "/event/message_id")?,
        chat_id: id(event, "/event/chat_id"),
        recalled_at: time(event, "/event/recall_time").or_else(|| time(event, "/header/create_time")),
        recall_type: word(event, "/event/recall_type"),
    })
}

fn chat_notice(event: &Value) -> Result<ChatNotice, Unreadable> {
    const MODE: &str = "/event/after_change/restricted_mode_setting";
    let mode = |member: &str| event.pointer(MODE)?.get(member);
    let permission = mode("download_has_permission_setting").and_then(Value::as_str);
    let downloads = match (mode("status").and_then(Value::as_bool), permission) {
        (Some(false), _) | (_, Some("all_members")) => Some(Downloads::Allowed),
        (_, Some("not_anyone")) => Some(Downloads::Forbidden),
        _ => None,
    };
    Ok(ChatNotice {
        chat_id: required_id(event, "/event/chat_id")?,
        name: word(event, "/event/after_change/name").or_else(|| word(event, "/event/name")),
        downloads,
        told_at: time(event, "/header/create_time"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::message::SenderType;

    fn read_v2(event_type: &str, event: Value) -> Result<Event, Unreadable> {
        let header = json!({"event_type": event_type, "create_time": "1603977298000000", "tenant_key": "t"});
        let payload = json!({"schema": "2.0", "header": header, "event": event}).to_string();
        read(&"cli_1".parse().unwrap(), &payload)
    }

    fn message(change: impl Fn(&mut Value)) -> Result<Event, Unreadable> {
        let mut event = json!({
            "sender": {"sender_id": {"open_id": "ou_1"}, "sender_type": "user"},
            "message": {"message_id": "om_1", "chat_id": "oc_1", "chat_type": "group", "message_type": "image",
                "create_time": "1609073151345", "content": "{}", "thread_id": "", "mentions": [
                    {"key": "@_user_1", "id": {"open_id": "ou_2"}, "name": "Tom"}, {"name": "nobody"}, 7]}});
        change(&mut event);
        read_v2("im.message.receive_v1", event)
    }

    fn sent(event: Result<Event, Unreadable>) -> Message {
        let Ok(Event::MessageReceived(message)) = event else { panic!("no message: {event:?}") };
        message
    }

    #[test]
    fn a_message_keeps_what_the_event_says() {
        let message = sent(message(|_| {}));
        assert_eq!(message.message_id.as_str(), "om_1");
        assert_eq!(message.tenant_key.unwrap().as_str(), "t");
        assert_eq!((message.chat_type.as_deref(), message.thread_id), (Some("group"), None));
        assert_eq!(message.sender.kind, Some(SenderType::User));
        assert_eq!(message.sender.open_id.unwrap().as_str(), "ou_1");
        assert_eq!(message.names, [("ou_2".parse().unwrap(), "Tom".to_owned())]);
        assert_eq!(message.sent_at.unwrap().unix_ms(), 1_609_073_151_345);
    }

    #[test]
    fn wrong_types_count_as_missing_where_a_field_may_be_missing() {
        let message = sent(message(|event| {
            event["sender"] = json!([1]);
            event["message"]["mentions"] = json!("none");
            event["message"]["chat_type"] = json!({});
            event["message"]["create_time"] = json!("yesterday");
            event["message"]["content"] = json!("");
        }));
        assert_eq!((message.sender, message.names, message.chat_type), (Default::default(), vec![], None));
        assert_eq!(message.sent_at.unwrap().unix_ms(), 1_603_977_298_000, "the header's time stands in");
    }

    #[test]
    fn what_must_be_there_is_named_when_it_is_not() {
        for member in ["message_id", "chat_id", "message_type", "content"] {
            let check = |value, what: &str| {
                let refused = message(|event| event["message"][member] = json!(value)).unwrap_err();
                assert_eq!(refused.to_string(), format!("event.message.{member} {what}"));
            };
            check(json!(null), "is missing");
            check(json!({"secret": 1}), "is not a text");
        }
        let check = |payload: &str, reason: &str| {
            assert_eq!(read(&"cli_1".parse().unwrap(), payload).unwrap_err().to_string(), reason);
        };
        check(r#"{"schema":"2.0","event":{"type":"im.message.receive_v1"}}"#, "header.event_type is missing");
        check(r#"{"type":"event_callback","event":{}}"#, "event.type is missing");
        check("[]", "event.type is missing");
        check("{", "the payload is not JSON (line 1, column 1)");
        check(&"[".repeat(1000), "the payload is nested deeper than 512 levels");
    }

    #[test]
    fn both_envelopes_carry_events() {
        let v1 = |event: Value| {
            let payload = json!({"ts": "1502199207.7171419", "uuid": "u", "type": "event_callback", "event": event});
            read(&"cli_1".parse().unwrap(), &payload.to_string()).unwrap()
        };
        let ticket = v1(json!({"type": "app_ticket", "app_ticket": "open sesame"}));
        assert!(!format!("{ticket:?}").contains("sesame"));
        let sent_at = Timestamp::from_unix_ms(1_502_199_207_000);
        assert_eq!(ticket, Event::AppTicket { ticket: Secret::new("open sesame"), sent_at });
        assert_eq!(v1(json!({"type": "message"})), Event::Unused { event_type: "message".into() });
    }

    #[test]
    fn chats_and_recalls_are_told() {
        let recalled =
            read_v2("im.message.recalled_v1", json!({"message_id": "om_1", "recall_time": 1_687_343_654_666_u64}));
        let Ok(Event::Recalled { recalled_at, chat_id: None, .. }) = recalled else { panic!("{recalled:?}") };
        assert_eq!(recalled_at.unwrap().unix_ms(), 1_687_343_654_666);

        let added = read_v2("im.chat.member.bot.added_v1", json!({"chat_id": "oc_1", "name": "Team"}));
        let told_at = Timestamp::from_unix_ms(1_603_977_298_000);
        let notice =
            ChatNotice { chat_id: "oc_1".parse().unwrap(), name: Some("Team".into()), downloads: None, told_at };
        assert_eq!(added, Ok(Event::BotAdded(notice.clone())));

        let updated = |mode| {
            let change = json!({"name": "New", "restricted_mode_setting": mode});
            read_v2("im.chat.updated_v1", json!({"chat_id": "oc_1", "after_change": change})).unwrap()
        };
        let expected =
            |downloads| Event::ChatUpdated(ChatNotice { name: Some("New".into()), downloads, ..notice.clone() });
        let closed = json!({"status": true, "download_has_permission_setting": "not_anyone"});
        assert_eq!(updated(closed), expected(Some(Downloads::Forbidden)));
        let off = json!({"status": false, "download_has_permission_setting": "not_anyone"});
        assert_eq!(updated(off), expected(Some(Downloads::Allowed)));
        assert_eq!(updated(json!(null)), expected(None));
    }

    #[test]
    fn ticket_messages_name_their_images_by_position() {
        let images = |content| {
            let event =
                json!({"ticket_message_id": "70", "ticket": {"ticket_id": 69}, "chat_id": 6, "content": content});
            let Event::TicketMessage(message) = read_v2("helpdesk.ticket_message.created_v1", event).unwrap() else {
                panic!("no ticket message")
            };
            assert_eq!((message.ticket_id.as_str(), message.ticket_message_id.as_str()), ("69", "70"));
            message.images
        };
        assert_eq!(images(json!({"msg_type": "image", "image_key": "k"})), [None]);
        assert_eq!(images(json!({"msg_type": "post", "image_keys": ["a", "b"]})), [Some(0), Some(1)]);
        assert_eq!(images(json!("text")), []);
        let slash = json!({"ticket_message_id": "../x", "ticket": {"ticket_id": "1"}});
        let refused = read_v2("helpdesk.ticket_message.created_v1", slash).unwrap_err();
        assert_eq!(refused.to_string(), "event.ticket_message_id cannot stand in a URL");
    }

    #[test]
    fn listed_messages_are_spelled_otherwise() {
        let item = json!({"message_id": "om_2", "chat_id": "oc_1", "msg_type": "file", "upper_message_id": "om_1",
            "create_time": "1609073151345", "update_time": "1609073159999", "updated": true, "deleted": false,
            "sender": {"id": "cli_9", "id_type": "app_id", "sender_type": "app"}, "body": {"content": "{}"},
            "mentions": [{"id": "ou_2", "id_type": "open_id", "name": "Tom"}, {"id": "x", "id_type": "user_id", "name": "U"}]});
        let read = read_item(&"cli_1".parse().unwrap(), (None, None), &item).unwrap();
        assert_eq!(read.upper_message_id.unwrap().as_str(), "om_1");
        assert_eq!(read.updated_at.unwrap().unix_ms(), 1_609_073_159_999);
        assert_eq!(read.message.sender, crate::domain::message::Sender { open_id: None, kind: Some(SenderType::Bot) });
        assert_eq!(read.message.names.len(), 1);
        let recalled = json!({"message_id": "om_2", "chat_id": "oc_1", "msg_type": "image", "deleted": true});
        let read = read_item(&"cli_1".parse().unwrap(), (None, None), &recalled).unwrap();
        assert_eq!((read.deleted, read.message.content.as_str()), (true, ""));
    }
}
