//! Notices: events that tell of something other than a new message.

use super::{app_ticket, chat, recall, ticket};
use crate::catalogue::{CatalogueError, Transaction};
use crate::domain::chat::Presence;
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
        Event::TicketMessage(message) => ticket::apply(transaction, notice, message).await,
        Event::Recalled { message_id, recalled_at, recall_type, .. } => {
            recall::apply(transaction, notice, message_id, *recalled_at, recall_type.as_deref()).await
        }
        Event::BotAdded(chat) => chat::bot_moved(transaction, notice, chat, Presence::In).await,
        Event::BotDeleted(chat) => chat::bot_moved(transaction, notice, chat, Presence::Out).await,
        Event::ChatDisbanded(chat) => chat::disbanded(transaction, notice, chat).await,
        Event::ChatUpdated(chat) => chat::updated(transaction, notice, chat).await,
        Event::AppTicket { ticket, sent_at } => app_ticket::keep(transaction, notice, ticket, *sent_at).await,
        Event::MessageReceived(_) | Event::Unused { .. } => {
            tracing::debug!(app.id = %notice.app_id, "Kept an event that is not used");
            Ok(Use::Unused)
        }
    }
}
