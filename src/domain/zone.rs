//! Time zones: at whose midnight days begin, and by whose clocks people read times.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;

use super::day::Day;
use super::time::Timestamp;

/// A time zone by its IANA name; UTC unless somebody says otherwise. What each zone did when is part of
/// the program, because a container has no such data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the IANA name of a time zone")]
pub struct NotAZone(String);

impl Zone {
    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The day that a time lies in.
    #[must_use]
    pub fn day_of(&self, time: Timestamp) -> Day {
        Day::of_local(time.unix_ms().saturating_add(self.offset_ms(time)))
    }

    /// The first moment of a day: midnight, or what comes instead of it where clocks are put forward then.
    #[must_use]
    pub fn start_of(&self, day: Day) -> Timestamp {
        let midnight = jiff::Timestamp::from_millisecond(day.local_midnight_ms())
            .and_then(|midnight| midnight.to_zoned(TimeZone::UTC).date().to_zoned(self.0.clone()));
        // Only the first and the last day that can be written have no midnight everywhere.
        let start = midnight.ok().and_then(|midnight| Timestamp::from_unix_ms(midnight.timestamp().as_millisecond()));
        start.or_else(|| Timestamp::from_unix_ms(day.local_midnight_ms())).unwrap_or(Timestamp::EPOCH)
    }

    /// What clocks there show: `2026-01-31 09:30:00`.
    #[must_use]
    pub fn clock(&self, time: Timestamp) -> String {
        let local = Timestamp::from_unix_ms(time.unix_ms().saturating_add(self.offset_ms(time))).unwrap_or(time);
        // `2026-01-31T09:30:00.000Z`: up to the second, as RFC 3339 always has it.
        local.to_string().get(..19).unwrap_or_default().replace('T', " ")
    }

    fn offset_ms(&self, time: Timestamp) -> i64 {
        let time = jiff::Timestamp::from_millisecond(time.unix_ms());
        time.map_or(0, |time| i64::from(self.0.to_offset(time).seconds()) * 1000)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for Zone {
    type Err = NotAZone;

    fn from_str(name: &str) -> Result<Self, NotAZone> {
        let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some());
        found.map(Self).ok_or_else(|| NotAZone(name.to_owned()))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_person(text, Timestamp::EPOCH).unwrap()
    }

    #[test]
    fn a_day_begins_at_midnight_there_whatever_clocks_do() {
        for (name, day, start) in [
            ("UTC", "2026-01-01", "2026-01-01T00:00:00.000Z"),
            ("Asia/Shanghai", "2026-01-01", "2025-12-31T16:00:00.000Z"),
            ("Asia/Kathmandu", "2026-01-01", "2025-12-31T18:15:00.000Z"),
            ("America/New_York", "2026-03-08", "2026-03-08T05:00:00.000Z"),
            ("America/New_York", "2026-03-09", "2026-03-09T04:00:00.000Z"),
            // Clocks go from 00:00 to 01:00 on this day.
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00.000Z"),
            // There was no such day: clocks went on from the end of the 29th to the 31st.
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00.000Z"),
        ] {
            let day: Day = day.parse().unwrap();
            assert_eq!(zone(name).start_of(day).to_string(), start, "{name} {day}");
            assert_eq!(zone(name).day_of(at(start)), day, "{name}");
        }
        let last_moment = Timestamp::from_unix_ms(at("2026-03-09T04:00:00Z").unix_ms() - 1).unwrap();
        assert_eq!(zone("America/New_York").day_of(last_moment).to_string(), "2026-03-08");
        assert_eq!(zone("America/New_York").clock(at("2026-03-08T06:59:59Z")), "2026-03-08 01:59:59");
        assert_eq!(zone("America/New_York").clock(at("2026-03-08T07:00:00Z")), "2026-03-08 03:00:00");
    }

    #[test]
    fn zones_have_iana_names() {
        assert_eq!(zone("asia/shanghai").name(), "Asia/Shanghai");
        assert_eq!((Zone::default().name(), zone("UTC").name()), ("UTC", "UTC"));
        for bad in ["", "Asia/Shangai", "+08:00", "CST-8", "/etc/localtime", "../UTC", "local"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }
}
