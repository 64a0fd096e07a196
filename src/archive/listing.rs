//! Listings: the platform is asked for a message, and what it lists is archived.
//!
//! One message comes as itself; a forward comes with everything inside it, all levels at once.

use std::collections::HashSet;

use super::received::{self, Received};
use crate::catalogue::forwards::{self, Surroundings};
use crate::catalogue::{Catalogue, CatalogueError, messages};
use crate::clock::Clock;
use crate::domain::download::{Upstream, Verdict};
use crate::domain::id::{AppId, MessageId};
use crate::domain::reason::ReasonCode;
use crate::feishu::answer::Refusal;
use crate::feishu::client::Client;
use crate::feishu::event::Item;
use crate::feishu::limit::Priority;

/// Messages in one transaction: deliveries that wait for their answer get their turn in between.
const BATCH: usize = 256;

/// Asks for messages of one app. Cloned freely.
#[derive(Debug, Clone)]
pub struct Lister {
    client: Client,
    catalogue: Catalogue,
    clock: Clock,
}

/// Why a message was not archived.
#[derive(Debug, thiserror::Error)]
pub enum NotListed {
    /// The platform does not show it.
    #[error("the platform does not show the message: {}", .0.upstream)]
    Refused(Refusal),
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl Lister {
    /// A lister that writes what it finds into `catalogue`.
    #[must_use]
    pub fn new(client: Client, catalogue: Catalogue, clock: Clock) -> Self {
        Self { client, catalogue, clock }
    }

    /// The same lister, asking with this priority.
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self { client: self.client.with_priority(priority), ..self.clone() }
    }

    /// Asks for a message of the catalogue and archives it with everything inside it. Doing it
    /// again adds nothing twice.
    ///
    /// # Errors
    /// If the platform does not show it, or the catalogue fails; what was written until then stays.
    pub async fn open(&self, app_id: &AppId, container: &MessageId) -> Result<(), NotListed> {
        let surroundings = forwards::surroundings(self.catalogue.read(), app_id, container).await?;
        let surroundings = surroundings.ok_or_else(|| NotListed::Refused(unknown()))?;
        self.archive(app_id, container, &surroundings).await
    }

    /// The same for a message that is not in the catalogue.
    ///
    /// # Errors
    /// As above.
    pub async fn archive(
        &self,
        app_id: &AppId,
        asked: &MessageId,
        surroundings: &Surroundings,
    ) -> Result<(), NotListed> {
        let Surroundings { tenant_key, chat_id } = surroundings;
        let client = self.client.for_tenant(tenant_key.as_ref());
        let listing = client.message(app_id, asked, (tenant_key.as_ref(), Some(chat_id))).await;
        let listing = listing.map_err(NotListed::Refused)?;
        if listing.unreadable > 0 {
            tracing::warn!(app.id = %app_id, message.id = %asked, unreadable = listing.unreadable,
                "Some messages inside a message cannot be read and are left out; the message is marked");
        }
        let mut items = without_repetitions(listing.items);
        if items.iter().any(|item| item.message.message_id == *asked && item.deleted) {
            return Err(NotListed::Refused(recalled()));
        }
        if !items.iter().any(|item| item.message.message_id == *asked) {
            return Err(NotListed::Refused(incomplete()));
        }
        while !items.is_empty() {
            let rest = items.split_off(items.len().min(BATCH));
            self.write(app_id, asked, std::mem::replace(&mut items, rest)).await?;
        }
        if listing.unreadable > 0 {
            messages::mark_unreadable(self.catalogue.write()?, app_id, asked).await?;
        }
        Ok(())
    }

    async fn write(&self, app_id: &AppId, asked: &MessageId, items: Vec<Item>) -> Result<(), CatalogueError> {
        let (now, of) = (self.clock.now(), asked.clone());
        // Content may be long; it is read away from the threads that answer.
        let reading = tokio::task::spawn_blocking(move || {
            items.into_iter().map(|item| Received::listed(&of, now, item)).collect::<Vec<_>>()
        });
        let received = reading.await.map_err(|_| CatalogueError::Interrupted)?;
        let mut transaction = self.catalogue.begin().await?;
        received::write(&mut transaction, &received.iter().collect::<Vec<_>>()).await?;
        forwards::link_stored(&mut transaction, app_id, asked).await?;
        transaction.commit().await
    }
}

/// Each message once, in the order of the listing: it may list the container again, and forwards
/// that contain each other.
fn without_repetitions(items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(item.message.message_id.clone())).collect()
}

fn refused(reason: ReasonCode, what: &str) -> Refusal {
    Refusal::new(Verdict::End(reason), Upstream { msg: Some(what.to_owned()), ..Upstream::default() })
}

fn recalled() -> Refusal {
    refused(ReasonCode::MessageDeleted, "the platform lists the message as deleted")
}

/// An answer without the message that was asked for is not the listing: it is tried again.
fn incomplete() -> Refusal {
    let what = "the platform's listing lacks the message that was asked for";
    Refusal { verdict: Verdict::Retry(ReasonCode::NotAFile), ..refused(ReasonCode::NotAFile, what) }
}

fn unknown() -> Refusal {
    refused(ReasonCode::MessageUnknown, "the message is not in the catalogue; nothing was asked")
}
