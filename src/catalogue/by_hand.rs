//! Resources that somebody asks for by name: found again, made due, given back.
//!
//! Their rows are made in `resources`, like everybody's.

use sqlx::SqlitePool;

use super::CatalogueError;
use super::resources::UNCLAIMED_STATE;
use crate::domain::id::{AppId, ResourceId, ResourceKey};
use crate::domain::resource::ResourceType;

/// The resource of a message that carries this key, if this app was shown one: a stored one before
/// others, then the newest.
///
/// # Errors
/// If SQLite fails.
pub async fn carried(
    read: &SqlitePool,
    app_id: &AppId,
    key: &ResourceKey,
    kind: ResourceType,
) -> Result<Option<ResourceId>, CatalogueError> {
    let id = sqlx::query_scalar(
        "SELECT resource_row_id FROM resources
         WHERE source = 'message' AND app_id = ? AND key = ? AND type IN (?, '') AND role <> 'forward'
         ORDER BY state = 'stored' DESC, listed_at DESC
         LIMIT 1",
    );
    let id: Option<i64> = id.bind(app_id.as_str()).bind(key.as_str()).bind(kind.as_str()).fetch_optional(read).await?;
    Ok(id.map(ResourceId))
}

/// Makes a resource due in whatever state it is, unless somebody works on it. Bytes that it has stay
/// its bytes until there are others.
///
/// # Errors
/// If SQLite fails.
pub async fn ask_again(write: &SqlitePool, id: ResourceId) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE resources
         SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
         WHERE resource_row_id = ? AND state <> 'running'",
    )
    .bind(id.0)
    .execute(write)
    .await?;
    Ok(())
}

/// Gives back one claim, if this owner still holds it.
///
/// # Errors
/// If SQLite fails.
pub async fn give_back(write: &SqlitePool, id: ResourceId, owner: &str) -> Result<(), CatalogueError> {
    let sql = format!(
        "UPDATE resources SET state = {UNCLAIMED_STATE}, lease_owner = NULL, lease_until = NULL
         WHERE resource_row_id = ? AND state = 'running' AND lease_owner = ?"
    );
    // Only our own words are in the text; the values are bound.
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(owner).execute(write).await?;
    Ok(())
}

/// Removes a resource that turned out not to exist, with its tries.
///
/// # Errors
/// If SQLite fails.
pub async fn forget(write: &SqlitePool, id: ResourceId) -> Result<(), CatalogueError> {
    sqlx::query(
        "DELETE FROM resources WHERE resource_row_id = ? AND state NOT IN ('stored', 'running') AND sha256 IS NULL",
    )
    .bind(id.0)
    .execute(write)
    .await?;
    Ok(())
}
