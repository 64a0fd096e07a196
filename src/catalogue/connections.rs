//! Connections: a few open connections to the catalogue, handed out in turn.
//!
//! sqlx's own pool is made for servers on a network: whatever comes back to it is asked for a sign of
//! life. Here that would be two changes of thread after each statement, for a file that cannot go away.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use sqlx::sqlite::{SqliteConnectOptions, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo};
use sqlx::{
    ConnectOptions as _, Connection as _, Describe, Either, Execute, Executor, SqlStr, Sqlite, SqliteConnection,
};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// How long somebody waits for a connection that others hold.
const WAIT_AT_MOST: Duration = Duration::from_secs(30);

/// Connections with the same options. Cloned freely.
///
/// As an executor it lends a connection for one statement and collects its rows; whoever wants them one by
/// one, or several statements on one connection, acquires it.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    options: SqliteConnectOptions,
    /// Each is opened when it is first needed.
    connections: Vec<Arc<Mutex<Option<SqliteConnection>>>>,
    /// As many as there are connections; closed with them.
    places: Arc<Semaphore>,
}

/// A connection, until this is dropped.
pub struct Held {
    connection: OwnedMappedMutexGuard<Option<SqliteConnection>, SqliteConnection>,
    /// Whether a transaction was begun and is not known to have ended.
    in_transaction: bool,
    _place: OwnedSemaphorePermit,
}

impl Connections {
    /// At most so many connections, of which the first is opened now.
    pub(super) async fn open(options: SqliteConnectOptions, most: usize) -> Result<Self, sqlx::Error> {
        let connections = std::iter::repeat_with(Arc::default).take(most).collect();
        let opened = Self(Arc::new(Inner { options, connections, places: Arc::new(Semaphore::new(most)) }));
        opened.acquire().await?;
        Ok(opened)
    }

    /// A connection of one's own, as soon as one is free.
    ///
    /// # Errors
    /// If others keep all of them for half a minute, they are closed, or another one cannot be opened.
    pub async fn acquire(&self) -> Result<Held, sqlx::Error> {
        let place = tokio::time::timeout(WAIT_AT_MOST, self.0.places.clone().acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        // Whoever has a place finds a connection that nobody holds.
        let free = self.0.connections.iter().find_map(|connection| connection.clone().try_lock_owned().ok());
        let mut free = free.ok_or(sqlx::Error::PoolTimedOut)?;
        if free.is_none() {
            *free = Some(self.0.options.connect().await?);
        }
        let connection = OwnedMutexGuard::try_map(free, Option::as_mut).map_err(|_| sqlx::Error::PoolClosed)?;
        Ok(Held { connection, in_transaction: false, _place: place })
    }

    /// A connection on which a transaction has begun. Unless that is committed, it is rolled back when the
    /// connection is dropped.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<Held, sqlx::Error> {
        let mut held = self.acquire().await?;
        held.in_transaction = true;
        let begun = sqlx::query(statement).execute(&mut *held).await;
        self.unless_lost(&mut held, begun).await?;
        Ok(held)
    }

    /// Closes all connections, once nobody holds them any more.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.0.connections.len()).unwrap_or(u32::MAX);
        // It fails only if somebody else has closed them.
        let Ok(_all) = self.0.places.acquire_many(all).await else { return };
        self.0.places.close();
        for connection in &self.0.connections {
            let Some(connection) = connection.lock().await.take() else { continue };
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "A connection to the catalogue did not close properly");
            }
        }
    }

    /// Replaces a connection if the thread behind it is gone, so that only this statement fails.
    async fn unless_lost<T>(&self, held: &mut Held, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let Err(sqlx::Error::WorkerCrashed) = result {
            tracing::error!("A connection to the catalogue was lost; opening another one");
            *held.connection = self.0.options.connect().await?;
        }
        result
    }
}

impl Held {
    /// Commits the transaction.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("COMMIT").execute(&mut *self).await?;
        self.in_transaction = false;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.in_transaction {
            // Once this was polled, the statement is in the connection's queue, before any other one. Nobody
            // waits for it; it fails where the transaction has ended after all.
            let _ = sqlx::query("ROLLBACK").execute(&mut **self).now_or_never();
        }
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl<'c> Executor<'c> for &Connections {
    type Database = Sqlite;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Sqlite>,
    {
        let all = self.clone();
        let run = async move {
            let mut held = all.acquire().await?;
            let told: Result<Vec<_>, _> = held.fetch_many(query).try_collect().await;
            all.unless_lost(&mut held, told).await
        };
        run.map_ok(|told| stream::iter(told.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<SqliteRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Sqlite>,
    {
        let all = self.clone();
        let run = async move {
            let mut held = all.acquire().await?;
            let row = held.fetch_optional(query).await;
            all.unless_lost(&mut held, row).await
        };
        run.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        let all = self.clone();
        async move { all.acquire().await?.prepare_with(sql, parameters).await }.boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Sqlite>, sqlx::Error>>
    where
        'c: 'e,
    {
        let all = self.clone();
        async move { all.acquire().await?.describe(sql).await }.boxed()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { connections, places, .. } = self.0.as_ref();
        write!(f, "Connections({} of {} free)", places.available_permits(), connections.len())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.in_transaction { "Held(in a transaction)" } else { "Held" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(most: usize) -> (tempfile::TempDir, Connections) {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("db")).create_if_missing(true);
        let opened = Connections::open(options, most).await.unwrap();
        sqlx::query("CREATE TABLE notes (note TEXT)").execute(&opened).await.unwrap();
        (directory, opened)
    }

    async fn write(on: &Connections) -> Result<(), sqlx::Error> {
        let mut held = on.begin("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO notes VALUES ('a')").execute(&mut *held).await?;
        held.commit().await
    }

    async fn count(on: &Connections) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM notes").fetch_one(on).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_not_committed_is_undone_when_it_is_dropped() {
        let (_directory, opened) = opened(2).await;
        let mut held = opened.begin("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO notes VALUES ('b')").execute(&mut *held).await.unwrap();
        drop(held);
        write(&opened).await.unwrap();
        assert_eq!(count(&opened).await, 1);
    }

    #[tokio::test]
    async fn a_transaction_that_nobody_waited_for_is_undone() {
        let (_directory, opened) = opened(1).await;
        assert!(opened.begin("BEGIN IMMEDIATE").now_or_never().is_none(), "the answer takes a while");
        write(&opened).await.unwrap();
        assert_eq!(count(&opened).await, 1);
    }

    #[tokio::test]
    async fn rows_that_nobody_reads_disturb_nobody() {
        let (_directory, opened) = opened(1).await;
        let numbers = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT i FROM n";
        let mut held = opened.acquire().await.unwrap();
        assert!(sqlx::query(numbers).fetch(&mut *held).try_next().await.unwrap().is_some());
        drop(held);
        write(&opened).await.unwrap();
        assert_eq!(count(&opened).await, 1);
    }

    #[tokio::test]
    async fn closing_waits_for_who_holds_one_and_nobody_gets_another() {
        let (_directory, opened) = opened(2).await;
        let held = opened.acquire().await.unwrap();
        let closing = tokio::spawn({
            let opened = opened.clone();
            async move { opened.close().await }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        drop(held);
        closing.await.unwrap();
        assert!(matches!(opened.acquire().await, Err(sqlx::Error::PoolClosed)));
    }
}
