//! What Larkive does: one verb per file. Rows change only through here; what somebody asks for comes through
//! [`command`].

pub mod app_ticket;
pub mod asker;
pub mod chat;
pub mod checkpoints;
pub mod command;
pub mod damage;
pub mod dictionary;
pub mod download;
pub mod expand;
pub mod export;
pub mod fetch;
pub mod index;
pub mod ingest;
pub mod job;
pub mod known;
pub mod listing;
pub mod names;
pub mod notice;
pub mod outage;
pub mod post;
pub mod quote;
pub mod recall;
mod received;
pub mod record;
pub mod requeue;
pub mod retry;
pub mod thumbnail;
pub mod ticket;
