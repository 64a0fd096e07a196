//! Indexing: the text index learns what did not reach it in the transaction that wrote it: names of
//! files, chats and people that came later, long texts, and archives older than the index.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalogue::search::{self, Progress};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::error::chain;

/// How often it is looked whether there is something to do.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The pause between two portions: whoever wants to write goes first.
const BETWEEN_PORTIONS: Duration = Duration::from_millis(10);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Keeps the text index up to date.
#[derive(Debug)]
pub struct Indexer {
    catalogue: Catalogue,
}

impl Indexer {
    /// An indexer of a catalogue.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue }
    }

    /// Indexes until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.step().await {
                Ok(Progress::Done) => LOOK_AGAIN,
                Ok(Progress::More) => BETWEEN_PORTIONS,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "Cannot bring the text index up to date");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Indexes one portion, if there is anything to index.
    async fn step(&self) -> Result<Progress, CatalogueError> {
        if !search::is_behind(self.catalogue.read()).await? {
            return Ok(Progress::Done);
        }
        let mut transaction = self.catalogue.begin().await?;
        let progress = search::catch_up(&mut transaction).await?;
        transaction.commit().await?;
        Ok(progress)
    }
}
