//! Forwards in the queue, and resources that are asked from the same forward.

use sqlx::{QueryBuilder, Sqlite};

use super::connections::Connections;
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
    read: &Connections,
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
     SET state = 'stored', blob_row_id = source.blob_row_id, size_bytes = source.size_bytes, mime = source.mime,
         file_name = COALESCE(twin.file_name, source.file_name), stored_at = source.stored_at,
         reason_code = NULL, upstream_http_status = NULL, upstream_code = NULL, upstream_msg = NULL,
         upstream_log_id = NULL, next_attempt_at = NULL, failures = 0, failures_alike = 0, rate_waits = 0,
         failing_since = NULL
     FROM resources AS source
     WHERE source.source = 'message' AND source.state = 'stored' AND twin.source = 'message'
         AND twin.state NOT IN ('stored', 'running') AND twin.app_id = source.app_id
         AND twin.download_message_id = COALESCE(
             source.download_message_id,
             (SELECT m.message_id FROM messages AS m WHERE m.message_row_id = source.message_row_id), source.owner
         )
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
             SELECT r.resource_row_id FROM messages AS m JOIN resources AS r USING (message_row_id)
             WHERE m.app_id = ?1 AND m.message_id = ?2 AND r.source = 'message' AND r.state = 'stored'
             UNION ALL
             SELECT resource_row_id FROM resources
             WHERE app_id = ?1 AND source = 'message' AND owner = ?2 AND message_row_id IS NULL AND state = 'stored'
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

/// A message that the platform listed.
#[derive(Debug)]
pub struct ListedMessage<'a> {
    /// The app that asked.
    pub app_id: &'a AppId,
    /// The message that it asked for.
    pub asked: &'a MessageId,
    /// The message that was listed: that one, or one inside it. It is in the catalogue.
    pub message_id: &'a MessageId,
}

/// Records which messages were listed for which. Triggers pass on recalls, in whichever order
/// they come.
///
/// # Errors
/// If SQLite fails.
pub async fn note_listed(transaction: &mut Transaction, listed: &[ListedMessage<'_>]) -> Result<(), CatalogueError> {
    if listed.is_empty() {
        return Ok(());
    }
    let mut insert = QueryBuilder::<Sqlite>::new("WITH listed (app_id, asked, message_id) AS (");
    insert.push_values(listed, |mut row, listed| {
        row.push_bind(listed.app_id.as_str()).push_bind(listed.asked.as_str()).push_bind(listed.message_id.as_str());
    });
    insert.push(
        ") INSERT INTO listed_messages (app_id, asked_message_id, message_row_id)
         SELECT listed.app_id, listed.asked, m.message_row_id
         FROM listed
         JOIN messages AS m ON m.app_id = listed.app_id AND m.message_id = listed.message_id
         WHERE TRUE
         ON CONFLICT (app_id, asked_message_id, message_row_id) DO NOTHING",
    );
    insert.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}
