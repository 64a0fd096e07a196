//! The JSON API: what is in the archive, for programs.
//!
//! It reads through the catalogue and changes rows only through `archive`.

mod answer;
mod auth;
mod changes;
mod chats;
mod content;
mod endpoint;
mod events;
mod fetch;
mod messages;
mod openapi;
pub(super) mod parameters;
pub(super) mod reader;
mod resources;
mod routes;
mod statistics;
#[cfg(test)]
mod tests;
mod thumbnail;

use std::fmt;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{ResponseError as _, web};

pub use self::auth::Throttles;
use self::endpoint::PREFIX;
use self::routes::endpoints;
use super::error::Problem;
use crate::archive::asker::Asker;
use crate::archive::command::Commands;
use crate::archive::damage::Examiner;
use crate::archive::thumbnail::Thumbnails;
use crate::blob::store::Store;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::domain::actor::Actor;
use crate::domain::proxies::TrustedProxies;
use crate::domain::secret::Secret;

/// What the API works with; handed to the application as `web::Data<Api>`.
#[derive(Clone)]
pub struct Api {
    /// Where everything stands.
    pub catalogue: Catalogue,
    /// The apps that can be asked to fetch something.
    pub apps: Arc<[Asker]>,
    /// Where the bytes are.
    pub store: Arc<Store>,
    /// Looks closer at bytes that cannot be read.
    pub examiner: Examiner,
    /// Small pictures of what it holds.
    pub thumbnails: Thumbnails,
    /// The bearer token; without one the API does not exist.
    pub admin_token: Option<Secret>,
    /// What holds callers back.
    pub throttles: Arc<Throttles>,
    /// Proxies whose word about a caller's address counts.
    pub proxies: TrustedProxies,
    /// The time.
    pub clock: Clock,
    /// Called when there is new work: something was re-queued or is to be replayed.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

impl Api {
    /// What a caller may ask for.
    fn commands(&self, caller: web::ReqData<Actor>) -> Commands<'_> {
        Commands::of(caller.into_inner(), &self.catalogue, self.clock.now())
    }
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
    let scope = web::scope(PREFIX)
        .app_data(fetch::body_limit())
        .wrap(headers)
        .wrap(from_fn(auth::authenticate))
        .default_service(web::to(async || Problem::not_found("there is no such path").error_response()));
    config.service(endpoints().iter().fold(scope, |scope, endpoint| scope.service(endpoint.resource())));
}
