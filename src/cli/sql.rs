//! `larkive sql`: a question to the catalogue, in its own language.

use std::io::{self, BufWriter};
use std::path::Path;
use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::ahead::{Ahead, ahead_of};
use super::output::{FormatOption, Printer, forgive_closed_pipe};
use super::{Exit, Outcome};
use crate::catalogue::Catalogue;
use crate::catalogue::query::{QueryError, Taker, Value, ask};
use crate::domain::cell::Cell;
use crate::domain::measure;

/// What the process may take on top of what it has when it asks: what SQLite may, as much again for rows on their
/// way out, and what allocators keep aside.
const MEMORY_BYTES: u64 = 768 << 20;
/// How long after the end of the time SQLite may notice by itself, which it does between two steps of its own.
const GRACE: Duration = Duration::from_millis(500);

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
    /// How long it may read the catalogue, also if nobody takes the answer
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
    bound_memory()?;
    let path = catalogue.to_owned();
    let asking = tokio::task::spawn_blocking(move || answer(&path, &options));
    asking.await.context("the question crashed")?
}

/// Asks, and prints what comes. The catalogue is read no longer than the time allows; whoever takes the answer may
/// take it later.
fn answer(path: &Path, options: &Options) -> Outcome {
    let (ahead, following) = ahead_of(io::stdout())?;
    let mut taker = Printing(Printer::new(ahead, options.format.choose()));
    let watchdog = Watchdog::begin(options.timeout)?;
    let asked = ask(path, &options.query, options.timeout, &mut taker);
    drop((watchdog, taker));
    if let Err(error) = following.finish() {
        return forgive_closed_pipe(Err(error));
    }
    match asked {
        Ok(()) => Ok(Exit::Done),
        Err(error @ QueryError::TimeIsUp(_)) => {
            eprintln!("larkive: {error}");
            Ok(Exit::Problems)
        }
        Err(QueryError::Taker(error)) => forgive_closed_pipe(Err(error)),
        Err(error) => Err(error.into()),
    }
}

/// Lowers what memory this process may ever have, whatever SQLite counts of its own.
fn bound_memory() -> anyhow::Result<()> {
    // Other systems have no such limit, or do not keep to it; there SQLite's own has to do, which is tried.
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else { return Ok(()) };
    let pages: u64 = statm.split(' ').next().unwrap_or_default().parse().context("cannot see what memory is taken")?;
    let taken = pages * rustix::param::page_size() as u64;
    let allowed = getrlimit(Resource::As).maximum.unwrap_or(u64::MAX);
    let most = Some((taken + MEMORY_BYTES).min(allowed));
    setrlimit(Resource::As, Rlimit { current: most, maximum: most }).context("cannot bound the memory")
}

/// Ends the process when the time is up and SQLite does not notice: it looks at the clock between its steps, and one
/// of them may be a function that takes for ever, or wait for somebody to take the answer.
struct Watchdog {
    /// Dropped with it, which the thread notices.
    _in_time: Sender<()>,
}

impl Watchdog {
    fn begin(time: Duration) -> anyhow::Result<Self> {
        let (in_time, answered) = channel();
        let watch = move || {
            if answered.recv_timeout(time.saturating_add(GRACE)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("larkive: {}", QueryError::TimeIsUp(time));
                // It only reads: nothing is left half done. What was printed before is written, or waits in vain.
                process::exit(1);
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch).context("cannot watch the time")?;
        Ok(Self { _in_time: in_time })
    }
}

struct Printing(Printer<BufWriter<Ahead>>);

impl Taker for Printing {
    fn take(&mut self, columns: &[String], rows: Vec<Vec<Value>>) -> anyhow::Result<()> {
        let rows: Vec<_> = rows.iter().map(|values| Row { columns, values }).collect();
        self.0.print_rows(columns, &rows, |row| row.values.iter().map(in_cell).collect())
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

fn in_cell(value: &Value) -> Cell {
    match value {
        Value::Integer(_) | Value::Real(_) => Cell::Number(in_text(value)),
        Value::Null | Value::Text(_) | Value::Blob(_) => Cell::Text(in_text(value)),
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
