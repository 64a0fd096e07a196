//! Retry: somebody mended a cause, and what failed of it is due again at once.

use crate::catalogue::{Catalogue, CatalogueError, listing, retry};
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
/// The work is done in batches by ascending id, so that what fails again meanwhile is not moved
/// twice and deliveries are not held up.
///
/// # Errors
/// If the catalogue cannot be read or written.
pub async fn matching(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<u64, CatalogueError> {
    let mut queued = 0;
    let mut after = None;
    loop {
        let batch = retry::requeue_batch(catalogue, filter, after, now).await?;
        queued += batch.queued;
        match batch.last {
            Some(last) => after = Some(last),
            None => return Ok(queued),
        }
    }
}

/// Re-queues these resources as far as they may be moved. Returns how many were.
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
