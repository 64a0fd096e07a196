//! Chats: what can be said of them besides their messages.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::resource::names;

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
