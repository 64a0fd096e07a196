//! The inbox: deliveries as they came, and what became of them.

use futures_util::{Stream, TryStreamExt};
use rusqlite::TransactionBehavior;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::connections::{Connections, Held};
use super::{Catalogue, CatalogueError, Transaction};
use crate::domain::id::{AppId, EventRowId};
use crate::domain::time::Timestamp;

/// How much of waiting payloads is taken into memory at once.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// A delivery that is about to be written down.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The app it was sent to.
    pub app_id: AppId,
    /// The platform's id of it, if it has one.
    pub event_id: Option<String>,
    /// Its type, if it tells one.
    pub event_type: Option<String>,
    /// The message it is about.
    pub message_id: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// The decrypted payload.
    pub payload: String,
}

/// A delivery that waits to be expanded.
#[derive(Debug, Clone)]
pub struct WaitingEvent {
    /// Its row.
    pub id: EventRowId,
    /// The app it was sent to.
    pub app_id: AppId,
    /// When it came.
    pub received_at: Timestamp,
    /// The decrypted payload.
    pub payload: String,
}

/// What became of a delivery, where it was not simply expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its message was known already.
    Duplicate,
    /// An event that Larkive has no use for.
    Ignored,
    /// It could not be understood, with the reason.
    Unparsed(String),
}

impl Outcome {
    fn columns(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Duplicate => ("duplicate", None),
            Self::Ignored => ("ignored", None),
            Self::Unparsed(error) => ("unparsed", Some(error)),
        }
    }
}

/// Writes deliveries down in the order given, for whoever has the writer's turn. They are durable when this
/// returns. Blocks.
///
/// # Errors
/// If SQLite fails; then none of them is written.
pub fn append(catalogue: &Catalogue, _turn: &Held, events: &[NewEvent]) -> Result<(), CatalogueError> {
    catalogue.writing()?.inbox.ask(|connection| {
        let mut insert = connection.prepare_cached(
            "INSERT INTO events (app_id, event_id, event_type, message_id, received_at, payload)
             VALUES (?, ?, ?, ?, ?, ?)",
        )?;
        let mut insert = |event: &NewEvent| {
            let NewEvent { app_id, event_id, event_type, message_id, received_at, payload } = event;
            insert
                .execute((app_id.as_str(), event_id, event_type, message_id, received_at.unix_ms(), payload))
                .map(drop)
        };
        // A single one is a transaction by itself.
        if let [event] = events {
            return Ok(insert(event)?);
        }
        let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        events.iter().try_for_each(insert)?;
        Ok(transaction.commit()?)
    })
}

/// A delivery that cannot be taken out of the catalogue, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedEvent {
    /// Its row.
    pub id: EventRowId,
    /// What is wrong with it.
    pub error: String,
}

/// Deliveries that are to be expanded, in order.
#[derive(Debug)]
pub struct Taken {
    /// The deliveries.
    pub events: Vec<Result<WaitingEvent, DamagedEvent>>,
    /// Whether no more would have fit, by number or by bytes, so that more may wait.
    pub is_full: bool,
}

/// Deliveries that are to be expanded again, at most `limit` rows and a few megabytes.
///
/// # Errors
/// If SQLite fails.
pub async fn replayed(read: &Connections, limit: u32) -> Result<Taken, CatalogueError> {
    // Only what was expanded before can be replayed: the cursor must not jump over new deliveries.
    let replayed = sqlx::query(
        "SELECT event_row_id, app_id, received_at, payload
         FROM events
         WHERE event_row_id IN (SELECT event_row_id FROM event_outcomes WHERE result = 'pending')
             AND event_row_id <= (SELECT expanded_through FROM inbox_cursor)
         LIMIT +?",
    );
    take(replayed.bind(limit).fetch(&mut *read.acquire().await?), limit).await
}

/// Deliveries that were never expanded and came after one that is known, in order of arrival, at most `limit`
/// rows and a few megabytes.
///
/// # Errors
/// If SQLite fails.
pub async fn new(read: &Connections, after: EventRowId, limit: u32) -> Result<Taken, CatalogueError> {
    let new = sqlx::query(
        "SELECT event_row_id, app_id, received_at, payload
         FROM events
         WHERE event_row_id > MAX(?, (SELECT expanded_through FROM inbox_cursor))
         ORDER BY event_row_id
         LIMIT +?",
    );
    take(new.bind(after.0).bind(limit).fetch(&mut *read.acquire().await?), limit).await
}

/// A delivery that was written down some time ago.
#[derive(Debug, Clone)]
pub struct PastEvent {
    /// Its row.
    pub id: EventRowId,
    /// The app it was sent to.
    pub app_id: AppId,
    /// The platform's id of it, if it has one.
    pub event_id: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// The decrypted payload.
    pub payload: String,
}

/// Deliveries that came before one, the newest first, at most `limit` rows and a few megabytes. A row that is damaged is
/// left out.
///
/// # Errors
/// If SQLite fails.
pub async fn before(read: &Connections, before: EventRowId, limit: u32) -> Result<Vec<PastEvent>, CatalogueError> {
    let mut held = read.acquire().await?;
    let past = sqlx::query(
        "SELECT event_row_id, app_id, event_id, received_at, payload
         FROM events
         WHERE event_row_id < ?
         ORDER BY event_row_id DESC
         LIMIT +?",
    );
    let mut rows = past.bind(before.0).bind(limit).fetch(&mut *held);
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while bytes < MAX_WAITING_BYTES
        && let Some(row) = rows.try_next().await?
    {
        let event_id = row.try_get("event_id")?;
        if let Ok(WaitingEvent { id, app_id, received_at, payload }) = read_waiting(&row)? {
            bytes += payload.len();
            taken.push(PastEvent { id, app_id, event_id, received_at, payload });
        }
    }
    Ok(taken)
}

async fn take(
    mut rows: impl Stream<Item = Result<SqliteRow, sqlx::Error>> + Unpin,
    limit: u32,
) -> Result<Taken, CatalogueError> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        let event = read_waiting(&row)?;
        bytes += event.as_ref().map_or(0, |event| event.payload.len());
        events.push(event);
        if bytes >= MAX_WAITING_BYTES {
            return Ok(Taken { events, is_full: true });
        }
    }
    let is_full = u32::try_from(events.len()).is_ok_and(|count| count >= limit);
    Ok(Taken { events, is_full })
}

fn read_waiting(row: &SqliteRow) -> Result<Result<WaitingEvent, DamagedEvent>, CatalogueError> {
    let id = EventRowId(row.try_get("event_row_id")?);
    let (app_id, received_at): (String, i64) = (row.try_get("app_id")?, row.try_get("received_at")?);
    let (Ok(app_id), Some(received_at)) = (app_id.parse(), Timestamp::from_unix_ms(received_at)) else {
        return Ok(Err(DamagedEvent { id, error: "its row in the inbox is damaged".to_owned() }));
    };
    Ok(Ok(WaitingEvent { id, app_id, received_at, payload: row.try_get("payload")? }))
}

/// Records that these deliveries were expanded with these outcomes (none: expanded as usual), and
/// moves the cursor past the newest of them.
///
/// # Errors
/// If SQLite fails.
pub async fn settle(
    transaction: &mut Transaction,
    settled: &[(EventRowId, Option<Outcome>)],
) -> Result<(), CatalogueError> {
    let Some(newest) = settled.iter().map(|(id, _)| id.0).max() else { return Ok(()) };
    let ids: Vec<i64> = settled.iter().map(|(id, _)| id.0).collect();
    sqlx::query("DELETE FROM event_outcomes WHERE event_row_id IN (SELECT value FROM json_each(?))")
        .bind(Value::from(ids).to_string())
        .execute(transaction.connection())
        .await?;
    let told: Vec<_> =
        settled.iter().filter_map(|(id, outcome)| outcome.as_ref().map(|outcome| (id, outcome))).collect();
    if !told.is_empty() {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO event_outcomes (event_row_id, result, error) ");
        insert.push_values(told, |mut row, (id, outcome)| {
            let (result, error) = outcome.columns();
            row.push_bind(id.0).push_bind(result).push_bind(error);
        });
        insert.build().persistent(false).execute(transaction.connection()).await?;
    }
    sqlx::query("UPDATE inbox_cursor SET expanded_through = MAX(expanded_through, ?)")
        .bind(newest)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// When the oldest delivery came that waits to be expanded; none if nothing waits.
///
/// # Errors
/// If SQLite fails.
pub async fn backlog(read: &Connections) -> Result<Option<Timestamp>, CatalogueError> {
    let oldest: Option<i64> = sqlx::query_scalar(
        "SELECT received_at FROM events
         WHERE event_row_id > (SELECT expanded_through FROM inbox_cursor)
         ORDER BY event_row_id
         LIMIT 1",
    )
    .fetch_optional(read)
    .await?;
    Ok(oldest.and_then(Timestamp::from_unix_ms))
}
