//! Recall: somebody takes a message back. What is stored stays; what is not yet stored is still
//! tried, because the platform sometimes hands it out.

use super::notice::{Notice, Use};
use crate::catalogue::endings::{Ending, Finished};
use crate::catalogue::recalls::{self, Recall};
use crate::catalogue::{CatalogueError, Transaction};
use crate::domain::id::{MessageId, ResourceId};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// Records a recall, whether or not the message has come yet.
///
/// # Errors
/// If the catalogue fails.
pub(super) async fn apply(
    transaction: &mut Transaction,
    notice: &Notice,
    message_id: &MessageId,
    recalled_at: Option<Timestamp>,
    recalled_by: Option<&str>,
) -> Result<Use, CatalogueError> {
    let recalled_at = recalled_at.unwrap_or(notice.received_at);
    recalls::insert(transaction, Recall { app_id: &notice.app_id, message_id, recalled_at, recalled_by }).await?;
    tracing::info!(app.id = %notice.app_id, message.id = %message_id, "A message was recalled");
    Ok(Use::Used)
}

/// Reads endings anew that a recall explains: of a message that was recalled, the platform says
/// that it is deleted, or that the key is not in it. Both mean that the bytes are gone.
///
/// # Errors
/// If the catalogue fails.
pub(super) async fn explain(transaction: &mut Transaction, finished: &mut [Finished]) -> Result<(), CatalogueError> {
    let not_there: Vec<ResourceId> = finished.iter_mut().filter_map(not_in_message).map(|(id, _)| id).collect();
    if not_there.is_empty() {
        return Ok(());
    }
    let recalled = recalls::among(transaction, &not_there).await?;
    for (_, reason) in finished.iter_mut().filter_map(not_in_message).filter(|(id, _)| recalled.contains(id)) {
        *reason = ReasonCode::MessageDeleted;
    }
    Ok(())
}

/// A resource that the platform does not find in its message.
fn not_in_message(finished: &mut Finished) -> Option<(ResourceId, &mut ReasonCode)> {
    match &mut finished.ending {
        Ending::Ended { reason, .. } if *reason == ReasonCode::NotInMessage => Some((finished.id, reason)),
        _ => None,
    }
}
