//! Chats: what people know them by, and what can be said of them besides their messages.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::id::ChatId;
use super::resource::names;

/// The type of a chat of one person with the bot, as the platform says it.
const DIRECT: &str = "p2p";
/// As much of an id as tells a few chats apart.
const TELLING_CHARS: usize = 11;

/// What people know a chat by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Title<'a> {
    /// Its name.
    Name(&'a str),
    /// One person and the bot: such a chat has no name.
    Direct {
        /// What the person is called, if that was found out.
        person: Option<&'a str>,
        /// The chat.
        chat_id: &'a ChatId,
    },
    /// A group whose name was not found out.
    Id(&'a ChatId),
}

impl<'a> Title<'a> {
    /// The title of a chat of which this is known.
    #[must_use]
    pub fn new(chat_id: &'a ChatId, name: Option<&'a str>, chat_type: Option<&str>, person: Option<&'a str>) -> Self {
        match name.filter(|name| !name.trim().is_empty()) {
            Some(name) => Self::Name(name),
            None if chat_type == Some(DIRECT) => Self::Direct { person, chat_id },
            None => Self::Id(chat_id),
        }
    }

    /// The title in a language whose word for a chat of one person with the bot is `direct`.
    #[must_use]
    pub fn told(self, direct: &str) -> String {
        match self {
            Self::Name(name) => name.to_owned(),
            Self::Direct { person: Some(person), .. } => format!("{direct} · {person}"),
            Self::Direct { person: None, chat_id } => format!("{direct} · {}", beginning(chat_id.as_str())),
            Self::Id(chat_id) => chat_id.as_str().to_owned(),
        }
    }
}

/// The beginning of an id, by which people tell it from a few others.
fn beginning(id: &str) -> String {
    let beginning: String = id.chars().take(TELLING_CHARS).collect();
    if beginning.len() < id.len() { beginning + "…" } else { beginning }
}

/// Whether a chat's restricted mode lets anybody download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downloads {
    /// They are allowed.
    Allowed,
    /// They are refused to everybody, apps included.
    Forbidden,
}

/// Whether the bot is in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is a member.
    In,
    /// It is none, or none any more.
    Out,
}

names!(Downloads, UnknownDownloads, "rule for downloads", Allowed = "allowed", Forbidden = "forbidden");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_known_by_its_name_its_person_or_its_id() {
        let id: ChatId = "oc_1d9e8c7b6a5f40312e4d5c6b7a8f9e01".parse().unwrap();
        let short: ChatId = "oc_1".parse().unwrap();
        let check = |chat_id, name, chat_type, person, told| {
            assert_eq!(Title::new(chat_id, name, chat_type, person).told("单聊"), told);
        };
        check(&id, Some("设计评审"), Some("group"), None, "设计评审");
        check(&id, Some("张三"), Some("p2p"), Some("李四"), "张三");
        check(&id, None, Some("p2p"), Some("李四"), "单聊 · 李四");
        check(&id, Some(" "), Some("p2p"), None, "单聊 · oc_1d9e8c7b…");
        check(&short, None, Some("p2p"), None, "单聊 · oc_1");
        check(&short, None, Some("group"), Some("李四"), "oc_1");
        check(&short, None, None, None, "oc_1");
    }
}
