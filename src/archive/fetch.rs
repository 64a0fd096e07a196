//! Fetch: archive one thing by its key, now, alone or beside a serving process.
//!
//! The thing becomes a row like any other; this process then works on that row until it is stored,
//! ended, or time is up. What is known already is not asked for again unless that is wanted.

use std::time::Duration;

use tokio::time::Instant;

use super::download::Downloader;
use super::record;
use crate::catalogue::resources::{self, Claim, Ending, Finished, Lease, Take};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::download::State;
use crate::domain::id::{AppId, ResourceId};
use crate::domain::source::Target;
use crate::domain::time::Timestamp;

/// How often the row is looked at while another process works on it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long the lease holds beyond the time that the fetch may take.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// Fetches things by hand for one app.
#[derive(Debug)]
pub struct Fetcher {
    /// The catalogue, open for writing.
    pub catalogue: Catalogue,
    /// Downloads for the app.
    pub downloader: Downloader,
    /// The app.
    pub app_id: AppId,
    /// The clock.
    pub clock: Clock,
    /// The lease owner, different from every other process's.
    pub owner: String,
}

impl Fetcher {
    /// Makes sure that `target` is in the catalogue and works on it for at most `patience`.
    /// Returns its id; where it stands then is in the catalogue.
    ///
    /// # Errors
    /// If the catalogue fails.
    pub async fn fetch(
        &self,
        target: &Target,
        mut take: Take,
        patience: Duration,
    ) -> Result<ResourceId, CatalogueError> {
        let deadline = Instant::now() + patience;
        let write = self.catalogue.write()?;
        let id = resources::insert_by_hand(write, &self.app_id, target, self.clock.now()).await?;
        while let Some((state, next_attempt_at)) = resources::standing(write, id).await? {
            let anyway = take == Take::Anyway;
            let now = self.clock.now();
            let wait = match state {
                State::Running => LOOK_AGAIN,
                State::Pending if !anyway => next_attempt_at.map_or(Duration::ZERO, |at| at.since(now)),
                _ if anyway => Duration::ZERO,
                _ => break,
            };
            if Instant::now() + wait >= deadline {
                break;
            }
            tokio::time::sleep(wait).await;
            if state != State::Running && self.try_once(id, take, deadline).await? {
                take = Take::Pending;
            }
        }
        Ok(id)
    }

    /// One try, if nobody else has taken the row meanwhile. Returns whether there was one.
    async fn try_once(&self, id: ResourceId, take: Take, deadline: Instant) -> Result<bool, CatalogueError> {
        let now = self.clock.now();
        let until = now.after(deadline.duration_since(Instant::now()) + LEASE_MARGIN);
        let lease = Lease { owner: &self.owner, until };
        let Some(claim) = resources::claim_one(self.catalogue.write()?, id, take, lease, now).await? else {
            return Ok(false);
        };
        let finished = match tokio::time::timeout_at(deadline, self.downloader.run_isolated(claim.clone())).await {
            Ok(finished) => finished,
            Err(_) => given_back(&claim, now),
        };
        record::write(&self.catalogue, &self.owner, &[finished]).await?;
        Ok(true)
    }
}

fn given_back(claim: &Claim, now: Timestamp) -> Finished {
    Finished { id: claim.id, started_at: now, ended_at: now, ending: Ending::Released }
}
