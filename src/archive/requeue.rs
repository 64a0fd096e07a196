//! Requeueing: what an event or a start has cleared becomes due again, a portion at a time, beside everything else.

use std::time::Duration;

use tokio::sync::watch;

use super::job::Work;
use crate::catalogue::jobs::{self, Job, Kind, Settled};
use crate::catalogue::requeue::{self, Subject};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::time::Timestamp;

/// Makes due what requeues are about.
#[derive(Debug)]
pub struct Requeuer {
    catalogue: Catalogue,
    clock: Clock,
    /// Told when resources have become due.
    due: watch::Sender<()>,
}

impl Requeuer {
    /// One that wakes `due`.
    #[must_use]
    pub fn new(catalogue: Catalogue, clock: Clock, due: watch::Sender<()>) -> Self {
        Self { catalogue, clock, due }
    }
}

impl Work for Requeuer {
    const KIND: Kind = Kind::Requeue;
    /// Whoever wants to write goes first.
    const PAUSE: Duration = Duration::from_millis(10);

    async fn perform(&self, job: &Job) -> Result<Settled, CatalogueError> {
        let mut transaction = self.catalogue.begin().await?;
        let portion = requeue::requeue_next(&mut transaction, job).await?;
        let settled = jobs::settle(transaction, job, &portion.outcome(), self.clock.now()).await?;
        if portion.count > 0 {
            self.due.send_replace(());
        }
        Ok(settled)
    }
}

/// Asks for what a start makes due: what was blocked before it, because the configuration may be another one or the
/// machine mended, what waits for its time after a failure of ours, and what has not followed its blob yet.
///
/// # Errors
/// If the catalogue fails.
pub async fn after_start(catalogue: &Catalogue, now: Timestamp) -> Result<(), CatalogueError> {
    let mut transaction = catalogue.begin().await?;
    for subject in [Subject::Start, Subject::LocalFailures, Subject::QuotedMessages, Subject::Blobs] {
        requeue::add(&mut transaction, None, &subject, now).await?;
    }
    transaction.commit().await
}
