//! Days: what counts are kept and shown by, and what dates in filters mean. Which moments a day has is for
//! a [`super::zone::Zone`] to say.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::time::Timestamp;

/// Milliseconds in a day; unix time knows no leap seconds.
const MS: i64 = 86_400_000;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

/// A text that names no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a day; write 2026-01-31")]
pub struct NotADay;

impl Day {
    /// The day that a clock shows, as if its time were unix milliseconds.
    pub(super) fn of_local(ms: i64) -> Self {
        Self(ms.div_euclid(MS))
    }

    /// The midnight that it begins with, in the same way.
    pub(super) fn local_midnight_ms(self) -> i64 {
        self.0.saturating_mul(MS)
    }

    /// The day so many days after 1970-01-01, or `None` outside the years that can be written.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Timestamp::from_unix_ms(number.checked_mul(MS)?)?;
        Some(Self(number))
    }

    /// How many days after 1970-01-01 it is.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The day after it; itself if that cannot be written.
    #[must_use]
    pub fn next(self) -> Self {
        Self::from_number(self.0.saturating_add(1)).unwrap_or(self)
    }

    /// The days that end with this one, oldest first.
    pub fn and_before(self, days: u32) -> impl Iterator<Item = Self> {
        (0..i64::from(days)).rev().filter_map(move |back| Self::from_number(self.0.checked_sub(back)?))
    }
}

impl FromStr for Day {
    type Err = NotADay;

    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, NotADay> {
        let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let midnight: jiff::Timestamp = format!("{text}T00:00:00Z").parse().ok().filter(|_| is_plain).ok_or(NotADay)?;
        Self::from_number(midnight.as_millisecond().div_euclid(MS)).ok_or(NotADay)
    }
}

impl fmt::Display for Day {
    /// `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = Timestamp::from_unix_ms(self.local_midnight_ms()).ok_or(fmt::Error)?.to_string();
        f.write_str(start.split('T').next().unwrap_or_default())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_they_are_read() {
        for text in ["2026-01-01", "2025-12-31", "1969-12-31", "2024-02-29", "0001-01-01"] {
            assert_eq!(text.parse::<Day>().unwrap().to_string(), text);
        }
        for bad in ["", "2026-13-01", "2026-02-30", "2026-1-1", "2026-01-31T00", "20260131--", "+226-01-31"] {
            assert_eq!(bad.parse::<Day>(), Err(NotADay), "{bad}");
        }
    }

    #[test]
    fn days_up_to_one_cross_months_and_end_with_it() {
        let last: Day = "2026-03-01".parse().unwrap();
        let shown: Vec<String> = last.and_before(3).map(|day| day.to_string()).collect();
        assert_eq!(shown, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!(last.next().to_string(), "2026-03-02");
        assert_eq!(Day::from_number(i64::MAX), None);
    }
}
