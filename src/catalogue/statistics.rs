//! Statistics: how much there is. Counters are kept with every change, so the answer costs the
//! same at every size of the archive.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Row as _, SqliteConnection};

use super::{Catalogue, CatalogueError};
use crate::domain::download::State;
use crate::domain::resource::Role;
use crate::domain::time::Timestamp;

/// What is in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Statistics {
    /// Resources in each state.
    pub states: BTreeMap<State, u64>,
    /// Resources in each role.
    pub roles: BTreeMap<Role, u64>,
    /// Messages seen.
    pub messages: u64,
    /// Chats seen.
    pub chats: u64,
    /// Resources of every state.
    pub resources: u64,
    /// Bytes of stored resources, equal ones counted each time.
    pub bytes: u64,
    /// Different blobs in the store.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes that need no space because equal ones are kept once.
    pub saved_bytes: u64,
    /// When the oldest resource that is still being worked on was first heard of.
    pub oldest_pending_at: Option<Timestamp>,
    /// When the last authentic event came in.
    pub last_event_at: Option<Timestamp>,
}

impl Default for Statistics {
    /// An empty archive: every state and every role is there, with none.
    fn default() -> Self {
        Self {
            states: State::ALL.iter().map(|state| (*state, 0)).collect(),
            roles: Role::ALL.iter().map(|role| (*role, 0)).collect(),
            messages: 0,
            chats: 0,
            resources: 0,
            bytes: 0,
            blobs: 0,
            blob_bytes: 0,
            saved_bytes: 0,
            oldest_pending_at: None,
            last_event_at: None,
        }
    }
}

/// The statistics of one moment.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn statistics(catalogue: &Catalogue) -> Result<Statistics, CatalogueError> {
    // One transaction, so that the numbers belong together while the writer goes on.
    let mut snapshot = catalogue.read().begin().await?;
    let mut statistics = Statistics::default();
    add_tallies(&mut statistics, &mut snapshot).await?;
    add_totals(&mut statistics, &mut snapshot).await?;
    statistics.saved_bytes = statistics.bytes.saturating_sub(statistics.blob_bytes);
    statistics.oldest_pending_at = oldest_pending_at(&mut snapshot).await?;
    statistics.last_event_at = last_event_at(&mut snapshot).await?;
    Ok(statistics)
}

async fn add_tallies(statistics: &mut Statistics, db: &mut SqliteConnection) -> Result<(), CatalogueError> {
    let rows = sqlx::query("SELECT role, state, resources, bytes FROM tallies").fetch_all(db).await?;
    for row in &rows {
        let role: Role = parsed(row.try_get("role")?, "role")?;
        let state: State = parsed(row.try_get("state")?, "state")?;
        let resources = count(row.try_get("resources")?, "tallies", "resources")?;
        *statistics.roles.entry(role).or_default() += resources;
        *statistics.states.entry(state).or_default() += resources;
        statistics.resources += resources;
        if state == State::Stored {
            statistics.bytes += count(row.try_get("bytes")?, "tallies", "bytes")?;
        }
    }
    Ok(())
}

async fn add_totals(statistics: &mut Statistics, db: &mut SqliteConnection) -> Result<(), CatalogueError> {
    let rows = sqlx::query("SELECT name, value FROM totals").fetch_all(db).await?;
    for row in &rows {
        let value = count(row.try_get("value")?, "totals", "value")?;
        match row.try_get("name")? {
            "messages" => statistics.messages = value,
            "chats" => statistics.chats = value,
            "blobs" => statistics.blobs = value,
            "blob_bytes" => statistics.blob_bytes = value,
            other => return Err(bad("totals", "name", format!("{other:?} is no total"))),
        }
    }
    Ok(())
}

/// Rows are numbered in the order in which resources are heard of, and the unfinished ones have
/// an index of their own, so the first of it is the oldest.
async fn oldest_pending_at(db: &mut SqliteConnection) -> Result<Option<Timestamp>, CatalogueError> {
    let seen_at: Option<i64> = sqlx::query_scalar(
        "SELECT seen_at FROM resources WHERE state IN ('pending', 'running') ORDER BY resource_row_id LIMIT 1",
    )
    .fetch_optional(db)
    .await?;
    seen_at.map(|ms| time(ms, "resources", "seen_at")).transpose()
}

async fn last_event_at(db: &mut SqliteConnection) -> Result<Option<Timestamp>, CatalogueError> {
    let received_at: Option<i64> =
        sqlx::query_scalar("SELECT received_at FROM events ORDER BY event_row_id DESC LIMIT 1")
            .fetch_optional(db)
            .await?;
    received_at.map(|ms| time(ms, "events", "received_at")).transpose()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: String,
    column: &'static str,
) -> Result<T, CatalogueError> {
    text.parse().map_err(|error: T::Err| bad("tallies", column, error.to_string()))
}

fn count(value: i64, table: &'static str, column: &'static str) -> Result<u64, CatalogueError> {
    u64::try_from(value).map_err(|_| bad(table, column, format!("{value} is not a count")))
}

fn time(ms: i64, table: &'static str, column: &'static str) -> Result<Timestamp, CatalogueError> {
    Timestamp::from_unix_ms(ms).ok_or_else(|| bad(table, column, format!("{ms} is not a time")))
}

fn bad(table: &'static str, column: &'static str, message: String) -> CatalogueError {
    // Counters have no row numbers; there are so few of them that the column leads there.
    CatalogueError::BadValue { table, column, row: 0, message }
}
