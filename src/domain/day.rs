//! Days in UTC: what counts are kept by.

use std::fmt;

use serde::{Serialize, Serializer};

use super::time::Timestamp;

/// Milliseconds in a day; unix time knows no leap seconds.
const MS: i64 = 86_400_000;

/// A day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day that a time lies in.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self(time.unix_ms().div_euclid(MS))
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

    /// The days that end with this one, oldest first.
    pub fn and_before(self, days: u32) -> impl Iterator<Item = Self> {
        (0..i64::from(days)).rev().filter_map(move |back| Self::from_number(self.0.checked_sub(back)?))
    }
}

impl fmt::Display for Day {
    /// `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = Timestamp::from_unix_ms(self.0.saturating_mul(MS)).ok_or(fmt::Error)?.to_string();
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
    fn a_day_begins_at_midnight_utc() {
        let day = |ms| Day::of(Timestamp::from_unix_ms(ms).unwrap()).to_string();
        assert_eq!(day(1_767_225_600_000), "2026-01-01");
        assert_eq!(day(1_767_225_599_999), "2025-12-31");
        assert_eq!(day(-1), "1969-12-31");
    }

    #[test]
    fn days_up_to_one_cross_months_and_end_with_it() {
        let last = Day::of(Timestamp::from_unix_ms(1_772_366_400_000).unwrap());
        let shown: Vec<String> = last.and_before(3).map(|day| day.to_string()).collect();
        assert_eq!(shown, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!(Day::from_number(i64::MAX), None);
    }
}
