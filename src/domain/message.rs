//! Messages as events and listings tell them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::id::{AppId, ChatId, MessageId, OpenId, TenantKey};
use super::resource::names;
use super::time::Timestamp;

/// Who sends: the event page knows `user` and `bot`; listings say `app` for a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SenderType {
    /// A person.
    User,
    /// A bot.
    Bot,
}

/// What becomes of what a message showed, once it is recalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRecall {
    /// It stays as it is.
    Keep,
    /// It is kept and counted, but neither shown nor served.
    Hide,
}

names!(OnRecall, UnknownOnRecall, "policy for recalled messages", Keep = "keep", Hide = "hide");
names!(SenderType, UnknownSenderType, "type of sender", User = "user", Bot = "bot");

/// The sender of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sender {
    /// The sender as this app sees them; missing for what has no sender.
    pub open_id: Option<OpenId>,
    /// Person or bot, if the platform said one of the two.
    pub kind: Option<SenderType>,
}

/// One message, as an event or a listing carried it. Its content is still unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The app that was shown it.
    pub app_id: AppId,
    /// The tenant the event belongs to.
    pub tenant_key: Option<TenantKey>,
    /// The message's own id; with the app its identity.
    pub message_id: MessageId,
    /// The chat it was sent to.
    pub chat_id: ChatId,
    /// `p2p` or `group`; listings do not say.
    pub chat_type: Option<String>,
    /// The topic it belongs to.
    pub thread_id: Option<String>,
    /// The first message of the reply chain.
    pub root_id: Option<String>,
    /// The message it answers.
    pub parent_id: Option<String>,
    /// Who sent it.
    pub sender: Sender,
    /// `image`, `post` and so on, as the platform says.
    pub message_type: String,
    /// The content: mostly JSON inside this string, sometimes bare text.
    pub content: String,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// Names that its mentions tell for free.
    pub names: Vec<(OpenId, String)>,
}

/// Something wrong with a message that is kept all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    /// The content is not the JSON that its type promises; resources in it cannot be known.
    ContentUnreadable,
}

names!(Problem, UnknownProblem, "problem", ContentUnreadable = "content_unreadable");
