//! The HTTP surface: webhook, health, metrics, JSON API.

pub mod api;
pub mod error;
pub mod health;
pub mod webhook;
