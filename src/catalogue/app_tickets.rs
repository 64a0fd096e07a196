//! The tickets of store apps, and the resources that wait for one.
//!
//! Tickets are secrets: nothing that lists or shows the catalogue reads this table.

use super::connections::Connections;
use super::requeue::{self, Subject};
use super::{CatalogueError, Transaction};
use crate::domain::id::{AppId, ResourceId};
use crate::domain::reason::ReasonCode;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// The app's ticket, if one is known.
///
/// # Errors
/// If SQLite fails.
pub async fn newest(read: &Connections, app_id: &AppId) -> Result<Option<Secret>, CatalogueError> {
    let ticket: Option<String> = sqlx::query_scalar("SELECT ticket FROM app_tickets WHERE app_id = ?")
        .bind(app_id.as_str())
        .fetch_optional(read)
        .await?;
    Ok(ticket.map(Secret::new))
}

/// Keeps a ticket, unless a newer one is known, and has what waited for it made due.
///
/// # Errors
/// If SQLite fails.
pub async fn keep(
    transaction: &mut Transaction,
    app_id: &AppId,
    ticket: &Secret,
    sent_at: Timestamp,
    received_at: Timestamp,
) -> Result<(), CatalogueError> {
    let kept = sqlx::query(
        "INSERT INTO app_tickets (app_id, ticket, sent_at)
         VALUES (?, ?, ?)
         ON CONFLICT (app_id) DO UPDATE SET ticket = excluded.ticket, sent_at = excluded.sent_at
         WHERE excluded.sent_at >= app_tickets.sent_at",
    )
    .bind(app_id.as_str())
    .bind(ticket.reveal())
    .bind(sent_at.unix_ms())
    .execute(transaction.connection())
    .await?;
    if kept.rows_affected() == 0 {
        return Ok(());
    }
    requeue::add(transaction, Some(app_id), &Subject::Ticket, received_at).await?;
    note_tries_under_way(transaction, app_id).await
}

async fn note_tries_under_way(transaction: &mut Transaction, app_id: &AppId) -> Result<(), CatalogueError> {
    sqlx::query(
        "INSERT INTO overtaken_tries (resource_row_id)
         SELECT resource_row_id FROM resources WHERE state = 'running' AND app_id = ?
         ON CONFLICT (resource_row_id) DO NOTHING",
    )
    .bind(app_id.as_str())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

const REQUEUE_ONE: &str = "UPDATE resources
    SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
    WHERE resource_row_id = ? AND state = 'blocked' AND reason_code = ?";

/// Makes those of these resources due again that just ended for lack of a ticket, although one
/// came while they were being tried.
///
/// # Errors
/// If SQLite fails.
pub async fn requeue_overtaken(transaction: &mut Transaction, ended: &[ResourceId]) -> Result<(), CatalogueError> {
    for id in ended {
        let overtaken = sqlx::query("DELETE FROM overtaken_tries WHERE resource_row_id = ?")
            .bind(id.0)
            .execute(transaction.connection())
            .await?;
        if overtaken.rows_affected() > 0 {
            sqlx::query(REQUEUE_ONE)
                .bind(id.0)
                .bind(ReasonCode::AppTicketMissing.as_str())
                .execute(transaction.connection())
                .await?;
        }
    }
    Ok(())
}
