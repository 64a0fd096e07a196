//! Replay: a delivery that is kept is expanded again, for instance by a program that understands
//! more of it. Expansion is idempotent, so a replay never adds a thing twice.

use crate::catalogue::{Catalogue, CatalogueError, replay};
use crate::domain::id::EventRowId;

pub use crate::catalogue::replay::Replay;

/// Asks for a delivery to be expanded again.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn replay(catalogue: &Catalogue, id: EventRowId) -> Result<Replay, CatalogueError> {
    replay::mark(catalogue, id).await
}
