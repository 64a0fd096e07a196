//! Points in time, in the forms that people, JSON and the catalogue use.

use std::fmt;
use std::time::Duration;

use jiff::fmt::rfc2822;
use serde::{Serialize, Serializer};

use super::measure;

/// A point in time in whole unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that names no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time; write 2026-01-31T09:30:00+08:00, 2026-01-31 (midnight in the time zone of the archive) or a span back from now such as 90m, 36h or 7d"
)]
pub struct NotATime(String);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// The first and the last millisecond that RFC 3339 can write (years 0000 to 9999).
    const RANGE_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_207_200_000;

    /// A point in time from unix milliseconds, or `None` outside the years 0000 to 9999.
    #[must_use]
    pub fn from_unix_ms(ms: i64) -> Option<Self> {
        Self::RANGE_MS.contains(&ms).then_some(Self(ms))
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// Reads a platform time of unknown unit: seconds (up to 11 digits), milliseconds (up to 14)
    /// or microseconds (up to 17), told apart by the number of digits, because the platform's own
    /// samples disagree (overview: 16 digits, event pages: 13).
    #[must_use]
    pub fn from_platform(digits: &str) -> Option<Self> {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value: i64 = digits.parse().ok()?;
        let ms = match digits.len() {
            ..=11 => value.checked_mul(1000)?,
            12..=14 => value,
            15..=17 => value / 1000,
            _ => return None,
        };
        Self::from_unix_ms(ms)
    }

    /// Reads what a person typed: RFC 3339 with a zone, or a span back from `now` such as `7d`.
    ///
    /// # Errors
    /// Says what was typed and which forms are understood.
    pub fn from_person(text: &str, now: Timestamp) -> Result<Self, NotATime> {
        let refuse = || NotATime(text.to_owned());
        if let Ok(span) = measure::parse_span(text) {
            let span_ms = i64::try_from(span.as_millis()).map_err(|_| refuse())?;
            let then = now.0.checked_sub(span_ms).ok_or_else(refuse)?;
            return Self::from_unix_ms(then).ok_or_else(refuse);
        }
        let parsed: jiff::Timestamp = text.parse().map_err(|_| refuse())?;
        Self::from_unix_ms(parsed.as_millisecond()).ok_or_else(refuse)
    }

    /// Reads the `Date` of an HTTP answer.
    #[must_use]
    pub fn from_http_date(text: &str) -> Option<Self> {
        let parsed = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Self::from_unix_ms(parsed.as_millisecond())
    }

    /// As the `Date` of an HTTP answer, if its form can tell it.
    #[must_use]
    pub fn http_date(self) -> Option<String> {
        let time = jiff::Timestamp::from_millisecond(self.0).ok()?;
        rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()
    }

    /// This time and a span later, at most the last time there is.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(span_ms).min(*Self::RANGE_MS.end()))
    }

    /// This time and a span earlier, at least the first time there is.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(span_ms).max(*Self::RANGE_MS.start()))
    }

    /// How long ago `earlier` was; nothing if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms).unwrap()
    }

    #[test]
    fn platform_times_are_told_apart_by_their_digits() {
        let check = |digits, ms: Option<i64>| {
            assert_eq!(Timestamp::from_platform(digits).map(Timestamp::unix_ms), ms, "{digits}");
        };
        check("1608725989000", Some(1_608_725_989_000));
        check("1603977298000000", Some(1_603_977_298_000));
        check("1608725989", Some(1_608_725_989_000));
        check("0", Some(0));
        check("", None);
        check("-1", None);
        check("1608725989000.5", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn dates_of_http_answers_are_read_as_they_are_written() {
        let written = "Thu, 01 Jan 2026 00:00:00 GMT";
        assert_eq!(Timestamp::from_http_date(written), Some(at(1_767_225_600_000)));
        assert_eq!(at(1_767_225_600_999).http_date().as_deref(), Some(written));
        assert_eq!(Timestamp::from_http_date("yesterday"), None);
    }

    #[test]
    fn people_write_times_in_two_ways() {
        let now = at(1_700_000_000_000);
        let check = |text, shown: &str| {
            assert_eq!(Timestamp::from_person(text, now).unwrap().to_string(), shown, "{text}");
        };
        check("2026-01-31T09:30:00+08:00", "2026-01-31T01:30:00.000Z");
        check("2026-01-31T09:30:00.1239Z", "2026-01-31T09:30:00.123Z");
        check("1d", "2023-11-13T22:13:20.000Z");
        for bad in ["", "yesterday", "2026-01-31", "2026-13-01", "2026-01-31T09:30:00", "7 weeks", "-1d"] {
            assert!(Timestamp::from_person(bad, now).is_err(), "{bad}");
        }
    }
}
