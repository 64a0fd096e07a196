//! Fetch: archive things by their keys, now, alone or beside a serving process.
//!
//! Each thing becomes a row like any other; this process then works on that row until it is stored,
//! ended, or time is up. What is known already is not asked for again unless that is wanted.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::asker::{Asker, NoTenant};
use super::command::Commands;
use super::download::{Downloader, Transfer};
use super::record;
use crate::catalogue::endings::Ending;
use crate::catalogue::listing::resource::{Resource, find};
use crate::catalogue::resources::{self, Lease, Take};
use crate::catalogue::{Catalogue, CatalogueError, by_hand};
use crate::clock::Clock;
use crate::domain::actor::Actor;
use crate::domain::download::State;
use crate::domain::id::ResourceId;
use crate::domain::source::Target;

/// How often the row is looked at while another process works on it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long to wait where the disk had no room.
const WITHOUT_ROOM: Duration = Duration::from_secs(5);
/// How long the claim holds without being renewed: a fetch that was killed is not in the way for long.
const LEASE: Duration = Duration::from_secs(60);

/// How a fetch goes about its work.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Whether what is known is asked for again.
    pub take: Take,
    /// How long to wait for each thing.
    pub patience: Duration,
    /// Ends the wait early.
    pub shutdown: CancellationToken,
}

/// What came of a fetch.
#[derive(Debug)]
pub struct Fetched {
    /// Where it stands now.
    pub resource: Resource,
    /// How the last try ended, if everything was to be asked again and that brought nothing.
    pub in_vain: Option<Ending>,
}

/// Fetches things by hand for one app. Several at once are fine.
#[derive(Debug)]
pub struct Fetcher {
    /// The catalogue, open for writing.
    pub catalogue: Catalogue,
    /// Downloads for the app.
    pub downloader: Downloader,
    /// The app.
    pub asker: Asker,
    /// Who wants it.
    pub actor: Actor,
    /// The clock.
    pub clock: Clock,
    /// The lease owner, different from every other process's.
    pub owner: String,
}

impl Fetcher {
    /// Makes sure that `target` is in the catalogue and works on it for as long as `manner` allows.
    /// Returns what came of it; nothing if it is hidden, because its message was recalled.
    ///
    /// # Errors
    /// If nobody knows in whose name to ask, or the catalogue fails.
    pub async fn fetch(&self, target: &Target, manner: &Manner) -> Result<Option<Fetched>, NoTenant> {
        let commands = Commands::of(self.actor.clone(), &self.catalogue, self.clock.now());
        let id = commands.take_up(&self.asker, target).await?;
        let mut last_try = Ending::Released;
        let done = tokio::select! {
            done = self.work_on(id, manner.take, &mut last_try) => done,
            () = tokio::time::sleep(manner.patience) => Ok(()),
            () = manner.shutdown.cancelled() => Ok(()),
        };
        // What was broken off is anybody's again.
        by_hand::give_back(self.catalogue.write()?, id, &self.owner).await?;
        done?;
        let is_in_vain = manner.take == Take::Anyway && !matches!(last_try, Ending::Stored { .. });
        let in_vain = is_in_vain.then_some(last_try);
        Ok(find(&self.catalogue, id).await?.map(|resource| Fetched { resource, in_vain }))
    }

    /// Tries until the resource is stored or has ended, waiting as long as its row says.
    async fn work_on(&self, id: ResourceId, mut take: Take, last_try: &mut Ending) -> Result<(), CatalogueError> {
        let write = self.catalogue.write()?;
        while let Some((state, next_attempt_at)) = resources::standing(write, id).await? {
            let now = self.clock.now();
            let wait = match (state, take) {
                (State::Running, _) | (_, Take::Anyway) => Duration::ZERO,
                (State::Pending, Take::Pending) => next_attempt_at.map_or(Duration::ZERO, |at| at.since(now)),
                _ => break,
            };
            tokio::time::sleep(wait).await;
            let ending = self.try_once(id, take).await?;
            if let Some(ending) = &ending {
                last_try.clone_from(ending);
            }
            match ending {
                None => tokio::time::sleep(LOOK_AGAIN).await,
                Some(Ending::Released) => tokio::time::sleep(WITHOUT_ROOM).await,
                // What is stored stays so while it is asked for again, and its row tells of no pause.
                Some(Ending::Failed { next_attempt_at, .. } | Ending::RateLimited { next_attempt_at, .. })
                    if take == Take::Anyway =>
                {
                    tokio::time::sleep(next_attempt_at.since(self.clock.now())).await;
                }
                Some(_) => take = Take::Pending,
            }
        }
        Ok(())
    }

    /// One try, if nobody else works on it. Returns how it ended.
    async fn try_once(&self, id: ResourceId, take: Take) -> Result<Option<Ending>, CatalogueError> {
        let write = self.catalogue.write()?;
        let now = self.clock.now();
        let lease = Lease { owner: &self.owner, until: now.after(LEASE) };
        let Some(claim) = resources::claim_one(write, id, take, lease, now).await? else {
            return Ok(None);
        };
        let mut finished = tokio::select! {
            finished = self.downloader.run_isolated(claim, Transfer::default()) => [finished],
            error = self.keep_lease(id) => return Err(error),
        };
        record::write(&self.catalogue, &self.owner, &mut finished).await?;
        let [finished] = finished;
        Ok(Some(finished.ending))
    }

    /// Renews the lease for as long as it is polled; ends only if that fails.
    async fn keep_lease(&self, id: ResourceId) -> CatalogueError {
        loop {
            tokio::time::sleep(LEASE / 4).await;
            let lease = Lease { owner: &self.owner, until: self.clock.now().after(LEASE) };
            let renewed = async { resources::renew_leases(self.catalogue.write()?, lease, &[id]).await };
            if let Err(error) = renewed.await {
                return error;
            }
        }
    }
}
