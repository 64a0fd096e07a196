//! The ports: which routes are served where, and what they work with.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web;
use anyhow::Context as _;

use super::{Setup, Wake};
use crate::archive::asker::Asker;
use crate::archive::damage::Examiner;
use crate::archive::ingest::Inbox;
use crate::archive::thumbnail::Thumbnails;
use crate::blob::store::Store;
use crate::domain::proxies::TrustedProxies;
use crate::feishu::platform_time::PlatformTime;
use crate::http::admin::Pages;
use crate::http::api::Api;
use crate::http::connection::{Connections, Limits};
use crate::http::health::Vitals;
use crate::http::server;
use crate::http::webhook::Gate;
use crate::metrics::Metrics;
use crate::worker::Shared;

/// Takes an address to listen on; it is served only later.
///
/// # Errors
/// If it is taken, or not ours to take.
pub(super) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another address with LARKIVE_LISTEN"))
}

/// What the routes work with.
#[derive(Clone)]
pub(super) struct Routes {
    gate: Gate,
    api: Api,
    pages: Pages,
    vitals: Vitals,
    trusted_proxies: TrustedProxies,
    max_connections: usize,
}

impl Routes {
    /// Hands the parts of an archive to whom they serve.
    pub(super) fn new(
        setup: Setup,
        shared: &Shared,
        (store, examiner): (&Store, &Examiner),
        thumbnails: &Thumbnails,
        (inbox, wake): (&Inbox, &Wake),
        metrics: &Metrics,
        time: PlatformTime,
    ) -> Self {
        let Shared { catalogue, space, clock, .. } = shared;
        let apps = setup.app_ids();
        let keys = setup.apps.iter().map(|app| app.keys.clone()).collect();
        let api = Api {
            catalogue: catalogue.clone(),
            apps: setup.apps.iter().map(|app| Asker::new(app.keys.app_id.clone(), app.kind)).collect(),
            store: Arc::new(store.clone()),
            examiner: examiner.clone(),
            thumbnails: thumbnails.clone(),
            admin_token: setup.admin_token,
            throttles: Arc::default(),
            proxies: setup.trusted_proxies.clone(),
            clock: clock.clone(),
            wake: wake.clone(),
        };
        let (metrics, space) = (metrics.clone(), space.clone());
        Self {
            max_connections: setup.max_connections,
            trusted_proxies: setup.trusted_proxies.clone(),
            pages: Pages::new(&api, setup.trusted_proxies.clone(), setup.shown_settings, &setup.layout.spool),
            gate: Gate::new(keys, setup.trusted_proxies, inbox.clone(), metrics.clone(), (clock.clone(), time)),
            api,
            vitals: Vitals::new(catalogue.clone(), store.clone(), (apps, inbox.clone()), metrics, clock.clone(), space),
        }
    }

    /// Starts one server, or two where the administrators have their own address, each with the table
    /// of its connections.
    pub(super) fn open(
        self,
        public: TcpListener,
        admin: Option<TcpListener>,
    ) -> anyhow::Result<(Vec<Server>, Vec<Connections>)> {
        let table = |limits| Connections::new(limits, self.trusted_proxies.clone());
        let Some(admin) = admin else {
            let connections = table(Limits::of_one(self.max_connections));
            let server = self.start(public, &connections, |config| {
                crate::http::configure_public(config);
                crate::http::configure_admin(config);
            })?;
            return Ok((vec![server], vec![connections]));
        };
        let (outside, inside) = Limits::of_two(self.max_connections);
        let (outside, inside) = (table(outside), table(inside));
        let servers = vec![
            self.start(public, &outside, crate::http::configure_public)?,
            self.start(admin, &inside, crate::http::configure_admin)?,
        ];
        Ok((servers, vec![outside, inside]))
    }

    /// Starts the server of one port.
    fn start(
        &self,
        listener: TcpListener,
        connections: &Connections,
        routes: fn(&mut web::ServiceConfig),
    ) -> anyhow::Result<Server> {
        let parts = self.clone();
        let routes = move |config: &mut web::ServiceConfig| {
            config
                .app_data(web::Data::new(parts.gate.clone()))
                .app_data(web::Data::new(parts.api.clone()))
                .app_data(web::Data::new(parts.pages.clone()))
                .app_data(web::Data::new(parts.vitals.clone()))
                .configure(routes);
        };
        server::start(listener, connections.clone(), routes).context("cannot use the listening socket")
    }
}
