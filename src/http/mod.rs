//! The HTTP surface: webhook, health, metrics, JSON API, the administrators' pages.

pub mod admin;
pub mod api;
pub mod attempts;
mod blob_body;
mod client;
mod conditional;
pub mod connection;
mod content;
pub mod error;
mod exchange;
pub mod health;
mod host;
pub mod server;
pub mod thumbnail;
pub mod webhook;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Route, guard};

/// What the whole internet may reach: the webhook and the sign of life.
pub fn configure_public(config: &mut ServiceConfig) {
    config.configure(webhook::configure).route("/healthz", read().to(health::alive));
}

/// What only operators and administrators should reach.
pub fn configure_admin(config: &mut ServiceConfig) {
    let routes = web::scope("")
        .route("/readyz", read().to(health::ready))
        .route("/metrics", read().to(health::metrics))
        // Before the API: its description has a page for who has signed in.
        .configure(admin::configure)
        .configure(api::configure);
    config.service(routes.wrap(from_fn(host::check)));
}

/// GET, and HEAD with the same headers.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
