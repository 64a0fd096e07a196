//! Filters: which resources somebody asks for, in the words that the API, the command line and
//! the pages share.
//!
//! A filter is read from names and values. Several values of one name mean any of them,
//! different names mean all of them. How a filter becomes a query is the catalogue's business.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::day::Day;
use super::digest::Digest;
use super::download::State;
use super::id::{AppId, ChatId, MessageId, OpenId};
use super::measure;
use super::query::{Order, QueryProblem, Search};
use super::resource::Role;
use super::source::Source;
use super::time::{NotATime, Timestamp};
use super::zone::Zone;

/// The longest value in bytes. Real ids have under 100; longer values are not worth echoing.
pub const MAX_VALUE_BYTES: usize = 512;
/// The most values of one name, well below what SQLite binds to one statement.
pub const MAX_VALUES: usize = 500;

/// Which resources are asked for; the empty filter asks for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// In one of these states.
    pub state: Vec<State>,
    /// In one of these roles.
    pub role: Vec<Role>,
    /// In one of these chats.
    pub chat_id: Vec<ChatId>,
    /// Sent by one of these people or bots.
    pub sender: Vec<OpenId>,
    /// Owned by one of these messages.
    pub message_id: Vec<MessageId>,
    /// In messages of one of these types.
    pub message_type: Vec<String>,
    /// From one of these sources.
    pub source: Vec<Source>,
    /// Seen by one of these apps.
    pub app_id: Vec<AppId>,
    /// With one of these digests.
    pub sha256: Vec<Digest>,
    /// Of one of these media types.
    pub mime: Vec<MimePattern>,
    /// Found by this search.
    pub search: Option<Search>,
    /// Sent at this time or later.
    pub from: Option<Moment>,
    /// Sent before this time.
    pub to: Option<Moment>,
    /// At least this many bytes.
    pub min_size: Option<u64>,
    /// At most this many bytes.
    pub max_size: Option<u64>,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no filter of this name.
    #[error("there is no filter {0:?}; there are {all}", all = Filter::NAMES.join(", "))]
    UnknownName(String),
    /// A value is not one that this filter takes.
    #[error("{}", refusal(name, value, problem))]
    BadValue {
        /// The filter.
        name: &'static str,
        /// The value, shortened if it is long.
        value: String,
        /// What is wrong with it.
        problem: ValueProblem,
    },
    /// The search cannot be understood.
    #[error("q: at character {position}: {problem}")]
    BadQuery {
        /// The first character that is wrong, counted from 1.
        position: usize,
        /// What is wrong there.
        problem: QueryProblem,
    },
}

/// What is wrong with a value, which is named once: most problems do so themselves.
fn refusal(name: &str, value: &str, problem: &ValueProblem) -> String {
    let (value, problem) = (format!("{value:?}"), problem.to_string());
    if problem.contains(&value) {
        format!("{name}: {problem}")
    } else {
        format!("{name}: {value} does not fit: {problem}")
    }
}

/// What is wrong with the value of a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// There can be only one, and there are two.
    #[error("it is given twice")]
    Twice,
    /// There is nothing in it.
    #[error("it is empty; leave the filter out to ask for everything")]
    Empty,
    /// It is too long.
    #[error("it is longer than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// There are too many of them.
    #[error("at most {MAX_VALUES} values are taken")]
    TooMany,
    /// It is something else than the filter takes; this would fit.
    #[error("{0}")]
    Unfit(String),
}

impl Filter {
    /// The name of every filter.
    pub const NAMES: [&'static str; 15] = [
        "state",
        "role",
        "chat_id",
        "sender",
        "message_id",
        "message_type",
        "source",
        "app_id",
        "sha256",
        "mime",
        "q",
        "from",
        "to",
        "min_size",
        "max_size",
    ];

    /// Adds what a caller gave under a name.
    ///
    /// # Errors
    /// If there is no such filter, or the value does not fit it.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), FilterError> {
        match name {
            "state" => any_of(&mut self.state, "state", value),
            "role" => any_of(&mut self.role, "role", value),
            "chat_id" => any_of(&mut self.chat_id, "chat_id", value),
            "sender" => any_of(&mut self.sender, "sender", value),
            "message_id" => any_of(&mut self.message_id, "message_id", value),
            "message_type" => any_of(&mut self.message_type, "message_type", value),
            "source" => any_of(&mut self.source, "source", value),
            "app_id" => any_of(&mut self.app_id, "app_id", value),
            "sha256" => any_of(&mut self.sha256, "sha256", value),
            "mime" => any_of(&mut self.mime, "mime", value),
            "q" => self.search_for(value),
            "from" => once(&mut self.from, "from", value, Moment::from_str),
            "to" => once(&mut self.to, "to", value, Moment::from_str),
            "min_size" => once(&mut self.min_size, "min_size", value, measure::parse_size),
            "max_size" => once(&mut self.max_size, "max_size", value, measure::parse_size),
            other => Err(FilterError::UnknownName(shortened(other))),
        }
    }

    /// Whether every resource is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same filter without another order.
    #[must_use]
    pub fn newest_first(&self) -> Self {
        let mut filter = self.clone();
        if let Some(search) = &mut filter.search {
            search.order = Order::Newest;
        }
        filter
    }

    /// The filter as sorted names and values: equal for filters that mean the same, however they
    /// were written.
    #[must_use]
    pub fn canonical(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        spell(&mut pairs, "state", &self.state);
        spell(&mut pairs, "role", &self.role);
        spell(&mut pairs, "chat_id", &self.chat_id);
        spell(&mut pairs, "sender", &self.sender);
        spell(&mut pairs, "message_id", &self.message_id);
        spell(&mut pairs, "message_type", &self.message_type);
        spell(&mut pairs, "source", &self.source);
        spell(&mut pairs, "app_id", &self.app_id);
        spell(&mut pairs, "sha256", &self.sha256);
        spell(&mut pairs, "mime", self.mime.iter().map(MimePattern::as_str));
        spell(&mut pairs, "q", self.search.iter().flat_map(Search::canonical));
        spell(&mut pairs, "from", self.from.iter().map(Moment::canonical));
        spell(&mut pairs, "to", self.to.iter().map(Moment::canonical));
        spell(&mut pairs, "min_size", self.min_size);
        spell(&mut pairs, "max_size", self.max_size);
        pairs.sort();
        pairs
    }

    fn search_for(&mut self, value: &str) -> Result<(), FilterError> {
        if self.search.is_some() {
            return Err(bad_value("q", value, ValueProblem::Twice));
        }
        self.search = Some(value.parse()?);
        Ok(())
    }
}

/// Adds the comma-separated values to those that are there, each of them once.
fn any_of<T>(values: &mut Vec<T>, name: &'static str, text: &str) -> Result<(), FilterError>
where
    T: FromStr<Err: Display> + PartialEq,
{
    for piece in text.split(',') {
        check_length(name, piece)?;
        let value: T = piece.parse().map_err(|error: T::Err| unfit(name, piece, error))?;
        if !values.contains(&value) {
            values.push(value);
        }
        if values.len() > MAX_VALUES {
            return Err(bad_value(name, piece, ValueProblem::TooMany));
        }
    }
    Ok(())
}

/// Sets what can only have one value.
fn once<T, E: Display>(
    slot: &mut Option<T>,
    name: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<(), FilterError> {
    check_length(name, text)?;
    if slot.is_some() {
        return Err(bad_value(name, text, ValueProblem::Twice));
    }
    *slot = Some(parse(text).map_err(|error| unfit(name, text, error))?);
    Ok(())
}

/// Refuses the empty value too: a script whose variable is empty should not get, or re-queue, everything.
fn check_length(name: &'static str, text: &str) -> Result<(), FilterError> {
    match text.len() {
        0 => Err(bad_value(name, text, ValueProblem::Empty)),
        1..=MAX_VALUE_BYTES => Ok(()),
        _ => Err(bad_value(name, text, ValueProblem::TooLong)),
    }
}

fn bad_value(name: &'static str, value: &str, problem: ValueProblem) -> FilterError {
    FilterError::BadValue { name, value: shortened(value), problem }
}

fn unfit(name: &'static str, value: &str, allowed: impl Display) -> FilterError {
    bad_value(name, value, ValueProblem::Unfit(allowed.to_string()))
}

/// As much of a text as is worth showing to whoever wrote it.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn spell<T: ToString>(
    pairs: &mut Vec<(&'static str, String)>,
    name: &'static str,
    values: impl IntoIterator<Item = T>,
) {
    pairs.extend(values.into_iter().map(|value| (name, value.to_string())));
}

/// A media type, or a family of them (`image/*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimePattern(String);

/// A text that is no media type and no family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a media type without parameters such as image/png, or a family such as image/*")]
pub struct NotAMimePattern;

impl MimePattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For a family, what all its media types begin with (`image/`).
    #[must_use]
    pub fn family(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }
}

impl FromStr for MimePattern {
    type Err = NotAMimePattern;

    fn from_str(text: &str) -> Result<Self, NotAMimePattern> {
        let token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match text.split_once('/') {
            Some((family, kind)) if token(family) && (kind == "*" || token(kind)) => Ok(Self(text.to_owned())),
            _ => Err(NotAMimePattern),
        }
    }
}

/// A point in time in a filter: fixed, the beginning of a day, or so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This time.
    At(Timestamp),
    /// When this day begins.
    Midnight(Day),
    /// This long before the question was asked.
    Ago(Duration),
}

impl Moment {
    /// The time that is meant, when the question was asked at `asked_at` in `zone`.
    #[must_use]
    pub fn resolve(self, asked_at: Timestamp, zone: &Zone) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Midnight(day) => zone.start_of(day),
            Self::Ago(span) => {
                let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                let then = asked_at.unix_ms().saturating_sub(span_ms);
                Timestamp::from_unix_ms(then).unwrap_or(Timestamp::EPOCH)
            }
        }
    }

    /// The same text for the same moment.
    pub(super) fn canonical(&self) -> String {
        match self {
            Self::At(time) => time.to_string(),
            Self::Midnight(day) => day.to_string(),
            Self::Ago(span) => format!("{}s", span.as_secs()),
        }
    }
}

impl FromStr for Moment {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        if let Ok(day) = text.parse() {
            return Ok(Self::Midnight(day));
        }
        // Counting a span back from 1970 refuses those that would lead `resolve` out of the years
        // that can be written.
        let time = Timestamp::from_person(text, Timestamp::EPOCH)?;
        Ok(measure::parse_span(text).map_or(Self::At(time), Self::Ago))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pairs: &[(&str, &str)]) -> Result<Filter, FilterError> {
        let mut filter = Filter::default();
        for (name, value) in pairs {
            filter.add(name, value)?;
        }
        Ok(filter)
    }

    #[test]
    fn repeated_and_listed_values_mean_any_of_them() {
        let listed = filter(&[("state", "gone,blocked"), ("mime", "image/*")]).unwrap();
        let repeated =
            filter(&[("mime", "image/*"), ("state", "blocked"), ("state", "gone"), ("state", "gone")]).unwrap();
        assert_eq!(repeated.state, [State::Blocked, State::Gone]);
        assert_eq!(listed.canonical(), repeated.canonical());
    }

    #[test]
    fn every_name_is_known_and_shows_in_the_canonical_form() {
        let sha256 = "ab".repeat(32);
        for name in Filter::NAMES {
            let value = match name {
                "state" => "gone",
                "role" => "cover",
                "source" => "lingo",
                "sha256" => &sha256,
                "mime" => "image/png",
                "from" | "to" => "7d",
                "min_size" | "max_size" => "10",
                _ => "word",
            };
            let filter = filter(&[(name, value)]).unwrap();
            assert!(!filter.is_empty(), "{name}");
            assert_eq!(filter.canonical().first().map(|(name, _)| *name), Some(name));
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_would() {
        let check = |name: &str, value: &str, shown: &str| {
            let error = filter(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(shown), "{error}");
        };
        check("state", "blocked,broken", "impossible");
        check("state", "", "empty");
        check("chat_id", "oc_1,", "empty");
        check("role", "picture", "card_image");
        check("sha256", "abc", "64 hexadecimal digits");
        check("mime", "png", "image/*");
        check("mime", "image/p*", "image/*");
        check("from", "yesterday", "7d");
        check("max_size", "many", "10MB");
        check("colour", "red", "message_type");
        check("q", "  ", "character 1");
        check("sender", &"x".repeat(MAX_VALUE_BYTES + 1), "longer");
        assert!(filter(&[("to", "1d"), ("to", "2d")]).is_err());
    }

    #[test]
    fn a_span_counts_back_from_the_question() {
        let asked_at = Timestamp::from_unix_ms(1_700_000_000_000).unwrap();
        let moment: Moment = "1d".parse().unwrap();
        assert_eq!(moment.resolve(asked_at, &Zone::default()).unix_ms(), 1_700_000_000_000 - 86_400_000);
    }

    #[test]
    fn a_date_is_midnight_where_the_archive_is() {
        let moment: Moment = "2026-01-31".parse().unwrap();
        for (zone, time) in [("UTC", "2026-01-31T00:00:00.000Z"), ("Asia/Shanghai", "2026-01-30T16:00:00.000Z")] {
            let resolved = moment.resolve(Timestamp::EPOCH, &zone.parse().unwrap());
            assert_eq!(resolved.to_string(), time, "{zone}");
        }
    }
}
