//! Notices: events that tell of something other than a new message.

use super::app_ticket;
use crate::catalogue::{CatalogueError, Transaction};
use crate::domain::id::AppId;
use crate::domain::time::Timestamp;
use crate::feishu::event::Event;

/// An event that is not a message.
#[derive(Debug)]
pub struct Notice {
    /// The app that was told.
    pub app_id: AppId,
    /// When it was told.
    pub received_at: Timestamp,
    /// What was told.
    pub event: Event,
}

/// Whether the archive has a use for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It changed something, or might have.
    Used,
    /// It is counted and kept, nothing else.
    Unused,
}

/// Applies a notice.
///
/// # Errors
/// If the catalogue fails.
pub async fn apply(transaction: &mut Transaction, notice: &Notice) -> Result<Use, CatalogueError> {
    match &notice.event {
        Event::AppTicket { ticket, sent_at } => app_ticket::keep(transaction, notice, ticket, *sent_at).await,
        _ => {
            tracing::debug!(app.id = %notice.app_id, received_at = %notice.received_at, "Kept an event that is not used");
            Ok(Use::Unused)
        }
    }
}
