//! Larkive: a media archive for Feishu and Lark.

pub mod app;
pub mod archive;
pub mod blob;
pub mod blocking;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod feishu;
pub mod http;
pub mod log_limit;
pub mod metrics;
pub mod picture;
pub mod sandbox;
pub mod telemetry;
pub mod worker;
