//! Recalls: which messages were taken back, and whether they are shown.
//!
//! Triggers tie a recall to its message in whichever order they come; a message that comes after
//! its recall is born recalled. Who recalls a forward recalls what was only seen inside it.

use std::collections::HashSet;

use sqlx::Row;

use super::connections::Connections;
use super::requeue::{BATCH, Portion};
use super::retry::json_list;
use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, MessageId, ResourceId};
use crate::domain::message::OnRecall;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// A message that was taken back.
#[derive(Debug, Clone, Copy)]
pub struct Recall<'a> {
    /// The app that was told.
    pub app_id: &'a AppId,
    /// The message.
    pub message_id: &'a MessageId,
    /// When.
    pub recalled_at: Timestamp,
    /// By whom, in the platform's words.
    pub recalled_by: Option<&'a str>,
}

/// Records a recall, unless it is known already. What the platform refused as not being in the
/// message, or in the forward, before we knew of the recall is gone, and says so from now on.
///
/// # Errors
/// If SQLite fails.
pub async fn insert(transaction: &mut Transaction, recall: Recall<'_>) -> Result<(), CatalogueError> {
    sqlx::query(
        "INSERT INTO recalls (app_id, message_id, recalled_at, recalled_by) VALUES (?, ?, ?, ?)
         ON CONFLICT (app_id, message_id) DO NOTHING",
    )
    .bind(recall.app_id.as_str())
    .bind(recall.message_id.as_str())
    .bind(recall.recalled_at.unix_ms())
    .bind(recall.recalled_by)
    .execute(transaction.connection())
    .await?;
    sqlx::query(
        "UPDATE resources SET state = ?1, reason_code = ?2
         WHERE state = ?3 AND reason_code = ?4 AND resource_row_id IN (
             SELECT r.resource_row_id FROM messages AS m JOIN resources AS r USING (message_row_id)
             WHERE m.app_id = ?5 AND m.message_id = ?6 AND r.source = 'message'
             UNION ALL
             SELECT resource_row_id FROM resources
             WHERE app_id = ?5 AND source = 'message' AND owner = ?6 AND message_row_id IS NULL
             UNION ALL
             SELECT resource_row_id FROM resources WHERE app_id = ?5 AND download_message_id = ?6
         )",
    )
    .bind(ReasonCode::MessageDeleted.state().as_str())
    .bind(ReasonCode::MessageDeleted.as_str())
    .bind(ReasonCode::NotInMessage.state().as_str())
    .bind(ReasonCode::NotInMessage.as_str())
    .bind(recall.app_id.as_str())
    .bind(recall.message_id.as_str())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Which of these resources belong to a message that was recalled, or are fetched through one.
///
/// # Errors
/// If SQLite fails.
pub async fn among(
    transaction: &mut Transaction,
    resources: &[ResourceId],
) -> Result<HashSet<ResourceId>, CatalogueError> {
    let rows = sqlx::query(
        "SELECT resource_row_id FROM resources AS r
         WHERE resource_row_id IN (SELECT value FROM json_each(?)) AND source = 'message' AND EXISTS (
             SELECT 1 FROM recalls WHERE app_id = r.app_id AND message_id IN (
                 r.owner, r.download_message_id,
                 (SELECT m.message_id FROM messages AS m WHERE m.message_row_id = r.message_row_id)
             )
         )",
    )
    .bind(json_list(resources))
    .fetch_all(transaction.connection())
    .await?;
    rows.iter().map(|row| Ok(ResourceId(row.try_get("resource_row_id")?))).collect()
}

/// Applies a policy to every message that was or will be recalled, a portion at a time. Returns how many were shown
/// or hidden by that.
///
/// # Errors
/// If SQLite fails.
pub async fn set_policy(write: &Connections, policy: OnRecall) -> Result<u64, CatalogueError> {
    let hide = policy == OnRecall::Hide;
    sqlx::query("UPDATE recall_policy SET hide = ?").bind(hide).execute(write).await?;
    let mut changed = 0;
    loop {
        let portion = sqlx::query(
            "UPDATE messages SET hidden = ?1
             WHERE message_row_id IN (
                 SELECT message_row_id FROM messages WHERE recalled_at IS NOT NULL AND hidden = 1 - ?1 LIMIT +?2
             )",
        );
        let portion = Portion::of(portion.bind(hide).bind(BATCH).execute(write).await?.rows_affected());
        changed += portion.count;
        if !portion.is_full {
            return Ok(changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::Seeded;

    #[tokio::test]
    async fn a_policy_reaches_everything_that_was_recalled_and_nothing_else() {
        let seeded = Seeded::new().await;
        seeded
            .run(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1007)
                 INSERT INTO messages (app_id, message_id, chat_id, message_type, seen_at, recalled_at)
                 SELECT 'cli_a', 'om_' || i, 'oc_1', 'text', 0, iif(i > 7, 1, NULL) FROM n",
            )
            .await;
        let write = seeded.catalogue.write().unwrap();
        for (policy, changed) in
            [(OnRecall::Hide, 1000), (OnRecall::Hide, 0), (OnRecall::Keep, 1000), (OnRecall::Keep, 0)]
        {
            assert_eq!(set_policy(write, policy).await.unwrap(), changed);
        }
    }
}
