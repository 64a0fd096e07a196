//! The HTTP surface: webhook, health, metrics, JSON API.

pub mod api;
pub mod conditional;
pub mod error;
pub mod health;
pub mod thumbnail;
pub mod webhook;

use actix_web::web::{self, ServiceConfig};

/// What the whole internet may reach: the webhook and the sign of life.
pub fn configure_public(config: &mut ServiceConfig) {
    config.configure(webhook::configure).route("/healthz", web::get().to(health::alive));
}

/// What only operators and administrators should reach.
pub fn configure_admin(config: &mut ServiceConfig) {
    config
        .route("/readyz", web::get().to(health::ready))
        .route("/metrics", web::get().to(health::metrics))
        .configure(api::configure);
}
