//! Cleared causes: what a chat had blocked is due again once an event tells that the cause is gone.
//!
//! What counts is whether the last try began before the event came. A try that was under way
//! meanwhile is made good for when it ends; one that began later is believed, so that nothing is
//! tried over and over. What lies in a forward was blocked by the forward's chat, not by its own.

use sqlx::{QueryBuilder, Sqlite};

use super::{BATCH, Portion};
use crate::catalogue::retry::json_list;
use crate::catalogue::{CatalogueError, Transaction};
use crate::domain::id::{AppId, ChatId, MessageId, ResourceId};
use crate::domain::reason::ReasonCode;

/// The reasons that an event about a chat may clear.
const CLEARED_BY_EVENTS: [ReasonCode; 2] = [ReasonCode::AppNotInChat, ReasonCode::RestrictedMode];

/// Whether an event about a chat may clear what blocks a resource for this reason.
#[must_use]
pub fn may_be_cleared(reason: ReasonCode) -> bool {
    CLEARED_BY_EVENTS.contains(&reason)
}

/// What is looked through for cleared causes.
#[derive(Debug, Clone, Copy)]
enum Among<'a, T> {
    Chat(&'a AppId, &'a ChatId),
    These(T),
}

/// Makes a batch of a chat's resources and quoted messages due whose cause was cleared.
pub(super) async fn requeue_next(
    transaction: &mut Transaction,
    app_id: &AppId,
    chat_id: &ChatId,
) -> Result<Portion, CatalogueError> {
    let resources = requeue_resources(transaction, Among::Chat(app_id, chat_id)).await?;
    Ok(resources.and(requeue_quotes(transaction, Among::Chat(app_id, chat_id)).await?))
}

/// Makes those of these resources due whose cause was cleared while they were being tried.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue_those(transaction: &mut Transaction, resources: &[ResourceId]) -> Result<(), CatalogueError> {
    requeue_resources(transaction, Among::These(resources)).await?;
    Ok(())
}

/// Makes a quoted message due if its cause was cleared while it was being asked for.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue_quoted(
    transaction: &mut Transaction,
    message: (&AppId, &MessageId),
) -> Result<(), CatalogueError> {
    requeue_quotes(transaction, Among::These(message)).await?;
    Ok(())
}

/// Resources `r` and the chat `c` that they are asked in: their message's, or the forward's. Only
/// forwards hold other messages. `CROSS JOIN` is SQLite's way of saying in which order to look: from
/// what is given to what is not, never through everything that is blocked.
type Places = [&'static str; 2];
const FROM_THE_CHAT: Places = [
    "chats AS c
     CROSS JOIN resources AS r ON r.app_id = c.app_id AND r.chat_id = c.chat_id AND r.download_message_id IS NULL",
    "chats AS c
     CROSS JOIN messages AS f ON f.app_id = c.app_id AND f.chat_id = c.chat_id AND f.message_type = 'merge_forward'
     CROSS JOIN resources AS r ON r.app_id = f.app_id AND r.download_message_id = f.message_id",
];
const FROM_THE_RESOURCES: Places = [
    "resources AS r
     CROSS JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id AND r.download_message_id IS NULL",
    "resources AS r
     CROSS JOIN messages AS f
         ON f.app_id = r.app_id AND f.message_id = r.download_message_id AND f.message_type = 'merge_forward'
     CROSS JOIN chats AS c ON c.app_id = f.app_id AND c.chat_id = f.chat_id",
];

async fn requeue_resources(
    transaction: &mut Transaction,
    among: Among<'_, &[ResourceId]>,
) -> Result<Portion, CatalogueError> {
    let mut update = QueryBuilder::new(
        "UPDATE resources
         SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
         WHERE resource_row_id IN (",
    );
    let places = match among {
        Among::Chat(..) => FROM_THE_CHAT,
        Among::These(_) => FROM_THE_RESOURCES,
    };
    for (number, place) in places.into_iter().enumerate() {
        update.push(if number > 0 { " UNION ALL " } else { "" });
        update.push("SELECT r.resource_row_id FROM ").push(place).push(
            " WHERE r.state = 'blocked' AND COALESCE((
                 SELECT started_at FROM tries
                 WHERE tries.resource_row_id = r.resource_row_id
                 ORDER BY try_row_id DESC
                 LIMIT 1
             ), 0) < ",
        );
        push_cleared_at(&mut update, "r.reason_code");
        match among {
            Among::Chat(app_id, chat_id) => push_chat(&mut update, app_id, chat_id),
            Among::These(ids) => {
                update.push(" AND r.resource_row_id IN (SELECT value FROM json_each(");
                update.push_bind(json_list(ids)).push("))");
            }
        }
    }
    finish(update, transaction).await
}

async fn requeue_quotes(
    transaction: &mut Transaction,
    among: Among<'_, (&AppId, &MessageId)>,
) -> Result<Portion, CatalogueError> {
    let mut update = QueryBuilder::new(
        "UPDATE quoted_messages SET state = 'pending', attempts = 0
         WHERE quoted_row_id IN (
             SELECT q.quoted_row_id
             FROM quoted_messages AS q
             JOIN chats AS c ON c.app_id = q.app_id AND c.chat_id = q.chat_id
             WHERE q.state = 'failed' AND COALESCE(q.asked_at, 0) < ",
    );
    push_cleared_at(&mut update, "q.reason_code");
    match among {
        Among::Chat(app_id, chat_id) => push_chat(&mut update, app_id, chat_id),
        Among::These((app_id, message_id)) => {
            update.push(" AND q.app_id = ").push_bind(app_id.as_str().to_owned());
            update.push(" AND q.message_id = ").push_bind(message_id.as_str().to_owned());
        }
    }
    finish(update, transaction).await
}

/// When the chat `c` cleared the cause in this column; NULL if it did not, or cannot.
fn push_cleared_at(sql: &mut QueryBuilder<Sqlite>, reason: &str) {
    sql.push("CASE ").push(reason).push(" WHEN ").push_bind(ReasonCode::AppNotInChat.as_str());
    sql.push(" THEN c.bot_added_at WHEN ").push_bind(ReasonCode::RestrictedMode.as_str());
    sql.push(" THEN c.downloads_allowed_at END");
}

fn push_chat(sql: &mut QueryBuilder<Sqlite>, app_id: &AppId, chat_id: &ChatId) {
    sql.push(" AND c.app_id = ").push_bind(app_id.as_str().to_owned());
    sql.push(" AND c.chat_id = ").push_bind(chat_id.as_str().to_owned());
}

async fn finish(mut update: QueryBuilder<Sqlite>, transaction: &mut Transaction) -> Result<Portion, CatalogueError> {
    update.push(" LIMIT ").push_bind(BATCH).push(")");
    let done = update.build().persistent(false).execute(transaction.connection()).await?;
    Ok(Portion::of(done.rows_affected()))
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
            let portion = requeue_next(&mut transaction, &app_id, &chat_id).await.unwrap();
            counts.push((portion.count, portion.is_full));
            transaction.commit().await.unwrap();
        }
        assert_eq!(counts, [(u64::from(BATCH), true), (3, false), (0, false)]);
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM resources WHERE state = 'blocked'")
            .fetch_one(seeded.catalogue.read())
            .await
            .unwrap();
        assert_eq!(left, 3, "the one tried since, the one blocked otherwise, and the one elsewhere");
    }
}
