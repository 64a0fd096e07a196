//! Cleared causes: what a chat had blocked is due again once an event tells that the cause is gone.
//!
//! What counts is whether the last try began before the event came. A try that was under way
//! meanwhile is made good for when it ends; one that began later is believed, so that nothing is
//! tried over and over.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::retry::json_list;
use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, ChatId, ResourceId};
use crate::domain::reason::ReasonCode;

/// How many resources become due at once: the writer is held for milliseconds, however many a
/// chat has blocked.
pub const BATCH: u32 = 500;

/// The reasons that an event about a chat may clear.
const CLEARED_BY_EVENTS: [ReasonCode; 2] = [ReasonCode::AppNotInChat, ReasonCode::RestrictedMode];

/// Whether an event about a chat may clear what blocks a resource for this reason.
#[must_use]
pub fn may_be_cleared(reason: ReasonCode) -> bool {
    CLEARED_BY_EVENTS.contains(&reason)
}

/// Makes a batch of a chat's resources due whose cause was cleared. Returns how many there were;
/// fewer than [`BATCH`] when no more are left.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue(transaction: &mut Transaction, app_id: &AppId, chat_id: &ChatId) -> Result<u64, CatalogueError> {
    let mut update = begin_requeue();
    update.push(" AND r.app_id = ").push_bind(app_id.as_str()).push(" AND r.chat_id = ").push_bind(chat_id.as_str());
    finish_requeue(&mut update);
    Ok(update.build().persistent(false).execute(transaction.connection()).await?.rows_affected())
}

/// Makes those of these resources due whose cause was cleared while they were being tried.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue_those(transaction: &mut Transaction, resources: &[ResourceId]) -> Result<(), CatalogueError> {
    let mut update = begin_requeue();
    update.push(" AND r.resource_row_id IN (SELECT value FROM json_each(").push_bind(json_list(resources)).push("))");
    finish_requeue(&mut update);
    update.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}

/// Makes a batch of resources of any chat due whose cause was cleared: what a process that ended
/// in between has left. Returns how many there were.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue_left_over(write: &SqlitePool) -> Result<u64, CatalogueError> {
    let mut update = begin_requeue();
    finish_requeue(&mut update);
    Ok(update.build().execute(write).await?.rows_affected())
}

/// The statement up to where the resources may be narrowed down. (That a blocked one is not stored
/// is said to SQLite in so many words, because one of its indexes covers what is not stored.)
fn begin_requeue() -> QueryBuilder<Sqlite> {
    let mut update = QueryBuilder::new(
        "UPDATE resources
         SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
         WHERE resource_row_id IN (
             SELECT r.resource_row_id
             FROM resources AS r
             JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id
             WHERE r.state = 'blocked' AND r.state <> 'stored' AND COALESCE((
                 SELECT started_at FROM tries
                 WHERE tries.resource_row_id = r.resource_row_id
                 ORDER BY try_row_id DESC
                 LIMIT 1
             ), 0) < CASE r.reason_code WHEN ",
    );
    update.push_bind(ReasonCode::AppNotInChat.as_str()).push(" THEN c.bot_added_at WHEN ");
    update.push_bind(ReasonCode::RestrictedMode.as_str()).push(" THEN c.downloads_allowed_at END");
    update
}

fn finish_requeue(update: &mut QueryBuilder<Sqlite>) {
    update.push(" LIMIT ").push_bind(BATCH).push(")");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{NOON_MS, Seed, Seeded};
    use crate::domain::download::State;

    #[tokio::test]
    async fn what_a_chat_had_blocked_is_due_in_batches_unless_it_was_tried_since() {
        let seeded = Seeded::new().await;
        let blocked =
            |place: u32| Seed { message_id: format!("om_{place}"), ..Seed::ended(State::Blocked, "app_not_in_chat") };
        for place in 0..BATCH + 3 {
            seeded.add("img", blocked(place)).await;
        }
        let tried_since = seeded.add("img_since", blocked(0)).await;
        let otherwise = seeded
            .add("img_other", Seed { message_id: "om_0".into(), ..Seed::ended(State::Blocked, "restricted_mode") });
        otherwise.await;
        seeded.add("img_elsewhere", Seed { chat_id: "oc_2", ..blocked(BATCH + 9) }).await;
        sqlx::query("UPDATE chats SET bot_added_at = ? WHERE chat_id = 'oc_1'")
            .bind(NOON_MS)
            .execute(seeded.catalogue.write().unwrap())
            .await
            .unwrap();
        sqlx::query("INSERT INTO tries (resource_row_id, started_at, ended_at, result) VALUES (?1, ?2, ?2, 'blocked')")
            .bind(tried_since.0)
            .bind(NOON_MS)
            .execute(seeded.catalogue.write().unwrap())
            .await
            .unwrap();

        let (app_id, chat_id) = ("cli_a".parse().unwrap(), "oc_1".parse().unwrap());
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut transaction = seeded.catalogue.begin().await.unwrap();
            counts.push(requeue(&mut transaction, &app_id, &chat_id).await.unwrap());
            transaction.commit().await.unwrap();
        }
        assert_eq!(counts, [u64::from(BATCH), 3, 0]);
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM resources WHERE state = 'blocked'")
            .fetch_one(seeded.catalogue.read())
            .await
            .unwrap();
        assert_eq!(left, 3, "the one tried since, the one blocked otherwise, and the one elsewhere");
        assert_eq!(requeue_left_over(seeded.catalogue.write().unwrap()).await.unwrap(), 0);
    }
}
