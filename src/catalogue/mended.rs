//! Mended causes: what is blocked everywhere for a reason that is mended in one place, by another
//! configuration or by a ticket, is due again; and so is, at a start, what failed on this machine.
//!
//! It is taken up a portion at a time, in the order of rows, so that the writer is held for
//! milliseconds. What is tried and blocked again meanwhile lies behind, and is believed.

use sqlx::Row as _;

use super::cleared::{BATCH, Portion};
use super::{CatalogueError, Transaction};
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

/// A walk over what waits for its time after a failure of ours: a start may have mended it. How long
/// it has been failing is not forgotten.
#[derive(Debug, Clone, Default)]
pub struct FailedHere {
    /// The last row of the portion before.
    after: i64,
}

impl FailedHere {
    /// Makes the next portion due.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn requeue_next(&mut self, transaction: &mut Transaction) -> Result<Portion, CatalogueError> {
        let rows = sqlx::query(FAILED_HERE)
            .bind(ReasonCode::LocalFailure.as_str())
            .bind(self.after)
            .bind(BATCH)
            .fetch_all(transaction.connection())
            .await?;
        for row in &rows {
            self.after = self.after.max(row.try_get("resource_row_id")?);
        }
        Ok(Portion::of(rows.len() as u64))
    }
}

/// A walk over everything that is blocked for some reasons.
#[derive(Debug, Clone)]
pub struct Mended {
    app_id: Option<AppId>,
    /// As a JSON array.
    reasons: String,
    /// The last row of the portion before.
    after: i64,
}

impl Mended {
    /// By a start, which may be one with another configuration or on a mended machine: it is worth
    /// one try.
    #[must_use]
    pub fn by_start() -> Self {
        Self { app_id: None, reasons: cleared_by_start(), after: 0 }
    }

    /// By a ticket for a store app.
    #[must_use]
    pub fn by_ticket(app_id: &AppId) -> Self {
        Self { app_id: Some(app_id.clone()), reasons: json_array([ReasonCode::AppTicketMissing]), after: 0 }
    }

    /// The same walk behind this row.
    #[must_use]
    pub(super) fn after(self, row: i64) -> Self {
        Self { after: row, ..self }
    }

    /// The last row that it has made due.
    #[must_use]
    pub(super) fn through(&self) -> i64 {
        self.after
    }

    /// Makes the next portion due.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn requeue_next(&mut self, transaction: &mut Transaction) -> Result<Portion, CatalogueError> {
        // Without the hint SQLite may walk over every row that there is, blocked or not.
        let rows = sqlx::query(
            "UPDATE resources
             SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
             WHERE resource_row_id IN (
                 SELECT resource_row_id
                 FROM resources INDEXED BY resources_blocked_in_order
                 WHERE state = 'blocked' AND resource_row_id > ?1 AND (?2 IS NULL OR app_id = ?2)
                     AND reason_code IN (SELECT value FROM json_each(?3))
                 ORDER BY resource_row_id
                 LIMIT ?4
             )
             RETURNING resource_row_id",
        )
        .bind(self.after)
        .bind(self.app_id.as_ref().map(AppId::as_str))
        .bind(&self.reasons)
        .bind(BATCH)
        .fetch_all(transaction.connection())
        .await?;
        for row in &rows {
            self.after = self.after.max(row.try_get("resource_row_id")?);
        }
        Ok(Portion::of(rows.len() as u64))
    }
}

/// The reasons whose cause a start may have cleared, as a JSON array.
pub(super) fn cleared_by_start() -> String {
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

        let mut walk = Mended::by_ticket(&"cli_a".parse().unwrap());
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut transaction = seeded.catalogue.begin().await.unwrap();
            counts.push(walk.requeue_next(&mut transaction).await.unwrap());
            transaction.commit().await.unwrap();
            // Tried and blocked again at once.
            seeded.run("UPDATE resources SET state = 'blocked' WHERE resource_row_id <= 10").await;
        }
        let expected = [(u64::from(BATCH), true), (3, false), (0, false)];
        assert_eq!(counts, expected.map(|(count, is_full)| Portion { count, is_full }));

        let mut transaction = seeded.catalogue.begin().await.unwrap();
        let portion = Mended::by_start().requeue_next(&mut transaction).await.unwrap();
        assert_eq!(portion.count, 11, "the ten of before and the neighbour's; a chat is no configuration");
    }
}
