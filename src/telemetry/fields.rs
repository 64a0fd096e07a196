//! The fields of a line of text: whatever they hold, a line stays a line, and a field stays a field.
//!
//! File names, ids and messages of the platform are other people's words. Written as they are they could begin a
//! line of their own, claim to be another field, or give orders to the terminal that shows them.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The name of what a line says.
const MESSAGE: &str = "message";

/// Writes fields as `name=value`, with quotes around what is not one word.
#[derive(Debug, Clone, Copy)]
pub(super) struct SafeFields;

impl<'w> FormatFields<'w> for SafeFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_begun: false, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn add(&mut self, field: &Field, value: &str) -> fmt::Result {
        if std::mem::replace(&mut self.is_begun, true) {
            self.writer.write_char(' ')?;
        }
        if field.name() == MESSAGE {
            return write_escaped(&mut self.writer, value);
        }
        write!(self.writer, "{}=", field.name())?;
        if is_one_word(value) {
            return self.writer.write_str(value);
        }
        self.writer.write_char('"')?;
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.writer.write_char('\\')?;
            }
            write_character(&mut self.writer, character)?;
        }
        self.writer.write_char('"')
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.add(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Whether a value can stand without quotes and be told from what follows it.
fn is_one_word(value: &str) -> bool {
    !value.is_empty() && !value.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\') || gives_orders(c))
}

fn write_escaped(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|character| write_character(writer, character))
}

fn write_character(writer: &mut Writer<'_>, character: char) -> fmt::Result {
    if gives_orders(character) {
        return write!(writer, "{}", character.escape_default());
    }
    writer.write_char(character)
}

/// Whether a character is none to be seen: it ends a line, moves the cursor, or turns the direction of writing.
fn gives_orders(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
