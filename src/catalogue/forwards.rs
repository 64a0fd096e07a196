//! Forwards in the queue, and resources that are asked from the same forward.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, ChatId, MessageId, ResourceId, TenantKey};

/// What the messages inside a forward inherit from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The tenant.
    pub tenant_key: Option<TenantKey>,
    /// The chat, for messages that name none.
    pub chat_id: ChatId,
}

/// Where a message of an app was seen; none if it is not in the catalogue.
///
/// # Errors
/// If SQLite fails.
pub async fn surroundings(
    read: &SqlitePool,
    app_id: &AppId,
    message_id: &MessageId,
) -> Result<Option<Surroundings>, CatalogueError> {
    let row: Option<(Option<String>, String)> =
        sqlx::query_as("SELECT tenant_key, chat_id FROM messages WHERE app_id = ? AND message_id = ?")
            .bind(app_id.as_str())
            .bind(message_id.as_str())
            .fetch_optional(read)
            .await?;
    Ok(row.and_then(|(tenant_key, chat_id)| {
        let tenant_key = tenant_key.and_then(|key| key.parse().ok());
        Some(Surroundings { tenant_key, chat_id: chat_id.parse().ok()? })
    }))
}

/// Removes forwards whose messages are listed, as far as their claims still hold.
pub(super) async fn remove_opened(
    transaction: &mut Transaction,
    owner: &str,
    opened: &[ResourceId],
) -> Result<(), CatalogueError> {
    if opened.is_empty() {
        return Ok(());
    }
    let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM resources WHERE state = 'running' AND lease_owner = ");
    delete.push_bind(owner).push(" AND resource_row_id IN (");
    let mut ids = delete.separated(", ");
    for id in opened {
        ids.push_bind(id.0);
    }
    delete.push(")");
    delete.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}

/// What a resource takes over from one whose bytes are stored.
const TAKE_BYTES: &str = "UPDATE resources AS twin
     SET state = 'stored', sha256 = source.sha256, size_bytes = source.size_bytes, mime = source.mime,
         file_name = COALESCE(twin.file_name, source.file_name), stored_at = source.stored_at,
         reason_code = NULL, upstream_http_status = NULL, upstream_code = NULL, upstream_msg = NULL,
         upstream_log_id = NULL, next_attempt_at = NULL, failures = 0, failures_alike = 0, rate_waits = 0,
         failing_since = NULL
     FROM resources AS source
     WHERE source.source = 'message' AND source.state = 'stored' AND twin.source = 'message'
         AND twin.state NOT IN ('stored', 'running') AND twin.app_id = source.app_id
         AND twin.download_message_id = COALESCE(source.download_message_id, source.owner)
         AND twin.type = source.type AND twin.key = source.key";

/// Gives the bytes of resources that were stored just now to every other resource that would be
/// asked from the same forward under the same type and key.
pub(super) async fn link_twins_of(transaction: &mut Transaction, stored: &[ResourceId]) -> Result<(), CatalogueError> {
    if stored.is_empty() {
        return Ok(());
    }
    let mut update = QueryBuilder::<Sqlite>::new(TAKE_BYTES);
    update.push(" AND source.resource_row_id IN (");
    let mut ids = update.separated(", ");
    for id in stored {
        ids.push_bind(id.0);
    }
    update.push(")");
    update.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}

/// Gives bytes that are stored already to the resources of a forward that is being opened.
///
/// # Errors
/// If SQLite fails.
pub async fn link_stored(
    transaction: &mut Transaction,
    app_id: &AppId,
    container: &MessageId,
) -> Result<(), CatalogueError> {
    let sql = format!(
        "{TAKE_BYTES} AND source.resource_row_id IN (
             SELECT resource_row_id FROM resources
             WHERE app_id = ?1 AND source = 'message' AND owner = ?2 AND state = 'stored'
             UNION ALL
             SELECT resource_row_id FROM resources
             WHERE app_id = ?1 AND download_message_id = ?2 AND state = 'stored'
         )"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(app_id.as_str())
        .bind(container.as_str())
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// What was found inside a forward that is recalled already is recalled with it, as it would be if
/// the recall had come later.
///
/// # Errors
/// If SQLite fails.
pub async fn pass_on_recall(
    transaction: &mut Transaction,
    app_id: &AppId,
    container: &MessageId,
) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE messages AS m
         SET recalled_at = recalls.recalled_at, recalled_by = recalls.recalled_by,
             hidden = (SELECT hide FROM recall_policy)
         FROM recalls
         WHERE recalls.app_id = ?1 AND recalls.message_id = ?2
             AND m.recalled_at IS NULL AND m.event_row_id IS NULL AND m.message_row_id IN (
                 SELECT message_row_id FROM resources WHERE app_id = ?1 AND download_message_id = ?2
             )",
    )
    .bind(app_id.as_str())
    .bind(container.as_str())
    .execute(transaction.connection())
    .await?;
    Ok(())
}
