//! What Larkive counts about itself: a registry handed down as a value, printed as Prometheus text.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Answers to the platform, in seconds: it gives up after 3 s, a challenge after 1 s.
const WEBHOOK_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 2.5];
/// Downloads, in seconds.
const DOWNLOAD_BUCKETS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// The label of a counter that tells results apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// What it ended in.
    pub result: &'static str,
}

/// The labels of a request to the platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpstreamLabels {
    /// Which API: `token resource image file baike lingo ticket_image message chat user`.
    pub api: &'static str,
    /// The JSON code, else the HTTP status, else `none` when there was no answer.
    pub code: String,
}

/// The label of a gauge that tells states apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    /// A resource's state.
    pub state: &'static str,
}

/// The label of a gauge that tells apps apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AppLabel {
    /// The app's id.
    pub app: String,
}

type Seconds = Counter<f64, AtomicU64>;

/// All counters. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Deliveries by how they were answered or why they were refused.
    pub events: Family<ResultLabel, Counter>,
    /// Time from the first byte of a delivery's body to its answer.
    pub webhook_duration_seconds: Histogram,
    /// Resources by state.
    pub resources: Family<StateLabel, Gauge>,
    /// Age of the oldest resource that is neither stored nor given up.
    pub queue_oldest_age_seconds: Gauge<f64, AtomicU64>,
    /// Tries by the state they led to, or `retry`.
    pub downloads: Family<ResultLabel, Counter>,
    /// Bytes received, stored or not.
    pub download_bytes: Counter,
    /// Time that tries took.
    pub download_duration_seconds: Histogram,
    /// Requests to the platform by API and answer.
    pub upstream_requests: Family<UpstreamLabels, Counter>,
    /// Tokens fetched.
    pub token_refreshes: Counter,
    /// Time spent waiting for the call budget or because the platform asked to.
    pub rate_limit_wait_seconds: Seconds,
    /// When the last authentic event came in, in unix seconds.
    pub last_event_timestamp_seconds: Gauge<f64, AtomicU64>,
    /// Free space on the store's file system.
    pub store_free_bytes: Gauge,
    /// How much of the disk the catalogue's log takes.
    pub catalogue_log_bytes: Gauge,
    /// Whether an app is paused because the platform cannot be reached: 0 or 1.
    pub app_paused: Family<AppLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A new registry with every counter at nothing.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            events: Family::default(),
            webhook_duration_seconds: Histogram::new(WEBHOOK_BUCKETS),
            resources: Family::default(),
            queue_oldest_age_seconds: Gauge::default(),
            downloads: Family::default(),
            download_bytes: Counter::default(),
            download_duration_seconds: Histogram::new(DOWNLOAD_BUCKETS),
            upstream_requests: Family::default(),
            token_refreshes: Counter::default(),
            rate_limit_wait_seconds: Counter::default(),
            last_event_timestamp_seconds: Gauge::default(),
            store_free_bytes: Gauge::default(),
            catalogue_log_bytes: Gauge::default(),
            app_paused: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    /// Counts one delivery's result.
    pub fn count_event(&self, result: &'static str) {
        self.events.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts one try's result.
    pub fn count_download(&self, result: &'static str) {
        self.downloads.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts one request to the platform.
    pub fn count_upstream(&self, api: &'static str, code: String) {
        self.upstream_requests.get_or_create(&UpstreamLabels { api, code }).inc();
    }

    /// Shows whether an app is paused: 0 or 1.
    pub fn show_paused(&self, app_id: &str, paused: i64) {
        self.app_paused.get_or_create(&AppLabel { app: app_id.to_owned() }).set(paused);
    }

    /// The Prometheus text of everything.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String fails only if a metric's own encoder does, and ours are the crate's.
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("larkive");
        let r = &mut registry;
        r.register("events", "Deliveries by result", self.events.clone());
        r.register("webhook_duration_seconds", "Time to answer a delivery", self.webhook_duration_seconds.clone());
        r.register("resources", "Resources by state", self.resources.clone());
        r.register(
            "queue_oldest_age_seconds",
            "Age of the oldest unfinished resource",
            self.queue_oldest_age_seconds.clone(),
        );
        r.register("downloads", "Tries by the state they led to", self.downloads.clone());
        r.register("download_bytes", "Bytes received from the platform", self.download_bytes.clone());
        r.register("download_duration_seconds", "Time that tries took", self.download_duration_seconds.clone());
        r.register("upstream_requests", "Requests to the platform by API and code", self.upstream_requests.clone());
        r.register("token_refreshes", "Tokens fetched", self.token_refreshes.clone());
        r.register(
            "rate_limit_wait_seconds",
            "Time spent waiting for rate limits",
            self.rate_limit_wait_seconds.clone(),
        );
        r.register(
            "last_event_timestamp_seconds",
            "When the last authentic event came in",
            self.last_event_timestamp_seconds.clone(),
        );
        r.register("store_free_bytes", "Free space for the store", self.store_free_bytes.clone());
        r.register("catalogue_log_bytes", "Length of the catalogue's log", self.catalogue_log_bytes.clone());
        r.register("app_paused", "Whether the app cannot reach the platform", self.app_paused.clone());
        registry
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
