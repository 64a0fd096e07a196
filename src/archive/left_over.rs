//! Left over: what a start makes due of what was blocked before it, because the configuration may be
//! another one, or because an earlier process ended before it had taken up everything that was cleared.
//!
//! However much that is, deliveries are answered meanwhile: a portion before the start, the rest beside
//! everything else.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalogue::cleared::{self, Portion};
use crate::catalogue::mended::Mended;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::error::chain;

/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A walk over what was left.
#[derive(Debug)]
pub struct LeftOver {
    catalogue: Catalogue,
    mended: Mended,
    last: Portion,
}

impl LeftOver {
    /// Makes a first portion due.
    ///
    /// # Errors
    /// If the catalogue fails.
    pub async fn take_up(catalogue: &Catalogue) -> Result<Self, CatalogueError> {
        let (mended, last) = step(catalogue, Mended::by_configuration()).await?;
        Ok(Self { catalogue: catalogue.clone(), mended, last })
    }

    /// How much the last portion was.
    #[must_use]
    pub fn taken_up(&self) -> u64 {
        self.last.count
    }

    /// Makes the rest due and tells `due` of it; then only waits for `shutdown`.
    pub async fn run(mut self, due: watch::Sender<()>, shutdown: CancellationToken) {
        while self.last.is_full && !shutdown.is_cancelled() {
            match step(&self.catalogue, self.mended.clone()).await {
                Ok((mended, last)) => {
                    (self.mended, self.last) = (mended, last);
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

async fn step(catalogue: &Catalogue, mut mended: Mended) -> Result<(Mended, Portion), CatalogueError> {
    let mut transaction = catalogue.begin().await?;
    let portion = mended.requeue_next(&mut transaction).await?;
    let portion = portion.and(cleared::requeue_left_over(&mut transaction).await?);
    transaction.commit().await?;
    Ok((mended, portion))
}
