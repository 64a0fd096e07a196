//! Quote: a message that somebody answered, and that nobody told us of, is asked for once.
//!
//! It runs beside everything else, one message at a time. What cannot be had is no failure of any
//! resource: it is kept in the catalogue, with the reason, and logged.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::listing::{Lister, NotListed};
use super::outage::{Admission, Kind, Meaning, Outage};
use crate::catalogue::quotes::{self, Outcome, Unseen};
use crate::catalogue::requeue::cleared;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::download::{UNKNOWN_CODE_TRIES, Verdict, pause};
use crate::domain::error::chain;
use crate::domain::id::AppId;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;
use crate::feishu::answer::Refusal;

/// How often a quoted message is asked for while the platform has trouble: with the pauses in
/// between this is about half an hour. Nobody waits for it as for a resource.
const TRIES: u32 = 12;
/// The fallback where no notification came, and for what waits for its next try.
const POLL: Duration = Duration::from_secs(1);
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Asks for quoted messages of one app.
#[derive(Debug, Clone)]
pub struct Quoter {
    catalogue: Catalogue,
    app_id: AppId,
    lister: Lister,
    outage: Outage,
    clock: Clock,
    /// Told when resources may have become due; also when there may be something quoted.
    due: watch::Sender<()>,
}

impl Quoter {
    /// A quoter that tells `due` when it has found resources.
    #[must_use]
    pub fn new(
        catalogue: Catalogue,
        app_id: AppId,
        (lister, outage): (Lister, Outage),
        clock: Clock,
        due: watch::Sender<()>,
    ) -> Self {
        Self { catalogue, app_id, lister, outage, clock, due }
    }

    /// Asks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut due = self.due.subscribe();
        while !shutdown.is_cancelled() {
            due.borrow_and_update();
            let stepped = tokio::select! {
                stepped = self.step() => stepped,
                () = shutdown.cancelled() => return,
            };
            let pause = match stepped {
                Ok(true) => continue,
                Ok(false) => POLL,
                Err(error) => {
                    tracing::error!(app.id = %self.app_id, error = %chain(&error), "Cannot look for quoted messages");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                _ = due.changed() => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Asks for one quoted message, if any is due and the app is not paused; returns whether one was.
    ///
    /// # Errors
    /// If the catalogue fails.
    pub async fn step(&self) -> Result<bool, CatalogueError> {
        let asked_at = self.clock.now();
        let Some(unseen) = quotes::next(&self.catalogue, &self.app_id, asked_at).await? else { return Ok(false) };
        // Held until the end of this step.
        let mut admission = self.outage.admit(Kind::Messages);
        match &mut admission {
            Admission::Open => {}
            Admission::Probe(probe) => probe.asks_for(unseen.message_id.as_str()),
            Admission::Wait(_) => return Ok(false),
        }
        let outcome = match self.lister.archive(&self.app_id, &unseen.message_id, &unseen.surroundings).await {
            Ok(()) => {
                self.outage.note_answer(Kind::Messages);
                Outcome::Found
            }
            Err(NotListed::Refused(refusal)) => {
                match self.outage.heed(Kind::Messages, unseen.message_id.as_str(), &refusal) {
                    Meaning::ItsOwn => self.judge(&unseen, refusal),
                    // It stays due and counts no try: there are few, and none was the message's fault.
                    Meaning::OfTheApp { .. } | Meaning::KnownAlready => return Ok(false),
                }
            }
            // Only this message is refused: the others shall not wait behind it.
            Err(NotListed::Catalogue(error)) if error.is_about_the_rows() => {
                tracing::error!(message.id = %unseen.message_id, app.id = %self.app_id, error = %chain(&error),
                    "The catalogue refuses a quoted message");
                self.judge(&unseen, Refusal::failed_here())
            }
            Err(NotListed::Catalogue(error)) => return Err(error),
        };
        self.log(&unseen, &outcome);
        self.settle(&unseen, asked_at, &outcome).await?;
        if outcome == Outcome::Found {
            self.due.send_replace(());
        }
        Ok(true)
    }

    /// Records what came of it, in the light of what became of the chat meanwhile.
    async fn settle(&self, unseen: &Unseen, asked_at: Timestamp, outcome: &Outcome) -> Result<(), CatalogueError> {
        let message = (&self.app_id, &unseen.message_id);
        let mut transaction = self.catalogue.begin().await?;
        quotes::settle(&mut transaction, message, asked_at, outcome).await?;
        if matches!(outcome, Outcome::Failed { reason, .. } if cleared::may_be_cleared(*reason)) {
            cleared::requeue_quoted(&mut transaction, message).await?;
        }
        transaction.commit().await
    }

    fn judge(&self, unseen: &Unseen, refusal: Refusal) -> Outcome {
        let Refusal { verdict, upstream, .. } = refusal;
        let tries = unseen.attempts + 1;
        let later = |reason, wait, upstream| {
            let next_attempt_at = self.clock.now().after(wait);
            Outcome::Later { reason, upstream, next_attempt_at }
        };
        match verdict {
            Verdict::RateLimited { wait } => {
                let reason = ReasonCode::RateLimited;
                later(reason, wait.unwrap_or_else(|| pause(reason, tries, fastrand::f64())), upstream)
            }
            Verdict::Retry(reason) if tries < TRIES => later(reason, pause(reason, tries, fastrand::f64()), upstream),
            Verdict::RetryFewTimes(reason) if tries < UNKNOWN_CODE_TRIES => {
                later(reason, pause(reason, tries, fastrand::f64()), upstream)
            }
            // It comes within the hour, by itself.
            Verdict::End(reason @ ReasonCode::AppTicketMissing) => {
                later(reason, pause(reason, tries, fastrand::f64()), upstream)
            }
            Verdict::Retry(reason @ ReasonCode::LocalFailure) => Outcome::Failed { reason, upstream },
            Verdict::Retry(_) => Outcome::Failed { reason: ReasonCode::AttemptsExhausted, upstream },
            Verdict::RetryFewTimes(reason) | Verdict::End(reason) => Outcome::Failed { reason, upstream },
        }
    }

    fn log(&self, unseen: &Unseen, outcome: &Outcome) {
        let (id, app_id) = (&unseen.message_id, &self.app_id);
        match outcome {
            Outcome::Found => tracing::info!(message.id = %id, app.id = %app_id, "Archived a quoted message"),
            Outcome::Later { reason, upstream, .. } => {
                tracing::info!(message.id = %id, app.id = %app_id, %reason, upstream = %upstream,
                    "A quoted message will be asked for again");
            }
            Outcome::Failed { reason, upstream } => {
                tracing::warn!(message.id = %id, app.id = %app_id, %reason, upstream = %upstream,
                    "A quoted message cannot be had");
            }
        }
    }
}
