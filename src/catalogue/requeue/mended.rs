//! Mended causes: what is blocked everywhere for a reason that is mended in one place, by another
//! configuration or by a ticket, is due again; and so is, at a start, what failed on this machine.
//!
//! It is taken up a portion at a time, in the order of rows, so that the writer is held for
//! milliseconds. What is tried and blocked again meanwhile lies behind, and is believed.

use super::{BATCH, Portion};
use crate::catalogue::{CatalogueError, Transaction};
use crate::domain::id::AppId;
use crate::domain::reason::ReasonCode;

/// A portion of what waits for its time after a failure of ours, in the order of rows.
const FAILED_HERE: &str = "UPDATE resources SET next_attempt_at = NULL
    WHERE resource_row_id IN (
        SELECT resource_row_id
        FROM resources INDEXED BY resources_by_reason
        WHERE reason_code = ?1 AND state = 'pending' AND next_attempt_at IS NOT NULL AND resource_row_id > ?2
        ORDER BY resource_row_id
        LIMIT ?3
    )
    RETURNING resource_row_id";

/// A portion of what is blocked for some reasons, in the order of rows. Without the hint SQLite may walk over every row
/// that there is, blocked or not.
const BLOCKED: &str = "UPDATE resources
    SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
    WHERE resource_row_id IN (
        SELECT resource_row_id
        FROM resources INDEXED BY resources_blocked_in_order
        WHERE state = 'blocked' AND resource_row_id > ?1 AND (?2 IS NULL OR app_id = ?2)
            AND reason_code IN (SELECT value FROM json_each(?3))
        ORDER BY resource_row_id
        LIMIT ?4
    )
    RETURNING resource_row_id";

/// Makes the next portion due of what waits for its time after a failure of ours: a start may have mended it. How long
/// it has been failing is not forgotten.
pub(super) async fn requeue_failed_here(transaction: &mut Transaction, after: i64) -> Result<Portion, CatalogueError> {
    let portion = sqlx::query(FAILED_HERE).bind(ReasonCode::LocalFailure.as_str()).bind(after).bind(BATCH);
    Portion::read(&portion.fetch_all(transaction.connection()).await?)
}

/// Makes the next portion due of what is blocked by the configuration or by this machine: a start may be one with
/// another configuration or on a mended machine, and is worth one try.
pub(super) async fn requeue_by_start(transaction: &mut Transaction, after: i64) -> Result<Portion, CatalogueError> {
    requeue_blocked(transaction, None, &cleared_by_start(), after).await
}

/// Makes the next portion due of what waits for a ticket of a store app.
pub(super) async fn requeue_by_ticket(
    transaction: &mut Transaction,
    app_id: &AppId,
    after: i64,
) -> Result<Portion, CatalogueError> {
    requeue_blocked(transaction, Some(app_id), &json_array([ReasonCode::AppTicketMissing]), after).await
}

async fn requeue_blocked(
    transaction: &mut Transaction,
    app_id: Option<&AppId>,
    reasons: &str,
    after: i64,
) -> Result<Portion, CatalogueError> {
    let portion = sqlx::query(BLOCKED).bind(after).bind(app_id.map(AppId::as_str)).bind(reasons).bind(BATCH);
    Portion::read(&portion.fetch_all(transaction.connection()).await?)
}

/// The reasons whose cause a start may have cleared, as a JSON array.
pub(in crate::catalogue) fn cleared_by_start() -> String {
    json_array(ReasonCode::ALL.iter().copied().filter(|reason| reason.may_clear_by_start()))
}

fn json_array(reasons: impl IntoIterator<Item = ReasonCode>) -> String {
    let quoted: Vec<String> = reasons.into_iter().map(|reason| format!("\"{}\"", reason.as_str())).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded};
    use crate::domain::download::State;

    #[tokio::test]
    async fn what_was_mended_is_due_once_and_in_portions_and_nothing_else_is() {
        let seeded = Seeded::new().await;
        let missing = || Seed::ended(State::Blocked, "app_ticket_missing");
        for place in 0..BATCH + 3 {
            seeded.add(&format!("img_{place}"), missing()).await;
        }
        seeded.add("img_other", Seed::ended(State::Blocked, "app_not_in_chat")).await;
        let neighbour = Seed { app_id: "cli_b", message_id: "om_b".into(), ..missing() };
        seeded.add("img_neighbour", neighbour).await;

        let app_id = "cli_a".parse().unwrap();
        let mut counts = Vec::new();
        let mut through = 0;
        for _ in 0..3 {
            let mut transaction = seeded.catalogue.begin().await.unwrap();
            let portion = requeue_by_ticket(&mut transaction, &app_id, through).await.unwrap();
            through = portion.through.max(through);
            counts.push((portion.count, portion.is_full));
            transaction.commit().await.unwrap();
            // Tried and blocked again at once.
            seeded.run("UPDATE resources SET state = 'blocked' WHERE resource_row_id <= 10").await;
        }
        assert_eq!(counts, [(u64::from(BATCH), true), (3, false), (0, false)]);

        let mut transaction = seeded.catalogue.begin().await.unwrap();
        let portion = requeue_by_start(&mut transaction, 0).await.unwrap();
        assert_eq!(portion.count, 11, "the ten of before and the neighbour's; a chat is no configuration");
    }
}
