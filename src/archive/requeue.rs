//! Requeueing: what an event has cleared becomes due again, a portion at a time, beside everything else.
//!
//! What is left to do stands in the catalogue (`catalogue::cleared`): a catalogue that is busy or fails, and an end
//! in between, only delay it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::catalogue::cleared::{self, Portion};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::error::chain;

/// The fallback where no notification came.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The pause between two portions: whoever wants to write goes first.
const BETWEEN_PORTIONS: Duration = Duration::from_millis(10);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Makes due what events have cleared.
#[derive(Debug)]
pub struct Requeuer {
    catalogue: Catalogue,
    /// Tells when there may be something to do.
    noticed: Arc<Notify>,
    /// Told when resources have become due.
    due: watch::Sender<()>,
}

impl Requeuer {
    /// One that is woken by `noticed` and wakes `due`.
    #[must_use]
    pub fn new(catalogue: Catalogue, noticed: Arc<Notify>, due: watch::Sender<()>) -> Self {
        Self { catalogue, noticed, due }
    }

    /// Makes due what is cleared until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.step().await {
                Ok(None) => LOOK_AGAIN,
                Ok(Some(_)) => {
                    self.due.send_replace(());
                    BETWEEN_PORTIONS
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "Cannot make due what an event has cleared; trying again");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = self.noticed.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Makes one portion due, if a cause is noted.
    async fn step(&self) -> Result<Option<Portion>, CatalogueError> {
        if !cleared::is_noted(self.catalogue.read()).await? {
            return Ok(None);
        }
        let mut transaction = self.catalogue.begin().await?;
        let portion = cleared::requeue_noted(&mut transaction).await?;
        transaction.commit().await?;
        Ok(portion)
    }
}
