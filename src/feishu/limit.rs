//! The call budget of one API: how many requests one app may send in a second and in a minute.
//!
//! The platform counts both windows at once and refuses what exceeds either. Token-bucket and GCRA
//! crates let a full bucket and its refill pass inside one window, up to twice the limit, so this
//! is a sliding log: a call may start only when, at no point in time at which the platform can have
//! counted it, a window would hold more than its limit. When the platform counts a call is not
//! known exactly, only that it lies between sending it and the head of its answer; a call therefore
//! fills its place from the first and leaves it one window after the second.
//!
//! Whoever waits is served newest first, so that a backlog is not in the way of what is new. For the
//! same reason a backlog may not burn a whole window at once and leave nothing until the next one: it
//! goes as fast as it can, but for what is needed to let a call through every now and then until
//! earlier ones leave the window.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::domain::time::Timestamp;

/// Added to every window: the platform's clock rounds, and may run a little faster than ours.
const MARGIN: Duration = Duration::from_millis(20);
/// The longest pause that a call waits for in line. For a longer one it is sent away, so that it
/// holds no worker meanwhile.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept of every window is enough for a call at least this often: something new, which goes
/// first, waits for two of them at most. Of the platform's 1000 calls a minute it leaves a burst of about 800.
const LONGEST_GAP: Duration = Duration::from_millis(250);
/// The place in a row of calls that belongs to whoever has waited longest, so that nobody waits for
/// ever behind a stream of newer ones.
const TURN_OF_THE_OLDEST: u64 = 4;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// How many calls fit into each window. A window that is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls in any second, at least 1.
    pub per_second: Option<u32>,
    /// Calls in any minute, at least 1.
    pub per_minute: Option<u32>,
}

impl Budget {
    /// No limit at all, for tests and benches against the stand-in platform.
    pub const OFF: Self = Self { per_second: None, per_minute: None };
    /// What the platform allows on the APIs used here, per app, tenant and API.
    pub const PLATFORM: Self = Self { per_second: Some(50), per_minute: Some(1000) };

    fn windows(self) -> Vec<Window> {
        let window = |calls: Option<u32>, span| {
            let calls = usize::try_from(calls?.max(1)).ok()?;
            Some(Window { calls, span: span + MARGIN })
        };
        [window(self.per_second, SECOND), window(self.per_minute, MINUTE)].into_iter().flatten().collect()
    }
}

/// A text that is no call budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a call budget; write calls per second and per minute, such as `50/s 1000/min`, or `off`")]
pub struct NotABudget(String);

impl FromStr for Budget {
    type Err = NotABudget;

    /// Reads `off`, or one or both windows in any order.
    fn from_str(text: &str) -> Result<Self, NotABudget> {
        let refuse = || NotABudget(text.to_owned());
        if text.trim() == "off" {
            return Ok(Self::OFF);
        }
        let mut budget = Self::OFF;
        for part in text.split_whitespace() {
            let (calls, unit) = part.split_once('/').ok_or_else(refuse)?;
            let window = match unit {
                "s" => &mut budget.per_second,
                "min" => &mut budget.per_minute,
                _ => return Err(refuse()),
            };
            let calls = Some(calls).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            let calls = calls.and_then(|digits| digits.parse().ok()).filter(|calls| *calls > 0).ok_or_else(refuse)?;
            if window.replace(calls).is_some() {
                return Err(refuse());
            }
        }
        if budget == Self::OFF { Err(refuse()) } else { Ok(budget) }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.per_second, self.per_minute) {
            (None, None) => f.write_str("off"),
            (Some(second), None) => write!(f, "{second}/s"),
            (None, Some(minute)) => write!(f, "{minute}/min"),
            (Some(second), Some(minute)) => write!(f, "{second}/s {minute}/min"),
        }
    }
}

/// The platform asked for a pause longer than [`PATIENCE`]; this much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused(pub Duration);

/// Who goes first where calls wait: what is about a newer message. What no message tells the time of
/// goes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Priority(Option<Timestamp>);

impl Priority {
    /// That of a message's age.
    #[must_use]
    pub fn of(sent_at: Timestamp) -> Self {
        Self(Some(sent_at))
    }
}

/// Lets calls through, newest first, no faster than the budget.
#[derive(Debug)]
pub struct Limiter(Arc<Log>);

/// The right to send one request. It is dropped when the head of the answer is here, or the
/// request has failed.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once claims that its call has been counted already"]
pub struct Permit {
    log: Arc<Log>,
    /// How long it took to get it.
    pub waited: Duration,
}

#[derive(Debug)]
struct Window {
    calls: usize,
    span: Duration,
}

/// What is known about the calls that still count, and who waits.
#[derive(Debug)]
struct Log {
    windows: Vec<Window>,
    calls: Mutex<Calls>,
    /// Rung when another one may be first in line, or the first one may go.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    /// Sent, not answered.
    open: usize,
    /// When the others were answered, oldest first. Never more than the larger limit, because a
    /// call is let in only when there is room for it.
    answered: VecDeque<Instant>,
    paused_until: Option<Instant>,
    /// Whoever waits, longest first.
    line: VecDeque<Waiting>,
    /// How many have ever waited, and how many were let through.
    arrived: u64,
    let_through: u64,
    last_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: u64,
    priority: Priority,
}

/// A place in line, left when this is dropped.
struct Place<'a> {
    log: &'a Log,
    number: u64,
}

/// What one in line has to do.
enum Step {
    Go,
    WaitUntil(Instant),
    WaitForChange,
    GiveUp(Paused),
}

impl Limiter {
    /// A limiter with an empty log.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self(Arc::new(Log { windows: budget.windows(), calls: Mutex::default(), changed: Notify::new() }))
    }

    /// Waits in line for a place in every window and takes it. Dropping the future leaves the line.
    ///
    /// # Errors
    /// The platform asked for a pause that is too long to wait for in line.
    pub async fn acquire(&self, priority: Priority) -> Result<Permit, Paused> {
        let started = Instant::now();
        let log = &self.0;
        let place = log.line_up(priority);
        loop {
            let mut changed = pin!(log.changed.notified());
            // From here on no ring is missed.
            changed.as_mut().enable();
            let step = log.calls().step(&log.windows, place.number, Instant::now());
            match step {
                Step::Go => return Ok(Permit { log: Arc::clone(log), waited: started.elapsed() }),
                Step::WaitUntil(when) => tokio::select! {
                    () = sleep_until(when) => {}
                    () = changed => {}
                },
                Step::WaitForChange => changed.await,
                Step::GiveUp(paused) => return Err(paused),
            }
        }
    }

    /// Lets nothing through for this long, unless a longer pause stands already.
    pub fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut calls = self.0.calls();
        calls.paused_until = calls.paused_until.max(Some(until));
    }
}

impl Log {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        // Nothing panics under this lock; if it did, the log would still be whole.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line_up(&self, priority: Priority) -> Place<'_> {
        let mut calls = self.calls();
        let number = calls.arrived;
        calls.arrived += 1;
        calls.line.push_back(Waiting { number, priority });
        Place { log: self, number }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.log.calls().line.retain(|waiting| waiting.number != self.number);
        self.log.changed.notify_waiters();
    }
}

impl Calls {
    fn step(&mut self, windows: &[Window], number: u64, now: Instant) -> Step {
        if let Some(until) = self.paused_until.filter(|until| now < *until) {
            let left = until - now;
            return if left > PATIENCE { Step::GiveUp(Paused(left)) } else { Step::WaitUntil(until) };
        }
        if self.first_in_line() != Some(number) {
            return Step::WaitForChange;
        }
        let mut ready = now;
        for window in windows {
            let free = window.calls.saturating_sub(self.open);
            if free == 0 {
                return Step::WaitForChange;
            }
            // The youngest call that has to be out of the window before one more fits in.
            let blocking = self.answered.len().checked_sub(free).and_then(|place| self.answered.get(place));
            ready = blocking.map_or(ready, |answered| ready.max(*answered + window.span));
            ready = self.last_at.map_or(ready, |last| ready.max(last + self.pace(window, now)));
        }
        if ready > now {
            return Step::WaitUntil(ready);
        }
        self.open += 1;
        self.let_through += 1;
        self.last_at = Some(now);
        Step::Go
    }

    /// The newest; when it is its turn, whoever has waited longest.
    fn first_in_line(&self) -> Option<u64> {
        let first = if self.let_through % TURN_OF_THE_OLDEST == TURN_OF_THE_OLDEST - 1 {
            self.line.front()
        } else {
            // Among equals the one who came first.
            self.line.iter().rev().max_by_key(|waiting| waiting.priority)
        };
        first.map(|waiting| waiting.number)
    }

    /// How long after the last call the next one may go: at once, if there will still be enough for
    /// one in every gap until earlier ones leave the window; else after such a gap.
    fn pace(&self, window: &Window, now: Instant) -> Duration {
        let gap = window.gap();
        let counting = self.answered.iter().filter(|answered| **answered + window.span > now);
        let leaving = counting.map(|answered| *answered + window.span - now);
        let leaving: Vec<Duration> = leaving.chain(std::iter::repeat_n(window.span, self.open)).collect();
        // Free places after this call; each one that leaves later adds one.
        let free = (window.calls.saturating_sub(leaving.len() + 1))..;
        let needed = |leaves_in: &Duration| leaves_in.as_nanos().div_ceil(gap.as_nanos()).saturating_sub(1);
        let is_enough = leaving.iter().zip(free).all(|(leaves_in, free)| needed(leaves_in) <= free as u128);
        if is_enough { Duration::ZERO } else { gap }
    }

    fn end_one(&mut self, windows: &[Window], now: Instant) {
        self.open = self.open.saturating_sub(1);
        let Some(longest) = windows.iter().map(|window| window.span).max() else { return };
        self.answered.push_back(now);
        while self.answered.front().is_some_and(|oldest| *oldest + longest <= now) {
            self.answered.pop_front();
        }
    }
}

impl Window {
    /// Never so short that the window could not last.
    fn gap(&self) -> Duration {
        LONGEST_GAP.max(self.span.div_f64(self.calls as f64))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.log.calls().end_one(&self.log.windows, Instant::now());
        self.log.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_and_written() {
        let both = Budget::PLATFORM;
        for (text, budget) in [
            ("50/s 1000/min", both),
            ("1000/min  50/s", both),
            ("5/s", Budget { per_second: Some(5), per_minute: None }),
            ("90/min", Budget { per_second: None, per_minute: Some(90) }),
            ("off", Budget::OFF),
        ] {
            assert_eq!(text.parse(), Ok(budget), "{text}");
            assert_eq!(budget.to_string().parse(), Ok(budget), "{text}");
        }
        for bad in ["", "50", "0/s", "-5/s", "+5/s", "5/h", "5/s 6/s", "5/s,6/min", "off 5/s", "99999999999/s"] {
            assert_eq!(bad.parse::<Budget>(), Err(NotABudget(bad.to_owned())), "{bad}");
        }
    }

    /// Sends `calls` through sixteen lanes; each call takes up to `slowest` and is counted by the
    /// platform at a random moment of it. Returns those moments, sorted.
    async fn counted(limiter: Arc<Limiter>, calls: usize, slowest: Duration) -> Vec<Instant> {
        let lane = |seed| {
            let limiter = Arc::clone(&limiter);
            async move {
                let mut chance = fastrand::Rng::with_seed(seed);
                let mut moments = Vec::new();
                for _ in 0..calls / 16 {
                    let permit = limiter.acquire(Priority::default()).await.unwrap();
                    let counted_after = slowest.mul_f64(chance.f64());
                    tokio::time::sleep(counted_after).await;
                    moments.push(Instant::now());
                    tokio::time::sleep((slowest - counted_after).mul_f64(chance.f64())).await;
                    drop(permit);
                }
                moments
            }
        };
        let mut moments = futures_util::future::join_all((0..16).map(lane)).await.concat();
        moments.sort();
        moments
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_ever_holds_more_than_its_limit() {
        let started = Instant::now();
        let limiter = Arc::new(Limiter::new(Budget::PLATFORM));
        let moments = counted(limiter, 3200, Duration::from_millis(300)).await;
        for (calls, span) in [(50, SECOND), (1000, MINUTE)] {
            let tightest = moments.windows(calls + 1).map(|w| w[calls] - w[0]).min().unwrap();
            assert!(tightest >= span, "{calls} calls and one more within {tightest:?}");
        }
        // Three full minutes, and the rest: the budget is used, not only kept.
        assert!(started.elapsed() < MINUTE * 3 + SECOND * 10, "took {:?}", started.elapsed());
    }

    fn sent_at(second: i64) -> Priority {
        Priority::of(Timestamp::from_unix_ms(second * 1000).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_leaves_calls_for_what_is_new_and_loses_none_by_that() {
        let limiter = Arc::new(Limiter::new(Budget::PLATFORM));
        let backlog = |_| {
            let limiter = Arc::clone(&limiter);
            async move {
                let started = Instant::now();
                let mut calls = 0;
                while started.elapsed() < MINUTE * 5 {
                    drop(limiter.acquire(sent_at(0)).await.unwrap());
                    calls += 1;
                }
                calls
            }
        };
        let news = async {
            let mut longest = Duration::ZERO;
            for second in 1..300 {
                longest = longest.max(limiter.acquire(sent_at(second)).await.unwrap().waited);
                tokio::time::sleep(SECOND).await;
            }
            longest
        };
        let (calls, longest) = tokio::join!(futures_util::future::join_all((0..16).map(backlog)), news);
        let calls: usize = calls.iter().sum();
        assert!(longest <= LONGEST_GAP * 2 + MARGIN, "something new waited {longest:?}");
        assert!(calls + 300 >= 4950, "{calls} calls in five minutes beside 300 others");
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_goes_first_and_whoever_has_waited_longest_in_its_turn() {
        let limiter = Arc::new(Limiter::new(Budget { per_second: Some(1), per_minute: None }));
        drop(limiter.acquire(Priority::default()).await.unwrap());
        let went = Arc::new(Mutex::new(Vec::new()));
        let waiting = [3, 1, 2, 5, 4, 6].map(|second| {
            let (limiter, went) = (Arc::clone(&limiter), Arc::clone(&went));
            async move {
                drop(limiter.acquire(sent_at(second)).await.unwrap());
                went.lock().unwrap().push(second);
            }
        });
        futures_util::future::join_all(waiting).await;
        assert_eq!(*went.lock().unwrap(), [6, 5, 3, 4, 2, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_is_not_waited_for() {
        let limiter = Limiter::new(Budget { per_second: Some(1), per_minute: None });
        drop(limiter.acquire(Priority::default()).await.unwrap());
        let (older, mut newer) = (limiter.acquire(sent_at(1)), Box::pin(limiter.acquire(sent_at(2))));
        assert!(tokio::time::timeout(Duration::ZERO, newer.as_mut()).await.is_err());
        drop(newer);
        assert!(older.await.unwrap().waited <= SECOND + MARGIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_dealt_out_whatever_came_before() {
        // Single calls that leave one by one must not pass for room for all the others.
        let limiter = Limiter::new(Budget::PLATFORM);
        for _ in 0..60 {
            drop(limiter.acquire(Priority::default()).await.unwrap());
            tokio::time::sleep(SECOND).await;
        }
        let started = Instant::now();
        let mut longest = Duration::ZERO;
        while started.elapsed() < MINUTE * 2 {
            longest = longest.max(limiter.acquire(Priority::default()).await.unwrap().waited);
        }
        assert!(longest < SECOND / 2, "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn unanswered_calls_keep_their_places() {
        let limiter = Arc::new(Limiter::new(Budget { per_second: Some(1), per_minute: None }));
        let first = limiter.acquire(Priority::default()).await.unwrap();
        let started = Instant::now();
        let second = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire(Priority::default()).await.unwrap().waited }
        });
        tokio::time::sleep(MINUTE).await;
        drop(first);
        assert!(second.await.unwrap() > MINUTE + SECOND);
        assert!(started.elapsed() < MINUTE + SECOND * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_pause_is_waited_for_and_a_long_one_is_not() {
        let limiter = Limiter::new(Budget::OFF);
        limiter.pause(SECOND * 5);
        limiter.pause(SECOND);
        assert_eq!(limiter.acquire(Priority::default()).await.unwrap().waited, SECOND * 5);
        limiter.pause(MINUTE);
        assert_eq!(limiter.acquire(Priority::default()).await.err(), Some(Paused(MINUTE)));
        tokio::time::sleep(MINUTE).await;
        assert_eq!(limiter.acquire(Priority::default()).await.unwrap().waited, Duration::ZERO);
    }
}
