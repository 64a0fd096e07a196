//! The inbox: deliveries as they came, and what became of them.

use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, EventRowId};
use crate::domain::time::Timestamp;

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

/// Writes deliveries down in the order given. One statement without an explicit transaction, which
/// is one trip to the connection's thread instead of three; it is durable when this returns.
///
/// # Errors
/// If SQLite fails; then none of them is written.
pub async fn append(write: &SqlitePool, events: &[NewEvent]) -> Result<(), CatalogueError> {
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO events (app_id, event_id, event_type, message_id, received_at, payload) ",
    );
    insert.push_values(events, |mut row, event| {
        row.push_bind(event.app_id.as_str())
            .push_bind(event.event_id.as_deref())
            .push_bind(event.event_type.as_deref())
            .push_bind(event.message_id.as_deref())
            .push_bind(event.received_at.unix_ms())
            .push_bind(event.payload.as_str());
    });
    insert.build().execute(write).await?;
    Ok(())
}

/// The next deliveries to expand, at most `limit`: those to be replayed, else the new ones in
/// order of arrival.
///
/// # Errors
/// If SQLite fails or a row is damaged.
pub async fn waiting(read: &SqlitePool, limit: u32) -> Result<Vec<WaitingEvent>, CatalogueError> {
    let replayed = sqlx::query(
        "SELECT event_row_id, app_id, received_at, payload
         FROM events
         WHERE event_row_id IN (SELECT event_row_id FROM event_outcomes WHERE result = 'pending' LIMIT ?)",
    );
    let rows = replayed.bind(limit).fetch_all(read).await?;
    if !rows.is_empty() {
        return rows.iter().map(read_waiting).collect();
    }
    let new = sqlx::query(
        "SELECT event_row_id, app_id, received_at, payload
         FROM events
         WHERE event_row_id > (SELECT expanded_through FROM inbox_cursor)
         ORDER BY event_row_id
         LIMIT ?",
    );
    let rows = new.bind(limit).fetch_all(read).await?;
    rows.iter().map(read_waiting).collect()
}

fn read_waiting(row: &sqlx::sqlite::SqliteRow) -> Result<WaitingEvent, CatalogueError> {
    let id: i64 = row.try_get("event_row_id")?;
    let bad = |column, message: String| CatalogueError::BadValue { table: "events", column, row: id, message };
    let app_id: String = row.try_get("app_id")?;
    let received_at: i64 = row.try_get("received_at")?;
    Ok(WaitingEvent {
        id: EventRowId(id),
        app_id: app_id.parse().map_err(|error| bad("app_id", format!("{error}")))?,
        received_at: Timestamp::from_unix_ms(received_at)
            .ok_or_else(|| bad("received_at", format!("{received_at} is no time")))?,
        payload: row.try_get("payload")?,
    })
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
    let mut clear = QueryBuilder::<Sqlite>::new("DELETE FROM event_outcomes WHERE event_row_id IN (");
    let mut ids = clear.separated(", ");
    for (id, _) in settled {
        ids.push_bind(id.0);
    }
    clear.push(")");
    clear.build().persistent(false).execute(transaction.connection()).await?;
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
pub async fn backlog(read: &SqlitePool) -> Result<Option<Timestamp>, CatalogueError> {
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
