//! Retry: how much of it there would be, for whoever wants to know first.

use crate::catalogue::{Catalogue, CatalogueError, retry};
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::time::Timestamp;

/// How many of the resources that a filter asks for would be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_matching(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<u64, CatalogueError> {
    retry::count(catalogue, filter, now).await
}

/// How many of these resources would be moved.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_these(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
    retry::count_of(catalogue, ids).await
}
