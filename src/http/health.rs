//! Health and metrics: is the process alive, can it do its work, what has it counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::archive::ingest::Inbox;
use crate::blob::space::Space;
use crate::blob::store::Store;
use crate::blocking::BlockingShare;
use crate::catalogue::{Catalogue, CatalogueError, events, statistics};
use crate::clock::Clock;
use crate::domain::error::chain;
use crate::domain::id::AppId;
use crate::log_limit::LogLimit;
use crate::metrics::{Metrics, StateLabel};

/// An inbox older than this is not being expanded: something is wrong. The age of downloads says
/// nothing of the kind, because they may wait for the platform for days.
const INBOX_LATE_AFTER: Duration = Duration::from_secs(60);
/// How long a check may take before it counts as failed.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// On a store that hangs, each check would take a thread for good.
static STORE_CHECKS: BlockingShare = BlockingShare::of(1);

/// What the checks look at. Cloned freely.
#[derive(Debug, Clone)]
pub struct Vitals {
    catalogue: Catalogue,
    store: Store,
    metrics: Metrics,
    clock: Clock,
    space: Space,
    apps: Arc<[AppId]>,
    inbox: Inbox,
    /// The last time that something was written as a check. Held while it is.
    written: Arc<Mutex<Option<Written>>>,
    started: Instant,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    pub(super) ok: bool,
    pub(super) detail: String,
}

impl Check {
    fn passed(detail: impl Into<String>) -> Self {
        Self { ok: true, detail: detail.into() }
    }

    fn failed(detail: impl Into<String>) -> Self {
        Self { ok: false, detail: detail.into() }
    }
}

/// How writing to catalogue and store went.
#[derive(Debug, Clone)]
struct Written {
    begun: Instant,
    catalogue: Check,
    store: Check,
}

/// What was looked at, by name.
pub(super) type Checks = BTreeMap<&'static str, Check>;

impl Vitals {
    /// Checks for this catalogue and store, the apps that are served, and the inbox of their deliveries.
    #[must_use]
    pub fn new(
        catalogue: Catalogue,
        store: Store,
        (apps, inbox): (Vec<AppId>, Inbox),
        metrics: Metrics,
        clock: Clock,
        space: Space,
    ) -> Self {
        let (apps, written) = (apps.into(), Arc::default());
        Self { catalogue, store, metrics, clock, space, apps, inbox, written, started: Instant::now() }
    }

    /// Whether catalogue and store are writable, there is space, and the inbox is being expanded.
    pub(super) async fn readiness(&self) -> Checks {
        let Written { catalogue, store, .. } = self.write_something().await;
        Checks::from([
            ("catalogue", catalogue),
            ("store", store),
            ("space", self.space_check()),
            ("queue", self.queue_check().await),
        ])
    }

    /// Free bytes for new blobs, if the file system says, and the bytes that are never touched.
    pub(super) fn space(&self) -> (Option<u64>, u64) {
        (self.space.free_bytes().ok(), self.space.reserve_bytes())
    }

    /// Writes to catalogue and store, unless somebody has begun to since this was called. Whoever asks needs no token,
    /// and writing takes the disk's time: however many ask, it is done once after the other.
    async fn write_something(&self) -> Written {
        let asked = Instant::now();
        let mut last = self.written.lock().await;
        if let Some(written) = last.as_ref().filter(|written| written.begun >= asked) {
            return written.clone();
        }
        let begun = Instant::now();
        let (catalogue, store) = tokio::join!(self.catalogue_check(), self.store_check());
        let written = Written { begun, catalogue, store };
        *last = Some(written.clone());
        written
    }

    async fn catalogue_check(&self) -> Check {
        let write = async { self.catalogue.check_writable().await };
        match tokio::time::timeout(CHECK_WITHIN, write).await {
            Ok(Ok(())) => Check::passed("a row was written"),
            Ok(Err(error)) => Check::failed(chain(&error)),
            Err(_) => Check::failed(format!("no answer within {} s", CHECK_WITHIN.as_secs())),
        }
    }

    async fn store_check(&self) -> Check {
        let store = self.store.clone();
        let write = STORE_CHECKS.run(move || store.check_writable());
        match tokio::time::timeout(CHECK_WITHIN, write).await {
            Ok(Ok(Ok(()))) => Check::passed("a file was written"),
            Ok(Ok(Err(error))) => Check::failed(error.to_string()),
            Ok(Err(error)) => Check::failed(error.to_string()),
            Err(_) => Check::failed(format!("no answer within {} s", CHECK_WITHIN.as_secs())),
        }
    }

    fn space_check(&self) -> Check {
        if self.inbox.uses_its_reserve() {
            return Check::failed("the disk is full: deliveries go into the room kept for them, and all else waits");
        }
        match self.space.free_bytes() {
            Ok(free) if free < self.space.reserve_bytes() => {
                Check::failed(format!("{free} bytes free, downloads pause below {}", self.space.reserve_bytes()))
            }
            Ok(free) => Check::passed(format!("{free} bytes free")),
            Err(error) => Check::failed(error.to_string()),
        }
    }

    async fn queue_check(&self) -> Check {
        match events::backlog(self.catalogue.read()).await {
            Ok(None) => Check::passed("the inbox is empty"),
            Ok(Some(oldest)) => {
                let age = self.clock.now().since(oldest);
                let detail = format!("the oldest unexpanded event came {} s ago", age.as_secs());
                if age > INBOX_LATE_AFTER { Check::failed(detail) } else { Check::passed(detail) }
            }
            Err(error) => Check::failed(chain(&error)),
        }
    }

    async fn refresh_gauges(&self) -> Result<(), CatalogueError> {
        let log_bytes = self.catalogue.log_bytes();
        self.metrics.catalogue_log_bytes.set(i64::try_from(log_bytes).unwrap_or(i64::MAX));
        let statistics = statistics::statistics(&self.catalogue).await?;
        for (state, count) in &statistics.states {
            let gauge = self.metrics.resources.get_or_create_owned(&StateLabel { state: state.as_str() });
            gauge.set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        // What waits for an app that is not configured any more is no sign of trouble with the others.
        let oldest = statistics::oldest_pending_of(self.catalogue.read(), &self.apps).await?;
        let age = oldest.map_or(Duration::ZERO, |oldest| self.clock.now().since(oldest));
        self.metrics.queue_oldest_age_seconds.set(age.as_secs_f64());
        if let Some(last_event_at) = statistics.last_event_at {
            self.metrics.last_event_timestamp_seconds.set(last_event_at.unix_ms() as f64 / 1000.0);
        }
        if let Ok(free) = self.space.free_bytes() {
            self.metrics.store_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
        }
        Ok(())
    }
}

/// `GET /healthz`: the process is alive and answers.
pub async fn alive(vitals: web::Data<Vitals>) -> HttpResponse {
    let detail = format!("up for {} s", vitals.started.elapsed().as_secs());
    answer(Checks::from([("process", Check::passed(detail))]))
}

/// `GET /readyz`: catalogue and store are writable, there is space, the inbox is being expanded.
pub async fn ready(vitals: web::Data<Vitals>) -> HttpResponse {
    answer(vitals.readiness().await)
}

/// `GET /metrics`: Prometheus text.
pub async fn metrics(vitals: web::Data<Vitals>) -> HttpResponse {
    static FAILURES: LogLimit = LogLimit::new();
    if let Err(error) = vitals.refresh_gauges().await
        && let Some(left_out) = FAILURES.pass("statistics")
    {
        tracing::error!(error = %chain(&error), left_out, "Cannot read statistics for the metrics");
    }
    HttpResponse::Ok()
        .force_close()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(vitals.metrics.render())
}

/// Whoever probes asks once, and comes again later.
fn answer(checks: Checks) -> HttpResponse {
    let all_are_well = checks.values().all(|check| check.ok);
    let mut answer = if all_are_well { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.force_close().json(checks)
}
