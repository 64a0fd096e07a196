//! Statistics: how much there is. Counters are kept with every change, so the answer costs the
//! same at every size of the archive.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::connections::Connections;
use super::days::{self, DayTally};
use super::listing::chat::person_of_direct_chat;
use super::listing::selection::apps_of;
use super::{Catalogue, CatalogueError};
use crate::domain::chat::Title;
use crate::domain::download::State;
use crate::domain::id::{AppId, ChatId};
use crate::domain::resource::Role;
use crate::domain::time::Timestamp;

/// Days in a breakdown: a month, as a screen shows it.
const DAYS: u32 = 31;
/// Chats in a breakdown.
const LARGEST_CHATS: u32 = 10;

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

/// The statistics with what they are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Breakdown {
    /// The whole.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// The newest days that brought something, newest first.
    pub days: Vec<DayTally>,
    /// The chats with the most stored bytes, the largest first.
    pub largest_chats: Vec<LargeChat>,
}

/// A chat that has much in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LargeChat {
    /// The app that sees it.
    pub app_id: AppId,
    /// The chat.
    pub chat_id: ChatId,
    /// Its name, if it was looked up.
    pub chat_name: Option<String>,
    /// `p2p` or `group`.
    #[serde(skip)]
    pub chat_type: Option<String>,
    /// What the one person in it is called, where there is but one.
    #[serde(skip)]
    pub person: Option<String>,
    /// Its stored resources.
    pub stored: u64,
    /// Their bytes, equal ones counted each time.
    pub bytes: u64,
}

impl LargeChat {
    /// What people know it by.
    #[must_use]
    pub fn title(&self) -> Title<'_> {
        Title::new(&self.chat_id, self.chat_name.as_deref(), self.chat_type.as_deref(), self.person.as_deref())
    }
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
    let mut snapshot = catalogue.snapshot().await?;
    read(snapshot.connection()).await
}

/// The statistics of one moment, by day and by chat too.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn breakdown(catalogue: &Catalogue) -> Result<Breakdown, CatalogueError> {
    let mut snapshot = catalogue.snapshot().await?;
    Ok(Breakdown {
        statistics: read(snapshot.connection()).await?,
        days: days::newest(snapshot.connection(), catalogue.zone(), DAYS).await?,
        largest_chats: largest_chats(snapshot.connection()).await?,
    })
}

async fn read(snapshot: &mut SqliteConnection) -> Result<Statistics, CatalogueError> {
    let mut statistics = Statistics::default();
    add_tallies(&mut statistics, snapshot).await?;
    add_totals(&mut statistics, snapshot).await?;
    statistics.saved_bytes = statistics.bytes.saturating_sub(statistics.blob_bytes);
    statistics.oldest_pending_at = oldest_pending_at(snapshot).await?;
    statistics.last_event_at = last_event_at(snapshot).await?;
    Ok(statistics)
}

async fn add_tallies(statistics: &mut Statistics, db: &mut SqliteConnection) -> Result<(), CatalogueError> {
    let rows = sqlx::query("SELECT role, state, resources, bytes FROM tallies").fetch_all(db).await?;
    for row in &rows {
        let role: Role = parsed(row.try_get("role")?, "tallies", "role")?;
        let state: State = parsed(row.try_get("state")?, "tallies", "state")?;
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

/// When the oldest unfinished resource of these apps was first heard of.
///
/// # Errors
/// If SQLite fails.
pub async fn oldest_pending_of(read: &Connections, apps: &[AppId]) -> Result<Option<Timestamp>, CatalogueError> {
    // The plus keeps SQLite from reading all rows of an app to sort them: the index of the unfinished
    // ones begins with the oldest.
    let oldest = sqlx::query_scalar(
        "SELECT seen_at FROM resources
         WHERE state IN ('pending', 'running') AND +app_id IN (SELECT value FROM json_each(?))
         ORDER BY resource_row_id
         LIMIT 1",
    );
    let seen_at: Option<i64> = oldest.bind(list(apps)).fetch_optional(read).await?;
    seen_at.map(|ms| time(ms, "resources", "seen_at")).transpose()
}

/// The apps beside these that have unfinished resources, and how many.
///
/// # Errors
/// If SQLite fails.
pub async fn unfinished_of_others(read: &Connections, apps: &[AppId]) -> Result<Vec<(String, u64)>, CatalogueError> {
    // Only the rows of other apps are counted, in the indexes of the queue: all resources of all apps may be a million.
    let others = format!(
        "WITH others AS (
             SELECT app_id, (
                 SELECT COUNT(*) FROM resources AS r INDEXED BY resources_due
                 WHERE r.app_id = apps.app_id AND r.state = 'pending' AND r.next_attempt_at IS NULL
             ) + (
                 SELECT COUNT(*) FROM resources AS r INDEXED BY resources_waiting
                 WHERE r.app_id = apps.app_id AND r.state = 'pending' AND r.next_attempt_at IS NOT NULL
             ) + (
                 SELECT COUNT(*) FROM resources AS r INDEXED BY resources_running
                 WHERE r.app_id = apps.app_id AND r.state = 'running'
             ) AS waiting
             FROM {apps} AS apps
             WHERE app_id NOT IN (SELECT value FROM json_each(?))
         )
         SELECT app_id, waiting FROM others WHERE waiting > 0 ORDER BY app_id",
        apps = apps_of("resources"),
    );
    // Only our own words are in the text; the ids are bound.
    let others: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(others)).bind(list(apps)).fetch_all(read).await?;
    others.into_iter().map(|(app_id, waiting)| Ok((app_id, count(waiting, "resources", "app_id")?))).collect()
}

fn list(apps: &[AppId]) -> String {
    serde_json::json!(apps.iter().map(AppId::as_str).collect::<Vec<_>>()).to_string()
}

async fn last_event_at(db: &mut SqliteConnection) -> Result<Option<Timestamp>, CatalogueError> {
    let received_at: Option<i64> =
        sqlx::query_scalar("SELECT received_at FROM events ORDER BY event_row_id DESC LIMIT 1")
            .fetch_optional(db)
            .await?;
    received_at.map(|ms| time(ms, "events", "received_at")).transpose()
}

async fn largest_chats(db: &mut SqliteConnection) -> Result<Vec<LargeChat>, CatalogueError> {
    let rows = sqlx::query(concat!(
        "SELECT t.app_id, t.chat_id, c.name, c.chat_type, t.resources, t.bytes, ",
        person_of_direct_chat!(),
        " AS person
         FROM chat_tallies AS t
         LEFT JOIN chats AS c ON c.app_id = t.app_id AND c.chat_id = t.chat_id
         WHERE t.state = 'stored' AND t.bytes > 0 AND t.chat_id <> ''
         ORDER BY t.bytes DESC
         LIMIT ?",
    ))
    .bind(LARGEST_CHATS)
    .fetch_all(db)
    .await?;
    let chat = |row: &SqliteRow| {
        Ok(LargeChat {
            app_id: parsed(row.try_get("app_id")?, "chat_tallies", "app_id")?,
            chat_id: parsed(row.try_get("chat_id")?, "chat_tallies", "chat_id")?,
            chat_name: row.try_get("name")?,
            chat_type: row.try_get("chat_type")?,
            person: row.try_get("person")?,
            stored: count(row.try_get("resources")?, "chat_tallies", "resources")?,
            bytes: count(row.try_get("bytes")?, "chat_tallies", "bytes")?,
        })
    };
    rows.iter().map(chat).collect()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: String,
    table: &'static str,
    column: &'static str,
) -> Result<T, CatalogueError> {
    text.parse().map_err(|error: T::Err| bad(table, column, error.to_string()))
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
