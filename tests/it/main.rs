//! Tests through the program's boundaries: bytes in, rows and files and HTTP out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod architecture;
mod corpus;
mod properties;
mod sources;
mod support;
mod webhook;
