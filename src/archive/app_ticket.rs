//! Tickets of store apps: kept as they come, handed to whoever asks for tokens.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::notice::{Notice, Use};
use crate::catalogue::endings::{Ending, Finished};
use crate::catalogue::{Catalogue, CatalogueError, Transaction, app_tickets};
use crate::domain::app::AppKind;
use crate::domain::id::{AppId, ResourceId};
use crate::domain::reason::ReasonCode;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::feishu::app_ticket::TicketBox;
use crate::feishu::client::{Client, ClientSettings};
use crate::feishu::platform_time::PlatformTime;
use crate::metrics::Metrics;

/// Keeps the ticket that an event brought; what waited for it will be due again.
///
/// # Errors
/// If the catalogue fails.
pub async fn keep(
    transaction: &mut Transaction,
    notice: &Notice,
    ticket: &Secret,
    sent_at: Option<Timestamp>,
) -> Result<Use, CatalogueError> {
    // No ticket comes from the future: one that claimed to would keep out every later one.
    let sent_at = sent_at.unwrap_or(notice.received_at).min(notice.received_at);
    app_tickets::keep(transaction, &notice.app_id, ticket, sent_at, notice.received_at).await?;
    tracing::info!(app.id = %notice.app_id, "Took a ticket for app {}", notice.app_id);
    Ok(Use::Used)
}

/// Gives those resources another try that ended for lack of a ticket while one was coming in.
///
/// # Errors
/// If the catalogue fails.
pub async fn requeue_overtaken(transaction: &mut Transaction, finished: &[Finished]) -> Result<(), CatalogueError> {
    let lacks_ticket = |ending: &Ending| matches!(ending, Ending::Ended { reason: ReasonCode::AppTicketMissing, .. });
    let ended: Vec<ResourceId> =
        finished.iter().filter(|finished| lacks_ticket(&finished.ending)).map(|finished| finished.id).collect();
    app_tickets::requeue_overtaken(transaction, &ended).await
}

/// A client for an app of either kind; a store app's takes its tickets from the catalogue.
///
/// # Errors
/// If the client cannot be set up.
pub fn connect(
    settings: ClientSettings,
    kind: AppKind,
    catalogue: &Catalogue,
    metrics: Metrics,
    time: PlatformTime,
) -> anyhow::Result<Client> {
    match kind {
        AppKind::Custom => Client::new(settings, metrics, time),
        AppKind::Store => {
            let kept = KeptTickets { catalogue: catalogue.clone(), app_id: settings.app_id.clone() };
            Client::for_store_app(settings, Arc::new(kept), metrics, time)
        }
    }
}

/// The tickets of one app in the catalogue, where every process sees the newest.
#[derive(Debug)]
struct KeptTickets {
    catalogue: Catalogue,
    app_id: AppId,
}

impl TicketBox for KeptTickets {
    fn newest(&self) -> BoxFuture<'_, anyhow::Result<Option<Secret>>> {
        async {
            let newest = app_tickets::newest(self.catalogue.read(), &self.app_id).await;
            newest.context("the catalogue does not answer")
        }
        .boxed()
    }
}
