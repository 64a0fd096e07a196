//! Left over: what a start makes due of what was blocked before it, because the configuration may be
//! another one or the machine mended; and of what waits for its time after a failure of ours.
//!
//! However much that is, deliveries are answered meanwhile: a portion before the start, the rest beside
//! everything else.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalogue::cleared::Portion;
use crate::catalogue::mended::{FailedHere, Mended};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::error::chain;

/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A walk over what was left.
#[derive(Debug)]
pub struct LeftOver {
    catalogue: Catalogue,
    walk: Walk,
    last: Portion,
}

/// How far it has come.
#[derive(Debug, Clone)]
struct Walk {
    mended: Mended,
    failed_here: FailedHere,
}

impl LeftOver {
    /// Makes a first portion due.
    ///
    /// # Errors
    /// If the catalogue fails.
    pub async fn take_up(catalogue: &Catalogue) -> Result<Self, CatalogueError> {
        let walk = Walk { mended: Mended::by_start(), failed_here: FailedHere::default() };
        let (walk, last) = step(catalogue, walk).await?;
        Ok(Self { catalogue: catalogue.clone(), walk, last })
    }

    /// How much the last portion was.
    #[must_use]
    pub fn taken_up(&self) -> u64 {
        self.last.count
    }

    /// Makes the rest due and tells `due` of it; then only waits for `shutdown`.
    pub async fn run(mut self, due: watch::Sender<()>, shutdown: CancellationToken) {
        while self.last.is_full && !shutdown.is_cancelled() {
            match step(&self.catalogue, self.walk.clone()).await {
                Ok((walk, last)) => {
                    (self.walk, self.last) = (walk, last);
                    due.send_replace(());
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "Cannot take up what an earlier process left");
                    tokio::select! {
                        () = tokio::time::sleep(AFTER_FAILURE) => {}
                        () = shutdown.cancelled() => {}
                    }
                }
            }
        }
        shutdown.cancelled().await;
    }
}

async fn step(catalogue: &Catalogue, mut walk: Walk) -> Result<(Walk, Portion), CatalogueError> {
    let mut transaction = catalogue.begin().await?;
    let portion = walk.mended.requeue_next(&mut transaction).await?;
    let portion = portion.and(walk.failed_here.requeue_next(&mut transaction).await?);
    transaction.commit().await?;
    Ok((walk, portion))
}
