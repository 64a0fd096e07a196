//! The administrators' pages: rendered here, working without JavaScript, and complete in
//! themselves: nothing is loaded from another host.
//!
//! One file per page, holding its texts, the struct that its template shows, and its handlers. HTML
//! stands only in `templates/`, where every value is escaped.

mod assets;
mod cause;
mod chart;
mod chats;
mod conversation;
mod day_charts;
mod delivery;
mod documentation;
mod export;
mod facts;
mod failed;
mod failure;
mod figures;
mod filter_bar;
mod form;
mod frame;
mod gallery;
mod item;
mod language;
mod local_path;
mod overview;
mod payload;
mod pictured;
mod preview;
mod query;
mod question;
mod quoted;
mod resource;
mod session;
mod settings;
mod sign_in;
mod thumbnail;
mod trouble;
mod visit;
mod vocabulary;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{Error, HttpRequest, HttpResponse, Route, guard, web};

use self::export::Exports;
use self::failure::Failure;
use self::session::Sessions;
use self::visit::SignedIn;
use super::api::Api;
use super::attempts::{Allowance, Attempts};
use crate::archive::command::Commands;
use crate::archive::damage::Examiner;
use crate::archive::thumbnail::Thumbnails;
use crate::blob::store::Store;
use crate::catalogue::Catalogue;
use crate::catalogue::listing;
use crate::catalogue::listing::resource::Resource;
use crate::clock::Clock;
use crate::domain::proxies::TrustedProxies;
use crate::domain::secret::Secret;
use crate::domain::setting::ShownSetting;

/// Attempts to sign in: enough for a person with several wrong tokens at hand.
const SIGNING_IN: Allowance = Allowance { window: Duration::from_secs(15 * 60), from_one: 10, from_network: 60 };

/// What the pages work with; handed to the application as `web::Data<Pages>`. Cloned freely.
#[derive(Clone)]
pub struct Pages {
    catalogue: Catalogue,
    store: Arc<Store>,
    examiner: Examiner,
    thumbnails: Thumbnails,
    /// What an administrator signs in with; without it there are no pages.
    admin_token: Option<Secret>,
    proxies: Arc<TrustedProxies>,
    clock: Clock,
    /// Called when there is new work.
    wake: Arc<dyn Fn() + Send + Sync>,
    sessions: Arc<Sessions>,
    attempts: Arc<Attempts>,
    exports: Arc<Exports>,
    /// Where exports have their temporary files.
    spool: Arc<Path>,
    /// The configuration, as it may be shown.
    settings: Arc<[ShownSetting]>,
}

impl Pages {
    /// Pages over what the API shows too, behind these proxies, with these settings to show. Exports have their
    /// temporary files in `spool`.
    #[must_use]
    pub fn new(api: &Api, proxies: TrustedProxies, settings: Vec<ShownSetting>, spool: &Path) -> Self {
        Self {
            catalogue: api.catalogue.clone(),
            store: api.store.clone(),
            examiner: api.examiner.clone(),
            thumbnails: api.thumbnails.clone(),
            admin_token: api.admin_token.clone(),
            proxies: Arc::new(proxies),
            clock: api.clock.clone(),
            wake: api.wake.clone(),
            sessions: Arc::default(),
            attempts: Arc::new(Attempts::new(SIGNING_IN)),
            exports: Arc::default(),
            spool: spool.into(),
            settings: settings.into(),
        }
    }

    /// What a visitor may ask for.
    fn commands(&self, visit: &SignedIn) -> Commands<'_> {
        Commands::of(visit.actor(), &self.catalogue, self.clock.now())
    }

    /// The resource that a path names, unless it is hidden.
    async fn resource(&self, id: &str) -> Result<Resource, Failure> {
        let id = id.parse().map_err(|_| Failure::NotFound)?;
        listing::resource::find(&self.catalogue, id).await?.ok_or(Failure::NotFound)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// Adds every page, and what is answered where there is none.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(page("/").route(read().to(overview::show)))
        .service(documentation::resource())
        .service(page("/login").route(read().to(sign_in::show)).route(web::post().to(sign_in::sign_in)))
        .service(page("/logout").route(web::post().to(sign_in::sign_out)))
        .service(page("/language").route(web::post().to(sign_in::switch_language)))
        .service(page("/assets/{version}/{name}").route(read().to(assets::serve)))
        .service(page("/failed").route(read().to(failed::show)))
        .service(page("/failed/retry").route(web::post().to(failed::retry)))
        .service(page("/failed/{reason}").route(read().to(failed::show_group)))
        .service(page("/export").route(web::post().to(export::export)))
        .service(page("/chats").route(read().to(chats::list)))
        .service(page("/deliveries").route(read().to(delivery::list)))
        .service(page("/deliveries/{id}").route(read().to(delivery::show)))
        .service(page("/deliveries/{id}/replay").route(web::post().to(delivery::replay)))
        .service(page("/settings").route(read().to(settings::show)))
        .service(page("/resources").route(read().to(gallery::show)))
        .service(page("/resources/retry").route(web::post().to(gallery::retry)))
        .service(page("/resources/{id}").route(read().to(resource::show)))
        .service(page("/resources/{id}/retry").route(web::post().to(resource::retry)))
        .service(page("/resources/{id}/preview").route(read().to(preview::show)))
        .service(page("/resources/{id}/content").route(read().to(preview::download)))
        .service(page("/resources/{id}/thumbnail").route(read().to(thumbnail::show)))
        .default_service(web::to(nothing));
}

/// A path of the pages; methods that it does not know find nothing.
fn page(
    path: &str,
) -> actix_web::Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    web::resource(path).default_service(web::to(nothing)).wrap(from_fn(failure::told))
}

/// GET, and HEAD with the same headers.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// There is nothing under this path, whoever asks and however.
async fn nothing(pages: web::Data<Pages>, request: HttpRequest) -> HttpResponse {
    let failure = if pages.admin_token.is_some() { Failure::NotFound } else { Failure::NoPages };
    failure.page(visit::language(request.headers()))
}
