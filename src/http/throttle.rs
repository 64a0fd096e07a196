//! Throttles: token buckets that say how long somebody has to wait.
//!
//! They bound what one caller can cost, in processor time and in guesses. Times are the machine's,
//! because what they protect is the machine.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Callers that are told apart at once; all others share one bucket, so that memory stays bounded
/// whoever calls.
const MAX_CALLERS: usize = 4096;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// At once, after a pause.
    pub burst: u32,
    /// In each second, in the long run.
    pub per_second: f64,
}

/// A bucket for each caller.
#[derive(Debug)]
pub struct Throttle<K> {
    rate: Rate,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    known: HashMap<K, Bucket>,
    everyone_else: Bucket,
}

/// What is left to a caller.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { left: f64::from(rate.burst), at: now }
    }

    /// The bucket as it has filled up since it was last looked at.
    fn refilled(self, rate: Rate, now: Instant) -> Self {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        Self { left: (self.left + gained).min(f64::from(rate.burst)), at: self.at.max(now) }
    }

    /// How long until something is left.
    fn wait(self, rate: Rate) -> Option<Duration> {
        (self.left < 1.0).then(|| Duration::from_secs_f64((1.0 - self.left) / rate.per_second))
    }
}

impl<K: Eq + Hash> Throttle<K> {
    /// A throttle at which nobody has called yet.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let everyone_else = Bucket::full(rate, Instant::now());
        Self { rate, buckets: Mutex::new(Buckets { known: HashMap::new(), everyone_else }) }
    }

    /// Counts one call.
    ///
    /// # Errors
    /// How long the caller has to wait; then nothing is counted.
    pub fn take(&self, caller: K, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.lock();
        let bucket = buckets.of(caller, self.rate, now);
        *bucket = bucket.refilled(self.rate, now);
        bucket.wait(self.rate).map_or(Ok(()), Err)?;
        bucket.left -= 1.0;
        Ok(())
    }

    /// Whether a call would be taken now; counts nothing.
    ///
    /// # Errors
    /// How long the caller has to wait.
    pub fn check(&self, caller: &K, now: Instant) -> Result<(), Duration> {
        let buckets = self.lock();
        // Somebody new is told apart if there is room, and begins with a full bucket.
        let crowded = buckets.known.len() >= MAX_CALLERS;
        let bucket = buckets.known.get(caller).or(crowded.then_some(&buckets.everyone_else));
        bucket.and_then(|bucket| bucket.refilled(self.rate, now).wait(self.rate)).map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Buckets<K>> {
        // Numbers that a panic left half written are still numbers.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Buckets<K> {
    fn of(&mut self, caller: K, rate: Rate, now: Instant) -> &mut Bucket {
        if self.known.len() >= MAX_CALLERS && !self.known.contains_key(&caller) {
            // Whoever has a full bucket again can be forgotten.
            self.known.retain(|_, bucket| bucket.refilled(rate, now).left < f64::from(rate.burst));
            if self.known.len() >= MAX_CALLERS {
                return &mut self.everyone_else;
            }
        }
        self.known.entry(caller).or_insert_with(|| Bucket::full(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 2, per_second: 4.0 };

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let throttle = Throttle::new(RATE);
        let start = Instant::now();
        assert_eq!([throttle.take("a", start), throttle.take("a", start)], [Ok(()), Ok(())]);
        assert_eq!(throttle.take("a", start), Err(Duration::from_millis(250)));
        assert_eq!(throttle.check(&"a", start), Err(Duration::from_millis(250)));
        assert_eq!(throttle.take("b", start), Ok(()), "each has a bucket of their own");

        let later = start + Duration::from_millis(250);
        assert_eq!([throttle.take("a", later), throttle.take("a", start)], [Ok(()), Err(Duration::from_millis(250))]);
        let much_later = start + Duration::from_secs(3600);
        let taken: Vec<_> = (0..3).map(|_| throttle.take("a", much_later).is_ok()).collect();
        assert_eq!(taken, [true, true, false], "no more than a burst is saved up");
    }

    #[test]
    fn a_crowd_takes_bounded_memory_and_is_still_held_back() {
        let throttle = Throttle::new(RATE);
        let start = Instant::now();
        let taken = (0..2 * MAX_CALLERS).filter(|caller| throttle.take(*caller, start).is_ok()).count();
        assert_eq!(taken, MAX_CALLERS + RATE.burst as usize);
        assert_eq!(throttle.lock().known.len(), MAX_CALLERS);
        assert!(throttle.check(&usize::MAX, start).is_err());

        let later = start + Duration::from_secs(1);
        assert_eq!(throttle.take(usize::MAX, later), Ok(()));
        assert_eq!(throttle.lock().known.len(), 1, "the others are forgotten");
    }
}
