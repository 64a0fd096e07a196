//! Damaged blobs: nothing promises their bytes any longer, and what did is due at once.

use super::{Catalogue, CatalogueError};
use crate::domain::digest::Digest;
use crate::domain::reason::ReasonCode;

/// How many resources are changed in one commit: the writer is held for milliseconds, however many point to
/// the same bytes.
const PORTION: u32 = 500;

/// Takes back what every resource with this digest promises and makes it due for this reason. What is being
/// fetched again goes on, and has no bytes to fall back to. Returns how many there were.
///
/// The digest stays with the resource: whoever tries it looks for the bytes in the store first.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn requeue(catalogue: &Catalogue, digest: &Digest, reason: ReasonCode) -> Result<u64, CatalogueError> {
    let mut requeued = 0;
    loop {
        let portion = requeue_portion(catalogue, digest, reason).await?;
        requeued += portion;
        if portion < u64::from(PORTION) {
            return Ok(requeued);
        }
    }
}

async fn requeue_portion(catalogue: &Catalogue, digest: &Digest, reason: ReasonCode) -> Result<u64, CatalogueError> {
    let digest = digest.to_string();
    let mut transaction = catalogue.begin().await?;
    let updated = sqlx::query(
        "UPDATE resources
         SET state = iif(state = 'running', 'running', 'pending'), reason_code = ?2, stored_at = NULL,
             next_attempt_at = NULL, failures = 0, failures_alike = 0, rate_waits = 0, failing_since = NULL
         WHERE resource_row_id IN (
             SELECT resource_row_id FROM resources WHERE sha256 = ?1 AND stored_at IS NOT NULL LIMIT ?3
         )",
    )
    .bind(&digest)
    .bind(reason.as_str())
    .bind(PORTION)
    .execute(transaction.connection())
    .await?;
    // It comes back with the bytes, as one that has arrived.
    sqlx::query("DELETE FROM blobs WHERE sha256 = ?").bind(&digest).execute(transaction.connection()).await?;
    transaction.commit().await?;
    Ok(updated.rows_affected())
}
