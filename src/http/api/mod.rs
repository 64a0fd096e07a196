//! The JSON API: what is in the archive, for programs.
//!
//! It reads through the catalogue and changes rows only through `archive`.

mod auth;
mod chats;
mod content;
mod events;
mod fetch;
mod messages;
mod parameters;
mod resources;
mod statistics;
#[cfg(test)]
mod tests;
mod thumbnail;

use std::fmt;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{Resource, ResponseError as _, Route, guard, web};

use super::error::Problem;
use crate::archive::thumbnail::Thumbnails;
use crate::blob::store::Store;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::domain::id::AppId;
use crate::domain::secret::Secret;

/// What the API works with; handed to the application as `web::Data<Api>`.
#[derive(Clone)]
pub struct Api {
    /// Where everything stands.
    pub catalogue: Catalogue,
    /// The apps that can be asked to fetch something.
    pub apps: Arc<[AppId]>,
    /// Where the bytes are.
    pub store: Arc<Store>,
    /// Small pictures of what it holds.
    pub thumbnails: Thumbnails,
    /// The bearer token; without one the API does not exist.
    pub admin_token: Option<Secret>,
    /// The time.
    pub clock: Clock,
    /// Called when there is new work: something was re-queued or is to be replayed.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// Adds everything below `/api`.
pub fn configure(config: &mut web::ServiceConfig) {
    let headers =
        DefaultHeaders::new().add((header::CACHE_CONTROL, "no-store")).add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let routes = web::scope("/api")
        .wrap(headers)
        .wrap(from_fn(auth::authenticate))
        .service(readable("/v1/resources").route(read().to(resources::list)))
        .service(writable("/v1/resources/retry").route(web::post().to(resources::retry_matching)))
        .service(readable("/v1/resources/{id}").route(read().to(resources::show)))
        .service(readable("/v1/resources/{id}/content").route(read().to(content::serve)))
        .service(readable("/v1/resources/{id}/thumbnail").route(read().to(thumbnail::serve)))
        .service(writable("/v1/resources/{id}/retry").route(web::post().to(resources::retry_one)))
        .service(writable("/v1/fetch").app_data(fetch::body_limit()).route(web::post().to(fetch::fetch)))
        .service(readable("/v1/messages/{message_id}").route(read().to(messages::show)))
        .service(readable("/v1/chats").route(read().to(chats::list)))
        .service(readable("/v1/stats").route(read().to(statistics::show)))
        .service(readable("/v1/events").route(read().to(events::list)))
        .service(writable("/v1/events/{id}/replay").route(web::post().to(events::replay)))
        .default_service(web::to(async || Problem::not_found("there is no such path").error_response()));
    config.service(routes);
}

/// A path that is read; other methods are refused.
fn readable(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || Problem::method_not_allowed("GET, HEAD").error_response()))
}

/// A path that is posted to; other methods are refused.
fn writable(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || Problem::method_not_allowed("POST").error_response()))
}

/// GET, and HEAD with the same headers.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
