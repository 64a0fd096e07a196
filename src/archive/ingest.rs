//! Ingest: a verified event becomes a durable row before it is answered.
//!
//! Whoever finds nobody writing brings a writer, who writes until nothing waits: deliveries that arrive
//! together share the cost of the disk, and one that arrives alone waits for nobody.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::catalogue::events::{self, NewEvent};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::error::chain;
use crate::feishu::webhook::VerifiedEvent;

/// Deliveries in one commit: enough to share the cost of the disk, few enough to stay under a millisecond.
const BATCH: usize = 256;
/// From so many on, those that nobody waits for any more are left to the platform, which delivers them again:
/// a disk that hangs must not fill the memory.
const CROWD: usize = 1024;
/// How long a delivery may take to become durable. The platform gives up after 3 s.
pub const DURABLE_WITHIN: Duration = Duration::from_millis(2500);

/// The inbox of a running archive. Cloned freely.
#[derive(Debug, Clone)]
pub struct Inbox {
    queue: Arc<Mutex<Queue>>,
    catalogue: Catalogue,
    runtime: Handle,
    clock: Clock,
    waiting: Arc<AtomicUsize>,
    submitted: Arc<AtomicUsize>,
    arrived: Arc<Notify>,
}

/// Deliveries that are to be written. The webhook's limit on bodies bounds how many there are.
#[derive(Debug, Default)]
struct Queue {
    deliveries: Vec<Delivery>,
    has_writer: bool,
}

#[derive(Debug)]
struct Delivery {
    event: NewEvent,
    written: oneshot::Sender<()>,
}

/// The event could not be made durable (in time); the platform should deliver it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be written down")]
pub struct NotDurable;

impl Inbox {
    /// An inbox, whose writer runs beside the runtime that this is called on.
    ///
    /// # Errors
    /// If the catalogue is open for reading only.
    pub fn new(catalogue: Catalogue, clock: Clock) -> Result<Self, CatalogueError> {
        catalogue.write()?;
        let (runtime, queue, arrived) = (Handle::current(), Arc::default(), Arc::default());
        Ok(Self { queue, catalogue, runtime, clock, waiting: Arc::default(), submitted: Arc::default(), arrived })
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
        let _waiting = Waiting::begin(&self.waiting);
        self.submitted.fetch_add(1, Ordering::Relaxed);
        if let Some(writer) = self.queue(Delivery { event, written }) {
            self.runtime.spawn_blocking(|| writer.run());
        }
        let answer = tokio::time::timeout(DURABLE_WITHIN, answer).await;
        answer.map_err(|_| NotDurable)?.map_err(|_| NotDurable)
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

    /// Adds a delivery to what is to be written. Whoever finds nobody writing has to.
    fn queue(&self, delivery: Delivery) -> Option<Writer> {
        let mut queue = lock(&self.queue);
        if queue.deliveries.len() >= CROWD {
            queue.deliveries.retain(|delivery| !delivery.written.is_closed());
        }
        queue.deliveries.push(delivery);
        let is_first = !mem::replace(&mut queue.has_writer, true);
        is_first.then(|| Writer { inbox: self.clone(), is_done: false })
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing panics under this lock; if it did, the queue would still hold whole deliveries.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The one who writes, for as long as anything waits, on a thread that may wait for the disk.
struct Writer {
    inbox: Inbox,
    /// Whether it has found nothing to write. From then on there may be another one.
    is_done: bool,
}

impl Writer {
    fn run(mut self) {
        while let Some(batch) = self.take() {
            if let Err(error) = self.write(batch) {
                let waiting = self.inbox.waiting();
                tracing::error!(error = %chain(&error), waiting, "Cannot write deliveries down; the platform will deliver them again");
            }
        }
    }

    /// Writes a batch down and answers it; without an answer it counts as not durable.
    fn write(&self, batch: Vec<Delivery>) -> Result<(), CatalogueError> {
        let (events, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|delivery| (delivery.event, delivery.written)).unzip();
        let Inbox { catalogue, runtime, arrived, .. } = &self.inbox;
        let turn = runtime.block_on(catalogue.write()?.acquire())?;
        events::append(catalogue, &turn, &events)?;
        for answer in answers {
            // Whoever stopped waiting has been told that it is not durable; that it is now does no harm.
            let _ = answer.send(());
        }
        arrived.notify_one();
        Ok(())
    }

    /// What is to be written next; none if nothing waits, and then the next delivery brings a new writer.
    fn take(&mut self) -> Option<Vec<Delivery>> {
        let mut queue = lock(&self.inbox.queue);
        let count = queue.deliveries.len().min(BATCH);
        queue.has_writer = count > 0;
        self.is_done = count == 0;
        (count > 0).then(|| queue.deliveries.drain(..count).collect())
    }
}

impl Drop for Writer {
    /// The runtime may end before it has begun, and a panic would end it: then the next delivery brings another.
    fn drop(&mut self) {
        if !self.is_done {
            lock(&self.inbox.queue).has_writer = false;
        }
    }
}
