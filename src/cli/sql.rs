//! `larkive sql`: a question to the catalogue, in its own language.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::output::{FormatOption, Printer, Stdout, forgive_closed_pipe, stdout};
use super::{Exit, Outcome};
use crate::catalogue::Catalogue;
use crate::catalogue::query::{QueryError, Taker, Value, ask};
use crate::domain::measure;

/// Ask the catalogue a question in SQL
///
/// Reads only, one statement. Open are the views v_resources, v_failed, v_messages and v_chats, and
/// the tables they consist of; times are unix milliseconds. Closed are tables that hold secrets and
/// the raw events, in which the apps' tokens stand. Bytes are printed in hexadecimal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive sql \"SELECT reason_code, COUNT(*) AS n FROM v_failed GROUP BY 1 ORDER BY n DESC\"
  larkive sql \"SELECT chat_name, bytes FROM v_chats ORDER BY bytes DESC LIMIT 10\" --format table
  larkive sql \"SELECT name, sql FROM sqlite_schema WHERE type = 'view'\" --format json

Exit codes: 0 answered, 1 the time is up, 2 refused or wrong.")]
pub struct Options {
    /// One SQL statement that reads
    query: String,
    /// How long SQLite may work on it
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = measure::parse_span)]
    timeout: Duration,
    #[command(flatten)]
    format: FormatOption,
}

/// Prints the answer.
///
/// # Errors
/// If the question is refused or wrong, or there is no catalogue to ask.
pub async fn run(options: Options, catalogue: &Path) -> Outcome {
    // Says in the usual words what is wrong with a catalogue that is missing or of another version.
    Catalogue::open_read_only(catalogue).await?.close().await;
    let path = catalogue.to_owned();
    let mut taker = Printing(Printer::new(stdout(), options.format.choose()));
    let asking = tokio::task::spawn_blocking(move || ask(&path, &options.query, options.timeout, &mut taker));
    match asking.await.context("the question crashed")? {
        Ok(()) => Ok(Exit::Done),
        Err(error @ QueryError::TimeIsUp(_)) => {
            eprintln!("larkive: {error}");
            Ok(Exit::Problems)
        }
        Err(QueryError::Taker(error)) => forgive_closed_pipe(Err(error)),
        Err(error) => Err(error.into()),
    }
}

struct Printing(Printer<Stdout>);

impl Taker for Printing {
    fn take(&mut self, columns: &[String], rows: Vec<Vec<Value>>) -> anyhow::Result<()> {
        let rows: Vec<_> = rows.iter().map(|values| Row { columns, values }).collect();
        self.0.print_rows(columns, &rows, |row| row.values.iter().map(in_text).collect())
    }

    fn end(&mut self, columns: &[String]) -> anyhow::Result<()> {
        self.0.end(columns)
    }
}

/// A row as a JSON object.
struct Row<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns.iter().zip(self.values) {
            match value {
                Value::Null => members.serialize_entry(column, &None::<()>)?,
                Value::Integer(number) => members.serialize_entry(column, number)?,
                Value::Real(number) => members.serialize_entry(column, number)?,
                Value::Text(_) | Value::Blob(_) => members.serialize_entry(column, &in_text(value))?,
            }
        }
        members.end()
    }
}

fn in_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
