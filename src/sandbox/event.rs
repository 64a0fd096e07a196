//! Events as the platform writes them, built from as little as a message id and a key.
//!
//! Shapes follow the platform's pages on receiving messages and on message content
//! (`/document/server-docs/im-v1/message/events/receive`). Nothing here encrypts or sends.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::directory::chat_name;
use crate::domain::digest::Digest;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The tenant that every sample event comes from.
pub const TENANT_KEY: &str = "2ca1d211f64f6438";
/// The group that messages are sent in unless told otherwise.
pub const GROUP_CHAT: &str = "oc_7b1f0c5e9a3d4f26b8e7a1c2d3e4f506";
/// The chat of one person with the bot.
pub const P2P_CHAT: &str = "oc_1d9e8c7b6a5f40312e4d5c6b7a8f9e01";
/// The person who sends unless told otherwise.
pub const SENDER: &str = "ou_84aad35d084aa403a838cf73ee184670";

/// The app that events are meant for, as their envelope names it.
#[derive(Debug, Clone)]
pub struct App {
    /// Its id.
    pub app_id: String,
    /// The Verification Token that every envelope carries.
    pub verification_token: Secret,
}

/// An `im.message.receive_v1` event: one message that somebody sent.
#[derive(Debug, Clone)]
pub struct MessageEvent {
    /// The id of the delivery.
    pub event_id: String,
    /// The id of the message.
    pub message_id: String,
    /// The chat it was sent in.
    pub chat_id: String,
    /// `p2p` or `group`.
    pub chat_type: &'static str,
    /// Who sent it.
    pub sender_open_id: String,
    /// Its type.
    pub message_type: String,
    /// Its content as the platform carries it: mostly JSON inside a string.
    pub content: String,
    /// The message it answers.
    pub parent_id: Option<String>,
    /// How its times are written.
    pub unit: TimeUnit,
}

/// The unit of times in an envelope; the platform's own pages show both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// 13 digits.
    Milliseconds,
    /// 16 digits.
    Microseconds,
}

impl MessageEvent {
    /// A message in the group, sent by the usual person. Its event id follows from its message id.
    #[must_use]
    pub fn new(message_id: &str, message_type: &str, content: impl Into<String>) -> Self {
        Self {
            event_id: hex_id(&["event", message_id]),
            message_id: message_id.to_owned(),
            chat_id: GROUP_CHAT.to_owned(),
            chat_type: "group",
            sender_open_id: SENDER.to_owned(),
            message_type: message_type.to_owned(),
            content: content.into(),
            parent_id: None,
            unit: TimeUnit::Milliseconds,
        }
    }

    /// The same message, delivered under another event id.
    #[must_use]
    pub fn redelivered(&self, event_id: &str) -> Self {
        Self { event_id: event_id.to_owned(), ..self.clone() }
    }

    /// The event in the v2.0 envelope, sent now.
    #[must_use]
    pub fn payload(&self, app: &App, now: Timestamp) -> Value {
        let time = match self.unit {
            TimeUnit::Milliseconds => now.unix_ms().to_string(),
            TimeUnit::Microseconds => now.unix_ms().saturating_mul(1000).to_string(),
        };
        let event = json!({
            "sender": {
                "sender_id": {
                    "open_id": self.sender_open_id,
                    "union_id": format!("on_{}", hex_id(&["union", &self.sender_open_id])),
                    "user_id": "e33ggbyz",
                },
                "sender_type": "user",
                "tenant_key": TENANT_KEY,
            },
            "message": {
                "message_id": self.message_id,
                "create_time": time,
                "update_time": time,
                "chat_id": self.chat_id,
                "chat_type": self.chat_type,
                "message_type": self.message_type,
                "content": self.content,
                "parent_id": self.parent_id,
                "root_id": self.parent_id,
            },
        });
        envelope(app, &self.event_id, "im.message.receive_v1", &time, &event)
    }
}

/// An event about a message or a chat that exists already.
#[derive(Debug, Clone)]
pub struct NoticeEvent {
    /// The id of the delivery.
    pub event_id: String,
    /// What happened.
    pub notice: Notice,
}

/// What may happen to a message or a chat.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A message is recalled by its sender.
    Recalled {
        /// The message.
        message_id: String,
    },
    /// The bot is added to a chat.
    BotAdded {
        /// The chat.
        chat_id: String,
    },
    /// The bot is removed from a chat.
    BotDeleted {
        /// The chat.
        chat_id: String,
    },
    /// A chat gets another name.
    ChatRenamed {
        /// The chat.
        chat_id: String,
        /// The name.
        name: String,
    },
    /// A chat's restricted mode says who may download.
    ChatRestricted {
        /// The chat.
        chat_id: String,
        /// `not_anyone` or `all_members`.
        downloads: &'static str,
    },
    /// A chat is disbanded.
    ChatDisbanded {
        /// The chat.
        chat_id: String,
    },
}

impl NoticeEvent {
    /// The event in the v2.0 envelope, sent now.
    #[must_use]
    pub fn payload(&self, app: &App, now: Timestamp) -> Value {
        let time = now.unix_ms().to_string();
        let (event_type, event) = self.notice.body(&time);
        envelope(app, &self.event_id, event_type, &time, &event)
    }
}

impl Notice {
    fn body(&self, time: &str) -> (&'static str, Value) {
        let about = |chat_id: &str| json!({"chat_id": chat_id, "external": false, "name": chat_name(chat_id)});
        let after = |chat_id: &str, change: Value| json!({"chat_id": chat_id, "after_change": change});
        match self {
            Self::Recalled { message_id } => (
                "im.message.recalled_v1",
                json!({"message_id": message_id, "recall_time": time, "recall_type": "message_owner"}),
            ),
            Self::BotAdded { chat_id } => ("im.chat.member.bot.added_v1", about(chat_id)),
            Self::BotDeleted { chat_id } => ("im.chat.member.bot.deleted_v1", about(chat_id)),
            Self::ChatDisbanded { chat_id } => ("im.chat.disbanded_v1", about(chat_id)),
            Self::ChatRenamed { chat_id, name } => ("im.chat.updated_v1", after(chat_id, json!({"name": name}))),
            Self::ChatRestricted { chat_id, downloads } => {
                let mode = json!({"status": true, "download_has_permission_setting": downloads});
                ("im.chat.updated_v1", after(chat_id, json!({"restricted_mode_setting": mode})))
            }
        }
    }
}

fn envelope(app: &App, event_id: &str, event_type: &str, time: &str, event: &Value) -> Value {
    json!({
        "schema": "2.0",
        "header": {
            "event_id": event_id,
            "event_type": event_type,
            "create_time": time,
            "token": app.verification_token.reveal(),
            "app_id": app.app_id,
            "tenant_key": TENANT_KEY,
        },
        "event": event,
    })
}

/// A picture.
#[must_use]
pub fn image(message_id: &str, key: &str) -> MessageEvent {
    MessageEvent::new(message_id, "image", json!({"image_key": key}).to_string())
}

/// A file.
#[must_use]
pub fn file(message_id: &str, key: &str, file_name: &str) -> MessageEvent {
    MessageEvent::new(message_id, "file", json!({"file_key": key, "file_name": file_name}).to_string())
}

/// A voice message of two seconds.
#[must_use]
pub fn audio(message_id: &str, key: &str) -> MessageEvent {
    MessageEvent::new(message_id, "audio", json!({"file_key": key, "duration": 2000}).to_string())
}

/// A video of two seconds with its still picture.
#[must_use]
pub fn media(message_id: &str, key: &str, cover_key: &str, file_name: &str) -> MessageEvent {
    let content = json!({"file_key": key, "image_key": cover_key, "file_name": file_name, "duration": 2000});
    MessageEvent::new(message_id, "media", content.to_string())
}

/// A rich text with this body.
#[must_use]
pub fn post(message_id: &str, body: &Value) -> MessageEvent {
    MessageEvent::new(message_id, "post", body.to_string())
}

/// A forward of other messages; what is inside has to be asked for.
#[must_use]
pub fn merge_forward(message_id: &str) -> MessageEvent {
    MessageEvent::new(message_id, "merge_forward", "Merged and Forwarded Message")
}

/// A text that answers another message.
#[must_use]
pub fn reply(message_id: &str, parent_id: &str) -> MessageEvent {
    let text = MessageEvent::new(message_id, "text", json!({"text": "收到"}).to_string());
    MessageEvent { parent_id: Some(parent_id.to_owned()), ..text }
}

/// A sticker.
#[must_use]
pub fn sticker(message_id: &str, key: &str) -> MessageEvent {
    MessageEvent::new(message_id, "sticker", json!({"file_key": key}).to_string())
}

/// A folder.
#[must_use]
pub fn folder(message_id: &str, key: &str, name: &str) -> MessageEvent {
    MessageEvent::new(message_id, "folder", json!({"file_key": key, "file_name": name}).to_string())
}

/// The question by which the platform checks that an address is ours.
#[must_use]
pub fn url_verification(app: &App, challenge: &str) -> Value {
    json!({"challenge": challenge, "token": app.verification_token.reveal(), "type": "url_verification"})
}

/// An event in the v1.0 envelope: somebody opened a chat with the bot.
#[must_use]
pub fn v1(app: &App, event_id: &str, now: Timestamp) -> Value {
    let event = json!({
        "app_id": app.app_id, "tenant_key": TENANT_KEY, "type": "p2p_chat_create", "chat_id": P2P_CHAT,
    });
    envelope_v1(app, event_id, now, &event)
}

/// A store app's ticket, in the v1.0 envelope.
#[must_use]
pub fn app_ticket(app: &App, event_id: &str, ticket: &str, now: Timestamp) -> Value {
    let event = json!({"app_id": app.app_id, "app_ticket": ticket, "type": "app_ticket"});
    envelope_v1(app, event_id, now, &event)
}

/// The v1.0 envelope.
fn envelope_v1(app: &App, event_id: &str, now: Timestamp, event: &Value) -> Value {
    let ms = now.unix_ms();
    json!({
        "ts": format!("{}.{:03}0000", ms.div_euclid(1000), ms.rem_euclid(1000)),
        "uuid": event_id,
        "token": app.verification_token.reveal(),
        "type": "event_callback",
        "event": event,
    })
}

/// 32 hexadecimal digits that follow from some words, in the looks of the platform's ids.
#[must_use]
pub fn hex_id(words: &[&str]) -> String {
    let hash = Sha256::digest(words.join("\n"));
    let mut digits = Digest::from(<[u8; 32]>::from(hash)).to_string();
    digits.truncate(32);
    digits
}
