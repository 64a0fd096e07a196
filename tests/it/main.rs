//! Tests through the program's boundaries: bytes in, rows and files and HTTP out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod api;
mod apps;
mod architecture;
mod catalogue;
mod cli;
mod codes;
mod content;
mod corpus;
mod crash;
mod deliveries;
mod faults;
mod forwards;
mod health;
mod large_files;
mod life;
mod program;
mod properties;
mod rate_limits;
mod redelivery;
mod regression;
mod shutdown;
mod sources;
mod support;
mod thumbnails;
mod tokens;
mod webhook;
mod wire;
