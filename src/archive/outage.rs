//! Outage: whether an app's way to the platform is open, learnt by one for all.
//!
//! What fails for an app as a whole pauses everything that asks in its name: downloads, forwards,
//! quotes and names. Then one of them at a time finds out whether the pause can end, and the others keep
//! their state. (Elsewhere this is called a circuit breaker.)
//!
//! No connection and no token concern the whole app at once. Without an answer, or with 5xx, it may as
//! well be the one resource that was asked for: only when `SUBJECTS_IN_A_ROW` different ones of a kind
//! have failed like that and none was answered in between, it is the platform, and whoever asks for that
//! kind is paused. So no single resource can pause anybody, however often it fails, and where only one of
//! the platform's services is down the others are used.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::download::{FIRST_PAUSE, JITTER};
use crate::domain::id::AppId;
use crate::domain::time::Timestamp;
use crate::feishu::answer::{Refusal, Scope};
use crate::feishu::client::Client;
use crate::metrics::Metrics;

/// So many different subjects without an answer, and none with one, make it the platform's fault.
const SUBJECTS_IN_A_ROW: usize = 5;
/// The longest pause between two probes; with its spread it stays below a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(50);
/// How soon to look again while somebody else's probe is under way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What everybody who asks for one app knows about its way to the platform. Cloned freely.
#[derive(Debug, Clone)]
pub struct Outage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app_id: AppId,
    client: Client,
    clock: Clock,
    metrics: Metrics,
    /// Told when the pause is over.
    due: watch::Sender<()>,
    /// How many probes have begun.
    probes: AtomicU64,
    standing: Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    /// The pause of everybody: there is no connection or no token.
    whole: Option<Pause>,
    kinds: HashMap<Kind, Answers>,
}

/// How the platform answers questions of a kind.
#[derive(Debug, Default)]
struct Answers {
    /// Who was without an answer since the last one came.
    missing: HashSet<String>,
    /// The pause of whoever asks such questions.
    pause: Option<Pause>,
}

/// What is asked for. Each is a service of its own on the platform's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes of resources.
    Bytes,
    /// Messages: forwards and quotes.
    Messages,
    /// What chats and people are called.
    Names,
}

#[derive(Debug)]
struct Pause {
    /// Probes that have failed, and what began it.
    failures: u32,
    /// When the next probe may begin.
    until: Timestamp,
    probe: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    number: u64,
    subject: Option<String>,
    began_at: Timestamp,
}

/// What paused an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There is no connection or no token: whoever asks fails.
    Way,
    /// There are no answers, or only 5xx: perhaps not for everybody.
    Answers,
}

/// Whether somebody may ask now.
#[derive(Debug)]
pub enum Admission {
    /// Everybody may.
    Open,
    /// One may, to find out.
    Probe(Probe),
    /// Nobody may for so long.
    Wait(Duration),
}

/// The right to find out whether a pause can end, until this is dropped.
#[derive(Debug)]
pub struct Probe {
    outage: Outage,
    number: u64,
    cause: Cause,
}

/// What a refusal means for whoever met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It is to be judged as such.
    ItsOwn,
    /// It concerns the whole app, and this one has found out; it is to be asked again at that time.
    OfTheApp {
        /// When the next probe may begin.
        until: Timestamp,
    },
    /// It concerns the whole app, which is known: as if nothing had been asked.
    KnownAlready,
}

impl Outage {
    /// Of an app that has asked nothing yet.
    #[must_use]
    pub fn new(app_id: AppId, client: Client, clock: Clock, metrics: Metrics, due: watch::Sender<()>) -> Self {
        metrics.show_paused(app_id.as_str(), 0);
        let standing = Mutex::default();
        Self(Arc::new(Inner { app_id, client, clock, metrics, due, probes: AtomicU64::new(0), standing }))
    }

    /// Whether questions of a kind are paused. Whoever has none shall not take the right to probe from
    /// those who have.
    #[must_use]
    pub fn is_paused(&self, kind: Kind) -> bool {
        let standing = self.standing();
        standing.whole.is_some() || standing.kinds.get(&kind).is_some_and(|answers| answers.pause.is_some())
    }

    /// Whether somebody may ask a question of a kind now, and has one.
    #[must_use]
    pub fn admit(&self, kind: Kind) -> Admission {
        let standing = &mut *self.standing();
        let (pause, cause) = match (&mut standing.whole, standing.kinds.get_mut(&kind)) {
            (Some(pause), _) => (pause, Cause::Way),
            (None, Some(Answers { pause: Some(pause), .. })) => (pause, Cause::Answers),
            (None, _) => return Admission::Open,
        };
        let now = self.0.clock.now();
        if let Some(left) = pause.left(now) {
            return Admission::Wait(left);
        }
        let number = self.0.probes.fetch_add(1, Ordering::Relaxed);
        pause.probe = Some(UnderWay { number, subject: None, began_at: now });
        Admission::Probe(Probe { outage: self.clone(), number, cause })
    }

    /// Learns that the platform has answered a question of a kind.
    pub fn note_answer(&self, kind: Kind) {
        let mut standing = self.standing();
        let answers = standing.kinds.entry(kind).or_default();
        answers.missing.clear();
        if answers.pause.take().is_some() | standing.whole.take().is_some() {
            self.show(&mut standing);
            drop(standing);
            self.end();
        }
    }

    /// Learns of a refusal, and says what it means for its subject.
    #[must_use]
    pub fn heed(&self, kind: Kind, subject: &str, refusal: &Refusal) -> Meaning {
        let cause = match refusal.scope {
            Scope::NotAsked => return Meaning::KnownAlready,
            Scope::Subject => {
                if refusal.upstream.http_status.is_some() {
                    self.note_answer(kind);
                }
                return Meaning::ItsOwn;
            }
            Scope::App => Cause::Way,
            Scope::Unclear => Cause::Answers,
        };
        let now = self.0.clock.now();
        let mut standing = self.standing();
        let Standing { whole, kinds } = &mut *standing;
        let answers = kinds.entry(kind).or_default();
        // A connection that is missing concerns those as well who wait for answers.
        let pause = if whole.is_some() || cause == Cause::Way { whole } else { &mut answers.pause };
        if let Some(pause) = pause {
            if !pause.is_probed_by(subject) {
                return Meaning::KnownAlready;
            }
            pause.go_on(now);
            let until = pause.until;
            drop(standing);
            self.report("stays paused", until, refusal);
            return Meaning::OfTheApp { until };
        }
        answers.missing.insert(subject.to_owned());
        if cause == Cause::Answers && answers.missing.len() < SUBJECTS_IN_A_ROW {
            return Meaning::ItsOwn;
        }
        let until = pause.insert(Pause::begin(now)).until;
        self.show(&mut standing);
        drop(standing);
        self.report("is paused", until, refusal);
        self.0.client.release_waiting();
        if cause == Cause::Way { Meaning::OfTheApp { until } } else { Meaning::ItsOwn }
    }

    fn end(&self) {
        let app_id = &self.0.app_id;
        tracing::info!(app.id = %app_id, "App {app_id} goes on: the platform answers again");
        self.0.due.send_replace(());
    }

    /// Done under the lock, so that what is shown is what stands.
    fn show(&self, standing: &mut Standing) {
        let paused = standing.pauses().next().is_some();
        self.0.metrics.show_paused(self.0.app_id.as_str(), paused.into());
    }

    fn report(&self, standing: &str, until: Timestamp, refusal: &Refusal) {
        let app_id = &self.0.app_id;
        tracing::warn!(app.id = %app_id, reason = %refusal.reason(), upstream = %refusal.upstream, next_probe_at = %until,
            "App {app_id} {standing}: the platform cannot be reached or fails whatever is asked");
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Nothing panics under this lock; if it did, the standing would still be whole.
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn pauses(&mut self) -> impl Iterator<Item = &mut Pause> {
        let of_kinds = self.kinds.values_mut().filter_map(|answers| answers.pause.as_mut());
        self.whole.as_mut().into_iter().chain(of_kinds)
    }

    /// The probe with this number, if it is still under way.
    fn probe(&mut self, number: u64) -> Option<&mut Option<UnderWay>> {
        let mut probes = self.pauses().map(|pause| &mut pause.probe);
        probes.find(|probe| probe.as_ref().is_some_and(|under_way| under_way.number == number))
    }
}

impl Pause {
    fn begin(now: Timestamp) -> Self {
        Self { failures: 1, until: now.after(length(1, fastrand::f64())), probe: None }
    }

    /// How long nobody may ask yet.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        if self.probe.is_some() {
            return Some(LOOK_AGAIN);
        }
        // A clock that was set back does not make a pause longer.
        Some(self.until.since(now)).filter(|left| !left.is_zero() && *left <= LONGEST_PAUSE * 2)
    }

    /// One more probe has failed. Its own time counts as part of the pause, so that no two probes begin
    /// further apart than the longest pause or the longest wait for an answer.
    fn go_on(&mut self, now: Timestamp) {
        let began_at = self.probe.take().map_or(now, |probe| probe.began_at);
        self.failures += 1;
        self.until = now.max(began_at.after(length(self.failures, fastrand::f64())));
    }

    fn is_probed_by(&self, subject: &str) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.subject.as_deref() == Some(subject))
    }
}

impl Probe {
    /// What paused the app.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Says what the probe asks for.
    pub fn asks_for(&mut self, subject: &str) {
        if let Some(Some(under_way)) = self.outage.standing().probe(self.number) {
            under_way.subject = Some(subject.to_owned());
        }
    }
}

impl Drop for Probe {
    /// Lets the next one try, if this one has found out nothing.
    fn drop(&mut self) {
        if let Some(probe) = self.outage.standing().probe(self.number) {
            *probe = None;
        }
    }
}

/// The pause after so many failures: doubling from the first, spread so that apps do not ask together.
/// `chance` is a number from 0 to 1.
fn length(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let plain = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    plain.mul_f64(1.0 + JITTER * (2.0 * chance - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds = |failures, chance| length(failures, chance).as_secs_f64();
        assert_eq!([1, 2, 3, 6, 7, 400].map(|failures| seconds(failures, 0.5)), [1.0, 2.0, 4.0, 32.0, 50.0, 50.0]);
        assert_eq!((seconds(1, 0.0), seconds(400, 1.0)), (0.8, 60.0));
    }
}
