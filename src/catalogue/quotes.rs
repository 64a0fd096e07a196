//! Quoted messages: what somebody answered without it ever having been told to us.

use sqlx::{QueryBuilder, Row, Sqlite};

use super::forwards::Surroundings;
use super::listing::attention::Cause;
use super::requeue::{BATCH, Portion};
use super::{Catalogue, CatalogueError, Transaction};
use crate::domain::download::Upstream;
use crate::domain::id::{AppId, ChatId, MessageId};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// A message that quotes another.
#[derive(Debug)]
pub struct Quote<'a> {
    /// The app that was told.
    pub app_id: &'a AppId,
    /// The message that is quoted.
    pub quoted: &'a str,
    /// The message that quotes it; it is in the catalogue.
    pub by: &'a MessageId,
    /// The chat of both.
    pub chat_id: &'a ChatId,
    /// When it was seen.
    pub seen_at: Timestamp,
}

/// Remembers the quoted messages that are not in the catalogue, each once.
///
/// # Errors
/// If SQLite fails.
pub async fn insert_unseen(transaction: &mut Transaction, quotes: &[Quote<'_>]) -> Result<(), CatalogueError> {
    if quotes.is_empty() {
        return Ok(());
    }
    let mut insert = QueryBuilder::<Sqlite>::new("WITH quote (app_id, message_id, quoted_by, chat_id, seen_at) AS (");
    insert.push_values(quotes, |mut row, quote| {
        row.push_bind(quote.app_id.as_str())
            .push_bind(quote.quoted)
            .push_bind(quote.by.as_str())
            .push_bind(quote.chat_id.as_str())
            .push_bind(quote.seen_at.unix_ms());
    });
    insert.push(
        ") INSERT INTO quoted_messages (app_id, message_id, quoted_by, chat_id, state, next_attempt_at)
         SELECT quote.app_id, quote.message_id, quote.quoted_by, quote.chat_id, 'pending', quote.seen_at
         FROM quote
         WHERE NOT EXISTS (
             SELECT 1 FROM messages AS m WHERE m.app_id = quote.app_id AND m.message_id = quote.message_id
         )
         ON CONFLICT (app_id, message_id) DO UPDATE SET
             state = 'pending', attempts = 0, next_attempt_at = excluded.next_attempt_at
         WHERE state = 'failed'",
    );
    insert.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}

/// A quoted message that is to be asked for.
#[derive(Debug, Clone)]
pub struct Unseen {
    /// The message.
    pub message_id: MessageId,
    /// Where it was quoted.
    pub surroundings: Surroundings,
    /// How often it was asked for.
    pub attempts: u32,
}

/// The next quoted message of an app that is to be asked for at `now`. Those that came by
/// themselves meanwhile are settled on the way.
///
/// # Errors
/// If SQLite fails.
pub async fn next(catalogue: &Catalogue, app_id: &AppId, now: Timestamp) -> Result<Option<Unseen>, CatalogueError> {
    let due = "SELECT q.message_id, q.attempts, m.tenant_key, m.chat_id, EXISTS (
             SELECT 1 FROM messages AS known WHERE known.app_id = q.app_id AND known.message_id = q.message_id
         ) AS is_known
         FROM quoted_messages AS q
         JOIN messages AS m ON m.app_id = q.app_id AND m.message_id = q.quoted_by
         WHERE q.state = 'pending' AND q.app_id = ? AND q.next_attempt_at <= ?
         ORDER BY q.next_attempt_at
         LIMIT 1";
    loop {
        let row = sqlx::query(due).bind(app_id.as_str()).bind(now.unix_ms()).fetch_optional(catalogue.read()).await?;
        let Some(row) = row else { return Ok(None) };
        let (message_id, tenant_key, chat_id): (String, Option<String>, String) =
            (row.try_get("message_id")?, row.try_get("tenant_key")?, row.try_get("chat_id")?);
        let bad = |column| CatalogueError::BadValue {
            table: "quoted_messages",
            column,
            row: 0,
            message: "the id is empty".to_owned(),
        };
        let message_id: MessageId = message_id.parse().map_err(|_| bad("message_id"))?;
        if row.try_get("is_known")? {
            let mut transaction = catalogue.begin().await?;
            settle(&mut transaction, (app_id, &message_id), now, &Outcome::Found).await?;
            transaction.commit().await?;
            continue;
        }
        let tenant_key = tenant_key.and_then(|key| key.parse().ok());
        let chat_id = chat_id.parse().map_err(|_| bad("chat_id"))?;
        let surroundings = Surroundings { tenant_key, chat_id };
        return Ok(Some(Unseen { message_id, surroundings, attempts: row.try_get("attempts")? }));
    }
}

/// What came of asking for a quoted message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the catalogue.
    Found,
    /// It is to be asked for again.
    Later {
        /// Why.
        reason: ReasonCode,
        /// What the platform said.
        upstream: Upstream,
        /// When.
        next_attempt_at: Timestamp,
    },
    /// It cannot be had.
    Failed {
        /// Why.
        reason: ReasonCode,
        /// What the platform said.
        upstream: Upstream,
    },
}

/// Records what came of a question that began at `asked_at`.
///
/// # Errors
/// If SQLite fails.
pub async fn settle(
    transaction: &mut Transaction,
    (app_id, message_id): (&AppId, &MessageId),
    asked_at: Timestamp,
    outcome: &Outcome,
) -> Result<(), CatalogueError> {
    let nothing = Upstream::default();
    let (state, reason, upstream, next_attempt_at) = match outcome {
        Outcome::Found => ("found", None, &nothing, None),
        Outcome::Later { reason, upstream, next_attempt_at } => {
            ("pending", Some(*reason), upstream, Some(*next_attempt_at))
        }
        Outcome::Failed { reason, upstream } => ("failed", Some(*reason), upstream, None),
    };
    // Waiting for a limit or a ticket says nothing about the message.
    let is_a_wait = matches!(reason, Some(ReasonCode::RateLimited | ReasonCode::AppTicketMissing));
    sqlx::query(
        "UPDATE quoted_messages
         SET state = ?, reason_code = ?, upstream_http_status = ?, upstream_code = ?, upstream_msg = ?,
             upstream_log_id = ?, attempts = attempts + ?, next_attempt_at = COALESCE(?, next_attempt_at),
             asked_at = ?
         WHERE app_id = ? AND message_id = ?",
    )
    .bind(state)
    .bind(reason.map(ReasonCode::as_str))
    .bind(upstream.http_status)
    .bind(upstream.code)
    .bind(upstream.msg.as_deref())
    .bind(upstream.log_id.as_deref())
    .bind(!is_a_wait)
    .bind(next_attempt_at.map(Timestamp::unix_ms))
    .bind(asked_at.unix_ms())
    .bind(app_id.as_str())
    .bind(message_id.as_str())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// A portion of what failed because of the configuration or on this machine, in the order of rows.
const FAILED_BEFORE: &str = "UPDATE quoted_messages
    SET attempts = iif(state = 'failed', 0, attempts), next_attempt_at = iif(state = 'failed', next_attempt_at, 0),
        state = 'pending'
    WHERE quoted_row_id IN (
        SELECT quoted_row_id
        FROM quoted_messages INDEXED BY quoted_messages_unfound
        WHERE state <> 'found' AND quoted_row_id > ?1 AND (
            (state = 'failed' AND reason_code IN (SELECT value FROM json_each(?2)))
            OR (state = 'pending' AND reason_code = ?3 AND next_attempt_at > 0)
        )
        ORDER BY quoted_row_id
        LIMIT +?4
    )
    RETURNING quoted_row_id";

/// Makes the next portion due of what failed because of the configuration or on this machine: a start may be one with
/// another configuration or on a mended machine. What fails again meanwhile lies behind, and is believed.
pub(super) async fn requeue_by_start(transaction: &mut Transaction, after: i64) -> Result<Portion, CatalogueError> {
    // What an outage ended is tried again too, without anybody who asks for it.
    let reasons = ReasonCode::ALL.iter().filter(|reason| reason.may_clear_by_start());
    let reasons: Vec<_> = reasons.chain([&ReasonCode::AttemptsExhausted]).map(|reason| reason.as_str()).collect();
    let portion = sqlx::query(FAILED_BEFORE)
        .bind(after)
        .bind(serde_json::json!(reasons).to_string())
        .bind(ReasonCode::LocalFailure.as_str())
        .bind(BATCH);
    Portion::read(&portion.fetch_all(transaction.connection()).await?)
}

/// Makes a batch due of what could not be had for one cause, as far as nobody has asked for it since
/// `now` and it is not hidden.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn requeue_failed(
    transaction: &mut Transaction,
    cause: &Cause,
    now: Timestamp,
) -> Result<Portion, CatalogueError> {
    let done = sqlx::query(
        "UPDATE quoted_messages SET state = 'pending', attempts = 0
         WHERE quoted_row_id IN (
             SELECT q.quoted_row_id
             FROM quoted_messages AS q
             LEFT JOIN messages AS m ON m.app_id = q.app_id AND m.message_id = q.quoted_by
             WHERE q.state = 'failed' AND q.app_id = ? AND q.reason_code = ?
                 AND COALESCE(q.asked_at, 0) <= ? AND COALESCE(m.hidden, 0) = 0
             LIMIT ?
         )",
    )
    .bind(cause.app_id.as_str())
    .bind(cause.reason.as_str())
    .bind(now.unix_ms())
    .bind(BATCH)
    .execute(transaction.connection())
    .await?;
    Ok(Portion::of(done.rows_affected()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::Seeded;

    #[tokio::test]
    async fn what_failed_before_is_due_once_and_in_portions_and_nothing_else_is() {
        let seeded = Seeded::new().await;
        seeded
            .run(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 503)
                 INSERT INTO quoted_messages (app_id, message_id, quoted_by, state, reason_code, attempts,
                     next_attempt_at)
                 SELECT 'cli_a', 'om_' || i, 'om_0', iif(i % 2, 'failed', 'pending'),
                     iif(i % 2, 'app_ticket_missing', 'local_failure'), 3, 9
                 FROM n",
            )
            .await;
        seeded
            .run(
                "INSERT INTO quoted_messages (app_id, message_id, quoted_by, state, reason_code, next_attempt_at)
                 VALUES ('cli_a', 'om_a', 'om_0', 'failed', 'message_deleted', 9),
                     ('cli_a', 'om_b', 'om_0', 'pending', 'upstream_error', 9), ('cli_a', 'om_c', 'om_0', 'found', NULL, 9)",
            )
            .await;
        let (mut counts, mut through) = (Vec::new(), 0);
        for _ in 0..3 {
            let mut transaction = seeded.catalogue.begin().await.unwrap();
            let portion = requeue_by_start(&mut transaction, through).await.unwrap();
            through = through.max(portion.through());
            counts.push((portion.count, portion.is_full));
            transaction.commit().await.unwrap();
            // Asked for and failed again at once.
            seeded.run("UPDATE quoted_messages SET state = 'failed' WHERE quoted_row_id <= 10").await;
        }
        assert_eq!(counts, [(u64::from(BATCH), true), (3, false), (0, false)]);
        let (anew, waiting, others): (i64, i64, i64) = sqlx::query_as(
            "SELECT COUNT(*) FILTER (WHERE state = 'pending' AND attempts = 0 AND next_attempt_at = 9),
                 COUNT(*) FILTER (WHERE state = 'pending' AND attempts = 3 AND next_attempt_at = 0),
                 COUNT(*) FILTER (WHERE message_id IN ('om_a', 'om_c') AND state <> 'pending' AND next_attempt_at = 9)
             FROM quoted_messages WHERE quoted_row_id > 10",
        )
        .fetch_one(seeded.catalogue.read())
        .await
        .unwrap();
        assert_eq!((anew, waiting, others), (247 + 1, 246, 2), "one waits as it did before");
    }
}
