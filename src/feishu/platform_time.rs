//! The platform's time: our clock, corrected by what the platform's last answer said the time was.
//!
//! Signed deliveries name the time at which they were signed. That makes a recorded one worthless after a day, if
//! our clock can be believed; where it cannot, age refuses nothing, because to lose deliveries is worse.

use std::fmt;
use std::num::IntErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap};

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::log_limit::LogLimit;

/// How old a delivery may be. The platform delivers for the last time about seven hours after the first.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How far ahead it may be dated: machines of the platform need not agree.
const FURTHEST_AHEAD: Duration = Duration::from_secs(60 * 60);
/// From here on our clock counts as wrong: then a correction of it would be a guess as well.
const CLOCK_WRONG_FROM: Duration = Duration::from_secs(10 * 60);
/// Above it, a signed timestamp is in milliseconds; as seconds it would lie in the year 5138.
const LAST_SECOND: i64 = 100_000_000_000;
/// How often a wrong clock is told: it stays wrong until somebody sets it.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Stands for a difference that no answer has told yet.
const UNKNOWN: i64 = i64::MIN;

/// The platform's time. Clones share what is known of it.
#[derive(Debug, Clone)]
pub struct PlatformTime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    /// How far the platform's clock is ahead of ours, in milliseconds, or [`UNKNOWN`].
    ahead_ms: AtomicI64,
    told: LogLimit,
}

/// Why a signed timestamp is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untimely {
    /// It is no number.
    NoNumber,
    /// It is so many seconds old.
    Old(i64),
    /// It lies so many seconds ahead.
    Ahead(i64),
}

impl fmt::Display for Untimely {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNumber => f.write_str("the signed timestamp is no number"),
            Self::Old(seconds) => write!(f, "the signed timestamp is {seconds} s old"),
            Self::Ahead(seconds) => write!(f, "the signed timestamp is {seconds} s ahead"),
        }
    }
}

impl PlatformTime {
    /// Our clock, as long as the platform has said nothing.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, ahead_ms: AtomicI64::new(UNKNOWN), told: LogLimit::every(TELL_EVERY) }))
    }

    /// Takes note of the time that an answer of the platform names.
    pub(super) fn hear(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| Timestamp::from_http_date(date.to_str().ok()?));
        if let Some(date) = date {
            let ahead_ms = date.unix_ms().saturating_sub(self.0.clock.now().unix_ms());
            self.0.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        }
    }

    /// Whether a delivery that was signed at this time may still be taken.
    ///
    /// # Errors
    /// Why it may not.
    pub(super) fn judge(&self, signed_timestamp: &str) -> Result<(), Untimely> {
        let signed_ms = read(signed_timestamp).ok_or(Untimely::NoNumber)?;
        let our_ms = self.0.clock.now().unix_ms();
        let ahead_ms = self.0.ahead_ms.load(Ordering::Relaxed);
        if ahead_ms == UNKNOWN {
            if let Err(untimely) = within_a_day(signed_ms, our_ms) {
                self.tell(
                    "unknown",
                    format_args!("{untimely} by our clock, and the platform has not told its time yet"),
                );
            }
            return Ok(());
        }
        if ahead_ms.unsigned_abs() > millis(CLOCK_WRONG_FROM).unsigned_abs() {
            let (seconds, way) = (ahead_ms.unsigned_abs() / 1000, if ahead_ms > 0 { "behind" } else { "ahead of" });
            self.tell("off", format_args!("our clock is {seconds} s {way} the platform's: set it"));
            return Ok(());
        }
        within_a_day(signed_ms, our_ms.saturating_add(ahead_ms))
    }

    fn tell(&self, what: &'static str, why: fmt::Arguments<'_>) {
        if let Some(left_out) = self.0.told.pass(what) {
            tracing::warn!(cause = "clock_wrong", left_out, "The age of deliveries refuses nothing: {why}");
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn within_a_day(signed_ms: i64, now_ms: i64) -> Result<(), Untimely> {
    let age_ms = now_ms.saturating_sub(signed_ms);
    if age_ms > millis(OLDEST) {
        return Err(Untimely::Old(age_ms / 1000));
    }
    if age_ms < -millis(FURTHEST_AHEAD) {
        return Err(Untimely::Ahead(age_ms.saturating_neg() / 1000));
    }
    Ok(())
}

/// A signed timestamp in milliseconds. One that is too large for our numbers is still a number.
fn read(text: &str) -> Option<i64> {
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => i64::MAX,
            IntErrorKind::NegOverflow => i64::MIN,
            _ => return None,
        },
    };
    Some(if number > LAST_SECOND { number } else { number.saturating_mul(1000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const NOW: i64 = 1_767_225_600;

    /// A platform's time after an answer that was so many seconds ahead of our clock.
    fn heard(ahead: i64) -> PlatformTime {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000).unwrap();
        let time = PlatformTime::new(Clock::fixed(at(NOW)));
        let date = at(NOW + ahead).http_date().unwrap();
        time.hear(&HeaderMap::from_iter([(DATE, date.parse().unwrap())]));
        time
    }

    #[test]
    fn signed_timestamps_are_taken_for_a_day() {
        let time = heard(0);
        let check = |timestamp: String, expected| assert_eq!(time.judge(&timestamp), expected, "{timestamp}");
        check(NOW.to_string(), Ok(()));
        check((NOW - 24 * HOUR).to_string(), Ok(()));
        check((NOW - 24 * HOUR - 1).to_string(), Err(Untimely::Old(24 * HOUR + 1)));
        check((NOW + HOUR).to_string(), Ok(()));
        check((NOW + HOUR + 1).to_string(), Err(Untimely::Ahead(HOUR + 1)));
        check((NOW * 1000).to_string(), Ok(()));
        check(((NOW - 25 * HOUR) * 1000).to_string(), Err(Untimely::Old(25 * HOUR)));
        for no_number in ["", "now", "1767225600.0", " 1767225600", "0x10"] {
            check(no_number.to_owned(), Err(Untimely::NoNumber));
        }
        assert!(matches!(time.judge("99999999999999999999"), Err(Untimely::Ahead(_))));
        assert!(matches!(time.judge("-99999999999999999999"), Err(Untimely::Old(_))));
    }

    #[test]
    fn our_clock_is_corrected_by_what_the_platform_says() {
        let time = heard(9 * 60);
        assert_eq!(time.judge(&(NOW - 24 * HOUR).to_string()), Err(Untimely::Old(24 * HOUR + 9 * 60)));
        assert_eq!(time.judge(&(NOW + HOUR + 9 * 60).to_string()), Ok(()));
    }

    #[test]
    fn a_clock_that_is_wrong_or_not_known_refuses_nothing_but_what_is_no_number() {
        let unknown = PlatformTime::new(Clock::fixed(Timestamp::from_unix_ms(NOW * 1000).unwrap()));
        for time in [unknown, heard(11 * 60), heard(-11 * 60)] {
            for timestamp in [0, 1, NOW, NOW - 1000 * HOUR, NOW + 1000 * HOUR] {
                assert_eq!(time.judge(&timestamp.to_string()), Ok(()));
            }
            assert_eq!(time.judge("x"), Err(Untimely::NoNumber));
        }
    }
}
