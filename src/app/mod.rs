//! The running archive: builds everything from its settings and owns the shutdown.

mod lock;
mod routes;
mod setup;
mod supervisor;

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::lock::open_alone_or_beside;
pub use self::setup::{AppSetup, Setup};
pub use self::supervisor::Ended;

use self::lock::lock;
use self::routes::{Routes, bind};
use self::supervisor::{Supervisor, ended_early, finish};
use crate::archive::app_ticket;
use crate::archive::checkpoints::Checkpoints;
use crate::archive::damage::Examiner;
use crate::archive::download::Downloader;
use crate::archive::expand::Expander;
use crate::archive::index::Indexer;
use crate::archive::ingest::Inbox;
use crate::archive::known::Refill;
use crate::archive::listing::Lister;
use crate::archive::names::Namer;
use crate::archive::outage::Outage;
use crate::archive::quote::Quoter;
use crate::archive::record::Recorder;
use crate::archive::requeue::{self, Requeuer};
use crate::archive::thumbnail::{Thumbnailer, Thumbnails};
use crate::blob::reserve::Reserve;
use crate::blob::space::Space;
use crate::blob::store::{Store, make_private_directory};
use crate::blob::thumbnails::Thumbnails as ThumbnailCache;
use crate::catalogue::{self, Catalogue, CatalogueError, jobs, recalls, resources, statistics};
use crate::clock::Clock;
use crate::config::DataLayout;
use crate::domain::error::chain;
use crate::domain::id::AppId;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::feishu::platform_time::PlatformTime;
use crate::metrics::Metrics;
use crate::picture::apart::Workshop;
use crate::worker::{InFlight, JobLane, Lane, Shared, Slots, keep_leases, keep_spool};

/// The lease owner of the one process that serves a data directory.
const OWNER: &str = "serve";

/// Tells whoever may have something to do.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// An archive that is built and bound, but does not work yet.
pub struct App {
    /// The catalogue.
    pub catalogue: Catalogue,
    /// The store.
    pub store: Store,
    /// The counters.
    pub metrics: Metrics,
    /// The inbox.
    pub inbox: Inbox,
    /// Turns the inbox into resources.
    pub expander: Expander,
    /// Downloads and opens forwards, two lanes for each app.
    pub lanes: Vec<Lane>,
    quoters: Vec<Quoter>,
    namers: Vec<Namer>,
    known: Refill,
    reserve: Reserve,
    thumbnailer: Thumbnailer,
    /// Tells lanes and expander that there may be something to do.
    pub wake: Wake,
    shared: Shared,
    routes: Routes,
    public: TcpListener,
    admin: Option<TcpListener>,
    recording: JoinHandle<()>,
    /// Held until the process ends.
    _lock: File,
}

impl App {
    /// Locks the data directory, opens catalogue and store, binds the addresses, and takes back
    /// what an earlier process left unfinished.
    ///
    /// # Errors
    /// In one sentence, if any of this cannot be done.
    pub async fn open(setup: Setup, clock: Clock) -> anyhow::Result<Self> {
        let layout = &setup.layout;
        make_private_directory(&layout.directory)
            .with_context(|| format!("cannot create the data directory {}", layout.directory.display()))?;
        warn_of_onlookers(layout);
        let lock = lock(&layout.directory).await?;
        let public = bind(setup.listen)?;
        let admin = setup.admin_listen.map(bind).transpose()?;
        let catalogue = Catalogue::open_to_serve(&layout.catalogue).await?.in_zone(setup.time_zone.clone());
        let store = Store::open(&layout.store, &layout.spool)
            .with_context(|| format!("cannot open the store {}", layout.store.display()))?;
        let thumbnails = ThumbnailCache::open(&layout.thumbnails)
            .with_context(|| format!("cannot open the thumbnails in {}", layout.thumbnails.display()))?;
        let reserve = Reserve::take(&layout.directory);
        let inbox = Inbox::new(catalogue.clone(), clock.clone(), reserve.clone())
            .context("cannot start the thread that writes deliveries down")?;
        let known = Refill::begin(&inbox, clock.now()).await?;
        take_back(&catalogue, clock.now()).await?;
        recalls::set_policy(catalogue.write()?, setup.on_recall).await?;
        warn_of_strangers(&catalogue, &setup.app_ids()).await?;
        let deliveries = (inbox, reserve, known);
        Self::assemble(setup, clock, catalogue, deliveries, (store, thumbnails), (public, admin), lock)
    }

    fn assemble(
        setup: Setup,
        clock: Clock,
        catalogue: Catalogue,
        (inbox, reserve, known): (Inbox, Reserve, Refill),
        (store, thumbnails): (Store, ThumbnailCache),
        (public, admin): (TcpListener, Option<TcpListener>),
        lock: File,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        let space = Space::new(&[&setup.layout.directory, &setup.layout.store], setup.min_free_bytes);
        let (recorder, recording) = Recorder::start(catalogue.clone(), OWNER.to_owned());
        let shared = Shared {
            catalogue: catalogue.clone(),
            space: space.clone(),
            owner: OWNER.into(),
            in_flight: InFlight::default(),
            clock,
            due: watch::Sender::new(()),
            recorder,
        };
        let workshop = Workshop::new(setup.program.clone());
        let examiner = Examiner::new(catalogue.clone(), store.checked(), shared.clock.clone(), shared.due.clone());
        let thumbnails = Thumbnails::new(catalogue.clone(), (examiner.clone(), space), thumbnails, workshop);
        let time = PlatformTime::new(shared.clock.clone());
        let ForApps { lanes, quoters, namers } = ForApps::new(&setup, &shared, &store, &metrics, &time)?;
        let wake = wake(&shared.due, &inbox);
        Ok(Self {
            catalogue,
            expander: Expander::new(shared.catalogue.clone(), metrics.clone(), shared.due.clone()),
            lanes,
            quoters,
            namers,
            known,
            reserve,
            routes: Routes::new(setup, &shared, (&store, &examiner), &thumbnails, (&inbox, &wake), &metrics, time),
            thumbnailer: Thumbnailer::new(thumbnails),
            wake,
            shared,
            metrics,
            inbox,
            store,
            public,
            admin,
            recording,
            _lock: lock,
        })
    }

    /// The address that the webhook listens on.
    ///
    /// # Errors
    /// If the socket does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// The address that the API listens on.
    ///
    /// # Errors
    /// If the socket does not say.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.as_ref().unwrap_or(&self.public).local_addr()
    }

    /// Works until `shutdown`, then finishes what is under way, gives back what is not, and closes.
    ///
    /// # Errors
    /// If the HTTP servers cannot start.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<Ended> {
        let address = self.address()?;
        let admin_address = self.admin_address()?;
        let (servers, tables) = self.routes.open(self.public, self.admin)?;
        let handles: Vec<ServerHandle> = servers.iter().map(Server::handle).collect();
        tracing::info!(address = %address, admin_address = %admin_address, "listening");

        let mut tasks = Supervisor::default();
        for server in servers {
            tasks.add("http server", async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "The HTTP server failed");
                }
            });
        }
        let Shared { clock, due, .. } = &self.shared;
        let requeuer = Requeuer::new(self.catalogue.clone(), clock.clone(), due.clone());
        let requeues = JobLane::new(self.shared.clone(), self.expander.noticed(), requeuer);
        tasks.add("requeues", requeues.run(shutdown.clone()));
        for connections in tables {
            tasks.add("connections", connections.run(shutdown.clone()));
        }
        tasks.add("expander", self.expander.run(self.inbox, shutdown.clone()));
        for namer in self.namers {
            tasks.add("names", namer.run(self.shared.due.subscribe(), shutdown.clone()));
        }
        tasks.add("known deliveries", self.known.run(shutdown.clone()));
        tasks.add("reserve", self.reserve.keep(shutdown.clone()));
        tasks.add("checkpoints", Checkpoints::new(self.catalogue.clone()).run(shutdown.clone()));
        tasks.add("indexer", Indexer::new(self.catalogue.clone()).run(shutdown.clone()));
        tasks.add("thumbnails", self.thumbnailer.run(self.shared.due.subscribe(), shutdown.clone()));
        tasks.add("leases", keep_leases(self.shared, shutdown.clone()));
        tasks.add("spool", keep_spool(self.store, shutdown.clone()));
        for lane in self.lanes {
            tasks.add("lane", lane.run(shutdown.clone()));
        }
        for quoter in self.quoters {
            tasks.add("quoter", quoter.run(shutdown.clone()));
        }
        let mut recording = self.recording;
        let ended = tokio::select! {
            // The recorder ends by itself when everyone else does, which is no crash.
            biased;
            ended = tasks.watch(&shutdown) => ended,
            result = &mut recording => ended_early(Some(result.map(|()| "recorder")), &shutdown),
        };
        for handle in handles {
            handle.stop(true).await;
        }
        tasks.finish().await;
        finish(recording).await;
        close(self.catalogue).await;
        Ok(ended)
    }
}

/// What works for one app each.
#[derive(Default)]
struct ForApps {
    lanes: Vec<Lane>,
    quoters: Vec<Quoter>,
    namers: Vec<Namer>,
}

impl ForApps {
    fn new(
        setup: &Setup,
        shared: &Shared,
        store: &Store,
        metrics: &Metrics,
        time: &PlatformTime,
    ) -> anyhow::Result<Self> {
        let mut made = Self::default();
        let slots = Slots::deal(setup.download_concurrency, setup.apps.len());
        for (app, slots) in setup.apps.iter().zip(slots) {
            let Shared { catalogue, space, clock, due, .. } = shared;
            let app_id = &app.keys.app_id;
            let client = app_ticket::connect(app.client.clone(), app.kind, catalogue, metrics.clone(), time.clone())?;
            let outage = Outage::new(app_id.clone(), client.clone(), clock.clone(), metrics.clone(), due.clone());
            let asking = (client.clone(), outage.clone());
            made.namers.push(Namer::new(catalogue.clone(), asking, app_id.clone(), clock.clone()));
            let asking = (Lister::new(client.clone(), catalogue.clone(), clock.clone()), outage.clone());
            made.quoters.push(Quoter::new(catalogue.clone(), app_id.clone(), asking, clock.clone(), due.clone()));
            let kept = (store.clone(), space.clone());
            let downloader = Downloader::new(client, catalogue, kept, setup.limits, clock.clone(), metrics.clone());
            let downloader = downloader.sharing(outage);
            made.lanes.push(Lane::downloading(shared.clone(), slots, app_id.clone(), downloader.clone()));
            made.lanes.push(Lane::opening(shared.clone(), app_id.clone(), downloader));
        }
        Ok(made)
    }
}

/// Rings for everyone who may have something to do now: the lanes and the expander.
fn wake(due: &watch::Sender<()>, inbox: &Inbox) -> Wake {
    let (due, arrived) = (due.clone(), inbox.arrived());
    Arc::new(move || {
        due.send_replace(());
        arrived.notify_one();
    })
}

/// Gives back leases and closes the catalogue.
async fn close(catalogue: Catalogue) {
    let released = async {
        let write = catalogue.write()?;
        Ok::<_, CatalogueError>(resources::reclaim_of(write, OWNER).await? + jobs::reclaim_of(write, OWNER).await?)
    };
    match released.await {
        Ok(0) => {}
        Ok(released) => tracing::info!(released, "Gave back unfinished downloads and jobs"),
        Err(error) => tracing::error!(error = %chain(&error), "Cannot give back leases"),
    }
    catalogue.close().await;
    tracing::info!("stopped");
}

/// Takes back what dead processes had claimed (an earlier `serve`, and anybody whose lease is over)
/// and refreshes the texts of reasons. Everything blocked by the configuration or by this machine gets
/// one try, because either may be another one now.
async fn take_back(catalogue: &Catalogue, now: Timestamp) -> anyhow::Result<()> {
    let write = catalogue.write()?;
    catalogue::reasons::write_texts(write, ReasonCode::ALL).await?;
    let unfinished = resources::reclaim_of(write, OWNER).await? + resources::reclaim_expired(write, now).await?;
    let unfinished = unfinished + jobs::reclaim_of(write, OWNER).await? + jobs::reclaim_expired(write, now).await?;
    requeue::after_start(catalogue, now).await?;
    if unfinished > 0 {
        tracing::info!(unfinished, "Took up what an earlier process left");
    }
    Ok(())
}

/// Says which apps have resources that nobody will work on.
async fn warn_of_strangers(catalogue: &Catalogue, apps: &[AppId]) -> anyhow::Result<()> {
    for (app_id, waiting) in statistics::unfinished_of_others(catalogue.read(), apps).await? {
        tracing::warn!(app.id = %app_id, waiting,
            "App {app_id} is not configured, but {waiting} of its resources wait: configure it again and restart");
    }
    Ok(())
}

/// Names directories that were there already and that others may look into. What is made in them is private all
/// the same.
fn warn_of_onlookers(layout: &DataLayout) {
    let elsewhere = Some(&layout.store).filter(|store| !store.starts_with(&layout.directory));
    for directory in [&layout.directory].into_iter().chain(elsewhere) {
        let Ok(mode) = std::fs::metadata(directory).map(|found| found.permissions().mode() & 0o777) else { continue };
        if mode & 0o077 != 0 {
            let path = directory.display();
            tracing::warn!(path = %path, mode = format!("{mode:o}"),
                "Others on this machine may look into {path}: chmod 700 keeps them out");
        }
    }
}
