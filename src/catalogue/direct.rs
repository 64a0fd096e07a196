//! Short questions, answered on the thread that asks.
//!
//! A question through sqlx wakes a connection's thread and is woken by it, which costs several times
//! what a look at one row costs. Whoever is on a thread that may wait asks here. There is one
//! connection, so nothing that takes long may be asked.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, CatalogueError};

/// A connection for short questions, opened with the first of them.
#[derive(Debug)]
pub(super) struct Direct {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Direct {
    /// A connection to the catalogue at this path, which must be there when something is asked.
    pub(super) fn to(path: PathBuf) -> Self {
        Self { path, connection: Mutex::default() }
    }

    /// Asks something. Blocks.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, CatalogueError>,
    ) -> Result<T, CatalogueError> {
        // A connection on which something panicked is as good as any other: it only reads.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        match &*connection {
            Some(connection) => question(connection),
            None => question(connection.insert(self.connect()?)),
        }
    }

    /// Closes the connection; a further question opens another one.
    pub(super) fn close(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", 1)?;
        Ok(connection)
    }
}
