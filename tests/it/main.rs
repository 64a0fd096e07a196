//! Tests through the program's boundaries: bytes in, rows and files and HTTP out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod apps;
mod architecture;
mod codes;
mod corpus;
mod properties;
mod support;
mod webhook;
