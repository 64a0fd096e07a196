//! Short questions, answered on the thread that asks.
//!
//! A question through sqlx wakes a connection's thread and is woken by it, which costs several times
//! what a look at one row costs. Whoever is on a thread that may wait asks here. There is one
//! connection, so nothing that takes long may be asked.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, CatalogueError};

/// A connection for short questions.
#[derive(Debug)]
pub(super) struct Direct {
    path: PathBuf,
    connection: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The first question opens it.
    NotYet,
    Open(Connection),
    Closed,
}

impl Direct {
    /// A connection to the catalogue at this path, which must be there when something is asked.
    pub(super) fn to(path: PathBuf) -> Self {
        Self { path, connection: Mutex::new(State::NotYet) }
    }

    /// Asks something. Blocks.
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
        // A connection on which something panicked is as good as any other: it only reads.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", 1)?;
        Ok(connection)
    }
}
