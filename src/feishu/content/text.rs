//! The words of a message, gathered line by line for searching.

use super::MAX_TEXT_CHARS;

/// Text that grows up to [`MAX_TEXT_CHARS`]; what comes after is dropped.
#[derive(Debug)]
pub(super) struct SearchText {
    text: String,
    room: usize,
}

impl Default for SearchText {
    fn default() -> Self {
        Self { text: String::new(), room: MAX_TEXT_CHARS }
    }
}

impl SearchText {
    /// Adds words to the current line. NUL is left out: SQLite's text functions stop at it.
    pub(super) fn push(&mut self, words: &str) {
        for character in words.chars().filter(|c| *c != '\0').take(self.room) {
            self.text.push(character);
            self.room -= 1;
        }
    }

    /// Ends the current line, if there is anything on it.
    pub(super) fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.push("\n");
        }
    }

    /// Adds a line of its own.
    pub(super) fn line(&mut self, words: &str) {
        self.end_line();
        self.push(words);
        self.end_line();
    }

    /// The text without space around it; none if nothing was said.
    pub(super) fn finish(self) -> Option<String> {
        let text = self.text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}
