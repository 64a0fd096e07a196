//! The program under test: a serving archive with a directory, a catalogue and a port of its own,
//! beside a stand-in platform of its own, on a clock that only moves when it is told to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larkive::app::{App, AppSetup, Ended, Setup};
use larkive::archive::download::Limits;
use larkive::blob::store::Store;
use larkive::catalogue::Catalogue;
use larkive::catalogue::listing::resource::{Detail, Resource, with_tries};
use larkive::catalogue::listing::{self, PageRequest};
use larkive::clock::Clock;
use larkive::config::DataLayout;
use larkive::domain::app::AppKind;
use larkive::domain::download::State;
use larkive::domain::filter::Filter;
use larkive::domain::id::AppId;
use larkive::domain::message::OnRecall;
use larkive::domain::proxies::TrustedProxies;
use larkive::domain::secret::Secret;
use larkive::domain::setting::ShownSetting;
use larkive::domain::time::Timestamp;
use larkive::feishu::client::ClientSettings;
use larkive::feishu::crypto::EncryptKey;
use larkive::feishu::limit::Budget;
use larkive::feishu::outbound::Outbound;
use larkive::feishu::webhook::AppKeys;
use larkive::sandbox::event::{App as SampleApp, MessageEvent};
use larkive::sandbox::sender::{Reply, Sender};
use larkive::sandbox::{Route, Rule, Sandbox, SandboxOptions};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::patience::{PATIENCE, Patience};

pub const APP_ID: &str = "cli_test";
pub const VERIFICATION_TOKEN: &str = "verification-token";
pub const ENCRYPT_KEY: &str = "encrypt-key";
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests";

const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// When the tests' clock starts: 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// Where, in a test's own directory, the platform finds what is not one of its samples.
const FIXTURES: &str = "fixtures";

/// How a test wants its archive.
pub struct Options {
    pub app_id: &'static str,
    /// Further apps, with the same token and key.
    pub more_apps: &'static [&'static str],
    pub verification_token: &'static str,
    pub encrypt_key: Option<&'static str>,
    pub admin_listen: Option<SocketAddr>,
    pub admin_token: Option<&'static str>,
    pub download_concurrency: usize,
    pub max_resource_bytes: u64,
    pub retry_for: Duration,
    pub min_free_bytes: u64,
    pub idle_timeout: Duration,
    pub budget: Budget,
    pub on_recall: OnRecall,
    pub trusted_proxies: TrustedProxies,
    pub max_connections: usize,
    /// Further apps, each at whatever platform and with whatever keys it says.
    pub neighbours: Vec<AppSetup>,
    pub time_zone: &'static str,
    pub shown_settings: Vec<ShownSetting>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            app_id: APP_ID,
            more_apps: &[],
            verification_token: VERIFICATION_TOKEN,
            encrypt_key: Some(ENCRYPT_KEY),
            admin_listen: None,
            admin_token: Some(ADMIN_TOKEN),
            download_concurrency: 4,
            max_resource_bytes: 64 << 20,
            retry_for: Duration::from_secs(72 * 3600),
            min_free_bytes: 0,
            idle_timeout: Duration::from_secs(20),
            budget: Budget::OFF,
            on_recall: OnRecall::Keep,
            trusted_proxies: TrustedProxies::default(),
            max_connections: 1024,
            neighbours: Vec::new(),
            time_zone: "UTC",
            shown_settings: Vec::new(),
        }
    }
}

/// A serving archive and its platform. Shuts down, and complains of a crash, when the test is over.
pub struct TestApp {
    pub platform: Sandbox,
    pub sender: Sender,
    pub clock: Clock,
    pub catalogue: Catalogue,
    pub store: Store,
    pub address: SocketAddr,
    pub admin_address: SocketAddr,
    pub layout: DataLayout,
    pub http: reqwest::Client,
    pub options: Options,
    wake: std::sync::Arc<dyn Fn() + Send + Sync>,
    shutdown: CancellationToken,
    serving: JoinHandle<anyhow::Result<Ended>>,
    directory: TempDir,
}

pub async fn spawn_app() -> TestApp {
    spawn_app_with(Options::default()).await
}

pub async fn spawn_app_with(options: Options) -> TestApp {
    let clock = Clock::fixed(Timestamp::from_unix_ms(START_MS).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let fixtures = Some(directory.path().join(FIXTURES));
    let options_of_platform = SandboxOptions { clock: clock.clone(), fixtures, ..SandboxOptions::default() };
    let platform = Sandbox::start(options_of_platform).await.unwrap();
    let layout = DataLayout::within(directory.path());
    let app = App::open(setup(&options, layout.clone(), &platform), clock.clone()).await.unwrap();
    let (address, admin_address) = (app.address().unwrap(), app.admin_address().unwrap());
    let (catalogue, store, wake) = (app.catalogue.clone(), app.store.clone(), app.wake.clone());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(app.serve(shutdown.clone()));
    let sender = sender(&options, address).on(clock.clone());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    TestApp {
        platform,
        sender,
        clock,
        catalogue,
        store,
        address,
        admin_address,
        layout,
        http,
        options,
        wake,
        shutdown,
        serving,
        directory,
    }
}

fn setup(options: &Options, layout: DataLayout, platform: &Sandbox) -> Setup {
    let app_ids = std::iter::once(&options.app_id).chain(options.more_apps);
    let here = app_ids.map(|app_id| app_setup(options, app_id, platform));
    Setup {
        layout,
        apps: here.chain(options.neighbours.iter().cloned()).collect(),
        listen: "127.0.0.1:0".parse().unwrap(),
        admin_listen: options.admin_listen,
        trusted_proxies: options.trusted_proxies.clone(),
        max_connections: options.max_connections,
        admin_token: options.admin_token.map(Secret::new),
        download_concurrency: options.download_concurrency,
        limits: Limits { max_resource_bytes: options.max_resource_bytes, retry_for: options.retry_for },
        on_recall: options.on_recall,
        min_free_bytes: options.min_free_bytes,
        time_zone: options.time_zone.parse().unwrap(),
        shown_settings: options.shown_settings.clone(),
        program: env!("CARGO_BIN_EXE_larkive").into(),
    }
}

/// A custom app at a platform.
pub fn app_setup(options: &Options, app_id: &str, platform: &Sandbox) -> AppSetup {
    let app_id: AppId = app_id.parse().unwrap();
    let keys = AppKeys {
        app_id: app_id.clone(),
        verification_token: Secret::new(options.verification_token),
        encrypt_key: options.encrypt_key.map(|key| EncryptKey::new(Secret::new(key))),
    };
    let client = ClientSettings {
        base_url: platform.base_url().parse().unwrap(),
        app_id,
        app_secret: Secret::new("app-secret"),
        helpdesk: Some(("12345".to_owned(), Secret::new("ht-sometoken"))),
        budget: options.budget,
        idle_timeout: options.idle_timeout,
        outbound: Outbound::default(),
    };
    AppSetup { keys, client, kind: AppKind::Custom }
}

fn sender(options: &Options, address: SocketAddr) -> Sender {
    sender_for(options.app_id, options, address)
}

fn sender_for(app_id: &str, options: &Options, address: SocketAddr) -> Sender {
    let app = SampleApp { app_id: app_id.to_owned(), verification_token: Secret::new(options.verification_token) };
    let key = options.encrypt_key.map(|key| EncryptKey::new(Secret::new(key)));
    Sender::new(&format!("http://{address}/webhook/event"), app, key).unwrap()
}

impl TestApp {
    /// Delivers a message as the platform would; it must be taken.
    pub async fn deliver(&self, message: &MessageEvent) {
        let reply = self.deliver_payload(&message.payload(self.sender.app(), self.clock.now())).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// The settings that it was opened with.
    pub fn setup(&self) -> Setup {
        setup(&self.options, self.layout.clone(), &self.platform)
    }

    /// A sender of another app's events.
    pub fn sender_of(&self, app_id: &str) -> Sender {
        sender_for(app_id, &self.options, self.address).on(self.clock.clone())
    }

    /// Delivers an event, encrypted and signed if there is a key.
    pub async fn deliver_payload(&self, payload: &Value) -> Reply {
        self.sender.deliver(payload).await.unwrap()
    }

    /// Waits until the inbox is expanded and nothing is due or running at the clock's time.
    pub async fn drain(&self) {
        let mut patience = Patience::new();
        loop {
            match self.unfinished().await {
                0 => return,
                left => patience.note("all work is finished", left),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn unfinished(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM events WHERE event_row_id > (SELECT expanded_through FROM inbox_cursor))
                 + (SELECT COUNT(*) FROM event_outcomes WHERE result = 'pending')
                 + (SELECT COUNT(*) FROM jobs WHERE due_at <= ?1)
                 + (SELECT COUNT(*) FROM resources
                    WHERE state = 'running' OR (state = 'pending' AND COALESCE(next_attempt_at, 0) <= ?1))
                 + (SELECT COUNT(*) FROM search_pending) + (SELECT COUNT(*) FROM name_pending)
                 + (SELECT COUNT(*) FROM quoted_messages WHERE state = 'pending' AND next_attempt_at <= ?1)",
        )
        .bind(self.clock.now().unix_ms())
        .fetch_one(self.catalogue.read())
        .await
        .unwrap()
    }

    /// Moves the clock and does what has become due by that.
    pub async fn advance(&self, span: Duration) {
        self.pass(span);
        self.drain().await;
    }

    /// Moves the clock and tells everybody, without waiting for what they make of it.
    pub fn pass(&self, span: Duration) {
        self.clock.set(self.clock.now().after(span));
        (self.wake)();
    }

    /// Every resource, newest first.
    pub async fn resources(&self) -> Vec<Resource> {
        let request = PageRequest { limit: 200, cursor: None };
        listing::resources(&self.catalogue, &Filter::default(), &request, self.clock.now()).await.unwrap().items
    }

    /// The resource with this key, and its tries.
    pub async fn resource(&self, key: &str) -> Detail {
        let mut found = self.resources().await;
        found.retain(|resource| resource.key.as_str() == key);
        assert_eq!(found.len(), 1, "resources with key {key}");
        with_tries(&self.catalogue, found.remove(0)).await.unwrap()
    }

    /// Asserts that a key is stored, and that the bytes in the store are those of the sample.
    pub async fn assert_stored(&self, key: &str) -> Detail {
        let detail = self.resource(key).await;
        let resource = &detail.resource;
        assert_eq!(resource.state, State::Stored, "{key}: {:?} {:?}", resource.reason_code, resource.upstream);
        let sample = larkive::sandbox::samples::bytes_of(key).expect("a key of the stand-in");
        assert_eq!(resource.sha256, Some(sample.digest()), "{key}");
        let bytes = std::fs::read(self.blob_path(resource)).unwrap();
        assert_eq!(sha256(&bytes), sample.digest().to_string(), "{key}");
        detail
    }

    /// Lets the platform hand out these bytes under a key that is none of its samples.
    pub fn shelve(&self, key: &str, bytes: &[u8]) {
        let fixtures = self.directory.path().join(FIXTURES);
        std::fs::create_dir_all(&fixtures).unwrap();
        std::fs::write(fixtures.join(key), bytes).unwrap();
    }

    pub fn blob_path(&self, resource: &Resource) -> PathBuf {
        self.store.location(&resource.sha256.expect("a stored resource")).into()
    }

    /// Stops the archive as a signal would and starts it again on the same directory.
    pub async fn restart(mut self) -> Self {
        self.stop().await;
        self.start().await;
        self
    }

    /// Stops the archive as a signal would, and waits until it has ended.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        let exit = (&mut self.serving).await.unwrap().unwrap();
        assert_eq!(exit, Ended::OnRequest);
    }

    /// Starts an archive that has ended again, on the same directory.
    pub async fn start(&mut self) {
        let app = App::open(self.setup(), self.clock.clone()).await.unwrap();
        (self.address, self.admin_address) = (app.address().unwrap(), app.admin_address().unwrap());
        (self.catalogue, self.store, self.wake) = (app.catalogue.clone(), app.store.clone(), app.wake.clone());
        self.sender = sender(&self.options, self.address).on(self.clock.clone());
        self.shutdown = CancellationToken::new();
        self.serving = tokio::spawn(app.serve(self.shutdown.clone()));
    }

    /// Ends the archive in the middle of whatever it does, and starts another on the same directory.
    pub async fn kill(mut self) -> Self {
        self.serving.abort();
        assert!((&mut self.serving).await.unwrap_err().is_cancelled());
        self.start().await;
        self
    }

    /// GETs a path of the API with the right token.
    pub async fn api(&self, path: &str) -> reqwest::Response {
        let url = format!("http://{}{path}", self.admin_address);
        self.http.get(url).bearer_auth(ADMIN_TOKEN).send().await.unwrap()
    }

    /// The JSON under a path of the API.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.api(path).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// POSTs to a path of the API with the right token; the JSON of a 202.
    pub async fn post(&self, path: &str) -> Value {
        let url = format!("http://{}{path}", self.admin_address);
        let answer = self.http.post(url).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 202, "{path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// The value of a metric; nothing if it is not there (yet).
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.http.get(format!("http://{}/metrics", self.admin_address)).send().await.unwrap();
        let text = text.text().await.unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a metric has this value: rows can be seen before they are counted.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let mut patience = Patience::new();
        loop {
            match self.metric(name).await {
                Some(found) if (found - value).abs() < f64::EPSILON => return,
                other => patience.note(&format!("{name} is {value}"), other),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A number out of the catalogue.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.catalogue.read()).await.unwrap()
    }

    /// A connection of its own to the catalogue, as another program would have.
    pub async fn outside_connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.layout.catalogue).busy_timeout(PATIENCE);
        options.connect().await.unwrap()
    }

    /// The files that lie in the spool.
    pub fn spooled(&self) -> usize {
        std::fs::read_dir(&self.layout.spool).unwrap().count()
    }

    /// Adds a rule to the platform's script.
    pub fn fault(&self, rule: Value) {
        let rule: Rule = serde_json::from_value(rule).unwrap();
        self.platform.fault(rule);
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut patience = Patience::new();
    while !is_so().await {
        patience.note(what, false);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Waits until a route of a platform was called so often; the calls need not be answered yet.
pub async fn until_called(platform: &Sandbox, route: Route, calls: usize) {
    let came = tokio::time::timeout(PATIENCE, platform.until_called(route, calls)).await;
    assert!(came.is_ok(), "{} of {calls} calls of {route:?} came in {PATIENCE:?}", platform.requests_of(route));
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Where the layout that is promised to outsiders has a blob.
pub fn blob_below(store: &Path, digest: &str) -> PathBuf {
    store.join(format!("sha256/{}/{}/{digest}", &digest[..2], &digest[2..4]))
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    larkive::domain::digest::Digest::from(digest).to_string()
}
