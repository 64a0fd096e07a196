//! SQLite's log, into which everything is written first: kept neither too short nor too long.
//!
//! A commit that makes the log longer waits for the file's new length to be on disk besides its own bytes,
//! which takes about as long again. So the log is made longer now and then, each time by as much as it has
//! become; commits then write over what lies behind the last one.
//!
//! A checkpoint writes the log's pages into the catalogue's file, after which the log starts over and the file
//! stays as long as it is. SQLite does it on the connection that makes the log too long; while large changes
//! are made it is done beside them, before that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OpenFlags};

use super::connections::Held;
use super::{BUSY_TIMEOUT, CHECKPOINT_PAGES, Catalogue, CatalogueError, Writing};

/// The least that the log is made longer by.
const LEAST_BYTES: u64 = 1 << 20;
/// How long the log is made: what a checkpoint starts over at. A page is written with a short head.
const MOST_BYTES: u64 = CHECKPOINT_PAGES as u64 * (4096 + 24);
/// Pages in the log from which on it is written into the file beside large changes: early enough to be done
/// before one of them has to.
const LONG_PAGES: i64 = CHECKPOINT_PAGES as i64 / 4 * 3;
/// Pages that are kept in memory while room is made (the fewest that SQLite keeps): all others are in the log.
const CACHE_PAGES: i64 = 10;

/// The log of a catalogue that is written to.
#[derive(Debug)]
pub(super) struct Log {
    catalogue: PathBuf,
    path: PathBuf,
    /// How long it was when it was looked at last.
    bytes: AtomicU64,
}

impl Log {
    /// The log of the catalogue at this path.
    pub(super) fn of(catalogue: &Path) -> Self {
        let mut path = catalogue.as_os_str().to_owned();
        path.push("-wal");
        Self { catalogue: catalogue.to_owned(), path: path.into(), bytes: AtomicU64::new(0) }
    }

    /// Whether commits have made it longer since the last look, so that it has no room left.
    fn is_full(&self) -> bool {
        let known = self.bytes.load(Ordering::Relaxed);
        known < MOST_BYTES && self.look().is_ok_and(|bytes| bytes > known)
    }

    fn look(&self) -> io::Result<u64> {
        Ok(self.path.metadata()?.len())
    }

    /// Doubles it, up to what a checkpoint starts over at. Nobody else may write meanwhile. Blocks.
    fn make_room(&self) -> Result<(), CatalogueError> {
        let bytes = self.look().map_err(sqlx::Error::Io)?;
        // Also if it fails, so that not every commit tries: the next one that has to make the log longer does.
        self.bytes.store(bytes, Ordering::Relaxed);
        if bytes < MOST_BYTES {
            self.lengthen(bytes.max(LEAST_BYTES).min(MOST_BYTES - bytes))?;
            self.bytes.store(self.look().map_err(sqlx::Error::Io)?, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets SQLite write so much behind the last commit, and undoes it.
    fn lengthen(&self, bytes: u64) -> rusqlite::Result<()> {
        let connection = self.connect()?;
        connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
        connection.execute_batch("BEGIN IMMEDIATE; CREATE TABLE room (bytes BLOB)")?;
        connection.execute("INSERT INTO room VALUES (zeroblob(?))", [i64::try_from(bytes).unwrap_or(i64::MAX)])?;
        connection.execute_batch("ROLLBACK")
    }

    /// Writes its pages into the catalogue's file if it is long, and returns whether it was. Others may write
    /// meanwhile; what they write is left for the next time. Blocks.
    fn fold_if_long(&self) -> rusqlite::Result<bool> {
        let connection = self.connect()?;
        let is_long = pages(&connection, LOOK)? >= LONG_PAGES;
        if is_long {
            pages(&connection, FOLD)?;
        }
        Ok(is_long)
    }

    /// Writes its pages into the catalogue's file. Blocks.
    fn fold(&self) -> rusqlite::Result<()> {
        pages(&self.connect()?, FOLD).map(drop)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.catalogue, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(connection)
    }
}

/// A checkpoint that writes nothing.
const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";
/// A checkpoint of what no reader still needs as it was, that waits for nobody.
const FOLD: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Runs a checkpoint and returns how many pages the log holds.
fn pages(connection: &Connection, checkpoint: &str) -> rusqlite::Result<i64> {
    connection.query_row(checkpoint, [], |row| row.get(1))
}

impl Catalogue {
    /// Makes room in the log if the last commits have left none, so that the next ones take the disk less time.
    /// Blocks.
    ///
    /// # Errors
    /// If SQLite fails, or there is no room on the disk; what was committed is as safe as before.
    pub fn make_room_in_log(&self, _turn: &Held) -> Result<(), CatalogueError> {
        let log = &self.writing()?.log;
        if log.is_full() { log.make_room() } else { Ok(()) }
    }

    /// Writes the log into the catalogue's file if it has become long: most of it while others write, and the rest
    /// while nobody does, so that whoever writes next starts the log over.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn fold_log(&self) -> Result<(), CatalogueError> {
        let Writing { connections, log, .. } = self.writing()?.clone();
        let beside = log.clone();
        if blocking(move || Ok(beside.fold_if_long()?)).await? {
            let turn = connections.acquire().await?;
            blocking(move || {
                let _turn = turn;
                Ok(log.fold()?)
            })
            .await?;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CatalogueError> + Send + 'static,
) -> Result<T, CatalogueError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CatalogueError::Interrupted)?
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::catalogue::FILE_NAME;
    use crate::catalogue::events::{self, NewEvent};
    use crate::domain::time::Timestamp;

    /// Writes so many deliveries down, each in a commit of its own.
    async fn deliver(catalogue: &Catalogue, count: usize, payload: &str) {
        let turn = catalogue.write().unwrap().acquire().await.unwrap();
        for _ in 0..count {
            let event = NewEvent {
                app_id: "cli_a".parse().unwrap(),
                event_id: None,
                event_type: None,
                message_id: None,
                received_at: Timestamp::from_unix_ms(1).unwrap(),
                payload: payload.to_owned(),
            };
            events::append(catalogue, &turn, &[event]).unwrap();
            catalogue.make_room_in_log(&turn).unwrap();
        }
    }

    /// How many deliveries another process finds in these files of the catalogue.
    fn found_in(directory: &Path, files: &[&str]) -> i64 {
        let copy = tempfile::tempdir().unwrap();
        for ending in files {
            let name = format!("{FILE_NAME}{ending}");
            fs::copy(directory.join(&name), copy.path().join(&name)).unwrap();
        }
        let connection = Connection::open(copy.path().join(FILE_NAME)).unwrap();
        let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        connection.query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0)).unwrap()
    }

    #[tokio::test]
    async fn commits_write_into_room_that_was_made_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(&directory.path().join(FILE_NAME)).await.unwrap();
        deliver(&catalogue, 1, "first").await;
        let bytes = catalogue.writing().unwrap().log.look().unwrap();
        assert!(bytes > LEAST_BYTES / 10 * 9, "{bytes}: but for what was still in memory");
        deliver(&catalogue, 20, "more").await;
        assert_eq!(catalogue.writing().unwrap().log.look().unwrap(), bytes);
        assert_eq!(found_in(directory.path(), &["", "-wal"]), 21);

        deliver(&catalogue, 1, &"x".repeat(2 << 20)).await;
        assert!(catalogue.writing().unwrap().log.look().unwrap() > 4 << 20, "twice what it had become");
        deliver(&catalogue, 1, "last").await;
        assert_eq!(found_in(directory.path(), &["", "-wal"]), 23);
    }

    #[tokio::test]
    async fn a_long_log_is_folded_and_starts_over() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(&directory.path().join(FILE_NAME)).await.unwrap();
        let pages_now = || pages(&catalogue.writing().unwrap().log.connect().unwrap(), LOOK).unwrap();
        deliver(&catalogue, 3, "short").await;
        catalogue.fold_log().await.unwrap();
        assert!(pages_now() > 0, "it is short, so it is left alone");

        deliver(&catalogue, 50, &"x".repeat(1 << 20)).await;
        assert!(pages_now() >= LONG_PAGES);
        catalogue.fold_log().await.unwrap();
        assert_eq!(found_in(directory.path(), &[""]), 53, "without the log");
        deliver(&catalogue, 1, "next").await;
        assert!(pages_now() < 10, "{}", pages_now());
        assert_eq!(found_in(directory.path(), &["", "-wal"]), 54);
    }
}
