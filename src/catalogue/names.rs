//! Names of chats and people: whose are due to be looked up, and what was found.
//!
//! A name is due at first sight, and again when it has grown old; until when a name counts as
//! young is decided by whoever looks it up.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::connections::Connections;
use super::tenants::TENANT_OF_PLACE;
use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, ChatId, OpenId, TenantKey};
use crate::domain::time::Timestamp;

/// Names in one statement: two bound values each, well below SQLite's limit.
const NAMES_IN_ONE_STATEMENT: usize = 1000;

/// A chat whose name is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamelessChat {
    /// The chat.
    pub chat_id: ChatId,
    /// The tenant in whose name to ask, if a message told one.
    pub tenant_key: Option<TenantKey>,
}

/// Chats whose name is due, the longest due first; chats of one person with the bot have none.
///
/// # Errors
/// If SQLite fails.
pub async fn chats_due(
    read: &Connections,
    app_id: &AppId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<NamelessChat>, CatalogueError> {
    let sql = format!(
        "SELECT chat_row_id, chat_id, {TENANT_OF_PLACE} AS tenant_key FROM chats AS place
         WHERE app_id = ? AND name_due_at <= ? AND chat_type IS NOT 'p2p'
         ORDER BY name_due_at
         LIMIT +?"
    );
    // Only our own words are in the text; the values are bound.
    let due = sqlx::query(sqlx::AssertSqlSafe(sql));
    let rows = due.bind(app_id.as_str()).bind(now.unix_ms()).bind(limit).fetch_all(read).await?;
    let nameless = |row: &SqliteRow| {
        let chat_id = required(row, "chats", "chat_row_id", "chat_id")?;
        Ok(NamelessChat { chat_id, tenant_key: tenant_key(row)? })
    };
    rows.iter().map(nameless).collect()
}

/// A person whose name is due, and a chat that they were seen in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameless {
    /// The person.
    pub open_id: OpenId,
    /// The chat.
    pub chat_id: Option<ChatId>,
    /// The tenant in whose name to ask, if a message in that chat told one.
    pub tenant_key: Option<TenantKey>,
}

/// People whose name is due, the longest due first.
///
/// # Errors
/// If SQLite fails.
pub async fn people_due(
    read: &Connections,
    app_id: &AppId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Nameless>, CatalogueError> {
    let sql = format!(
        "SELECT sender_row_id, open_id, chat_id, {TENANT_OF_PLACE} AS tenant_key FROM senders AS place
         WHERE app_id = ? AND name_due_at <= ?
         ORDER BY name_due_at
         LIMIT +?"
    );
    // Only our own words are in the text; the values are bound.
    let due = sqlx::query(sqlx::AssertSqlSafe(sql));
    let rows = due.bind(app_id.as_str()).bind(now.unix_ms()).bind(limit).fetch_all(read).await?;
    let nameless = |row: &SqliteRow| {
        let chat_id: Option<String> = row.try_get("chat_id")?;
        let open_id = required(row, "senders", "sender_row_id", "open_id")?;
        let chat_id = chat_id.and_then(|chat_id| chat_id.parse().ok());
        Ok(Nameless { open_id, chat_id, tenant_key: tenant_key(row)? })
    };
    rows.iter().map(nameless).collect()
}

/// Whether the list of a chat's members is due to be read.
///
/// # Errors
/// If SQLite fails.
pub async fn members_due(
    read: &Connections,
    app_id: &AppId,
    chat_id: &ChatId,
    now: Timestamp,
) -> Result<bool, CatalogueError> {
    let due = sqlx::query_scalar("SELECT members_due_at <= ? FROM chats WHERE app_id = ? AND chat_id = ?");
    let due: Option<bool> =
        due.bind(now.unix_ms()).bind(app_id.as_str()).bind(chat_id.as_str()).fetch_optional(read).await?;
    Ok(due.unwrap_or(false))
}

/// Records what a chat was called when somebody looked; it has no name if none was found. What an
/// event told later than `asked_at` stays.
///
/// # Errors
/// If SQLite fails.
pub async fn name_chat(
    transaction: &mut Transaction,
    (app_id, chat_id): (&AppId, &ChatId),
    name: Option<&str>,
    asked_at: Timestamp,
    due_at: Timestamp,
) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE chats SET
             name = iif(name_told_at > ?1, name, ?2),
             name_told_at = MAX(COALESCE(name_told_at, 0), ?1),
             name_due_at = ?3
         WHERE app_id = ?4 AND chat_id = ?5",
    )
    .bind(asked_at.unix_ms())
    .bind(name)
    .bind(due_at.unix_ms())
    .bind(app_id.as_str())
    .bind(chat_id.as_str())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Records the names of people, as far as they have sent something or were mentioned; others are
/// not kept.
///
/// # Errors
/// If SQLite fails.
pub async fn name_people(
    transaction: &mut Transaction,
    app_id: &AppId,
    people: &[(OpenId, String)],
    due_at: Timestamp,
) -> Result<(), CatalogueError> {
    for some in people.chunks(NAMES_IN_ONE_STATEMENT) {
        let mut update = QueryBuilder::<Sqlite>::new("WITH found (open_id, name) AS (");
        update.push_values(some, |mut row, (open_id, name)| {
            row.push_bind(open_id.as_str()).push_bind(name.as_str());
        });
        update.push(") UPDATE senders SET name = found.name, name_due_at = ").push_bind(due_at.unix_ms());
        update.push(" FROM found WHERE senders.open_id = found.open_id AND senders.app_id = ");
        update.push_bind(app_id.as_str());
        update.build().persistent(false).execute(transaction.connection()).await?;
    }
    Ok(())
}

/// Lets a chat's name rest until `due_at`.
///
/// # Errors
/// If SQLite fails.
pub async fn postpone_chat(
    transaction: &mut Transaction,
    app_id: &AppId,
    chat_id: &ChatId,
    due_at: Timestamp,
) -> Result<(), CatalogueError> {
    let update = sqlx::query("UPDATE chats SET name_due_at = ? WHERE app_id = ? AND chat_id = ?");
    update
        .bind(due_at.unix_ms())
        .bind(app_id.as_str())
        .bind(chat_id.as_str())
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Lets the list of a chat's members rest until `due_at`.
///
/// # Errors
/// If SQLite fails.
pub async fn postpone_members(
    transaction: &mut Transaction,
    app_id: &AppId,
    chat_id: &ChatId,
    due_at: Timestamp,
) -> Result<(), CatalogueError> {
    let update = sqlx::query("UPDATE chats SET members_due_at = ? WHERE app_id = ? AND chat_id = ?");
    update
        .bind(due_at.unix_ms())
        .bind(app_id.as_str())
        .bind(chat_id.as_str())
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Lets the names of people rest until `due_at`.
///
/// # Errors
/// If SQLite fails.
pub async fn postpone_people(
    transaction: &mut Transaction,
    app_id: &AppId,
    people: &[OpenId],
    due_at: Timestamp,
) -> Result<(), CatalogueError> {
    if people.is_empty() {
        return Ok(());
    }
    let mut update = QueryBuilder::<Sqlite>::new("UPDATE senders SET name_due_at = ");
    update.push_bind(due_at.unix_ms()).push(" WHERE app_id = ").push_bind(app_id.as_str()).push(" AND open_id IN (");
    let mut ids = update.separated(", ");
    for open_id in people {
        ids.push_bind(open_id.as_str());
    }
    update.push(")");
    update.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}

fn tenant_key(row: &SqliteRow) -> Result<Option<TenantKey>, CatalogueError> {
    let text: Option<String> = row.try_get("tenant_key")?;
    Ok(text.and_then(|text| text.parse().ok()))
}

fn required<T: std::str::FromStr<Err: std::fmt::Display>>(
    row: &SqliteRow,
    table: &'static str,
    key: &'static str,
    column: &'static str,
) -> Result<T, CatalogueError> {
    let text: String = row.try_get(column)?;
    let row = row.try_get(key)?;
    text.parse().map_err(|error: T::Err| CatalogueError::BadValue { table, column, row, message: error.to_string() })
}
