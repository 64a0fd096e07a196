//! Expansion: inbox rows become messages, chats, senders and resources.
//!
//! It runs in batches, in order of arrival and idempotently; replay is the same expansion run
//! again. An event that cannot be understood is set aside with the reason and stops no other.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::ingest::Inbox;
use super::notice::{self, Notice, Use};
use super::received::{self, Received};
use crate::catalogue::events::{self, DamagedEvent, Outcome, Taken, WaitingEvent};
use crate::catalogue::{BATCH, Catalogue, CatalogueError, Transaction};
use crate::domain::error::chain;
use crate::domain::id::EventRowId;
use crate::feishu::event::{self, Event};
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;

/// Events in one transaction between deliveries that go on coming: whoever wants an answer waits for the writer
/// behind it, and this many take a few milliseconds.
const BATCH_BETWEEN_ANSWERS: usize = 32;
/// How long a batch waits while deliveries go on coming, and how long none may have come before it
/// counts as over: longer than a sender takes from one answer to its next delivery.
const GIVE_WAY_FOR: Duration = Duration::from_secs(1);
const GIVE_WAY_STEP: Duration = Duration::from_millis(5);
/// How long the inbox may stay unexpanded before it no longer gives way.
const LAG: Duration = Duration::from_secs(5);
/// The fallback where no notification came: another process may have written.
const POLL: Duration = Duration::from_millis(500);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Expands the inbox.
#[derive(Debug, Clone)]
pub struct Expander {
    catalogue: Catalogue,
    metrics: Metrics,
    /// Told when resources may have become due.
    due: watch::Sender<()>,
    /// Told when something other than a message has been written, which may have cleared a cause.
    noticed: Arc<Notify>,
}

/// An event and what became of it; nothing to tell where it was expanded as usual.
type Settled = (EventRowId, Option<Outcome>);

/// Events that have been read and are to be written together.
struct Batch {
    readings: Vec<Reading>,
    /// The newest of them, if more may wait behind it; none for a replay.
    more_after: Option<EventRowId>,
}

/// What a step has done.
enum Step {
    /// There was nothing to do.
    Nothing,
    /// Some of what waits is expanded.
    Part,
    /// What waited is expanded.
    Everything,
}

/// An event that has been read.
struct Reading {
    event: EventRowId,
    result: Result<Meaning, String>,
}

/// What an event means for the archive.
enum Meaning {
    /// A message.
    Message(Box<Received>),
    /// Something that happened to a message, a chat or the app.
    Notice(Box<Notice>),
}

impl Reading {
    fn received(&self) -> Option<&Received> {
        match &self.result {
            Ok(Meaning::Message(received)) => Some(received),
            _ => None,
        }
    }

    fn notice(&self) -> Option<(EventRowId, &Notice)> {
        match &self.result {
            Ok(Meaning::Notice(notice)) => Some((self.event, notice)),
            _ => None,
        }
    }

    /// What became of it, given the events that were new or used.
    fn outcome(&self, ours: &HashSet<EventRowId>) -> Option<Outcome> {
        let used = ours.contains(&self.event);
        match &self.result {
            Err(error) => Some(Outcome::Unparsed(error.clone())),
            Ok(_) if used => None,
            Ok(Meaning::Message(_)) => Some(Outcome::Duplicate),
            Ok(Meaning::Notice(_)) => Some(Outcome::Ignored),
        }
    }
}

impl Expander {
    /// An expander that tells `due` when it has found resources.
    #[must_use]
    pub fn new(catalogue: Catalogue, metrics: Metrics, due: watch::Sender<()>) -> Self {
        Self { catalogue, metrics, due, noticed: Arc::default() }
    }

    /// Is told when an event has been written that may have cleared the cause of something.
    #[must_use]
    pub fn noticed(&self) -> Arc<Notify> {
        self.noticed.clone()
    }

    /// Expands until `shutdown`, giving way to deliveries that go on coming.
    pub async fn run(self, inbox: Inbox, shutdown: CancellationToken) {
        let arrived = inbox.arrived();
        let mut ahead = None;
        let (mut seen, mut caught_up) = (inbox.submitted(), Instant::now());
        while !shutdown.is_cancelled() {
            if inbox.uses_its_reserve() {
                // What is left of the disk is for deliveries; they can be expanded when there is room again.
                let _ = tokio::time::timeout(AFTER_FAILURE, shutdown.cancelled()).await;
                continue;
            }
            let limit = if caught_up.elapsed() < LAG { give_way(&inbox, &mut seen).await } else { BATCH };
            let pause = match self.step(&mut ahead, limit).await {
                Ok(Step::Nothing) => POLL,
                Ok(Step::Part) => continue,
                Ok(Step::Everything) => {
                    caught_up = Instant::now();
                    continue;
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "Cannot expand the inbox");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = arrived.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
            caught_up = Instant::now();
        }
    }

    /// Expands one batch, which may have been read `ahead`. While it is written the next one is read, at most
    /// `limit` events, so that neither this processor nor the catalogue's waits for the other.
    ///
    /// # Errors
    /// If the catalogue fails; then nothing of the batch is written.
    async fn step(&self, ahead: &mut Option<Batch>, limit: usize) -> Result<Step, CatalogueError> {
        let batch = match ahead.take() {
            Some(batch) => batch,
            None => self.read_batch(EventRowId(0), limit).await?,
        };
        if batch.readings.is_empty() {
            return Ok(Step::Nothing);
        }
        let read_ahead = async {
            match batch.more_after {
                Some(newest) => self.read_batch(newest, limit).await.map(Some),
                None => Ok(None),
            }
        };
        let (written, next) = tokio::join!(self.write_batch(&batch.readings), read_ahead);
        written?;
        self.due.send_replace(());
        *ahead = next?.filter(|next| !next.readings.is_empty());
        Ok(if ahead.is_some() { Step::Part } else { Step::Everything })
    }

    /// Reads what is to be replayed, else what came after `newest` and was not expanded yet.
    async fn read_batch(&self, newest: EventRowId, limit: usize) -> Result<Batch, CatalogueError> {
        let (read, most) = (self.catalogue.read(), u32::try_from(limit).unwrap_or(u32::MAX));
        let replayed = events::replayed(read, most).await?.events;
        if !replayed.is_empty() {
            return Ok(Batch { readings: read_all(replayed).await?, more_after: None });
        }
        let Taken { events, is_full } = events::new(read, newest, most).await?;
        let readings = read_all(events).await?;
        let newest = readings.last().map(|reading| reading.event);
        Ok(Batch { more_after: newest.filter(|_| is_full), readings })
    }

    async fn write_batch(&self, readings: &[Reading]) -> Result<(), CatalogueError> {
        match self.write(self.catalogue.begin().await?, readings).await {
            Ok(()) => {}
            Err(error) if error.is_about_the_rows() => self.write_one_by_one(readings).await?,
            Err(error) => return Err(error),
        }
        if readings.iter().any(|reading| reading.notice().is_some()) {
            self.noticed.notify_one();
        }
        Ok(())
    }

    /// A batch that the catalogue refuses is written event by event, so that the one that is
    /// refused stands alone.
    async fn write_one_by_one(&self, readings: &[Reading]) -> Result<(), CatalogueError> {
        for reading in readings {
            let one = std::slice::from_ref(reading);
            let Err(error) = self.write(self.catalogue.begin().await?, one).await else { continue };
            if !error.is_about_the_rows() {
                return Err(error);
            }
            static LINES: LogLimit = LogLimit::new();
            if let Some(left_out) = LINES.pass("refused by the catalogue") {
                tracing::error!(event.row = %reading.event, error = %chain(&error), left_out, "Set an event aside");
            }
            let outcome = Outcome::Unparsed(format!("the catalogue refuses it: {}", chain(&error)));
            let mut transaction = self.catalogue.begin().await?;
            events::settle(&mut transaction, &[(reading.event, Some(outcome))]).await?;
            transaction.commit().await?;
            self.metrics.count_event("unparsed");
        }
        Ok(())
    }

    async fn write(&self, mut transaction: Transaction, readings: &[Reading]) -> Result<(), CatalogueError> {
        let settled = write_readings(&mut transaction, readings).await?;
        transaction.commit().await?;
        self.count(&settled);
        Ok(())
    }

    fn count(&self, settled: &[Settled]) {
        for (id, outcome) in settled {
            match outcome {
                None => {}
                Some(Outcome::Duplicate) => self.metrics.count_event("duplicate"),
                Some(Outcome::Ignored) => self.metrics.count_event("ignored"),
                Some(Outcome::Unparsed(error)) => {
                    static LINES: LogLimit = LogLimit::new();
                    self.metrics.count_event("unparsed");
                    if let Some(left_out) = LINES.pass("unparsed") {
                        tracing::warn!(event.row = %id, error, left_out, "Kept event {id} as unparsed");
                    }
                }
            }
        }
    }
}

/// Lets deliveries go first for as long as they keep coming, but not for ever. Returns how many
/// events may be expanded now. `seen` is how many deliveries had come at the last look.
async fn give_way(inbox: &Inbox, seen: &mut usize) -> usize {
    let quiet = async {
        while inbox.waiting() > 0 || inbox.submitted() != *seen {
            *seen = inbox.submitted();
            tokio::time::sleep(GIVE_WAY_STEP).await;
        }
    };
    match tokio::time::timeout(GIVE_WAY_FOR, quiet).await {
        Ok(()) => BATCH,
        Err(_) => BATCH_BETWEEN_ANSWERS,
    }
}

/// Reads a batch away from the threads that answer: a body may be a megabyte of nested JSON.
async fn read_all(waiting: Vec<Result<WaitingEvent, DamagedEvent>>) -> Result<Vec<Reading>, CatalogueError> {
    let read_one = |waiting: Result<WaitingEvent, DamagedEvent>| match waiting {
        Ok(waiting) => read(&waiting),
        Err(DamagedEvent { id, error }) => Reading { event: id, result: Err(error) },
    };
    let reading = tokio::task::spawn_blocking(move || waiting.into_iter().map(read_one).collect());
    reading.await.map_err(|_| CatalogueError::Interrupted)
}

fn read(waiting: &WaitingEvent) -> Reading {
    let result = catch_unwind(AssertUnwindSafe(|| understand(waiting)))
        .unwrap_or_else(|_| Err("Larkive failed on this event; please report it with the payload".to_owned()));
    Reading { event: waiting.id, result }
}

fn understand(waiting: &WaitingEvent) -> Result<Meaning, String> {
    match event::read(&waiting.app_id, &waiting.payload).map_err(|unreadable| unreadable.to_string())? {
        Event::MessageReceived(message) => {
            Ok(Meaning::Message(Box::new(Received::from_event(waiting.id, waiting.received_at, message))))
        }
        event => {
            let (app_id, received_at) = (waiting.app_id.clone(), waiting.received_at);
            Ok(Meaning::Notice(Box::new(Notice { app_id, received_at, event })))
        }
    }
}

/// Writes what a batch says. Returns what became of each event, in the same order.
async fn write_readings(transaction: &mut Transaction, readings: &[Reading]) -> Result<Vec<Settled>, CatalogueError> {
    let received: Vec<&Received> = readings.iter().filter_map(Reading::received).collect();
    let mut ours = received::write(transaction, &received).await?;
    for (event, notice) in readings.iter().filter_map(Reading::notice) {
        if notice::apply(transaction, notice).await? == Use::Used {
            ours.insert(event);
        }
    }
    let settled: Vec<Settled> = readings.iter().map(|reading| (reading.event, reading.outcome(&ours))).collect();
    events::settle(transaction, &settled).await?;
    Ok(settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::FILE_NAME;
    use crate::catalogue::events::NewEvent;
    use crate::domain::time::Timestamp;

    #[tokio::test]
    async fn a_batch_that_was_full_by_bytes_counted_as_the_last_one() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(&directory.path().join(FILE_NAME)).await.unwrap();
        let large = NewEvent {
            app_id: "cli_a".parse().unwrap(),
            event_id: None,
            event_type: None,
            message_id: None,
            received_at: Timestamp::EPOCH,
            payload: "x".repeat(1 << 20),
        };
        let turn = catalogue.write().unwrap().acquire().await.unwrap();
        events::append(&catalogue, &turn, &vec![large; 6]).unwrap();
        drop(turn);
        let expander = Expander::new(catalogue, Metrics::new(), watch::Sender::new(()));
        let first = expander.read_batch(EventRowId(0), BATCH).await.unwrap();
        assert!((1..6).contains(&first.readings.len()), "{}", first.readings.len());
        let newest = first.more_after.expect("more waits behind it");
        let rest = expander.read_batch(newest, BATCH).await.unwrap();
        assert_eq!((first.readings.len() + rest.readings.len(), rest.more_after), (6, None));
    }
}
