//! Tests through the program's boundaries: bytes in, rows and files and HTTP out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod api;
mod apps;
mod architecture;
mod bad_input;
mod browser;
mod catalogue;
mod changes;
mod cli;
mod codes;
mod commands;
mod content;
mod corpus;
mod crash;
mod damage;
mod deliveries;
mod documents;
mod export;
mod faults;
mod forwards;
mod health;
mod large_files;
mod life;
mod openapi;
mod pages;
mod panels;
mod patience;
mod program;
mod properties;
mod rate_limits;
mod recalled_forwards;
mod recipes;
mod redelivery;
mod regression;
mod search;
mod shutdown;
mod sources;
mod sql;
mod store_apps;
mod support;
mod thumbnails;
mod tokens;
mod tools;
mod webhook;
mod wire;
