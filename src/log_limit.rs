//! How often a line of the log may say the same thing: once in a while for each cause, with a count of what was
//! left out.
//!
//! Whoever can make the service log something can otherwise fill its disk with it. The counters in the metrics
//! miss nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a cause may have a line, unless its user says otherwise.
const EVERY: Duration = Duration::from_secs(1);

/// Lets the first line of each cause through, and one in each span of time after it.
pub struct LogLimit {
    every: Duration,
    causes: Mutex<BTreeMap<&'static str, Said>>,
}

/// What was said of one cause.
struct Said {
    at: Instant,
    left_out: u64,
}

impl LogLimit {
    /// One line a second for each cause.
    #[must_use]
    pub const fn new() -> Self {
        Self::every(EVERY)
    }

    /// One line for each cause in so much time.
    #[must_use]
    pub const fn every(every: Duration) -> Self {
        Self { every, causes: Mutex::new(BTreeMap::new()) }
    }

    /// Whether a line may be written for this cause now, and how many were left out since the last one. A cause is
    /// a word of ours, so there are few of them.
    pub fn pass(&self, cause: &'static str) -> Option<u64> {
        self.pass_at(cause, Instant::now())
    }

    fn pass_at(&self, cause: &'static str, now: Instant) -> Option<u64> {
        // Nothing panics under this lock; if it did, the map would still be whole.
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(said) = causes.get_mut(cause) else {
            causes.insert(cause, Said { at: now, left_out: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(said.at) < self.every {
            said.left_out += 1;
            return None;
        }
        said.at = now;
        Some(std::mem::take(&mut said.left_out))
    }
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LogLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogLimit(every {:?})", self.every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_one_line_in_its_time_and_a_count_of_the_others() {
        let (limit, start) = (LogLimit::new(), Instant::now());
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(limit.pass_at("token", after(0)), Some(0));
        for ms in 1..=999 {
            assert_eq!(limit.pass_at("token", after(ms)), None);
        }
        assert_eq!(limit.pass_at("signature", after(500)), Some(0), "another cause has its own line");
        assert_eq!(limit.pass_at("token", after(1000)), Some(999));
        assert_eq!(limit.pass_at("token", after(1999)), None);
        assert_eq!(limit.pass_at("token", after(5000)), Some(1));
        assert_eq!(limit.pass_at("token", after(9000)), Some(0));
    }
}
