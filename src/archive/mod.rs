//! What Larkive does: one verb per file. Rows change only through here.

pub mod app_ticket;
pub mod chat;
pub mod dictionary;
pub mod download;
pub mod expand;
pub mod fetch;
pub mod ingest;
pub mod names;
pub mod notice;
pub mod post;
pub mod recall;
pub mod record;
pub mod replay;
pub mod retry;
pub mod ticket;
