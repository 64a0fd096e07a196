//! The worker: claims what is due, downloads it, records how it ended.
//!
//! Two lanes for each app. One downloads: half of the downloads in flight are dealt out among these
//! lanes, the other half goes to whoever has work, so that an app whose downloads all hang takes nothing
//! from the others but what they could have borrowed. The other lane opens forwards and never takes a
//! download's place. A resource's row is its job, so a crash loses nothing: what was running is due
//! again when its lease is over.

mod ahead;
mod in_flight;
mod jobs;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::ahead::Ahead;
use self::in_flight::Flight;
pub use self::in_flight::InFlight;
pub use self::jobs::JobLane;
use self::slots::Slot;
pub use self::slots::Slots;
use crate::archive::download::{Downloader, Transfer, released, subject};
use crate::archive::outage::{Admission, Cause, Kind, Probe};
use crate::archive::record::Recorder;
use crate::blob::space::Space;
use crate::blob::store::Store;
use crate::catalogue::endings::Ending;
use crate::catalogue::resources::{self, Claim, Lease, Queue, Wanted};
use crate::catalogue::{Catalogue, CatalogueError, jobs as job_table};
use crate::clock::Clock;
use crate::domain::error::chain;
use crate::domain::id::AppId;

/// How long a claim holds without being renewed: long enough for a slow disk, short enough that
/// what a dead process had claimed is not late.
pub const LEASE: Duration = Duration::from_secs(180);
/// How often leases are renewed and expired ones taken back.
const LEASE_CHORE: Duration = Duration::from_secs(45);
/// How often the spool is swept: what lies in it too long has done so for days.
const SPOOL_CHORE: Duration = Duration::from_secs(60 * 60);
/// The fallback where no notification came: another process may have queued something.
const POLL: Duration = Duration::from_secs(1);
/// The pause after the catalogue failed, or while the disk is full.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Forwards of one app that are opened at once: each may hold a listing of many megabytes.
const FORWARDS_AT_ONCE: usize = 2;
/// How long downloads in flight may go on after the first signal.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// What all lanes of a process share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The catalogue.
    pub catalogue: Catalogue,
    /// The space for new bytes; while it is short nothing is claimed.
    pub space: Space,
    /// The lease owner.
    pub owner: Arc<str>,
    /// What it works on.
    pub in_flight: InFlight,
    /// The clock.
    pub clock: Clock,
    /// Told when something may have become due.
    pub due: watch::Sender<()>,
    /// Where endings go.
    pub recorder: Recorder,
}

/// Chances for a claim of one row: the one that has failed longest ago, or the newest.
const FAILED_FIRST: f64 = 1.0;
const NEW_FIRST: f64 = 0.0;

/// What a lane does next.
enum Next {
    /// It looks for more.
    Claim,
    /// It rests for so long, unless it hears of something.
    Rest(Duration),
}

/// Works on one queue of one app.
#[derive(Debug, Clone)]
pub struct Lane {
    shared: Shared,
    slots: Slots,
    app_id: AppId,
    queue: Queue,
    downloader: Downloader,
}

impl Lane {
    /// A lane that downloads for an app.
    #[must_use]
    pub fn downloading(shared: Shared, slots: Slots, app_id: AppId, downloader: Downloader) -> Self {
        Self { shared, slots, app_id, queue: Queue::Bytes, downloader }
    }

    /// A lane that opens an app's forwards.
    #[must_use]
    pub fn opening(shared: Shared, app_id: AppId, downloader: Downloader) -> Self {
        Self { shared, slots: Slots::only(FORWARDS_AT_ONCE), app_id, queue: Queue::Forwards, downloader }
    }

    /// Works until `shutdown`, then lets downloads in flight finish for a while. What did not
    /// finish is still claimed when this returns.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut due = self.shared.due.subscribe();
        let (mut ahead, mut tries) = (Ahead::new(), JoinSet::new());
        while !shutdown.is_cancelled() {
            let pause = match self.start_some(&mut due, &mut ahead, &mut tries, &shutdown).await {
                Ok(Next::Claim) => continue,
                Ok(Next::Rest(pause)) => pause,
                Err(error) => {
                    tracing::error!(app.id = %self.app_id, error = %chain(&error), "Cannot claim downloads");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                _ = due.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        // What waits for the budget gives itself back; what is claimed ahead, whoever closes the catalogue.
        self.downloader.stop_asking();
        let finish = async { while tries.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
            tracing::warn!(app.id = %self.app_id, "Gave back downloads that did not finish in time");
        }
    }

    /// Claims as much as there are free slots for and starts it.
    async fn start_some(
        &self,
        due: &mut watch::Receiver<()>,
        ahead: &mut Ahead,
        tries: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<Next, CatalogueError> {
        while tries.try_join_next().is_some() {}
        let slots = shutdown.run_until_cancelled(self.slots.take_free()).await.flatten();
        let Some(slots) = slots else { return Ok(Next::Rest(POLL)) };
        if due.has_changed().unwrap_or(false) {
            ahead.expect_news();
            due.borrow_and_update();
        }
        if self.downloader.is_paused(self.kind()) {
            self.give_back(ahead).await;
            if !self.is_any_due().await? {
                return Ok(Next::Rest(POLL));
            }
        }
        let probe = match self.downloader.admit(self.kind()) {
            Admission::Open => None,
            Admission::Probe(probe) => Some(probe),
            Admission::Wait(wait) => return Ok(Next::Rest(wait.min(POLL))),
        };
        if self.disk_is_full() {
            return Ok(Next::Rest(AFTER_FAILURE));
        }
        match probe {
            None => self.start(slots, ahead, tries).await,
            Some(probe) => self.start_probe(slots, probe, tries).await,
        }
    }

    async fn start(
        &self,
        slots: Vec<Slot>,
        ahead: &mut Ahead,
        tries: &mut JoinSet<()>,
    ) -> Result<Next, CatalogueError> {
        if let Some(wanted) = ahead.wanted(slots.len()) {
            ahead.add(self.claim(wanted, fastrand::f64()).await?);
        }
        let claims = ahead.take(slots.len());
        let next = if claims.len() == 0 { Next::Rest(POLL) } else { Next::Claim };
        for (claimed, slot) in claims.zip(slots) {
            tries.spawn(self.clone().try_and_record(claimed, slot, None));
        }
        Ok(next)
    }

    /// Starts the one try that finds out whether the app's pause can end.
    async fn start_probe(
        &self,
        slots: Vec<Slot>,
        mut probe: Probe,
        tries: &mut JoinSet<()>,
    ) -> Result<Next, CatalogueError> {
        let chance = match probe.cause() {
            Cause::Way => FAILED_FIRST,
            Cause::Answers => NEW_FIRST,
        };
        let claimed = self.claim(1, chance).await?.pop();
        if let (Some(claimed), Some(slot)) = (claimed, slots.into_iter().next()) {
            probe.asks_for(&subject(&claimed.0));
            tries.spawn(self.clone().try_and_record(claimed, slot, Some(probe)));
        }
        Ok(Next::Rest(POLL))
    }

    /// Gives back what is claimed and not begun.
    async fn give_back(&self, ahead: &mut Ahead) {
        let now = self.shared.clock.now();
        let given_back = ahead.take(usize::MAX).map(async |(claim, flight)| {
            self.shared.recorder.record(released(&claim, now)).await;
            drop(flight);
        });
        join_all(given_back).await;
    }

    fn kind(&self) -> Kind {
        match self.queue {
            Queue::Bytes => Kind::Bytes,
            Queue::Forwards => Kind::Messages,
        }
    }

    fn disk_is_full(&self) -> bool {
        let reserve_bytes = self.shared.space.reserve_bytes();
        match self.shared.space.is_short() {
            Ok(true) => {
                tracing::error!(reserve_bytes, "Downloads pause: too little space is left");
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(%error, "Downloads pause: the file system does not answer");
                true
            }
        }
    }

    async fn is_any_due(&self) -> Result<bool, CatalogueError> {
        let Shared { catalogue, clock, .. } = &self.shared;
        resources::any_due(catalogue.read(), (&self.app_id, self.queue), clock.now()).await
    }

    async fn claim(&self, limit: usize, chance: f64) -> Result<Vec<(Claim, Flight)>, CatalogueError> {
        let Shared { catalogue, owner, in_flight, clock, .. } = &self.shared;
        let now = clock.now();
        let lease = Lease { owner, until: now.after(LEASE) };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let queue = (&self.app_id, self.queue);
        if !self.is_any_due().await? {
            return Ok(Vec::new());
        }
        let claims = resources::claim(catalogue.write()?, queue, lease, now, limit, chance).await?;
        let in_flight = |claim: Claim| {
            let flight = in_flight.begin(claim.id);
            (claim, flight)
        };
        Ok(claims.into_iter().map(in_flight).collect())
    }

    /// One try in a task of its own, so that a fault of ours ends this try and no other.
    async fn try_and_record(
        self,
        (claim, flight): (Claim, Flight),
        Slot { transfer, whole }: Slot,
        probe: Option<Probe>,
    ) {
        let may_have_twins = !matches!(claim.wanted, Ok(Wanted::Bytes { otherwise: None, .. }));
        let finished = self.downloader.run_isolated(claim, Transfer::holding(transfer)).await;
        let makes_due = match finished.ending {
            Ending::Opened => true,
            // Those that waited for the same bytes now try for themselves.
            Ending::Ended { .. } => may_have_twins,
            _ => false,
        };
        self.shared.recorder.record(finished).await;
        if makes_due {
            self.shared.due.send_replace(());
        }
        drop((flight, whole, probe));
    }
}

/// Renews the leases of this process and takes back those that are over, until `shutdown`.
pub async fn keep_leases(shared: Shared, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LEASE_CHORE) => {}
            () = shutdown.cancelled() => return,
        }
        if let Err(error) = lease_chore(&shared).await {
            tracing::error!(error = %chain(&error), "Cannot renew leases");
        }
    }
}

async fn lease_chore(shared: &Shared) -> Result<(), CatalogueError> {
    let now = shared.clock.now();
    let write = shared.catalogue.write()?;
    let lease = Lease { owner: &shared.owner, until: now.after(LEASE) };
    resources::renew_leases(write, lease, &shared.in_flight.ids()).await?;
    let reclaimed = resources::reclaim_expired(write, now).await? + job_table::reclaim_expired(write, now).await?;
    if reclaimed > 0 {
        tracing::warn!(reclaimed, "Took back downloads and jobs whose lease was over");
        shared.due.send_replace(());
    }
    Ok(())
}

/// Removes what nobody will go on with from the spool, now and then, until `shutdown`.
pub async fn keep_spool(store: Store, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(SPOOL_CHORE)).await.is_some() {
        if let Err(error) = store.sweep().await {
            tracing::error!(%error, "Cannot clean the spool");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};
    use crate::domain::download::State;

    #[tokio::test(start_paused = true)]
    async fn the_spool_is_swept_while_the_archive_serves() {
        let directory = tempfile::tempdir().unwrap();
        let spool = directory.path().join("spool");
        let store = Store::open(&directory.path().join("blobs"), &spool).unwrap();
        let under_way = store.stage("r1", 10).unwrap();
        std::fs::write(spool.join("r2-left"), "by somebody who died since").unwrap();
        let shutdown = CancellationToken::new();
        let chore = tokio::spawn(keep_spool(store, shutdown.clone()));
        tokio::time::sleep(SPOOL_CHORE * 2).await;
        shutdown.cancel();
        chore.await.unwrap();
        assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1, "what is under way stays");
        drop(under_way);
    }

    #[tokio::test]
    async fn a_claim_that_nobody_works_on_is_given_back_when_its_lease_is_over() {
        let seeded = Seeded::new().await;
        let running = || Seed::ended(State::Running, "upstream_error");
        let (worked_on, lost) = (seeded.add("img_1", running()).await, seeded.add("img_2", running()).await);
        let (recorder, _recording) = Recorder::start(seeded.catalogue.clone(), "worker".to_owned());
        let shared = Shared {
            catalogue: seeded.catalogue.clone(),
            space: Space::new(&[seeded.directory.path()], 0),
            owner: "worker".into(),
            in_flight: InFlight::default(),
            clock: Clock::fixed(noon().after(LEASE)),
            due: watch::Sender::new(()),
            recorder,
        };
        let flight = shared.in_flight.begin(worked_on);
        lease_chore(&shared).await.unwrap();
        let state = async |id| resources::standing(seeded.catalogue.read(), id).await.unwrap().unwrap().0;
        assert_eq!((state(worked_on).await, state(lost).await), (State::Running, State::Pending));

        drop(flight);
        shared.clock.set(noon().after(LEASE * 3));
        lease_chore(&shared).await.unwrap();
        assert_eq!(state(worked_on).await, State::Pending);
    }
}
