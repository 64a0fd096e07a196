//! Message content of every type, and whole bodies as `larkive extract` reads them.
//!
//! `cargo +nightly fuzz run content_walker fuzz/corpus/content_walker tests/fixtures/events` starts
//! from the bodies of the tests.

#![no_main]

use larkive::cli::extract::extract;
use larkive::feishu::content::{self, MAX_NOTES, MAX_RESOURCES_PER_MESSAGE, MAX_TEXT_CHARS};
use libfuzzer_sys::fuzz_target;

const TYPES: [&str; 13] = [
    "image",
    "file",
    "audio",
    "media",
    "sticker",
    "folder",
    "post",
    "interactive",
    "todo",
    "text",
    "system",
    "merge_forward",
    "unknown",
];

fuzz_target!(|text: &str| {
    for message_type in TYPES {
        let content = content::read(message_type, text);
        assert!(content.resources.len() <= MAX_RESOURCES_PER_MESSAGE);
        assert!(content.notes.len() <= MAX_NOTES);
        assert!(content.text.is_none_or(|words| words.chars().count() <= MAX_TEXT_CHARS && !words.contains('\0')));
    }
    if let Ok(extraction) = extract(text) {
        assert!(extraction.notes.iter().all(|note| !note.contains(char::is_control)));
    }
});
