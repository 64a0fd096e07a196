//! Re-queueing: resources that ended without bytes, or wait, become due at once.

use futures_util::TryStreamExt as _;

use super::listing::attention::{Cause, push_cause};
use super::listing::{self, selection::Sql};
use super::{Catalogue, CatalogueError, Transaction};
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::time::Timestamp;

/// The most rows that [`requeue`] should be given at once: the writer is held for milliseconds, so
/// that deliveries still get their answer while a large archive is re-queued.
pub const BATCH: usize = 500;

/// What `retry` may move: what ended without bytes, what waits for its next attempt, and what has lost its
/// bytes, which nobody may be serving. Running and stored resources are left alone.
const RETRYABLE: &str = " AND (
    r.state IN ('blocked', 'gone', 'impossible')
    OR (r.state = 'pending' AND (r.next_attempt_at IS NOT NULL OR r.reason_code IN ('blob_missing', 'blob_corrupt')))
)";

/// Makes these resources due; the reason of the last failure stays until the next try has ended.
const REQUEUE: &str = "UPDATE resources AS r
SET state = 'pending', next_attempt_at = NULL, failures = 0, failures_alike = 0, failing_since = NULL
WHERE r.resource_row_id IN (SELECT value FROM json_each(";

/// Makes the resources with these ids due, as far as they may be moved. Returns how many were.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn requeue(transaction: &mut Transaction, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    let mut sql = Sql::new(REQUEUE);
    sql.push_bind(json_list(ids)).push("))").push(RETRYABLE);
    Ok(sql.build().execute(transaction.connection()).await?.rows_affected())
}

/// The resources that a filter asks for and that may be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn find(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<Vec<ResourceId>, CatalogueError> {
    listing::ids(catalogue, filter, now, RETRYABLE).await
}

/// The resources of a group of failures that may be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn find_failed(catalogue: &Catalogue, cause: &Cause) -> Result<Vec<ResourceId>, CatalogueError> {
    let mut sql = Sql::new("SELECT r.resource_row_id");
    push_cause(&mut sql, cause);
    sql.push(RETRYABLE);
    // One by one: there may be as many as the archive has, and a row takes far more memory than its number.
    let mut connection = catalogue.read().acquire().await?;
    let ids = sql.build_query_scalar::<i64>().fetch(&mut *connection).map_ok(ResourceId).try_collect().await?;
    Ok(ids)
}

/// How many resources a filter asks for that may be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<u64, CatalogueError> {
    let ids = listing::ids(catalogue, filter, now, RETRYABLE).await?;
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}

/// How many of these resources may be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_of(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    let mut sql =
        Sql::new("SELECT COUNT(*) FROM resources AS r WHERE r.resource_row_id IN (SELECT value FROM json_each(");
    sql.push_bind(json_list(ids)).push("))").push(RETRYABLE);
    let count: i64 = sql.build_query_scalar().fetch_one(catalogue.read()).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Row numbers as one bound value, however many there are.
pub(super) fn json_list(ids: &[ResourceId]) -> String {
    let numbers: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
    format!("[{}]", numbers.join(","))
}
