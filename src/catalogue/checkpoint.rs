//! Checkpoints: SQLite's log is written into the catalogue's file, beside whoever commits.
//!
//! Left to itself SQLite does that inside the commit that makes the log too long, and whoever waits for that
//! commit, perhaps a delivery for its answer, waits for it as well. A service has a task for it instead
//! (`archive::checkpoints`), which uses what is here; its connections never do it.
//!
//! Once all of the log is in the file, and nobody reads what stands in it, the next commit starts it over. While
//! deliveries keep coming there is always something new in it, so at some length it is finished within the
//! writer's turn. A reader keeps everything in the log that came after it began, for as long as it reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::{Catalogue, CatalogueError};

/// Pages of the log that are not in the file from which on they are written there beside others (32 MB): fewer,
/// larger checkpoints write a page once that many commits have changed, and wait for the disk less often.
const LONG_PAGES: i64 = 8_000;
/// Pages in the log from which on the last of it is written while nobody else may write (64 MB).
const TOO_LONG_PAGES: i64 = 2 * LONG_PAGES;
/// How much of it may be left for that turn: a few milliseconds of the disk's time.
const LEFT_FOR_THE_TURN: i64 = 2_000;
/// A page stands in the log with a short head.
const BYTES_OF_A_PAGE: u64 = 4096 + 24;
/// How long its file may stay. A shorter one is written over again, because a commit that makes it longer takes the
/// disk twice as long.
const KEPT_BYTES: u64 = TOO_LONG_PAGES as u64 * 2 * BYTES_OF_A_PAGE;
/// How long a checkpoint waits, with the writer's turn, for readers that are about to end.
pub(super) const READERS_MAY_TAKE: Duration = Duration::from_millis(50);

/// A checkpoint that writes nothing.
const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";
/// A checkpoint of what no reader still needs as it was, that waits for nobody.
const BESIDE_OTHERS: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// A checkpoint of everything, after which the log starts over.
const WHOLE: &str = "PRAGMA wal_checkpoint(RESTART)";
/// The same, after which the log's file is empty.
const WHOLE_AND_EMPTIED: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// What has become of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpointed {
    /// It is as short as it should be, or will be with the next commits.
    Short,
    /// Somebody reads what stands in it, so that it cannot start over.
    Held,
}

/// What SQLite tells of a checkpoint.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// Whether somebody was in the way.
    is_blocked: bool,
    /// Pages in the log.
    pages: i64,
    /// Those of them that are in the catalogue's file.
    written: i64,
}

impl Told {
    fn left(self) -> i64 {
        self.pages - self.written
    }

    fn is_short(self) -> bool {
        self.left() < LONG_PAGES && self.pages < TOO_LONG_PAGES
    }
}

/// Where the log of a catalogue lies.
pub(super) fn log_of(catalogue: &Path) -> PathBuf {
    let mut path = catalogue.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

impl Catalogue {
    /// How much of the disk the log takes. There is none before something is written.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Writes the log into the catalogue's file if it has become long: most of it while others write, and the
    /// rest, if it must be, while nobody does.
    ///
    /// # Errors
    /// If the catalogue is open for reading only, or SQLite fails.
    pub async fn checkpoint(&self) -> Result<Checkpointed, CatalogueError> {
        let bytes = self.log_bytes();
        if bytes < LONG_PAGES as u64 * BYTES_OF_A_PAGE {
            return Ok(Checkpointed::Short);
        }
        let is_too_long = bytes > KEPT_BYTES;
        if !is_too_long && self.run_checkpoint(LOOK).await?.is_short() {
            return Ok(Checkpointed::Short);
        }
        let Some(told) = self.checkpoint_beside_others().await? else { return Ok(Checkpointed::Held) };
        if !is_too_long && told.pages < TOO_LONG_PAGES {
            return Ok(Checkpointed::Short);
        }
        let turn = self.write()?.acquire().await?;
        let told = self.run_checkpoint(if is_too_long { WHOLE_AND_EMPTIED } else { WHOLE }).await?;
        drop(turn);
        Ok(if told.is_blocked { Checkpointed::Held } else { Checkpointed::Short })
    }

    /// Writes the log into the file until little is left; nothing if a reader keeps it from getting on.
    async fn checkpoint_beside_others(&self) -> Result<Option<Told>, CatalogueError> {
        let mut before = None;
        loop {
            let told = self.run_checkpoint(BESIDE_OTHERS).await?;
            if told.left() <= LEFT_FOR_THE_TURN {
                return Ok(Some(told));
            }
            if before == Some(told.written) {
                return Ok(None);
            }
            before = Some(told.written);
        }
    }

    async fn run_checkpoint(&self, checkpoint: &'static str) -> Result<Told, CatalogueError> {
        let checkpoints = self.writing()?.checkpoints.clone();
        let run = move || checkpoints.ask(|connection| Ok(tell(connection, checkpoint)?));
        tokio::task::spawn_blocking(run).await.map_err(|_| CatalogueError::Interrupted)?
    }
}

fn tell(connection: &Connection, checkpoint: &str) -> rusqlite::Result<Told> {
    connection
        .query_row(checkpoint, [], |row| Ok(Told { is_blocked: row.get(0)?, pages: row.get(1)?, written: row.get(2)? }))
}
