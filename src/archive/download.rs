//! Download: one try for one resource, from the platform's answer to durable bytes; for a forward,
//! to its messages in the catalogue.
//!
//! Bytes before row: the blob is published and synced before anything says `stored`. Every way a
//! try can end is an [`Ending`]; deciding it happens here, recording it in the catalogue.

use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use super::listing::{Lister, NotListed};
use super::outage::{Admission, Kind, Meaning, Outage};
use crate::blob::space::{Room, Space};
use crate::blob::spool::{StageError, Staging};
use crate::blob::store::Store;
use crate::catalogue::Catalogue;
use crate::catalogue::endings::{Ending, Finished};
use crate::catalogue::resources::{Claim, Lost, Wanted};
use crate::clock::Clock;
use crate::domain::download::{UNKNOWN_CODE_TRIES, Upstream, Verdict, pause};
use crate::domain::error::chain;
use crate::domain::id::MessageId;
use crate::domain::reason::ReasonCode;
use crate::domain::source::Target;
use crate::domain::time::Timestamp;
use crate::feishu::answer::{Refusal, Scope};
use crate::feishu::client::Client;
use crate::feishu::fetch::{Download, comes_in_parts};
use crate::feishu::file_name::mime_of;
use crate::feishu::limit::Priority;
use crate::metrics::Metrics;

/// What is said of bytes whose type nothing tells.
const UNKNOWN_MIME: &str = "application/octet-stream";
/// What is logged where the spool fails.
const CANNOT_SPOOL: &str = "Cannot write to the spool";
/// How many bytes are written between two looks at the free space.
const LOOK_AT_SPACE_EVERY: usize = 16 << 20;

/// What tries need to know.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest resource that is taken, in bytes.
    pub max_resource_bytes: u64,
    /// How long a failing resource is tried before a person has to look.
    pub retry_for: Duration,
}

/// The place that a transfer takes among the downloads in flight, if it takes one. It is given up as
/// soon as all bytes are here: making them durable holds up nobody's transfer.
#[derive(Debug, Default)]
pub struct Transfer(Option<OwnedSemaphorePermit>);

impl Transfer {
    /// A transfer that holds a place.
    #[must_use]
    pub fn holding(place: OwnedSemaphorePermit) -> Self {
        Self(Some(place))
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

/// Downloads resources of one app. Cloned freely.
#[derive(Debug, Clone)]
pub struct Downloader {
    client: Client,
    lister: Lister,
    store: Store,
    space: Space,
    limits: Limits,
    clock: Clock,
    metrics: Metrics,
    /// Whether the app can reach the platform; nothing where each try is by itself.
    outage: Option<Outage>,
}

impl Downloader {
    /// A downloader.
    #[must_use]
    pub fn new(
        client: Client,
        catalogue: &Catalogue,
        (store, space): (Store, Space),
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let lister = Lister::new(client.clone(), catalogue.clone(), clock.clone());
        Self { client, lister, store, space, limits, clock, metrics, outage: None }
    }

    /// The same downloader, whose tries share what they learn about the way to the platform.
    #[must_use]
    pub fn sharing(self, outage: Outage) -> Self {
        Self { outage: Some(outage), ..self }
    }

    /// Whether questions of a kind are paused.
    #[must_use]
    pub fn is_paused(&self, kind: Kind) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.is_paused(kind))
    }

    /// Whether a try that asks for this may begin, if one is due.
    #[must_use]
    pub fn admit(&self, kind: Kind) -> Admission {
        self.outage.as_ref().map_or(Admission::Open, |outage| outage.admit(kind))
    }

    /// Ends every try that waits for the call budget, and every later one before it asks for anything.
    pub fn stop_asking(&self) {
        self.client.close();
    }

    /// Tries a claimed resource once. Never fails: whatever happens is an ending.
    pub async fn run(&self, claim: &Claim, transfer: &mut Transfer) -> Finished {
        let started_at = self.clock.now();
        let stopwatch = Instant::now();
        let ending = match self.try_once(claim, transfer).await {
            Ok(ending) => ending,
            Err(refusal) => self.weigh(claim, refusal),
        };
        let was_tried = !matches!(ending, Ending::Released);
        if was_tried && !matches!(claim.wanted, Ok(Wanted::Messages { .. })) {
            self.metrics.download_duration_seconds.observe(stopwatch.elapsed().as_secs_f64());
            self.metrics.count_download(ending.result());
        }
        log(claim, &ending);
        let unrecorded = self.judge(claim, Refusal::failed_here());
        conclude(claim, (started_at, self.clock.now()), ending, unrecorded)
    }

    /// The same in a task of its own: a fault of ours ends this try, as a failure to be tried
    /// again, and no other. Dropping the future ends the task.
    pub async fn run_isolated(&self, claim: Claim, mut transfer: Transfer) -> Finished {
        let (own, claimed) = (self.clone(), claim.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(async move { own.run(&claimed, &mut transfer).await }));
        let finished = match task.await {
            Ok(finished) => finished,
            Err(error) => {
                let ending = self.judge(&claim, failed_here(&claim, "A download failed inside Larkive", &error));
                log(&claim, &ending);
                let now = self.clock.now();
                conclude(&claim, (now, now), ending.clone(), ending)
            }
        };
        if let Ending::Ended { .. } = &finished.ending {
            self.forget_parts(&claim);
        }
        finished
    }

    /// Removes what is kept of a file that is not tried any more.
    fn forget_parts(&self, claim: &Claim) {
        let Ok(Wanted::Bytes { target, otherwise }) = &claim.wanted else { return };
        for target in std::iter::once(target).chain(otherwise).filter(|target| comes_in_parts(target)) {
            if let Err(error) = self.store.forget(&identity(claim, target)) {
                tracing::warn!(resource.id = %claim.id, message.id = message_id(claim), app.id = %claim.app_id, %error,
                    "Cannot clean the spool");
            }
        }
    }

    async fn try_once(&self, claim: &Claim, transfer: &mut Transfer) -> Result<Ending, Refusal> {
        if let Some(found) = self.look_in_store(claim).await? {
            return Ok(found);
        }
        match &claim.wanted {
            Err(reason) => Ok(Ending::Ended { reason: *reason, upstream: Upstream::default() }),
            Ok(Wanted::Messages { container }) => self.open(claim, container).await,
            Ok(Wanted::Bytes { target, otherwise: None }) => self.fetch(claim, target, transfer).await,
            Ok(Wanted::Bytes { target, otherwise: Some(otherwise) }) => {
                match self.fetch(claim, target, transfer).await {
                    // What lies in a forward may still be known under its own message. If it is
                    // not, the forward's refusal is the one that means something.
                    Err(refusal) if refusal.verdict == Verdict::End(ReasonCode::NotInMessage) => {
                        match self.fetch(claim, otherwise, transfer).await {
                            Err(Refusal { verdict: Verdict::End(_), .. }) => Err(refusal),
                            other => other,
                        }
                    }
                    other => other,
                }
            }
        }
    }

    /// What was damaged may be whole again: fetched for another resource, or brought back from a backup. Then
    /// there is nothing to ask for.
    async fn look_in_store(&self, claim: &Claim) -> Result<Option<Ending>, Refusal> {
        let Some(Lost { digest, size_bytes, mime }) = claim.lost.clone() else { return Ok(None) };
        let is_there = self.store.confirm(digest, size_bytes).await;
        let is_there = is_there.map_err(|error| failed_here(claim, "Cannot read the store", &error))?;
        let mime = mime.unwrap_or_else(|| UNKNOWN_MIME.to_owned());
        Ok(is_there.then_some(Ending::Stored { digest, size_bytes, mime, file_name: None, asked: None }))
    }

    async fn open(&self, claim: &Claim, container: &MessageId) -> Result<Ending, Refusal> {
        let lister = self.lister.with_priority(Priority::of(claim.listed_at));
        match lister.open(&claim.app_id, container).await {
            Ok(()) => {
                self.note_answer(Kind::Messages);
                Ok(Ending::Opened)
            }
            Err(NotListed::Refused(refusal)) => Err(refusal),
            Err(NotListed::Catalogue(error)) => {
                Err(failed_here(claim, "Cannot write the messages of a forward", &chain(&error)))
            }
        }
    }

    async fn fetch(&self, claim: &Claim, target: &Target, transfer: &mut Transfer) -> Result<Ending, Refusal> {
        let (download, staging) = self.begin(claim, target, &identity(claim, target)).await?;
        let missing = download.declared_bytes.map_or(0, |total| total.saturating_sub(staging.size_bytes()));
        let Some(mut room) = self.keep_room(claim, missing)? else {
            return Ok(Ending::Released);
        };
        let declared_mime = download.content_type.as_deref().and_then(mime_of);
        let header_name = download.file_name.clone();
        let Some(staging) = self.receive(claim, download, staging, &mut room).await? else {
            return Ok(Ending::Released);
        };
        let staged = staging.finish();
        transfer.end();
        let size_bytes = staged.size_bytes;
        let mime = staged.mime.map(str::to_owned).or(declared_mime).unwrap_or_else(|| UNKNOWN_MIME.to_owned());
        let published = self.store.publish(staged).await;
        let digest = published.map_err(|error| failed_here(claim, "Cannot write to the store", &error))?;
        let asked = match target {
            Target::MessageResource { message_id, .. } => Some(message_id.clone()),
            _ => None,
        };
        Ok(Ending::Stored { digest, size_bytes, mime, file_name: header_name, asked })
    }

    /// The answer, and the spool file for it: going on where an earlier try ended, if something is
    /// kept of it and the platform hands out the rest.
    async fn begin(&self, claim: &Claim, target: &Target, identity: &str) -> Result<(Download, Staging), Refusal> {
        let client = self.client.for_tenant(claim.tenant_key.as_ref()).with_priority(Priority::of(claim.listed_at));
        if let Some(staging) = self.kept(claim, target, identity).await?
            && let Some(total) = staging.total_bytes()
        {
            if let Some(download) = client.fetch_rest(target, staging.size_bytes(), total).await? {
                self.note_answer(Kind::Bytes);
                tracing::info!(resource.id = %claim.id, message.id = message_id(claim), app.id = %claim.app_id,
                    received_bytes = staging.size_bytes(), total_bytes = total,
                    "Going on with resource {}", claim.id);
                return Ok((download, staging));
            }
            staging.discard();
        }
        let download = client.fetch(target).await?;
        self.note_answer(Kind::Bytes);
        let limit = self.limits.max_resource_bytes;
        if download.declared_bytes.is_some_and(|bytes| bytes > limit) {
            return Err(too_large(limit));
        }
        let name = claim.id.to_string();
        let staging = match download.declared_bytes {
            Some(total) if comes_in_parts(target) => self.store.stage_partial(&name, (identity, total), limit),
            _ => self.store.stage(&name, limit),
        };
        let staging = staging.map_err(|error| failed_here(claim, CANNOT_SPOOL, &error))?;
        Ok((download, staging))
    }

    async fn kept(&self, claim: &Claim, target: &Target, identity: &str) -> Result<Option<Staging>, Refusal> {
        if !comes_in_parts(target) {
            return Ok(None);
        }
        let kept = self.store.resume(identity, self.limits.max_resource_bytes).await;
        kept.map_err(|error| failed_here(claim, "Cannot read the spool", &error))
    }

    /// Receives the whole body; none if the disk has no room for the rest of it.
    async fn receive(
        &self,
        claim: &Claim,
        mut download: Download,
        mut staging: Staging,
        room: &mut Room,
    ) -> Result<Option<Staging>, Refusal> {
        let mut since_look = 0;
        while let Some(chunk) = download.chunk().await? {
            self.metrics.download_bytes.inc_by(chunk.len() as u64);
            staging.write(&chunk).map_err(|error| match error {
                StageError::TooLarge { limit } => too_large(limit),
                StageError::Io(error) => failed_here(claim, CANNOT_SPOOL, &error),
            })?;
            room.use_up(chunk.len() as u64);
            since_look += chunk.len();
            if since_look >= LOOK_AT_SPACE_EVERY {
                since_look = 0;
                if self.keep_room(claim, 0)?.is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(staging))
    }

    fn keep_room(&self, claim: &Claim, bytes: u64) -> Result<Option<Room>, Refusal> {
        let room = self.space.keep_room(bytes);
        room.map_err(|error| failed_here(claim, "The file system does not tell its free space", &error))
    }

    fn note_answer(&self, kind: Kind) {
        if let Some(outage) = &self.outage {
            outage.note_answer(kind);
        }
    }

    /// Decides whom a refusal concerns before it counts for the resource.
    fn weigh(&self, claim: &Claim, refusal: Refusal) -> Ending {
        if refusal.scope == Scope::NotAsked {
            return Ending::Released;
        }
        let kind = if matches!(claim.wanted, Ok(Wanted::Messages { .. })) { Kind::Messages } else { Kind::Bytes };
        let heed = |outage: &Outage| outage.heed(kind, &subject(claim), &refusal);
        let meaning = self.outage.as_ref().map_or(Meaning::ItsOwn, heed);
        match meaning {
            Meaning::ItsOwn => self.judge(claim, refusal),
            Meaning::KnownAlready => Ending::Released,
            Meaning::OfTheApp { until } => match self.judge(claim, refusal) {
                Ending::Failed { reason, upstream, .. } => Ending::Failed { reason, upstream, next_attempt_at: until },
                ended => ended,
            },
        }
    }

    fn judge(&self, claim: &Claim, refusal: Refusal) -> Ending {
        let Refusal { verdict, upstream, .. } = refusal;
        let now = self.clock.now();
        match verdict {
            Verdict::RateLimited { wait } => {
                let wait =
                    wait.unwrap_or_else(|| pause(ReasonCode::RateLimited, claim.rate_waits + 1, fastrand::f64()));
                Ending::RateLimited { upstream, next_attempt_at: now.after(wait) }
            }
            Verdict::Retry(reason) => self.again(claim, reason, upstream, now),
            Verdict::RetryFewTimes(reason) if failed_alike(claim, reason) + 1 >= UNKNOWN_CODE_TRIES => {
                Ending::Ended { reason, upstream }
            }
            Verdict::RetryFewTimes(reason) => self.again(claim, reason, upstream, now),
            Verdict::End(reason) => Ending::Ended { reason, upstream },
        }
    }

    fn again(&self, claim: &Claim, reason: ReasonCode, upstream: Upstream, now: Timestamp) -> Ending {
        let failing_for = claim.failing_since.map_or(Duration::ZERO, |since| now.since(since));
        if failing_for >= self.limits.retry_for {
            // What failed here says so to the end: the platform has nothing to do with it.
            let reason = if reason == ReasonCode::LocalFailure { reason } else { ReasonCode::AttemptsExhausted };
            return Ending::Ended { reason, upstream };
        }
        let next_attempt_at = now.after(pause(reason, claim.failures + 1, fastrand::f64()));
        Ending::Failed { reason, upstream, next_attempt_at }
    }
}

/// A try of this claim that has ended.
fn conclude(
    claim: &Claim,
    (started_at, ended_at): (Timestamp, Timestamp),
    ending: Ending,
    unrecorded: Ending,
) -> Finished {
    let Claim { id, app_id, message_id, .. } = claim;
    Finished {
        id: *id,
        app_id: app_id.clone(),
        message_id: message_id.clone(),
        started_at,
        ended_at,
        ending,
        unrecorded,
    }
}

/// A claim that is given back before anything was asked for it.
#[must_use]
pub fn released(claim: &Claim, now: Timestamp) -> Finished {
    conclude(claim, (now, now), Ending::Released, Ending::Released)
}

/// What a try is about, for telling one resource's failures from everybody's.
#[must_use]
pub fn subject(claim: &Claim) -> String {
    claim.id.to_string()
}

/// Which file a target is, for whoever goes on with it: the same for every try.
fn identity(claim: &Claim, target: &Target) -> String {
    format!("{}\n{target:?}", claim.app_id)
}

/// How many tries before this one ended for this reason, in a row.
fn failed_alike(claim: &Claim, reason: ReasonCode) -> u32 {
    claim.failed_alike.filter(|(last, _)| *last == reason).map_or(0, |(_, count)| count)
}

/// A failure on this side of the wire: of the disk, or a fault of Larkive's. The log has it, because
/// nothing of it is said of the platform.
fn failed_here(claim: &Claim, what: &'static str, error: &dyn fmt::Display) -> Refusal {
    let Claim { id, app_id, .. } = claim;
    tracing::error!(resource.id = %id, message.id = message_id(claim), app.id = %app_id, %error, "{what}");
    Refusal::failed_here()
}

/// The message that a resource belongs to, for the log; none if it belongs to none.
fn message_id(claim: &Claim) -> Option<&str> {
    claim.message_id.as_ref().map(MessageId::as_str)
}

fn too_large(limit: u64) -> Refusal {
    let msg = Some(format!("larger than LARKIVE_MAX_RESOURCE_BYTES ({limit} bytes)"));
    Refusal::new(Verdict::End(ReasonCode::TooLarge), Upstream { msg, ..Upstream::default() })
}

fn log(claim: &Claim, ending: &Ending) {
    let (id, app_id, message_id) = (claim.id, &claim.app_id, message_id(claim));
    match ending {
        Ending::Stored { digest, size_bytes, .. } => {
            tracing::info!(resource.id = %id, message.id = message_id, app.id = %app_id, sha256 = %digest, size_bytes,
                "Stored resource {id}");
        }
        Ending::Failed { reason, upstream, next_attempt_at } => {
            tracing::warn!(resource.id = %id, message.id = message_id, app.id = %app_id, %reason, upstream = %upstream,
                next_attempt_at = %next_attempt_at, "Resource {id} failed and will be tried again");
        }
        Ending::RateLimited { upstream, next_attempt_at } => {
            tracing::info!(resource.id = %id, message.id = message_id, app.id = %app_id, upstream = %upstream,
                next_attempt_at = %next_attempt_at, "Resource {id} waits for the rate limit");
        }
        Ending::Ended { reason, upstream } => {
            tracing::warn!(resource.id = %id, message.id = message_id, app.id = %app_id, %reason, upstream = %upstream,
                "Resource {id} ended as {}", ending.state());
        }
        Ending::Opened => {
            tracing::info!(resource.id = %id, message.id = message_id, app.id = %app_id, "Opened forward {id}")
        }
        Ending::Released => {}
    }
}
