//! Re-queueing: resources that ended without bytes, or wait, become due at once.

use sqlx::Row as _;

use super::listing::selection::{FROM_RESOURCES, Sql, push_selection};
use super::{Catalogue, CatalogueError};
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::time::Timestamp;

/// Rows moved in one transaction: the writer is held for milliseconds, so that deliveries still
/// get their answer while a large archive is re-queued.
pub const BATCH: usize = 500;

/// What `retry` may move: what ended without bytes, and what waits for its next attempt. Running
/// and stored resources are left alone.
const RETRYABLE: &str = "(
    r.state IN ('blocked', 'gone', 'impossible')
    OR (r.state = 'pending' AND r.next_attempt_at IS NOT NULL)
)";

/// Makes these resources due; the reason of the last failure stays until the next try has ended.
const REQUEUE: &str = "UPDATE resources AS r
SET state = 'pending', next_attempt_at = NULL, failures = 0, failing_since = NULL
WHERE r.resource_row_id IN (SELECT value FROM json_each(";

/// What one batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Resources moved.
    pub queued: u64,
    /// The last resource looked at; none when there are no more.
    pub last: Option<ResourceId>,
}

/// Makes the resources with these ids due, as far as they may be moved. Returns how many were.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn requeue(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    let mut sql = Sql::new(REQUEUE);
    sql.push_bind(json_list(ids)).push(")) AND ").push(RETRYABLE);
    Ok(sql.build().execute(catalogue.write()?).await?.rows_affected())
}

/// Makes the next batch of resources due that a filter asks for and that come after `after`.
///
/// # Errors
/// If the catalogue cannot be read or written.
pub async fn requeue_batch(
    catalogue: &Catalogue,
    filter: &Filter,
    after: Option<ResourceId>,
    now: Timestamp,
) -> Result<Batch, CatalogueError> {
    let mut sql = Sql::new("SELECT r.resource_row_id");
    push_retryable(&mut sql, filter, now);
    sql.push(" AND r.resource_row_id > ").push_bind(after.map_or(0, |id| id.0));
    sql.push(" ORDER BY r.resource_row_id LIMIT ").push_bind(BATCH as i64);
    let rows = sql.build().fetch_all(catalogue.read()).await?;
    let ids = rows.iter().map(|row| row.try_get(0).map(ResourceId)).collect::<Result<Vec<_>, _>>()?;
    let queued = if ids.is_empty() { 0 } else { requeue(catalogue, &ids).await? };
    Ok(Batch { queued, last: ids.last().copied() })
}

/// How many resources a filter asks for that may be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<u64, CatalogueError> {
    let mut sql = Sql::new("SELECT COUNT(*)");
    push_retryable(&mut sql, filter, now);
    let count: i64 = sql.build_query_scalar().fetch_one(catalogue.read()).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// How many of these resources may be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_of(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    let mut sql =
        Sql::new("SELECT COUNT(*) FROM resources AS r WHERE r.resource_row_id IN (SELECT value FROM json_each(");
    sql.push_bind(json_list(ids)).push(")) AND ").push(RETRYABLE);
    let count: i64 = sql.build_query_scalar().fetch_one(catalogue.read()).await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn push_retryable(sql: &mut Sql, filter: &Filter, now: Timestamp) {
    sql.push(FROM_RESOURCES);
    push_selection(sql, filter, now, None);
    sql.push(" AND ").push(RETRYABLE);
}

/// Row numbers as one bound value, however many there are.
fn json_list(ids: &[ResourceId]) -> String {
    let numbers: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
    format!("[{}]", numbers.join(","))
}
