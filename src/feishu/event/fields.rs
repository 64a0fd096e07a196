//! Fields of hostile JSON, by JSON pointer: lenient ones that may be missing, and required ones.

use std::str::FromStr;

use serde_json::Value;

use super::Unreadable;
use crate::domain::id::path_segment;
use crate::domain::time::Timestamp;

/// A text, which may be empty.
pub(super) fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path)?.as_str()
}

/// A text that may be missing; empty counts as missing.
pub(super) fn word(value: &Value, path: &str) -> Option<String> {
    text(value, path).map(clean).filter(|word| !word.is_empty())
}

/// An id of the kind that the caller expects.
pub(super) fn id<T: FromStr>(value: &Value, path: &str) -> Option<T> {
    text(value, path)?.parse().ok()
}

/// A text that is not empty, or a whole number as text.
pub(super) fn text_or_number(value: &Value, path: &str) -> Option<String> {
    match value.pointer(path)? {
        Value::String(text) if !text.is_empty() => Some(clean(text)),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// A time of whatever unit, as text or as a number.
pub(super) fn time(value: &Value, path: &str) -> Option<Timestamp> {
    Timestamp::from_platform(&text_or_number(value, path)?)
}

/// A text that must be there and may be empty.
pub(super) fn required_text<'a>(value: &'a Value, path: &str) -> Result<&'a str, Unreadable> {
    match value.pointer(path) {
        None | Some(Value::Null) => Err(wrong(path, "is missing")),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(wrong(path, "is not a text")),
    }
}

/// A text that must be there and say something.
pub(super) fn required<'a>(value: &'a Value, path: &str) -> Result<&'a str, Unreadable> {
    match required_text(value, path)? {
        "" => Err(wrong(path, "is empty")),
        text => Ok(text),
    }
}

/// An id that must be there.
pub(super) fn required_id<T: FromStr>(value: &Value, path: &str) -> Result<T, Unreadable> {
    required(value, path)?.parse().map_err(|_| wrong(path, "is no id"))
}

/// An id, as text or as a number, that must be there and fit into a URL.
pub(super) fn required_segment(value: &Value, path: &str) -> Result<String, Unreadable> {
    let segment = text_or_number(value, path).ok_or_else(|| wrong(path, "is missing"))?;
    if path_segment(&segment).is_none() {
        return Err(wrong(path, "cannot stand in a URL"));
    }
    Ok(segment)
}

/// `/event/message/chat_id` reads as `event.message.chat_id`.
fn wrong(path: &str, what: &str) -> Unreadable {
    Unreadable(format!("{} {what}", path.trim_start_matches('/').replace('/', ".")))
}

/// Without NUL, at which SQLite's text functions stop.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "")
}
