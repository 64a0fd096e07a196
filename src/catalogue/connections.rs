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
    slots: Vec<Arc<Mutex<Option<Slot>>>>,
    /// As many as there are slots; closed with them.
    places: Arc<Semaphore>,
}

/// A connection that was opened when it was first needed.
struct Slot {
    connection: SqliteConnection,
    /// Whether nobody has waited for the end of the last statement, or it failed: it may still run, a
    /// transaction may still be open, the thread may be gone.
    is_unsettled: bool,
}

/// A connection, until this is dropped.
pub struct Held {
    slot: OwnedMappedMutexGuard<Option<Slot>, Slot>,
    in_transaction: bool,
    _place: OwnedSemaphorePermit,
}

impl Connections {
    /// At most so many connections, of which the first is opened now.
    pub(super) async fn open(options: SqliteConnectOptions, most: usize) -> Result<Self, sqlx::Error> {
        let slots = std::iter::repeat_with(Arc::default).take(most).collect();
        let opened = Self(Arc::new(Inner { options, slots, places: Arc::new(Semaphore::new(most)) }));
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
        let mut slot = self.free_slot().ok_or(sqlx::Error::PoolTimedOut)?;
        if slot.is_none() {
            *slot = Some(Slot { connection: self.0.options.connect().await?, is_unsettled: false });
        }
        let mut slot = OwnedMutexGuard::try_map(slot, Option::as_mut).map_err(|_| sqlx::Error::PoolClosed)?;
        if slot.is_unsettled {
            self.settle(&mut slot).await?;
        }
        Ok(Held { slot, in_transaction: false, _place: place })
    }

    /// A slot that nobody holds, which whoever has a place finds; if possible one that is settled.
    fn free_slot(&self) -> Option<OwnedMutexGuard<Option<Slot>>> {
        let mut unsettled = None;
        for slot in &self.0.slots {
            let Ok(slot) = slot.clone().try_lock_owned() else { continue };
            if slot.as_ref().is_none_or(|slot| !slot.is_unsettled) {
                return Some(slot);
            }
            unsettled = Some(slot);
        }
        unsettled
    }

    /// Waits for the end of what was left behind, and undoes it. A connection whose thread is gone is opened
    /// anew.
    async fn settle(&self, slot: &mut Slot) -> Result<(), sqlx::Error> {
        if let Err(sqlx::Error::WorkerCrashed) = run(&mut slot.connection, "ROLLBACK").await {
            tracing::error!("A connection to the catalogue was lost; opening another one");
            slot.connection = self.0.options.connect().await?;
        }
        slot.is_unsettled = false;
        Ok(())
    }

    /// A connection on which a transaction has begun. Unless it is committed, it is undone when the
    /// connection is dropped.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<Held, sqlx::Error> {
        let mut held = self.acquire().await?;
        (held.in_transaction, held.slot.is_unsettled) = (true, true);
        run(&mut held, statement).await?;
        Ok(held)
    }

    /// Closes all connections for good, once nobody holds them any more.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.0.slots.len()).unwrap_or(u32::MAX);
        // Somebody else may have closed them.
        let Ok(_all) = self.0.places.acquire_many(all).await else { return };
        self.0.places.close();
        for slot in &self.0.slots {
            let Some(slot) = slot.lock().await.take() else { continue };
            if let Err(error) = slot.connection.close().await {
                tracing::warn!(%error, "A connection to the catalogue did not close properly");
            }
        }
    }
}

/// Runs a statement without rows. That a thread which ends meanwhile tells nothing is a failure too.
async fn run(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    let told = connection.fetch_many(sqlx::query(statement)).try_next().await?;
    told.map(drop).ok_or(sqlx::Error::WorkerCrashed)
}

impl Held {
    /// Commits the transaction.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        run(&mut self, "COMMIT").await?;
        (self.in_transaction, self.slot.is_unsettled) = (false, false);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.in_transaction {
            // Polled once, it is in the connection's queue, so that other processes need not wait for the write
            // lock until somebody here does. If the queue is full it is not: whoever comes next makes sure.
            let _ = run(self, "ROLLBACK").now_or_never();
        }
    }
}

impl Deref for Held {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.slot.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.slot.connection
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
            held.slot.is_unsettled = true;
            let told: Vec<_> = held.fetch_many(query).try_collect().await?;
            held.slot.is_unsettled = false;
            Ok(told)
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
            held.slot.is_unsettled = true;
            let row = held.fetch_optional(query).await?;
            held.slot.is_unsettled = false;
            Ok(row)
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
        let Inner { slots, places, .. } = self.0.as_ref();
        write!(f, "Connections({} of {} free)", places.available_permits(), slots.len())
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
        for before in 0..20 {
            // Nearly always dropped before the answer; if it is there already, what was begun is dropped.
            drop(opened.begin("BEGIN IMMEDIATE").now_or_never());
            write(&opened).await.unwrap();
            assert_eq!(count(&opened).await, before + 1);
        }
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
    async fn transactions_that_nobody_waited_for_do_not_pile_up() {
        let (directory, opened) = opened(1).await;
        let outside = SqliteConnectOptions::new().filename(directory.path().join("db"));
        let mut outside = outside.connect().await.unwrap();
        run(&mut outside, "BEGIN IMMEDIATE").await.unwrap();
        for _ in 0..200 {
            assert!(opened.begin("BEGIN IMMEDIATE").now_or_never().is_none());
        }
        run(&mut outside, "ROLLBACK").await.unwrap();
        write(&opened).await.unwrap();
        assert_eq!(count(&opened).await, 1);
        run(&mut outside, "BEGIN IMMEDIATE").await.unwrap();
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
