//! Checkpoints: the catalogue's log is kept short, and somebody is told when a reader keeps it long.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::catalogue::Catalogue;
use crate::catalogue::checkpoint::Checkpointed;
use crate::domain::error::chain;

/// How often the log is looked at: in this time the fastest senders make it a few megabytes longer.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The pause while a reader is in the way: each try takes the writer's turn for a moment.
const WHILE_HELD: Duration = Duration::from_secs(1);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// From this length on somebody is told: twice what the log takes at most while no reader stays.
const WORTH_A_WARNING_BYTES: u64 = 128 << 20;

/// Keeps the log of a catalogue short that is being served.
#[derive(Debug)]
pub struct Checkpoints {
    catalogue: Catalogue,
    /// Whether a warning was given that still holds.
    is_long: bool,
}

impl Checkpoints {
    /// Checkpoints of this catalogue.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue, is_long: false }
    }

    /// Makes checkpoints until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.catalogue.checkpoint().await {
                Ok(checkpointed) => {
                    self.tell(checkpointed);
                    if checkpointed == Checkpointed::Held { WHILE_HELD } else { LOOK_EVERY }
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "Cannot write the catalogue's log into its file");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Says once that the log has become long, and once that it is short again.
    fn tell(&mut self, checkpointed: Checkpointed) {
        let log_bytes = self.catalogue.log_bytes();
        let is_long = checkpointed == Checkpointed::Held && log_bytes >= WORTH_A_WARNING_BYTES;
        if is_long && !self.is_long {
            tracing::warn!(
                log_bytes,
                "Somebody has been reading the catalogue for so long that its log cannot be shortened; end what reads it (sqlite3, a copy, a question in SQL)"
            );
            self.is_long = true;
        } else if self.is_long && checkpointed == Checkpointed::Short {
            tracing::info!(log_bytes, "The catalogue's log is short again");
            self.is_long = false;
        }
    }
}
