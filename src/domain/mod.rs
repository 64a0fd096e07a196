//! Vocabulary: the words and rules everything else is written in. No I/O.

pub mod actor;
pub mod app;
pub mod cell;
pub mod chat;
pub mod day;
pub mod digest;
pub mod download;
pub mod error;
pub mod filter;
pub mod folding;
pub mod id;
pub mod measure;
pub mod media;
pub mod message;
pub mod network;
pub mod proxies;
pub mod query;
pub mod readable;
pub mod reason;
pub mod resource;
pub mod schema;
pub mod secret;
pub mod setting;
pub mod source;
pub mod time;
pub mod zone;
