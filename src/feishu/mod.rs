//! The open platform, Feishu or Lark: everything that knows its protocol.

pub mod answer;
pub mod app_ticket;
mod body;
pub mod client;
pub mod code;
pub mod content;
pub mod crypto;
pub mod dictionary;
mod envelope;
pub mod event;
pub mod fetch;
pub mod file_name;
mod grant;
pub mod helpdesk;
pub mod json;
pub mod limit;
pub mod messages;
pub mod names;
pub mod outbound;
mod page;
mod parts;
pub mod platform_time;
#[cfg(test)]
mod scripted;
pub mod token;
pub mod verified;
pub mod webhook;
