//! Commands: the door for every change that a person or a program asks for.
//!
//! Each says who asked, and is done in one transaction, in which the record of it is made as well: no change
//! can be without one. What is too much for one transaction goes in portions, with the record in the first.

use super::asker::{Asker, NoTenant};
use crate::catalogue::listing::attention::Cause;
use crate::catalogue::listing::resource::find;
use crate::catalogue::replay::{self, Replay};
use crate::catalogue::resources::{self, Take};
use crate::catalogue::{Catalogue, CatalogueError, Transaction, by_hand, quotes, retry};
use crate::domain::actor::Actor;
use crate::domain::filter::Filter;
use crate::domain::id::{EventRowId, ResourceId};
use crate::domain::resource::ResourceType;
use crate::domain::source::Target;
use crate::domain::time::Timestamp;

/// What somebody may ask for.
#[derive(Debug)]
pub struct Commands<'a> {
    actor: Actor,
    catalogue: &'a Catalogue,
    now: Timestamp,
}

/// What a command was and what it was about, for the record of it.
#[derive(Debug)]
struct Asked {
    command: &'static str,
    subject: String,
}

impl<'a> Commands<'a> {
    /// The commands of `actor`, who asks at `now`.
    #[must_use]
    pub fn of(actor: Actor, catalogue: &'a Catalogue, now: Timestamp) -> Self {
        Self { actor, catalogue, now }
    }

    /// Re-queues one resource. Returns how many were moved, 0 or 1, or `None` if there is no such
    /// resource to be seen. Running and stored ones are left alone.
    ///
    /// # Errors
    /// If the catalogue cannot be read or written.
    pub async fn retry_one(&self, id: ResourceId) -> Result<Option<u64>, CatalogueError> {
        if find(self.catalogue, id).await?.is_none() {
            return Ok(None);
        }
        self.requeue(&[id], Asked { command: "retry", subject: id.to_string() }).await.map(Some)
    }

    /// Re-queues these resources as far as they may be moved. Returns how many were.
    ///
    /// # Errors
    /// If the catalogue cannot be written.
    pub async fn retry_these(&self, ids: &[ResourceId]) -> Result<u64, CatalogueError> {
        self.requeue(ids, Asked { command: "retry", subject: format!("{} resources", ids.len()) }).await
    }

    /// Re-queues every resource that a filter asks for. Returns how many were moved.
    ///
    /// What is meant is settled first, so that what fails again meanwhile is not moved twice.
    ///
    /// # Errors
    /// If the catalogue cannot be read or written.
    pub async fn retry_matching(&self, filter: &Filter) -> Result<u64, CatalogueError> {
        let ids = retry::find(self.catalogue, filter, self.now).await?;
        self.requeue(&ids, Asked { command: "retry", subject: spelled(filter) }).await
    }

    /// Re-queues a group of failures: everything of one app that ended, or waits, for one reason. Returns
    /// how many were moved.
    ///
    /// # Errors
    /// If the catalogue cannot be read or written.
    pub async fn retry_failed(&self, cause: &Cause) -> Result<u64, CatalogueError> {
        let ids = retry::find_failed(self.catalogue, cause).await?;
        self.requeue(&ids, Asked { command: "retry", subject: group(cause) }).await
    }

    /// Asks again for quoted messages of one app that could not be had for one reason, unless that was found
    /// out only now. Returns how many will be asked for.
    ///
    /// # Errors
    /// If the catalogue cannot be written.
    pub async fn retry_quoted(&self, cause: &Cause) -> Result<u64, CatalogueError> {
        let mut transaction = self.catalogue.begin().await?;
        let mut portion = quotes::requeue_failed(&mut transaction, cause, self.now).await?;
        self.commit(transaction, Asked { command: "retry quoted", subject: group(cause) }).await?;
        let mut queued = portion.count;
        while portion.is_full {
            let mut transaction = self.catalogue.begin().await?;
            portion = quotes::requeue_failed(&mut transaction, cause, self.now).await?;
            transaction.commit().await?;
            queued += portion.count;
        }
        Ok(queued)
    }

    /// Has a delivery that is kept expanded again, for instance by a program that understands more of it.
    /// Expansion is idempotent, so a replay never adds a thing twice.
    ///
    /// # Errors
    /// If the catalogue cannot be written.
    pub async fn replay(&self, id: EventRowId) -> Result<Replay, CatalogueError> {
        let mut transaction = self.catalogue.begin().await?;
        let replay = replay::mark(&mut transaction, id).await?;
        if replay == Replay::Marked {
            self.commit(transaction, Asked { command: "replay", subject: format!("delivery {id}") }).await?;
        }
        Ok(replay)
    }

    /// Makes sure that `target` is in the catalogue, for whoever serves it to work on, and due again if
    /// that is wanted. Returns its row.
    ///
    /// # Errors
    /// If nobody knows in whose name to ask, or the catalogue fails.
    pub async fn order(&self, asker: &Asker, target: &Target, take: Take) -> Result<ResourceId, NoTenant> {
        let (mut transaction, id) = self.place(asker, target).await?;
        if take == Take::Anyway {
            by_hand::ask_again(&mut transaction, id).await?;
        }
        self.commit(transaction, Asked { command: "order", subject: id.to_string() }).await?;
        Ok(id)
    }

    /// The same for a process that will work on it by itself. What the configuration or this machine blocks is due,
    /// as at every start of the service.
    ///
    /// # Errors
    /// If nobody knows in whose name to ask, or the catalogue fails.
    pub async fn take_up(&self, asker: &Asker, target: &Target) -> Result<ResourceId, NoTenant> {
        let (mut transaction, id) = self.place(asker, target).await?;
        by_hand::ask_again_if_configured(&mut transaction, id).await?;
        self.commit(transaction, Asked { command: "fetch", subject: id.to_string() }).await?;
        Ok(id)
    }

    /// The row of a target: the one of a message that carries its key, because only that can be
    /// downloaded, else one of its own.
    async fn place(&self, asker: &Asker, target: &Target) -> Result<(Transaction, ResourceId), NoTenant> {
        let (read, app_id) = (self.catalogue.read(), &asker.app_id);
        let carried = match target {
            Target::Image { key } => by_hand::carried(read, app_id, key, ResourceType::Image).await?,
            Target::File { key } => by_hand::carried(read, app_id, key, ResourceType::File).await?,
            _ => None,
        };
        if let Some(id) = carried {
            return Ok((self.catalogue.begin().await?, id));
        }
        let tenant_key = asker.tenant_for(self.catalogue, target).await?;
        let mut transaction = self.catalogue.begin().await?;
        let asked_by = (app_id, tenant_key.as_ref());
        let id = resources::insert_by_hand(&mut transaction, asked_by, target, self.now).await?;
        Ok((transaction, id))
    }

    /// Makes resources due, a portion in each transaction.
    async fn requeue(&self, ids: &[ResourceId], asked: Asked) -> Result<u64, CatalogueError> {
        let (first, rest) = ids.split_at(ids.len().min(retry::BATCH));
        let mut transaction = self.catalogue.begin().await?;
        let mut queued = retry::requeue(&mut transaction, first).await?;
        self.commit(transaction, asked).await?;
        for portion in rest.chunks(retry::BATCH) {
            let mut transaction = self.catalogue.begin().await?;
            queued += retry::requeue(&mut transaction, portion).await?;
            transaction.commit().await?;
        }
        Ok(queued)
    }

    /// Ends a command: its changes and the record of it. A row that outlasts the log would be written here, before
    /// the commit.
    async fn commit(&self, transaction: Transaction, asked: Asked) -> Result<(), CatalogueError> {
        transaction.commit().await?;
        let Asked { command, subject } = asked;
        tracing::info!(actor = %self.actor, command, subject, "Took a command from {}: {command}", self.actor);
        Ok(())
    }
}

/// A filter for the record, without the words that are looked for: they may be words of messages.
fn spelled(filter: &Filter) -> String {
    let pairs = filter.canonical();
    let words =
        pairs.iter().map(|(name, value)| if *name == "q" { "q=…".to_owned() } else { format!("{name}={value}") });
    let words: Vec<String> = words.collect();
    if words.is_empty() { "all resources".to_owned() } else { words.join(" ") }
}

fn group(cause: &Cause) -> String {
    format!("{} of app {}", cause.reason, cause.app_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_stays_out_of_the_record() {
        let mut filter = Filter::default();
        assert_eq!(spelled(&filter), "all resources");
        filter.state = vec![crate::domain::download::State::Gone];
        filter.search = Some("salary".parse().unwrap());
        assert_eq!(spelled(&filter), "q=… state=gone");
    }
}
