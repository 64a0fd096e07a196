//! The running archive: builds everything from its settings and owns the shutdown.

use std::fs::{File, TryLockError};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::{Server, ServerHandle};
use actix_web::web;
use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::archive::app_ticket;
use crate::archive::asker::Asker;
use crate::archive::checkpoints::Checkpoints;
use crate::archive::damage::Examiner;
use crate::archive::download::{self, Downloader};
use crate::archive::expand::Expander;
use crate::archive::index::Indexer;
use crate::archive::ingest::Inbox;
use crate::archive::known::Refill;
use crate::archive::left_over::LeftOver;
use crate::archive::listing::Lister;
use crate::archive::names::Namer;
use crate::archive::outage::Outage;
use crate::archive::quote::Quoter;
use crate::archive::record::Recorder;
use crate::archive::requeue::Requeuer;
use crate::archive::thumbnail::{Thumbnailer, Thumbnails};
use crate::blob::reserve::Reserve;
use crate::blob::space::Space;
use crate::blob::store::{Store, make_private_directory};
use crate::blob::thumbnails::Thumbnails as ThumbnailCache;
use crate::catalogue::{self, Catalogue, quotes, recalls, resources, statistics};
use crate::clock::Clock;
use crate::config::DataLayout;
use crate::domain::app::AppKind;
use crate::domain::error::chain;
use crate::domain::id::AppId;
use crate::domain::message::OnRecall;
use crate::domain::proxies::TrustedProxies;
use crate::domain::reason::ReasonCode;
use crate::domain::secret::Secret;
use crate::domain::setting::ShownSetting;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;
use crate::feishu::client::ClientSettings;
use crate::feishu::platform_time::PlatformTime;
use crate::feishu::webhook::AppKeys;
use crate::http::admin::Pages;
use crate::http::api::Api;
use crate::http::connection::{Connections, Limits};
use crate::http::health::Vitals;
use crate::http::server;
use crate::http::webhook::Gate;
use crate::metrics::Metrics;
use crate::picture::apart::Workshop;
use crate::worker::{InFlight, Lane, Shared, Slots, keep_leases, keep_spool};

/// The lease owner of the one process that serves a data directory.
const OWNER: &str = "serve";
/// The file whose lock says that a process serves this data directory.
const LOCK_FILE: &str = "serve.lock";
/// How long whoever else holds the lock may take to create a catalogue or to migrate it.
const MIGRATED_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for who served the directory before, who may just be ending; a process that is being started
/// has the descriptors of the one that starts it for a moment, too.
const LOCKED_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long the recorder may take to write what it still has.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Tells whoever may have something to do.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// One app that is archived.
#[derive(Debug, Clone)]
pub struct AppSetup {
    /// What its callbacks are checked against.
    pub keys: AppKeys,
    /// How its bytes are fetched.
    pub client: ClientSettings,
    /// How it comes by its tokens.
    pub kind: AppKind,
}

/// Everything that a serving archive needs to know.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it keeps its things.
    pub layout: DataLayout,
    /// The apps it archives.
    pub apps: Vec<AppSetup>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it listens for everything but the webhook; none: at the same address.
    pub admin_listen: Option<SocketAddr>,
    /// Proxies whose word about a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// Connections that may be open at once, on all ports.
    pub max_connections: usize,
    /// The token of the API; none: there is no API.
    pub admin_token: Option<Secret>,
    /// Downloads in flight.
    pub download_concurrency: usize,
    /// What a try may take.
    pub limits: download::Limits,
    /// What becomes of what a recalled message showed.
    pub on_recall: OnRecall,
    /// Below this many free bytes downloads pause.
    pub min_free_bytes: u64,
    /// At whose midnight days begin.
    pub time_zone: Zone,
    /// The configuration as the pages show it.
    pub shown_settings: Vec<ShownSetting>,
    /// Where this program lies: it is started again for each thumbnail.
    pub program: PathBuf,
}

/// Why a serving archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    OnRequest,
    /// One of its tasks crashed.
    ByFault,
}

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
    left_over: LeftOver,
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
        let left_over = take_back(&catalogue, clock.now()).await?;
        recalls::set_policy(catalogue.write()?, setup.on_recall).await?;
        warn_of_strangers(&catalogue, &app_ids(&setup.apps)).await?;
        let deliveries = (inbox, reserve, known);
        Self::assemble(setup, clock, (catalogue, left_over), deliveries, (store, thumbnails), (public, admin), lock)
    }

    fn assemble(
        setup: Setup,
        clock: Clock,
        (catalogue, left_over): (Catalogue, LeftOver),
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
        let examiner = Examiner::new(catalogue.clone(), store.checked(), shared.due.clone());
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
            left_over,
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

        let mut crew = Crew::default();
        for server in servers {
            crew.add("http server", async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "The HTTP server failed");
                }
            });
        }
        let requeuer = Requeuer::new(self.catalogue.clone(), self.expander.noticed(), self.shared.due.clone());
        crew.add("requeuer", requeuer.run(shutdown.clone()));
        for connections in tables {
            crew.add("connections", connections.run(shutdown.clone()));
        }
        crew.add("expander", self.expander.run(self.inbox, shutdown.clone()));
        for namer in self.namers {
            crew.add("names", namer.run(self.shared.due.subscribe(), shutdown.clone()));
        }
        crew.add("left over", self.left_over.run(self.shared.due.clone(), shutdown.clone()));
        crew.add("known deliveries", self.known.run(shutdown.clone()));
        crew.add("reserve", self.reserve.keep(shutdown.clone()));
        crew.add("checkpoints", Checkpoints::new(self.catalogue.clone()).run(shutdown.clone()));
        crew.add("indexer", Indexer::new(self.catalogue.clone()).run(shutdown.clone()));
        crew.add("thumbnails", self.thumbnailer.run(self.shared.due.subscribe(), shutdown.clone()));
        crew.add("leases", keep_leases(self.shared, shutdown.clone()));
        crew.add("spool", keep_spool(self.store, shutdown.clone()));
        for lane in self.lanes {
            crew.add("lane", lane.run(shutdown.clone()));
        }
        for quoter in self.quoters {
            crew.add("quoter", quoter.run(shutdown.clone()));
        }
        let mut recording = self.recording;
        let ended = tokio::select! {
            // The recorder ends by itself when everyone else does, which is no crash.
            biased;
            ended = crew.watch(&shutdown) => ended,
            result = &mut recording => ended_early(Some(result.map(|()| "recorder")), &shutdown),
        };
        for handle in handles {
            handle.stop(true).await;
        }
        crew.finish().await;
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

/// Lets the recorder write what it still has, for a while: a catalogue that fails must not hold up the end.
/// What was not recorded is tried again after the next start.
async fn finish(recording: JoinHandle<()>) {
    if recording.is_finished() {
        return;
    }
    let stop = recording.abort_handle();
    match tokio::time::timeout(WRITE_WITHIN, recording).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "The recorder crashed"),
        Err(_) => {
            tracing::error!("The recorder could not finish in time");
            stop.abort();
        }
    }
}

/// Gives back leases and closes the catalogue.
async fn close(catalogue: Catalogue) {
    let released = async { resources::reclaim_of(catalogue.write()?, OWNER).await };
    match released.await {
        Ok(0) => {}
        Ok(released) => tracing::info!(released, "Gave back unfinished downloads"),
        Err(error) => tracing::error!(error = %chain(&error), "Cannot give back leases"),
    }
    catalogue.close().await;
    tracing::info!("stopped");
}

/// Takes back what dead processes had claimed (an earlier `serve`, and anybody whose lease is over)
/// and refreshes the texts of reasons. Everything blocked by the configuration or by this machine gets
/// one try, because either may be another one now; returns what is left to do of that.
async fn take_back(catalogue: &Catalogue, now: Timestamp) -> anyhow::Result<LeftOver> {
    let write = catalogue.write()?;
    catalogue::reasons::write_texts(write, ReasonCode::ALL).await?;
    let unfinished = resources::reclaim_of(write, OWNER).await? + resources::reclaim_expired(write, now).await?;
    let left_over = LeftOver::take_up(catalogue).await?;
    let requeued = left_over.taken_up() + quotes::requeue_at_start(write).await?;
    if unfinished + requeued > 0 {
        tracing::info!(unfinished, requeued, "Took up what an earlier process left");
    }
    Ok(left_over)
}

fn app_ids(apps: &[AppSetup]) -> Vec<AppId> {
    apps.iter().map(|app| app.keys.app_id.clone()).collect()
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

/// The catalogue for a command that works alone or beside a `serve`. It is created and brought to this program's
/// version only where none runs, which is kept from starting meanwhile: nobody changes it under another's hands.
///
/// # Errors
/// In one sentence, if it cannot be opened, or a `serve` of another version has it.
pub async fn open_alone_or_beside(layout: &DataLayout) -> anyhow::Result<Catalogue> {
    make_private_directory(&layout.directory)
        .with_context(|| format!("cannot create the data directory {}", layout.directory.display()))?;
    let deadline = Instant::now() + MIGRATED_WITHIN;
    loop {
        let error = match Catalogue::open_existing(&layout.catalogue).await {
            Ok(catalogue) => return Ok(catalogue),
            Err(error) if error.is_mended_by_migration() => error,
            Err(error) => return Err(error.into()),
        };
        if let Some(_lock) = try_lock(&layout.directory)? {
            return Ok(Catalogue::open(&layout.catalogue).await?);
        }
        // Whoever holds the lock may be about to create it.
        if Instant::now() >= deadline {
            let why = "a larkive of another version serves this directory; restart it with this one, or use that one";
            return Err(anyhow::Error::new(error).context(why));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The lock of a data directory, which belongs to the process that serves it.
async fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let give_up_at = Instant::now() + LOCKED_WITHIN;
    loop {
        match try_lock(data_dir)? {
            Some(lock) => return Ok(lock),
            None if Instant::now() >= give_up_at => anyhow::bail!(
                "another larkive serves {}; stop it, or give this one another LARKIVE_DATA_DIR",
                data_dir.display()
            ),
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// The same; none if another process has it.
fn try_lock(data_dir: &Path) -> anyhow::Result<Option<File>> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())))
        }
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another address with LARKIVE_LISTEN"))
}

/// What the routes work with.
#[derive(Clone)]
struct Routes {
    gate: Gate,
    api: Api,
    pages: Pages,
    vitals: Vitals,
    trusted_proxies: TrustedProxies,
    max_connections: usize,
}

impl Routes {
    fn new(
        setup: Setup,
        shared: &Shared,
        (store, examiner): (&Store, &Examiner),
        thumbnails: &Thumbnails,
        (inbox, wake): (&Inbox, &Wake),
        metrics: &Metrics,
        time: PlatformTime,
    ) -> Self {
        let Shared { catalogue, space, clock, .. } = shared;
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
        let (apps, metrics, space) = (app_ids(&setup.apps), metrics.clone(), space.clone());
        Self {
            max_connections: setup.max_connections,
            trusted_proxies: setup.trusted_proxies.clone(),
            pages: Pages::new(&api, setup.trusted_proxies.clone(), setup.shown_settings),
            gate: Gate::new(keys, setup.trusted_proxies, inbox.clone(), metrics.clone(), (clock.clone(), time)),
            api,
            vitals: Vitals::new(catalogue.clone(), store.clone(), (apps, inbox.clone()), metrics, clock.clone(), space),
        }
    }

    /// Starts one server, or two where the administrators have their own address, each with the table
    /// of its connections.
    fn open(self, public: TcpListener, admin: Option<TcpListener>) -> anyhow::Result<(Vec<Server>, Vec<Connections>)> {
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

/// The tasks of a serving archive. None of them may end before it is told to.
#[derive(Default)]
struct Crew {
    tasks: JoinSet<&'static str>,
}

impl Crew {
    fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for the shutdown, or for a task that ended too early, which shuts down the rest.
    async fn watch(&mut self, shutdown: &CancellationToken) -> Ended {
        let ended = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ended::OnRequest,
            ended = self.tasks.join_next() => ended,
        };
        ended_early(ended, shutdown)
    }

    async fn finish(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "A task crashed");
            }
        }
    }
}

/// What it means that a task has ended, told by its name, before anybody saw the shutdown. Both may have come about
/// in the same moment: who ended as told has not ended too early.
fn ended_early(ended: Option<Result<&'static str, JoinError>>, shutdown: &CancellationToken) -> Ended {
    match ended {
        Some(Ok(_)) if shutdown.is_cancelled() => return Ended::OnRequest,
        Some(Ok(task)) => tracing::error!(task, "A task ended too early"),
        Some(Err(error)) => tracing::error!(%error, "A task crashed"),
        None => tracing::error!("There is nothing to do"),
    }
    shutdown.cancel();
    Ended::ByFault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_starts_while_another_one_ends_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let ending = try_lock(directory.path()).unwrap().unwrap();
        let (locked, ()) = tokio::join!(lock(directory.path()), async { drop(ending) });
        assert!(locked.is_ok(), "{locked:?}");
        let refused = lock(directory.path()).await.unwrap_err();
        assert!(refused.to_string().starts_with("another larkive serves"), "{refused}");
    }

    #[tokio::test]
    async fn who_ended_in_the_moment_of_the_shutdown_has_not_crashed() {
        let shutdown = CancellationToken::new();
        assert_eq!(ended_early(Some(Ok("recorder")), &shutdown), Ended::ByFault);
        assert!(shutdown.is_cancelled(), "the others end, too");
        assert_eq!(ended_early(Some(Ok("recorder")), &shutdown), Ended::OnRequest);
        let crash = tokio::spawn(async { panic!("in the middle of its work") }).await;
        assert_eq!(ended_early(Some(crash), &shutdown), Ended::ByFault);
    }
}
