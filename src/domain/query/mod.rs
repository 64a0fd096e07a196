//! The query language: what is typed into a search, understood.
//!
//! `发票 "final version" -draft type:image chat:报销 after:2026-01-01 larger:10MB`. How a search becomes
//! a query of the catalogue is the catalogue's business.

mod item;
mod problem;

use std::fmt::Display;
use std::str::FromStr;

use self::item::{Item, Written};
pub use self::problem::QueryProblem;
use super::digest::Digest;
use super::download::State;
use super::filter::{FilterError, MAX_VALUE_BYTES, MimePattern, Moment};
use super::folding::{End, Needle};
use super::measure;
use super::resource::Role;

/// The most words and phrases in one search; each of them is looked for in every row that is left.
pub const MAX_WORDS: usize = 16;

/// What somebody searches for. All of it has to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Each in the file name, the text, or the names of chat and sender.
    pub words: Vec<Needle>,
    /// In none of these.
    pub unwanted_words: Vec<Needle>,
    /// What a resource must be.
    pub wanted: Traits,
    /// What it must not be.
    pub unwanted: Traits,
    /// Sent at this time or later.
    pub after: Option<Moment>,
    /// Sent before this time.
    pub before: Option<Moment>,
    /// At least this many bytes.
    pub larger: Option<u64>,
    /// At most this many bytes.
    pub smaller: Option<u64>,
    /// What comes first.
    pub order: Order,
}

/// Traits by name. Several values of one trait mean any of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// In one of these roles, or in a message of one of these types.
    pub kinds: Vec<Kind>,
    /// In one of these chats.
    pub chats: Vec<Named>,
    /// Sent by one of these.
    pub senders: Vec<Named>,
    /// In one of these states.
    pub states: Vec<State>,
    /// With one of these digests.
    pub digests: Vec<Digest>,
    /// With a file name that ends in a dot and one of these.
    pub extensions: Vec<String>,
    /// Of one of these media types.
    pub mimes: Vec<MimePattern>,
}

/// What `type:` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A role.
    Role(Role),
    /// The type of a message that is not the name of a role.
    MessageType(&'static str),
}

impl Kind {
    /// The name of the role or the type.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::MessageType(name) => name,
        }
    }

    /// The role, if it is one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Role(role) => Some(*role),
            Self::MessageType(_) => None,
        }
    }
}

/// A chat or a person, by id or by a part of the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The id, if this is one.
    pub id: String,
    /// The part of the name, if this is one.
    pub name: Option<Needle>,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// What was sent last.
    #[default]
    Newest,
    /// What fits the words best.
    Relevance,
}

/// Message types that are not named like a role.
const MESSAGE_TYPES: [&str; 10] =
    ["post", "text", "media", "interactive", "merge_forward", "share_chat", "share_user", "location", "system", "todo"];
/// Further words for roles.
const ROLE_WORDS: [(&str, Role); 9] = [
    ("picture", Role::Image),
    ("photo", Role::Image),
    ("voice", Role::Audio),
    ("card", Role::CardImage),
    ("图片", Role::Image),
    ("文件", Role::File),
    ("语音", Role::Audio),
    ("音频", Role::Audio),
    ("视频", Role::Video),
];

impl Search {
    /// Whether anything has to be looked for in texts.
    #[must_use]
    pub fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// The search in pieces, equal for searches that mean the same but for the order of their parts.
    #[must_use]
    pub fn canonical(&self) -> Vec<String> {
        let mut pieces: Vec<String> = self.words.iter().map(|word| spell_needle("", word)).collect();
        pieces.extend(self.unwanted_words.iter().map(|word| spell_needle("-", word)));
        self.wanted.spell("", &mut pieces);
        self.unwanted.spell("-", &mut pieces);
        pieces.extend(self.after.map(|moment| format!("after:{}", moment.canonical())));
        pieces.extend(self.before.map(|moment| format!("before:{}", moment.canonical())));
        pieces.extend(self.larger.map(|size| format!("larger:{size}")));
        pieces.extend(self.smaller.map(|size| format!("smaller:{size}")));
        if self.order == Order::Relevance {
            pieces.push("sort:relevance".to_owned());
        }
        pieces.sort();
        pieces.dedup();
        pieces
    }

    fn take(&mut self, item: &Item) -> Result<(), FilterError> {
        let (name, text) = match &item.written {
            Written::Word(text) => return self.take_words(item, text, End::Anywhere),
            Written::Phrase(text) => return self.take_words(item, text, End::WithWord),
            Written::Trait { name, .. } if item.is_negated && !Traits::NAMES.contains(name) => {
                return Err(item.refuse(QueryProblem::NoOpposite { name }));
            }
            Written::Trait { name, values } => (*name, values),
        };
        for value in text {
            match name {
                "after" => once(&mut self.after, value.parsed(name)?, item)?,
                "before" => once(&mut self.before, value.parsed(name)?, item)?,
                "larger" => once(&mut self.larger, value.parsed_by(name, measure::parse_size)?, item)?,
                "smaller" => once(&mut self.smaller, value.parsed_by(name, measure::parse_size)?, item)?,
                "sort" => self.order = value.parsed_by(name, parse_order)?,
                name => {
                    let traits = if item.is_negated { &mut self.unwanted } else { &mut self.wanted };
                    traits.take(name, value)?;
                }
            }
        }
        Ok(())
    }

    /// A word of signs only, such as a dash between two others, says nothing.
    fn take_words(&mut self, item: &Item, text: &str, end: End) -> Result<(), FilterError> {
        let Some(needle) = Needle::new(text, end) else {
            return match end {
                End::Anywhere => Ok(()),
                End::WithWord => Err(item.refuse(QueryProblem::EmptyPhrase)),
            };
        };
        if self.words.len() + self.unwanted_words.len() >= MAX_WORDS {
            return Err(item.refuse(QueryProblem::TooManyWords));
        }
        let words = if item.is_negated { &mut self.unwanted_words } else { &mut self.words };
        words.push(needle);
        Ok(())
    }
}

impl FromStr for Search {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_VALUE_BYTES {
            let fitting = text.get(..text.floor_char_boundary(MAX_VALUE_BYTES)).unwrap_or_default();
            let position = fitting.chars().count() + 1;
            return Err(FilterError::BadQuery { position, problem: QueryProblem::TooLong });
        }
        let items = item::read(text)?;
        let mut search = Self::default();
        for item in &items {
            search.take(item)?;
        }
        let position = items.first().map_or(1, |item| item.position);
        if search == Self::default() {
            return Err(FilterError::BadQuery { position, problem: QueryProblem::NoWord });
        }
        if search.order == Order::Relevance && !search.has_words() {
            return Err(FilterError::BadQuery { position, problem: QueryProblem::NothingToRank });
        }
        Ok(search)
    }
}

impl Traits {
    /// The names that can be turned round with a dash.
    const NAMES: [&str; 7] = ["type", "chat", "sender", "state", "sha256", "ext", "mime"];

    /// Whether some kinds are roles and some are types of messages.
    #[must_use]
    pub fn mixes_kinds(&self) -> bool {
        let roles = self.kinds.iter().filter(|kind| kind.role().is_some()).count();
        roles > 0 && roles < self.kinds.len()
    }

    fn take(&mut self, name: &'static str, value: &Value) -> Result<(), FilterError> {
        match name {
            "type" => self.kinds.push(value.parsed_by(name, parse_kind)?),
            "chat" => self.chats.push(value.named()),
            "sender" => self.senders.push(value.named()),
            "state" => self.states.push(value.parsed(name)?),
            "sha256" => self.digests.push(value.parsed(name)?),
            "ext" => self.extensions.push(value.parsed_by(name, parse_extension)?),
            _ => self.mimes.push(value.parsed(name)?),
        }
        Ok(())
    }

    fn spell(&self, sign: &str, pieces: &mut Vec<String>) {
        let mut spell = |name: &str, value: &dyn Display| pieces.push(format!("{sign}{name}:{value}"));
        self.kinds.iter().for_each(|kind| spell("type", &kind.as_str()));
        self.chats.iter().for_each(|chat| spell("chat", &chat.id));
        self.senders.iter().for_each(|sender| spell("sender", &sender.id));
        self.states.iter().for_each(|state| spell("state", state));
        self.digests.iter().for_each(|digest| spell("sha256", digest));
        self.extensions.iter().for_each(|extension| spell("ext", extension));
        self.mimes.iter().for_each(|mime| spell("mime", &mime.as_str()));
    }
}

/// A value and where it stands.
#[derive(Debug)]
struct Value {
    position: usize,
    text: String,
}

impl Value {
    fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, FilterError> {
        self.parsed_by(name, str::parse)
    }

    fn parsed_by<T, E: Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, FilterError> {
        parse(&self.text).map_err(|error| {
            let problem = QueryProblem::BadValue { name, allowed: error.to_string() };
            FilterError::BadQuery { position: self.position, problem }
        })
    }

    fn named(&self) -> Named {
        Named { id: self.text.clone(), name: Needle::new(&self.text, End::Anywhere) }
    }
}

fn once<T>(slot: &mut Option<T>, value: T, item: &Item) -> Result<(), FilterError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(item.refuse(QueryProblem::Twice)),
    }
}

fn parse_order(text: &str) -> Result<Order, &'static str> {
    match text {
        "relevance" => Ok(Order::Relevance),
        "newest" => Ok(Order::Newest),
        _ => Err("write sort:relevance or sort:newest"),
    }
}

fn parse_kind(text: &str) -> Result<Kind, String> {
    if let Ok(role) = text.parse() {
        return Ok(Kind::Role(role));
    }
    if let Some((_, role)) = ROLE_WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(Kind::Role(*role));
    }
    let message_type = MESSAGE_TYPES.iter().find(|name| **name == text);
    message_type.map(|name| Kind::MessageType(name)).ok_or_else(|| {
        let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("type: is one of {}, {}", roles.join(", "), MESSAGE_TYPES.join(", "))
    })
}

fn parse_extension(text: &str) -> Result<String, &'static str> {
    let extension = text.trim_start_matches('.').to_lowercase();
    match extension.chars().all(char::is_alphanumeric) && !extension.is_empty() {
        true => Ok(extension),
        false => Err("ext: is the end of a file name, such as pdf"),
    }
}

fn spell_needle(sign: &str, needle: &Needle) -> String {
    match needle.end() {
        End::Anywhere => format!("{sign}{}", needle.as_str()),
        End::WithWord => format!("{sign}{:?}", needle.as_str()),
    }
}

#[cfg(test)]
mod tests;
