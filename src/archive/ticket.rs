//! Tickets: what a helpdesk event tells becomes a message with images, like any other.

use super::notice::{Notice, Use};
use crate::catalogue::messages::{self, NewSender};
use crate::catalogue::tickets::{self, NewTicketMessage};
use crate::catalogue::{CatalogueError, Transaction};
use crate::feishu::event::TicketMessage;

/// The type of a ticket message that does not tell its own.
const UNTOLD_TYPE: &str = "text";

/// Records a message of a ticket, its sender and its images.
///
/// # Errors
/// If the catalogue fails.
pub async fn apply(
    transaction: &mut Transaction,
    notice: &Notice,
    message: &TicketMessage,
) -> Result<Use, CatalogueError> {
    let new = NewTicketMessage {
        app_id: &notice.app_id,
        tenant_key: message.tenant_key.as_ref(),
        ticket_id: &message.ticket_id,
        msg_id: &message.ticket_message_id,
        message_id: message.message_id.as_ref(),
        chat_id: message.chat_id.as_ref(),
        sender: &message.sender,
        message_type: message.message_type.as_deref().unwrap_or(UNTOLD_TYPE),
        text: message.text.as_deref(),
        images: &message.images,
        sent_at: message.sent_at,
        seen_at: notice.received_at,
    };
    tickets::insert(transaction, &new).await?;
    if let (Some(open_id), Some(chat_id)) = (&message.sender.open_id, &message.chat_id) {
        let sender = NewSender { app_id: &notice.app_id, open_id, chat_id, named: None };
        messages::note_senders(transaction, &[sender]).await?;
    }
    Ok(Use::Used)
}
