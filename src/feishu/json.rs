//! JSON from outside, read without trusting it.
//!
//! A text is refused when it nests too deeply, and repaired where an escape names half a character.
//! What the JSON means is left to the caller.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// The deepest nesting that is read. Real messages stay under 20 levels; this many still fit the
/// 2 MiB stack of a worker thread in an unoptimised build, for reading as well as for dropping.
pub const MAX_DEPTH: usize = 512;

/// The hexadecimal digits of a `\u` escape.
const ESCAPE_DIGITS: usize = 4;

/// Why a text could not be read. Never shows what stood in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// It nests deeper than [`MAX_DEPTH`].
    #[error("is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// It is no JSON.
    #[error("is not JSON (line {line}, column {column})")]
    NotJson {
        /// Where reading stopped, counted from 1.
        line: usize,
        /// Where reading stopped in that line.
        column: usize,
    },
    /// It is JSON, but not of the shape that was asked for.
    #[error("has an unexpected shape (line {line}, column {column})")]
    WrongShape {
        /// Where reading stopped, counted from 1.
        line: usize,
        /// Where reading stopped in that line.
        column: usize,
    },
}

impl From<serde_json::Error> for NotReadable {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => Self::WrongShape { line, column },
            Category::Io | Category::Syntax | Category::Eof => Self::NotJson { line, column },
        }
    }
}

/// Reads one JSON text. Of members with the same name the last one counts; a surrogate escape
/// without its partner reads as U+FFFD.
///
/// # Errors
/// Says where the text stops being what it should be.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, NotReadable> {
    if nests_too_deeply(text) {
        return Err(NotReadable::TooDeep);
    }
    let whole = replace_lone_surrogates(text);
    let mut deserializer = serde_json::Deserializer::from_str(&whole);
    // The library's own limit of 128 would refuse messages that the scan above has just allowed.
    deserializer.disable_recursion_limit();
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Counts brackets outside strings, without a stack of its own: this runs before anything may recurse.
fn nests_too_deeply(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Replaces surrogate escapes without a partner by `\ufffd`, which is as long.
pub(super) fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut whole = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let start = at + found;
        let unit = utf16_escape(text, start);
        at = match unit {
            Some(0xD800..=0xDBFF) if matches!(utf16_escape(text, start + 6), Some(0xDC00..=0xDFFF)) => start + 12,
            Some(0xD800..=0xDFFF) => {
                whole.to_mut().replace_range(start..start + 6, "\\ufffd");
                start + 6
            }
            Some(_) => start + 6,
            // Whatever is escaped belongs to the backslash, above all a second backslash.
            None => start + 1 + text.get(start + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
        };
    }
    whole
}

/// The UTF-16 unit that a `\uXXXX` starting at `start` names; none if there is no such escape.
fn utf16_escape(text: &str, start: usize) -> Option<u16> {
    let digits = text.get(start..)?.strip_prefix("\\u")?.get(..ESCAPE_DIGITS)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", r#"{"a":["#.repeat(depth / 2), "]}".repeat(depth / 2))
    }

    #[test]
    fn the_deepest_text_fits_the_stack_of_a_worker() {
        let on_small_stack = |depth| {
            let read_and_drop = move || read::<Value>(&nested(depth)).map(drop);
            std::thread::Builder::new().stack_size(2 << 20).spawn(read_and_drop).unwrap().join().unwrap()
        };
        assert_eq!(on_small_stack(MAX_DEPTH), Ok(()));
        assert_eq!(on_small_stack(MAX_DEPTH + 2), Err(NotReadable::TooDeep));
        assert_eq!(on_small_stack(1_000_000), Err(NotReadable::TooDeep));
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let text = format!(r#"["\"{}","\\"]"#, "[".repeat(2 * MAX_DEPTH));
        assert!(read::<Value>(&text).is_ok());
    }

    #[test]
    fn half_characters_are_replaced_and_whole_ones_kept() {
        let check = |text: &str, expected: &str| assert_eq!(read::<Value>(text), Ok(json!(expected)), "{text}");
        check(r#""\ud83d\ude00""#, "😀");
        check(r#""\uD83D""#, "\u{fffd}");
        check(r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}");
        check(r#""\ud83d\ud83d\ude00!""#, "\u{fffd}😀!");
        check(r#""\\ud800""#, "\\ud800");
        check(r#""\\\ud800é\"""#, "\\\u{fffd}é\"");
        assert!(matches!(replace_lone_surrogates(r#""\ud83d\ude00 \u00e9 \\ud800""#), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_json_says_where() {
        assert_eq!(read::<Value>(r#"{"a":1,"a":2}"#), Ok(json!({"a": 2})));
        assert_eq!(read::<Value>(r#"{"a":"#), Err(NotReadable::NotJson { line: 1, column: 5 }));
        assert_eq!(read::<Value>("{} {}"), Err(NotReadable::NotJson { line: 1, column: 4 }));
        assert_eq!(
            read::<Value>(r#""\uZZZZ""#).map_err(|e| e.to_string()).unwrap_err().split(" (").next(),
            Some("is not JSON")
        );
        assert_eq!(read::<u8>("\"x\"").unwrap_err().to_string(), "has an unexpected shape (line 1, column 3)");
    }
}
