//! Items: a search cut into words, phrases and named values, each with its place.

use super::{QueryProblem, Value};
use crate::domain::filter::FilterError;

/// The names that may stand before a colon.
const NAMES: [&str; 12] =
    ["type", "chat", "sender", "state", "sha256", "ext", "mime", "after", "before", "larger", "smaller", "sort"];
/// How people put a phrase into quotation marks, on every keyboard.
const QUOTATION_MARKS: [char; 4] = ['"', '“', '”', '＂'];
const COLONS: [char; 2] = [':', '：'];
const COMMAS: [char; 2] = [',', '，'];
const MINUS_SIGNS: [char; 2] = ['-', '－'];
/// Names that are this close to a known one are mistyped; what is further off is a text with a colon.
const TYPING_ERRORS: usize = 1;
/// Shorter words with a colon are times of day and drives.
const MIN_NAME: usize = 3;

/// One part of a search.
#[derive(Debug)]
pub(super) struct Item {
    /// Its first character, counted from 1.
    pub(super) position: usize,
    /// Whether a dash stands before it.
    pub(super) is_negated: bool,
    /// What it is.
    pub(super) written: Written,
}

/// What a part of a search is.
#[derive(Debug)]
pub(super) enum Written {
    /// A word.
    Word(String),
    /// A phrase in quotation marks.
    Phrase(String),
    /// Values of something that has a name.
    Trait {
        /// The name.
        name: &'static str,
        /// The values, at least one.
        values: Vec<Value>,
    },
}

impl Item {
    /// Why this part cannot be understood.
    pub(super) fn refuse(&self, problem: QueryProblem) -> FilterError {
        FilterError::BadQuery { position: self.position, problem }
    }
}

/// Why a search cannot be understood at a character, counted from 0.
fn refusal(at: usize, problem: QueryProblem) -> FilterError {
    FilterError::BadQuery { position: at + 1, problem }
}

/// Cuts a search into its parts.
pub(super) fn read(text: &str) -> Result<Vec<Item>, FilterError> {
    let mut reader = Reader { characters: text.chars().collect(), at: 0 };
    let mut items = Vec::new();
    loop {
        reader.take_while(is_blank);
        let position = reader.at + 1;
        if reader.peek().is_none() {
            return Ok(items);
        }
        let is_negated = reader.take_sign();
        let written = reader.take_written()?;
        items.push(Item { position, is_negated, written });
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

struct Reader {
    characters: Vec<char>,
    /// The next character, counted from 0.
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn take_while(&mut self, mut belongs: impl FnMut(char) -> bool) -> String {
        let taken: String = self.characters.iter().skip(self.at).copied().take_while(|c| belongs(*c)).collect();
        self.at += taken.chars().count();
        taken
    }

    /// A dash that something follows.
    fn take_sign(&mut self) -> bool {
        let is_sign = self.peek().is_some_and(|c| MINUS_SIGNS.contains(&c))
            && self.characters.get(self.at + 1).is_some_and(|next| !is_blank(*next));
        if is_sign {
            self.at += 1;
        }
        is_sign
    }

    fn take_written(&mut self) -> Result<Written, FilterError> {
        if self.is_at_quotation_mark() {
            return Ok(Written::Phrase(self.take_quoted()?));
        }
        if let Some(name) = self.take_name()? {
            return Ok(Written::Trait { name, values: self.take_values(name)? });
        }
        Ok(Written::Word(self.take_while(|c| !is_blank(c))))
    }

    fn is_at_quotation_mark(&self) -> bool {
        self.peek().is_some_and(|c| QUOTATION_MARKS.contains(&c))
    }

    fn take_quoted(&mut self) -> Result<String, FilterError> {
        let opened_at = self.at;
        self.at += 1;
        let text = self.take_while(|c| !QUOTATION_MARKS.contains(&c));
        if self.peek().is_none() {
            return Err(refusal(opened_at, QueryProblem::OpenPhrase));
        }
        self.at += 1;
        Ok(text)
    }

    /// A known name and its colon; one that was mistyped is refused. Everything else is text.
    fn take_name(&mut self) -> Result<Option<&'static str>, FilterError> {
        let started_at = self.at;
        let typed = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_ascii_lowercase();
        let has_colon = self.peek().is_some_and(|c| COLONS.contains(&c));
        self.at += 1;
        match NAMES.iter().find(|name| **name == typed) {
            Some(name) if has_colon => return Ok(Some(name)),
            _ => self.at = started_at,
        }
        let is_close = |name: &&&str| strsim::osa_distance(name, &typed) <= TYPING_ERRORS;
        match NAMES.iter().find(is_close) {
            Some(name) if has_colon && typed.len() >= MIN_NAME => {
                Err(refusal(started_at, QueryProblem::UnknownName { typed, name }))
            }
            _ => Ok(None),
        }
    }

    /// What stands behind a colon: a text in quotation marks, or values with commas between them.
    fn take_values(&mut self, name: &'static str) -> Result<Vec<Value>, FilterError> {
        let mut values = Vec::new();
        loop {
            let position = self.at + 1;
            let text = match self.is_at_quotation_mark() {
                true => self.take_quoted()?,
                false => self.take_while(|c| !is_blank(c) && !COMMAS.contains(&c)),
            };
            if text.trim().is_empty() {
                return Err(refusal(position - 1, QueryProblem::NoValue { name }));
            }
            values.push(Value { position, text });
            if !self.peek().is_some_and(|c| COMMAS.contains(&c)) {
                return Ok(values);
            }
            self.at += 1;
        }
    }
}
