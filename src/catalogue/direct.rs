//! Short questions, and deliveries, dealt with on the thread that has them.
//!
//! Whoever asks through sqlx wakes a connection's thread and is woken by it, which costs several times
//! what a look at one row costs. Whoever is on a thread that may wait asks here. There is one connection for
//! each kind of use, so nothing that takes long may be asked.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::checkpoint::READERS_MAY_TAKE;
use super::{BUSY_TIMEOUT, CatalogueError, Checkpoints};

/// Page cache of the connection that writes, in KiB: deliveries go to the end of one tree.
const WRITING_CACHE_KIB: i64 = -512;

/// A connection for what is soon done.
#[derive(Debug)]
pub(super) struct Direct {
    path: PathBuf,
    access: Access,
    connection: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum Access {
    Reading,
    Writing(Checkpoints),
    Checkpointing,
}

#[derive(Debug)]
enum State {
    /// Whoever comes first opens it.
    NotYet,
    Open(Connection),
    Closed,
}

impl Direct {
    /// A connection for questions to the catalogue at this path, which must be there when something is asked.
    pub(super) fn reading(path: PathBuf) -> Self {
        Self { path, access: Access::Reading, connection: Mutex::new(State::NotYet) }
    }

    /// A connection on which what is committed is durable. Whoever uses it has the writer's turn.
    pub(super) fn writing(path: PathBuf, checkpoints: Checkpoints) -> Self {
        Self { path, access: Access::Writing(checkpoints), connection: Mutex::new(State::NotYet) }
    }

    /// A connection on which checkpoints are made, which hardly wait for anybody.
    pub(super) fn checkpointing(path: PathBuf) -> Self {
        Self { path, access: Access::Checkpointing, connection: Mutex::new(State::NotYet) }
    }

    /// Asks or writes something. Blocks.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, CatalogueError>,
    ) -> Result<T, CatalogueError> {
        let mut state = self.state();
        if let State::NotYet = *state {
            *state = State::Open(self.connect()?);
        }
        match &*state {
            State::Open(connection) => question(connection),
            _ => Err(CatalogueError::Interrupted),
        }
    }

    /// Closes the connection for good: whoever is still about to ask must not keep the catalogue open.
    pub(super) fn close(&self) {
        *self.state() = State::Closed;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A connection on which something panicked is as good as any other: what it had begun is undone.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = match self.access {
            Access::Reading => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Writing(_) | Access::Checkpointing => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        match self.access {
            Access::Reading => connection.pragma_update(None, "query_only", 1)?,
            Access::Writing(checkpoints) => {
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection.pragma_update(None, "wal_autocheckpoint", checkpoints.after_pages())?;
                connection.pragma_update(None, "cache_size", WRITING_CACHE_KIB)?;
            }
            Access::Checkpointing => {
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection.busy_timeout(READERS_MAY_TAKE)?;
            }
        }
        Ok(connection)
    }
}
