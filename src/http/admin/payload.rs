//! Payloads of deliveries, laid out for reading: indented, without secrets, harmless to show.
//!
//! It works on the text alone: order, numbers and doubled members stay as they came, and a text that
//! is cut, or no JSON at all, is shown as well as it can be.

use super::vocabulary::visible_lines;
use crate::catalogue::listing::delivery::Payload;
use crate::domain::readable::human_bytes;
use crate::domain::secret::MASKED_JSON;

/// How much of a payload is looked at: an event with a long post is far shorter.
pub(super) const SHOWN_CHARS: u32 = 64 * 1024;
/// The most that is shown, whatever indentation adds.
const MAX_BYTES: usize = 256 * 1024;
/// How far lines are indented at most; what is nested deeper stands below each other.
const MAX_DEPTH: usize = 24;
/// Members whose text opens something: callbacks are authenticated by the one, store apps by the other.
const SECRETS: [&str; 2] = ["token", "app_ticket"];

/// A payload as a page shows it.
#[derive(Debug)]
pub(super) struct ShownPayload {
    pub(super) text: String,
    /// How long it is as a whole.
    pub(super) size: String,
    /// Whether there is more of it.
    pub(super) is_cut: bool,
}

impl From<Payload> for ShownPayload {
    fn from(Payload { text, size_bytes }: Payload) -> Self {
        let laid = lay_out(&text);
        let is_cut = laid.is_cut || (text.len() as u64) < size_bytes;
        Self { text: visible_lines(&laid.text), size: human_bytes(size_bytes), is_cut }
    }
}

/// One member or element on a line, indented. What would become too long ends early.
fn lay_out(json: &str) -> Laid {
    let mut laid = Laid::default();
    let mut tokens = Tokens(json).peekable();
    let (mut last, mut name) = ("", "");
    while let Some(token) = tokens.next() {
        if laid.text.len() + token.len() > MAX_BYTES {
            laid.is_cut = true;
            break;
        }
        match token {
            "{" | "[" if matches!(tokens.peek(), Some(&("}" | "]"))) => laid.text.push_str(token),
            "{" | "[" => laid.open(token),
            "}" | "]" if matches!(last, "{" | "[") => laid.text.push_str(token),
            "}" | "]" => laid.close(token),
            "," => laid.next(),
            ":" => laid.text.push_str(": "),
            _ if last == ":" && is_secret(name) => laid.text.push_str(MASKED_JSON),
            value => laid.text.push_str(value),
        }
        name = if token == ":" { last } else { name };
        last = token;
    }
    laid
}

/// Whether the member with this name, as it was written, holds a secret.
fn is_secret(name: &str) -> bool {
    serde_json::from_str::<String>(name).is_ok_and(|name| SECRETS.contains(&name.as_str()))
}

/// A text under construction.
#[derive(Default)]
struct Laid {
    text: String,
    depth: usize,
    is_cut: bool,
}

impl Laid {
    fn open(&mut self, bracket: &str) {
        self.text.push_str(bracket);
        self.depth += 1;
        self.new_line();
    }

    fn close(&mut self, bracket: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.new_line();
        self.text.push_str(bracket);
    }

    fn next(&mut self) {
        self.text.push(',');
        self.new_line();
    }

    fn new_line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth.min(MAX_DEPTH)));
    }
}

/// The tokens of a JSON text: brackets, commas and colons, strings with their quotes, and runs of
/// anything else.
struct Tokens<'t>(&'t str);

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.0.trim_start();
        let length = match rest.chars().next()? {
            '"' => string_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "{}[],:\"".contains(c)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at_checked(length)?;
        self.0 = behind;
        Some(token)
    }
}

/// How far a string reaches, its quotes included; to the end if it is not closed.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, shown: &str) {
        assert_eq!(lay_out(json).text, shown, "{json}");
    }

    #[test]
    fn members_stand_on_lines_of_their_own_as_they_came() {
        check(r#"{"b":1.50,"a":[1,{}],"a":[]}"#, "{\n  \"b\": 1.50,\n  \"a\": [\n    1,\n    {}\n  ],\n  \"a\": []\n}");
        check(r#"{"a": "x, \"{y}\": z" }"#, "{\n  \"a\": \"x, \\\"{y}\\\": z\"\n}");
    }

    #[test]
    fn what_is_cut_or_no_json_is_shown_as_well_as_it_can_be() {
        check(r#"{"a":["b"#, "{\n  \"a\": [\n    \"b");
        check("no json", "nojson");
        check("}]", "\n}\n]");
        let deep = "[".repeat(100_000);
        assert!(lay_out(&deep).is_cut && lay_out(&deep).text.len() <= MAX_BYTES + 2 * MAX_DEPTH + 2);
    }

    #[test]
    fn secrets_are_not_shown() {
        check(
            r#"{"token":"abc","tok\u0065n" : "abc","my_token":"d"}"#,
            "{\n  \"token\": \"***\",\n  \"tok\\u0065n\": \"***\",\n  \"my_token\": \"d\"\n}",
        );
        check(r#"{"event":{"app_ticket":"abc"#, "{\n  \"event\": {\n    \"app_ticket\": \"***\"");
        check(r#"["token","abc"]"#, "[\n  \"token\",\n  \"abc\"\n]");
    }
}
