//! Large changes of which there are many, and which could be made again: a backlog of deliveries that is
//! expanded.
//!
//! Each is committed without waiting for the disk. The inbox has what they are made from, and how far it is
//! expanded is written with them: what a power cut takes is expanded again. They have a connection of their
//! own, which may keep more in memory and is closed when the backlog is gone.

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};

use super::{BEGIN, Catalogue, CatalogueError, Transaction};

/// Rows of a large change. Each of them touches pages all over the catalogue, so that what a commit writes grows
/// far slower than the batch; this many hold up others for a tenth of a second.
pub const BATCH: usize = 1024;

/// Page cache in KiB: a batch touches some two thousand pages all over the catalogue. Together with the writer's it
/// stays under 16 MiB.
const CACHE_KIB: &str = "-12288";

/// The writer's options, changed for large changes.
pub(super) fn options(writing: SqliteConnectOptions) -> SqliteConnectOptions {
    writing.synchronous(SqliteSynchronous::Normal).pragma("cache_size", CACHE_KIB)
}

impl Catalogue {
    /// Takes the write lock for one of many large changes that could all be made again from what the catalogue
    /// holds. What is committed is there for everybody at once and stays when the process dies; it survives a power
    /// cut from the next commit on that is not of this kind, at the latest from [`Self::end_bulk`].
    ///
    /// # Errors
    /// If the catalogue is open for reading only, or the lock cannot be had.
    pub async fn begin_bulk(&self) -> Result<Transaction, CatalogueError> {
        let writing = self.writing()?;
        let turn = writing.connections.acquire().await?;
        Ok(Transaction { held: writing.bulk.begin(BEGIN).await?, _turn: Some(turn) })
    }

    /// Makes large changes durable after the last of them, and lets go of the memory that they took.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn end_bulk(&self) -> Result<(), CatalogueError> {
        // The log is synced as a whole with any commit that writes something.
        sqlx::query("UPDATE inbox_cursor SET expanded_through = expanded_through").execute(self.write()?).await?;
        self.writing()?.bulk.rest().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::catalogue::FILE_NAME;

    async fn cursor(catalogue: &Catalogue) -> i64 {
        sqlx::query_scalar("SELECT expanded_through FROM inbox_cursor").fetch_one(catalogue.read()).await.unwrap()
    }

    async fn advance(transaction: &mut Transaction) {
        let advance = sqlx::query("UPDATE inbox_cursor SET expanded_through = expanded_through + 1");
        advance.execute(transaction.connection()).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_else_writes_during_a_large_change_and_what_is_dropped_is_undone() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(&directory.path().join(FILE_NAME)).await.unwrap();
        let mut kept = catalogue.begin_bulk().await.unwrap();
        advance(&mut kept).await;
        let writer = catalogue.write().unwrap();
        assert!(writer.acquire().now_or_never().is_none(), "it is its turn");
        kept.commit().await.unwrap();
        assert!(writer.acquire().now_or_never().is_some(), "nobody's turn");
        assert_eq!(cursor(&catalogue).await, 1);

        advance(&mut catalogue.begin_bulk().await.unwrap()).await;
        catalogue.end_bulk().await.unwrap();
        let mut after = catalogue.begin_bulk().await.unwrap();
        advance(&mut after).await;
        after.commit().await.unwrap();
        assert_eq!(cursor(&catalogue).await, 2);
        catalogue.close().await;
    }
}
