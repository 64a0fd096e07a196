//! Cleared causes: what a chat had blocked is due again once an event tells that the cause is gone.
//!
//! What counts is whether the last try began before the event came. A try that was under way
//! meanwhile is made good for when it ends; one that began later is believed, so that nothing is
//! tried over and over. What lies in a forward was blocked by the forward's chat, not by its own.
//!
//! However much it is, it becomes due in portions. The event's own transaction only notes the cause, and the note
//! stays until the last portion.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::connections::Connections;
use super::mended::Mended;
use super::retry::json_list;
use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, ChatId, MessageId, ResourceId};
use crate::domain::reason::ReasonCode;

/// How many resources, and how many quoted messages, become due at once: the writer is held for
/// milliseconds, however many a chat has blocked.
pub const BATCH: u32 = 500;

/// The reasons that an event about a chat may clear.
const CLEARED_BY_EVENTS: [ReasonCode; 2] = [ReasonCode::AppNotInChat, ReasonCode::RestrictedMode];

/// Whether an event about a chat may clear what blocks a resource for this reason.
#[must_use]
pub fn may_be_cleared(reason: ReasonCode) -> bool {
    CLEARED_BY_EVENTS.contains(&reason)
}

/// What became due at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// How much it was.
    pub count: u64,
    /// Whether more may be left.
    pub is_full: bool,
}

impl Portion {
    /// A portion of so many, if one may have [`BATCH`] of them.
    #[must_use]
    pub(super) fn of(count: u64) -> Self {
        Self { count, is_full: count >= u64::from(BATCH) }
    }

    /// Both portions together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, is_full: self.is_full || other.is_full }
    }
}

/// What is looked through for cleared causes.
#[derive(Debug, Clone, Copy)]
enum Among<'a, T> {
    Chat(&'a AppId, &'a ChatId),
    These(T),
}

/// Notes that an event has cleared what a chat had blocked.
///
/// # Errors
/// If SQLite fails.
pub async fn note_chat(transaction: &mut Transaction, app_id: &AppId, chat_id: &ChatId) -> Result<(), CatalogueError> {
    note(transaction, app_id, chat_id.as_str()).await
}

/// Notes that what waited for a ticket of this app need wait no longer.
///
/// # Errors
/// If SQLite fails.
pub async fn note_ticket(transaction: &mut Transaction, app_id: &AppId) -> Result<(), CatalogueError> {
    note(transaction, app_id, WHOLE_APP).await
}

/// Stands for the chat where a cause is cleared for the whole app.
const WHOLE_APP: &str = "";

async fn note(transaction: &mut Transaction, app_id: &AppId, chat_id: &str) -> Result<(), CatalogueError> {
    sqlx::query(
        "INSERT INTO cleared_causes (app_id, chat_id) VALUES (?, ?)
         ON CONFLICT (app_id, chat_id) DO UPDATE SET requeued_through = 0",
    )
    .bind(app_id.as_str())
    .bind(chat_id)
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Whether causes are noted whose resources are not all due yet.
///
/// # Errors
/// If SQLite fails.
pub async fn is_noted(read: &Connections) -> Result<bool, CatalogueError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM cleared_causes)").fetch_one(read).await?)
}

/// Makes the next portion due of what the oldest noted cause had blocked, and forgets the cause with the last one.
/// Nothing if none is noted.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue_noted(transaction: &mut Transaction) -> Result<Option<Portion>, CatalogueError> {
    let oldest = sqlx::query(
        "SELECT cleared_cause_row_id, app_id, chat_id, requeued_through
         FROM cleared_causes
         ORDER BY cleared_cause_row_id
         LIMIT 1",
    );
    let Some(cause) = oldest.fetch_optional(transaction.connection()).await? else { return Ok(None) };
    let row: i64 = cause.try_get("cleared_cause_row_id")?;
    let app_id: AppId = read(&cause, "app_id", row)?;
    let (portion, through) = if cause.try_get::<&str, _>("chat_id")? == WHOLE_APP {
        let mut walk = Mended::by_ticket(&app_id).after(cause.try_get("requeued_through")?);
        let portion = walk.requeue_next(transaction).await?;
        (portion, walk.through())
    } else {
        let chat_id: ChatId = read(&cause, "chat_id", row)?;
        (requeue(transaction, &app_id, &chat_id).await?, 0)
    };
    let done = match portion.is_full {
        true => sqlx::query("UPDATE cleared_causes SET requeued_through = ?2 WHERE cleared_cause_row_id = ?1")
            .bind(row)
            .bind(through),
        false => sqlx::query("DELETE FROM cleared_causes WHERE cleared_cause_row_id = ?").bind(row),
    };
    done.execute(transaction.connection()).await?;
    Ok(Some(portion))
}

fn read<T: FromStr<Err: Display>>(cause: &SqliteRow, column: &'static str, row: i64) -> Result<T, CatalogueError> {
    cause.try_get::<&str, _>(column)?.parse().map_err(|error: T::Err| CatalogueError::BadValue {
        table: "cleared_causes",
        column,
        row,
        message: error.to_string(),
    })
}

/// Makes a batch of a chat's resources and quoted messages due whose cause was cleared.
async fn requeue(transaction: &mut Transaction, app_id: &AppId, chat_id: &ChatId) -> Result<Portion, CatalogueError> {
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

        let mut transaction = seeded.catalogue.begin().await.unwrap();
        note_chat(&mut transaction, &"cli_a".parse().unwrap(), &"oc_1".parse().unwrap()).await.unwrap();
        transaction.commit().await.unwrap();
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut transaction = seeded.catalogue.begin().await.unwrap();
            let portion = requeue_noted(&mut transaction).await.unwrap();
            counts.push(portion.map(|portion| (portion.count, portion.is_full)));
            transaction.commit().await.unwrap();
        }
        assert_eq!(counts, [Some((u64::from(BATCH), true)), Some((3, false)), None]);
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM resources WHERE state = 'blocked'")
            .fetch_one(seeded.catalogue.read())
            .await
            .unwrap();
        assert_eq!(left, 3, "the one tried since, the one blocked otherwise, and the one elsewhere");
    }
}
