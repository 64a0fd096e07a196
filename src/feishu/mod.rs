//! The open platform, Feishu or Lark: everything that knows its protocol.

pub mod code;
pub mod content;
pub mod crypto;
pub mod event;
pub mod fetch;
pub mod json;
pub mod limit;
pub mod token;
pub mod webhook;
