//! Chats: events about a chat are recorded, and so is that what the chat had blocked is due again.

use super::notice::{Notice, Use};
use crate::catalogue::chats::News;
use crate::catalogue::endings::{Ending, Finished};
use crate::catalogue::requeue::{self, Subject, cleared};
use crate::catalogue::{CatalogueError, Transaction};
use crate::domain::chat::{Downloads, Presence};
use crate::domain::id::ResourceId;
use crate::feishu::event::ChatNotice;

/// Records that the bot was added to a chat or removed from it.
///
/// # Errors
/// If the catalogue fails.
pub(super) async fn bot_moved(
    transaction: &mut Transaction,
    notice: &Notice,
    chat: &ChatNotice,
    presence: Presence,
) -> Result<Use, CatalogueError> {
    let news = introduce(transaction, notice, chat).await?;
    news.bot(transaction, presence).await?;
    if presence == Presence::In {
        requeue_blocked(transaction, notice, chat).await?;
    }
    Ok(Use::Used)
}

/// Records that a chat was renamed, restricted, or changed otherwise.
///
/// # Errors
/// If the catalogue fails.
pub(super) async fn updated(
    transaction: &mut Transaction,
    notice: &Notice,
    chat: &ChatNotice,
) -> Result<Use, CatalogueError> {
    let news = introduce(transaction, notice, chat).await?;
    if let Some(downloads) = chat.downloads {
        news.downloads(transaction, downloads).await?;
    }
    if chat.downloads == Some(Downloads::Allowed) {
        requeue_blocked(transaction, notice, chat).await?;
    }
    Ok(Use::Used)
}

/// Records that a chat was disbanded, which leaves the bot outside.
///
/// # Errors
/// If the catalogue fails.
pub(super) async fn disbanded(
    transaction: &mut Transaction,
    notice: &Notice,
    chat: &ChatNotice,
) -> Result<Use, CatalogueError> {
    let news = introduce(transaction, notice, chat).await?;
    news.bot(transaction, Presence::Out).await?;
    news.disbanded(transaction).await?;
    Ok(Use::Used)
}

async fn introduce<'a>(
    transaction: &mut Transaction,
    notice: &'a Notice,
    chat: &'a ChatNotice,
) -> Result<News<'a>, CatalogueError> {
    let received_at = notice.received_at;
    let told_at = chat.told_at.unwrap_or(received_at);
    let news = News { app_id: &notice.app_id, chat_id: &chat.chat_id, told_at, received_at };
    news.introduce(transaction).await?;
    if let Some(name) = &chat.name {
        news.name(transaction, name).await?;
    }
    Ok(news)
}

/// Has what the chat had blocked made due, beside everything else.
async fn requeue_blocked(
    transaction: &mut Transaction,
    notice: &Notice,
    chat: &ChatNotice,
) -> Result<(), CatalogueError> {
    let subject = Subject::Chat(chat.chat_id.clone());
    requeue::add(transaction, Some(&notice.app_id), &subject, notice.received_at).await
}

/// Makes due again what ended for a cause that was cleared during the try.
///
/// # Errors
/// If the catalogue fails.
pub(super) async fn reconsider(transaction: &mut Transaction, finished: &[Finished]) -> Result<(), CatalogueError> {
    let blocked = |finished: &Finished| match &finished.ending {
        Ending::Ended { reason, .. } if cleared::may_be_cleared(*reason) => Some(finished.id),
        _ => None,
    };
    let blocked: Vec<ResourceId> = finished.iter().filter_map(blocked).collect();
    if blocked.is_empty() {
        return Ok(());
    }
    cleared::requeue_those(transaction, &blocked).await
}
