//! Replay: a delivery is marked to be expanded again.

use super::{CatalogueError, Transaction};
use crate::domain::id::EventRowId;

/// What a replay found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// The delivery will be expanded again.
    Marked,
    /// There is no such delivery.
    Unknown,
}

/// Marks a delivery to be expanded again.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn mark(transaction: &mut Transaction, id: EventRowId) -> Result<Replay, CatalogueError> {
    let done = sqlx::query(
        "INSERT INTO event_outcomes (event_row_id, result)
        SELECT event_row_id, 'pending' FROM events WHERE event_row_id = ?
        ON CONFLICT (event_row_id) DO UPDATE SET result = excluded.result, error = NULL",
    )
    .bind(id.0)
    .execute(transaction.connection())
    .await?;
    Ok(if done.rows_affected() == 0 { Replay::Unknown } else { Replay::Marked })
}
