//! Retry: somebody mended a cause, and what failed of it is due again at once.

use crate::catalogue::listing::attention::Cause;
use crate::catalogue::{Catalogue, CatalogueError, listing, quotes, retry};
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::time::Timestamp;

/// Re-queues one resource. Returns how many were moved, 0 or 1, or `None` if there is no such
/// resource to be seen. Running and stored ones are left alone.
///
/// # Errors
/// If the catalogue cannot be read or written.
pub async fn one(catalogue: &Catalogue, id: ResourceId) -> Result<Option<u64>, CatalogueError> {
    if listing::resource::find(catalogue, id).await?.is_none() {
        return Ok(None);
    }
    retry::requeue(catalogue, &[id]).await.map(Some)
}

/// Re-queues every resource that a filter asks for, as asked at `now`. Returns how many were moved.
///
/// What is meant is settled first, so that what fails again meanwhile is not moved twice.
///
/// # Errors
/// If the catalogue cannot be read or written.
pub async fn matching(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<u64, CatalogueError> {
    let ids = retry::find(catalogue, filter, now).await?;
    these(catalogue, &ids).await
}

/// Re-queues a group of failures: everything of one app that ended, or waits, for one reason. Returns
/// how many were moved.
///
/// # Errors
/// If the catalogue cannot be read or written.
pub async fn failed(catalogue: &Catalogue, cause: &Cause) -> Result<u64, CatalogueError> {
    let ids = retry::find_failed(catalogue, cause).await?;
    these(catalogue, &ids).await
}

/// Asks again for quoted messages of one app that could not be had for one reason, unless that was found
/// out after `now`. Returns how many will be asked for.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn quoted(catalogue: &Catalogue, cause: &Cause, now: Timestamp) -> Result<u64, CatalogueError> {
    let mut queued = 0;
    loop {
        let portion = quotes::requeue_failed(catalogue, cause, now).await?;
        queued += portion.count;
        if !portion.is_full {
            return Ok(queued);
        }
    }
}

/// Re-queues these resources as far as they may be moved, in batches. Returns how many were.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn these(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    let mut queued = 0;
    for batch in ids.chunks(retry::BATCH) {
        queued += retry::requeue(catalogue, batch).await?;
    }
    Ok(queued)
}

/// How many resources [`matching`] would move.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_matching(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<u64, CatalogueError> {
    retry::count(catalogue, filter, now).await
}

/// How many resources [`these`] would move.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_these(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    retry::count_of(catalogue, ids).await
}
