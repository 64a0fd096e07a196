//! Ingest: a verified event becomes a durable row before it is answered.
//!
//! One writer takes whatever waits and writes it in one commit, so that deliveries that arrive
//! together share the cost of the disk, and one that arrives alone waits for nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::catalogue::events::{self, NewEvent};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::error::chain;
use crate::feishu::webhook::VerifiedEvent;

/// Deliveries in one commit: enough to share the cost of the disk, few enough to stay under a millisecond.
const BATCH: usize = 256;
/// Deliveries that may wait for the writer before further ones wait outside.
const QUEUE: usize = 4096;
/// How long a delivery may take to become durable. The platform gives up after 3 s.
pub const DURABLE_WITHIN: Duration = Duration::from_millis(2500);

/// The inbox of a running archive. Cloned freely.
#[derive(Debug, Clone)]
pub struct Inbox {
    queue: mpsc::Sender<Delivery>,
    clock: Clock,
    waiting: Arc<AtomicUsize>,
    submitted: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
}

#[derive(Debug)]
struct Delivery {
    event: NewEvent,
    written: oneshot::Sender<Result<(), NotDurable>>,
}

/// The event could not be made durable (in time); the platform should deliver it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be written down")]
pub struct NotDurable;

impl Inbox {
    /// Starts the writer. It ends, with everything written, when the last inbox is dropped.
    ///
    /// # Errors
    /// If the catalogue is open for reading only.
    pub fn start(catalogue: &Catalogue, clock: Clock) -> Result<(Self, JoinHandle<()>), CatalogueError> {
        catalogue.write()?;
        let (queue, deliveries) = mpsc::channel(QUEUE);
        let inbox = Self { queue, clock, waiting: Arc::default(), submitted: Arc::default(), arrived: Arc::default() };
        let writer =
            Writer { catalogue: catalogue.clone(), waiting: inbox.waiting.clone(), arrived: inbox.arrived.clone() };
        Ok((inbox, tokio::spawn(writer.run(deliveries))))
    }

    /// Writes an event down. When this returns without an error the event survives a power cut.
    ///
    /// # Errors
    /// If that did not succeed within [`DURABLE_WITHIN`].
    pub async fn submit(&self, event: &VerifiedEvent) -> Result<(), NotDurable> {
        let identity = event.identity();
        let event = NewEvent {
            app_id: event.app_id().clone(),
            event_id: identity.event_id.clone(),
            event_type: identity.event_type.clone(),
            message_id: identity.message_id.clone(),
            received_at: self.clock.now(),
            payload: event.payload().to_owned(),
        };
        let (written, answer) = oneshot::channel();
        let submitted = async {
            self.queue.send(Delivery { event, written }).await.map_err(|_| NotDurable)?;
            answer.await.map_err(|_| NotDurable)?
        };
        let _waiting = Waiting::begin(&self.waiting);
        self.submitted.fetch_add(1, Ordering::Relaxed);
        tokio::time::timeout(DURABLE_WITHIN, submitted).await.map_err(|_| NotDurable)?
    }

    /// How many deliveries wait for their answer at this moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How many deliveries have come since the start.
    #[must_use]
    pub fn submitted(&self) -> usize {
        self.submitted.load(Ordering::Relaxed)
    }

    /// Is told after every commit.
    #[must_use]
    pub fn arrived(&self) -> Arc<Notify> {
        self.arrived.clone()
    }
}

/// Counts one delivery as waiting, also when the request behind it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Writer {
    catalogue: Catalogue,
    waiting: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
}

impl Writer {
    async fn run(self, mut deliveries: mpsc::Receiver<Delivery>) {
        let mut batch = Vec::with_capacity(BATCH);
        while deliveries.recv_many(&mut batch, BATCH).await > 0 {
            let (events, answers): (Vec<_>, Vec<_>) =
                batch.drain(..).map(|delivery| (delivery.event, delivery.written)).unzip();
            let result = self.write(&events).await;
            for answer in answers {
                // Whoever stopped waiting has been told that it is not durable; that it is now does no harm.
                let _ = answer.send(result);
            }
            self.arrived.notify_one();
        }
    }

    async fn write(&self, batch: &[NewEvent]) -> Result<(), NotDurable> {
        let append = async { events::append(self.catalogue.write()?, batch).await };
        append.await.map_err(|error| {
            let waiting = self.waiting.load(Ordering::Relaxed);
            tracing::error!(error = %chain(&error), waiting, "Cannot write deliveries down; the platform will deliver them again");
            NotDurable
        })
    }
}
