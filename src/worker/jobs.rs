//! Lanes of jobs: each claims the next job of one kind, does a step of it, and looks for the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{LEASE, Shared};
use crate::archive::job::Work;
use crate::catalogue::CatalogueError;
use crate::catalogue::jobs::{self, Job, Outcome, Settled};
use crate::catalogue::resources::Lease;
use crate::domain::error::chain;

/// The fallback where no notification came.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// A lane for one kind of jobs. It does one step at a time; lanes of the same kind work side by side.
#[derive(Debug)]
pub struct JobLane<W> {
    shared: Shared,
    /// Tells when there may be something to do.
    woken: Arc<Notify>,
    work: W,
}

impl<W: Work> JobLane<W> {
    /// A lane that `woken` wakes.
    #[must_use]
    pub fn new(shared: Shared, woken: Arc<Notify>, work: W) -> Self {
        Self { shared, woken, work }
    }

    /// Works until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = self.step(&shutdown).await;
            tokio::select! {
                () = self.woken.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Does a step of the next job, if one is due. Returns how long to rest.
    async fn step(&self, shutdown: &CancellationToken) -> Duration {
        let kind = W::KIND.as_str();
        let job = match self.claim().await {
            Ok(Some(job)) => job,
            Ok(None) => return LOOK_AGAIN,
            Err(error) => {
                tracing::error!(kind, error = %chain(&error), "Cannot claim a job; trying again");
                return AFTER_FAILURE;
            }
        };
        let Err(error) = self.work.perform(&job).await else { return W::PAUSE };
        let error = chain(&error).to_string();
        tracing::error!(kind, subject = job.subject, failures = job.failures + 1, error, "A job failed; trying again");
        self.give_back(&job, Outcome::Failed { error }, shutdown).await;
        AFTER_FAILURE
    }

    async fn claim(&self) -> Result<Option<Job>, CatalogueError> {
        let Shared { catalogue, owner, clock, .. } = &self.shared;
        let now = clock.now();
        jobs::claim(catalogue, W::KIND, Lease { owner, until: now.after(LEASE) }, now).await
    }

    /// Settles a job whose step has changed nothing, as soon as the catalogue takes it. What is still claimed at the
    /// end, the next start takes back.
    async fn give_back(&self, job: &Job, outcome: Outcome, shutdown: &CancellationToken) {
        while let Err(error) = self.settle(job, &outcome).await {
            tracing::error!(kind = W::KIND.as_str(), error = %chain(&error), "Cannot give a job back; trying again");
            if shutdown.run_until_cancelled(tokio::time::sleep(AFTER_FAILURE)).await.is_none() {
                return;
            }
        }
    }

    async fn settle(&self, job: &Job, outcome: &Outcome) -> Result<Settled, CatalogueError> {
        let transaction = self.shared.catalogue.begin().await?;
        jobs::settle(transaction, job, outcome, self.shared.clock.now()).await
    }
}
