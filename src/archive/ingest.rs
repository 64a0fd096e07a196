//! Ingest: a verified event becomes a durable row before it is answered.
//!
//! One thread writes whatever waits, until nothing does: deliveries that arrive together share the cost of the disk,
//! and one that arrives alone waits for nobody. The thread is the inbox's own, so that nothing else that waits for a
//! disk can hold deliveries up. What is known to be durable is not written again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::known::{Fingerprint, Known, Room};
use crate::blob::reserve::Reserve;
use crate::catalogue::events::{self, NewEvent};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::error::chain;
use crate::feishu::verified::VerifiedEvent;
use crate::log_limit::LogLimit;

/// Deliveries in one commit: enough to share the cost of the disk, few enough to stay under a millisecond.
const BATCH: usize = 256;
/// From so many on, those that nobody waits for any more are left to the platform, which delivers them again:
/// a disk that hangs must not fill the memory.
const CROWD: usize = 1024;
/// How long a delivery may take to become durable. The platform gives up after 3 s.
pub const DURABLE_WITHIN: Duration = Duration::from_millis(2500);

/// The inbox of a running archive. Cloned freely; its thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
    waiting: Arc<AtomicUsize>,
    submitted: Arc<AtomicUsize>,
    _open: Arc<Open>,
}

/// What the thread that writes shares with whoever submits.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is something to write, or never will be again.
    filled: Condvar,
    catalogue: Catalogue,
    runtime: Handle,
    clock: Clock,
    arrived: Arc<Notify>,
    reserve: Reserve,
}

/// Deliveries that are to be written. The webhook's limit on bodies bounds how many there are.
#[derive(Debug, Default)]
struct Queue {
    deliveries: Vec<(Fingerprint, NewEvent)>,
    /// Who waits for what is in `deliveries` or being written: whoever brought it, and whoever brought a copy.
    answers: HashMap<Fingerprint, Vec<oneshot::Sender<()>>>,
    known: Known,
    is_closed: bool,
}

/// Goes with the last clone of an inbox.
#[derive(Debug)]
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.queue().is_closed = true;
        self.0.filled.notify_one();
    }
}

/// A delivery is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It is written down now.
    Now,
    /// The same delivery was written down before, or is by somebody else.
    Already,
}

/// The event could not be made durable (in time); the platform should deliver it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be written down")]
pub struct NotDurable;

/// What a delivery meets in the inbox.
enum Met {
    Known,
    /// It is written for somebody else already.
    Copy(oneshot::Receiver<()>),
    /// It is new.
    Place(oneshot::Receiver<()>),
}

impl Inbox {
    /// An inbox with its thread, beside the runtime that this is called on. On a disk that is full it uses a reserve.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn new(catalogue: Catalogue, clock: Clock, reserve: Reserve) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            catalogue,
            runtime: Handle::current(),
            clock,
            arrived: Arc::default(),
            reserve,
        });
        let writer = Writer(shared.clone());
        thread::Builder::new().name("inbox".to_owned()).spawn(move || writer.run())?;
        let _open = Arc::new(Open(shared.clone()));
        Ok(Self { shared, waiting: Arc::default(), submitted: Arc::default(), _open })
    }

    /// Writes an event down. When this returns without an error the event survives a power cut.
    ///
    /// # Errors
    /// If that did not succeed within [`DURABLE_WITHIN`].
    pub async fn submit(&self, event: &VerifiedEvent) -> Result<Durable, NotDurable> {
        let identity = event.identity();
        let fingerprint = Fingerprint::of(event.app_id(), identity.event_id.as_deref(), event.payload());
        let event = NewEvent {
            app_id: event.app_id().clone(),
            event_id: identity.event_id.clone(),
            event_type: identity.event_type.clone(),
            message_id: identity.message_id.clone(),
            received_at: self.shared.clock.now(),
            payload: event.payload().to_owned(),
        };
        let _waiting = Waiting::begin(&self.waiting);
        let (answer, durable) = match self.shared.queue().meet(fingerprint, event) {
            Met::Known => return Ok(Durable::Already),
            Met::Copy(answer) => (answer, Durable::Already),
            Met::Place(answer) => (answer, Durable::Now),
        };
        self.submitted.fetch_add(1, Ordering::Relaxed);
        self.shared.filled.notify_one();
        let answer = tokio::time::timeout(DURABLE_WITHIN, answer).await;
        answer.map_err(|_| NotDurable)?.map_err(|_| NotDurable)?;
        Ok(durable)
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
        self.shared.arrived.clone()
    }

    /// Whether the disk is full, so that everything else must leave to deliveries what room there is.
    #[must_use]
    pub fn uses_its_reserve(&self) -> bool {
        self.shared.reserve.is_given_up()
    }

    /// The catalogue that it writes to.
    pub(super) fn catalogue(&self) -> &Catalogue {
        &self.shared.catalogue
    }

    /// Takes note of deliveries that earlier processes wrote down, newest first, and tells whether there is room for
    /// older ones.
    pub(super) fn remember_older(&self, deliveries: Vec<Fingerprint>) -> Room {
        self.shared.queue().known.add_all_older(deliveries)
    }
}

impl Queue {
    fn meet(&mut self, fingerprint: Fingerprint, event: NewEvent) -> Met {
        if self.known.contains(&fingerprint) {
            return Met::Known;
        }
        if self.deliveries.len() >= CROWD {
            self.leave_what_nobody_waits_for();
        }
        let (written, answer) = oneshot::channel();
        match self.answers.entry(fingerprint) {
            Entry::Occupied(others) => {
                let others = others.into_mut();
                if others.len() >= CROWD {
                    others.retain(|other| !other.is_closed());
                }
                others.push(written);
                Met::Copy(answer)
            }
            Entry::Vacant(nobody) => {
                nobody.insert(vec![written]);
                self.deliveries.push((fingerprint, event));
                Met::Place(answer)
            }
        }
    }

    fn leave_what_nobody_waits_for(&mut self) {
        let Self { deliveries, answers, .. } = self;
        deliveries.retain(|(fingerprint, _)| {
            let is_awaited = |answers: &Vec<oneshot::Sender<()>>| !answers.iter().all(oneshot::Sender::is_closed);
            let is_kept = answers.get(fingerprint).is_some_and(is_awaited);
            if !is_kept {
                answers.remove(fingerprint);
            }
            is_kept
        });
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics under this lock; if it did, the queue would still hold whole deliveries.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The one who writes, on a thread of its own.
struct Writer(Arc<Shared>);

/// Deliveries that are being written. What is not durable when this goes is not answered, which counts as a failure.
struct Batch<'a> {
    shared: &'a Shared,
    fingerprints: Vec<Fingerprint>,
    events: Vec<NewEvent>,
}

impl Writer {
    fn run(self) {
        static FAILURES: LogLimit = LogLimit::new();
        while let Some(batch) = self.next() {
            let deliveries = batch.events.len();
            // A panic ends this batch and not the thread, without which nothing is taken any more.
            let error = match catch_unwind(AssertUnwindSafe(|| self.write(batch))) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => chain(&error),
                Err(_) => "the writer panicked; another line says where".to_owned(),
            };
            if let Some(left_out) = FAILURES.pass("failed") {
                tracing::error!(
                    error,
                    deliveries,
                    left_out,
                    "Cannot write deliveries down; the platform will deliver them again"
                );
            }
        }
    }

    /// Waits for something to write; none once the inbox is gone.
    fn next(&self) -> Option<Batch<'_>> {
        let empty = |queue: &mut Queue| queue.deliveries.is_empty() && !queue.is_closed;
        let mut queue = self.0.filled.wait_while(self.0.queue(), empty).unwrap_or_else(PoisonError::into_inner);
        let count = queue.deliveries.len().min(BATCH);
        let (fingerprints, events) = queue.deliveries.drain(..count).unzip();
        (count > 0).then_some(Batch { shared: &self.0, fingerprints, events })
    }

    /// Writes a batch down and answers it.
    fn write(&self, batch: Batch<'_>) -> Result<(), CatalogueError> {
        let Shared { catalogue, runtime, arrived, .. } = self.0.as_ref();
        let turn = runtime.block_on(catalogue.write()?.acquire())?;
        match events::append(catalogue, &turn, &batch.events) {
            Err(error) if error.is_disk_full() && self.give_up_reserve() => {
                events::append(catalogue, &turn, &batch.events)?;
            }
            other => other?,
        }
        batch.answer();
        arrived.notify_one();
        Ok(())
    }
}

impl Writer {
    /// Makes room on a disk that is full, and returns whether there is some now.
    fn give_up_reserve(&self) -> bool {
        match self.0.reserve.give_up() {
            Ok(true) => {
                tracing::error!(
                    "The disk is full: deliveries go into the room that was kept for them, until there is more"
                );
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(%error, "The disk is full, and the room that was kept for deliveries cannot be freed");
                false
            }
        }
    }
}

impl Batch<'_> {
    /// Answers all of them: they are durable.
    fn answer(mut self) {
        let mut answers = Vec::with_capacity(self.fingerprints.len());
        {
            let mut queue = self.shared.queue();
            for fingerprint in self.fingerprints.drain(..) {
                queue.known.add(fingerprint);
                answers.extend(queue.answers.remove(&fingerprint).unwrap_or_default());
            }
        }
        for answer in answers {
            // Whoever stopped waiting has been told that it is not durable; that it is now does no harm.
            let _ = answer.send(());
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if !self.fingerprints.is_empty() {
            let mut queue = self.shared.queue();
            self.fingerprints.iter().for_each(|fingerprint| drop(queue.answers.remove(fingerprint)));
        }
    }
}
