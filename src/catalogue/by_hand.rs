//! Resources that somebody asks for by name: found again, made due, given back.
//!
//! Their rows are made in `resources`, like everybody's.

use super::connections::Connections;
use super::custody::END_CLAIM;
use super::resources::Identity;
use super::{CatalogueError, Transaction, requeue};
use crate::domain::id::{AppId, ResourceId, ResourceKey};
use crate::domain::resource::ResourceType;
use crate::domain::source::Target;

/// The resource of a message that carries this key, if this app was shown one: a stored one before
/// others, then the newest.
///
/// # Errors
/// If SQLite fails.
pub async fn carried(
    read: &Connections,
    app_id: &AppId,
    key: &ResourceKey,
    kind: ResourceType,
) -> Result<Option<ResourceId>, CatalogueError> {
    // Keys are found by their ends; the plus keeps SQLite from walking through all that the app has.
    let id = sqlx::query_scalar(
        "SELECT resource_row_id FROM resources
         WHERE source = 'message' AND substr(key, -8) = substr(?2, -8) AND key = ?2 AND +app_id = ?1
             AND type IN (?3, '') AND role <> 'forward'
         ORDER BY state = 'stored' DESC, listed_at DESC
         LIMIT 1",
    );
    let id: Option<i64> = id.bind(app_id.as_str()).bind(key.as_str()).bind(kind.as_str()).fetch_optional(read).await?;
    Ok(id.map(ResourceId))
}

/// Whether it is known in which tenant's name an app asks for this: by its message, or because it was
/// asked for before.
///
/// # Errors
/// If SQLite fails.
pub async fn knows_tenant(read: &Connections, app_id: &AppId, target: &Target) -> Result<bool, CatalogueError> {
    let identity = Identity::of(target);
    let known = sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT 1 FROM resources
             WHERE app_id = ?1 AND source = ?2 AND owner = ?3 AND type = ?4 AND key = ?5 AND tenant_key IS NOT NULL
                 AND (source <> 'message' OR message_row_id IS NULL)
         ) OR EXISTS (
             SELECT 1 FROM messages AS m
             LEFT JOIN resources AS r
                 ON r.message_row_id = m.message_row_id AND r.source = ?2 AND r.type = ?4 AND r.key = ?5
             WHERE ?2 = 'message' AND m.app_id = ?1 AND m.message_id = ?3
                 AND COALESCE(m.tenant_key, r.tenant_key) IS NOT NULL
         )",
    );
    let known = known.bind(app_id.as_str()).bind(identity.source.as_str()).bind(&identity.owner);
    let known = known.bind(identity.kind.map_or("", ResourceType::as_str)).bind(&identity.key);
    Ok(known.fetch_one(read).await?)
}

/// Makes a resource due in whatever state it is, unless somebody works on it. Bytes that it has stay
/// its bytes until there are others.
///
/// # Errors
/// If SQLite fails.
pub async fn ask_again(transaction: &mut Transaction, id: ResourceId) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE resources
         SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
         WHERE resource_row_id = ? AND state <> 'running'",
    )
    .bind(id.0)
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Makes a resource due that the configuration or this machine blocks: either may be another one now.
///
/// # Errors
/// If SQLite fails.
pub async fn ask_again_if_configured(transaction: &mut Transaction, id: ResourceId) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE resources
         SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
         WHERE resource_row_id = ? AND state = 'blocked' AND reason_code IN (SELECT value FROM json_each(?))",
    )
    .bind(id.0)
    .bind(requeue::cleared_by_start())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives back one claim, if this owner still holds it.
///
/// # Errors
/// If SQLite fails.
pub async fn give_back(write: &Connections, id: ResourceId, owner: &str) -> Result<(), CatalogueError> {
    let sql = format!(
        "UPDATE resources SET {END_CLAIM}
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
pub async fn forget(write: &Connections, id: ResourceId) -> Result<(), CatalogueError> {
    sqlx::query(
        "DELETE FROM resources WHERE resource_row_id = ? AND state NOT IN ('stored', 'running') AND blob_row_id IS NULL",
    )
    .bind(id.0)
    .execute(write)
    .await?;
    Ok(())
}
