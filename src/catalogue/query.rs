//! Questions in SQL from whoever runs the program: one statement, only reading, for a limited time.
//!
//! SQLite itself asks for permission, column by column, while it compiles a statement: what is not
//! open here cannot be reached, through whatever view, alias or expression. The questions run on a
//! connection of their own, apart from the program's.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Rows, ffi};

/// The tables that may be read, besides every view (`v_…`). A table is closed until it stands here:
/// `app_tickets` holds secrets, `events` the apps' verification tokens inside the raw payloads.
const OPEN_TABLES: [&str; 20] = [
    "blobs",
    "chat_tallies",
    "chats",
    "event_outcomes",
    "inbox_cursor",
    "messages",
    "quoted_messages",
    "reasons",
    "recall_policy",
    "recalls",
    "resources",
    "senders",
    "tallies",
    "ticket_posts",
    "totals",
    "tries",
    // What a catalogue consists of, and SQLite's own table-valued functions.
    "sqlite_master",
    "sqlite_schema",
    "json_each",
    "json_tree",
];
/// What begins the names of views, which consist of what is open.
const VIEWS: &str = "v_";
/// What else may be asked about tables, as `PRAGMA` or as `pragma_…`.
const OPEN_PRAGMAS: [&str; 6] = ["table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo"];

/// The most memory that SQLite may take for a question.
const MEMORY_BYTES: i64 = 256 << 20;
/// The longest value, and the longest row: a copy of it is made, and texts of that.
const LONGEST_VALUE_BYTES: i32 = 32 << 20;
/// More than whoever asks may have at once, by one limit or another.
const TOO_MUCH_BYTES: i64 = 900_000_000;
/// How many of SQLite's own instructions run between two looks at the clock.
const LOOK_EVERY: i32 = 1000;
/// How many rows are handed over at once, unless they are long or come slowly.
const BATCH: usize = 200;
const BATCH_BYTES: usize = 1 << 20;
/// How long a row waits for more to be handed over with.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(100);

/// A value as SQLite has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text; what is no UTF-8 in it is replaced.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question asks for what is closed, or wants to change something.
    #[error(
        "{0}: only reading is allowed, and only of the views (v_resources, v_failed, v_messages, v_chats) and of tables without secrets"
    )]
    Refused(String),
    /// The question cannot be understood or answered.
    #[error("{0}")]
    Wrong(String),
    /// The answer is more than can be held.
    #[error("it takes more {0} than the {1} that it may; ask for less at a time")]
    TooMuch(&'static str, &'static str),
    /// It might take all memory there is.
    #[error(
        "nothing bounds the memory of a question here: this program's SQLite was compiled not to count it, and the system sets the process no limit"
    )]
    Unbounded,
    /// The time is up.
    #[error("the time is up: no answer within {} s; ask for less, or allow more with --timeout", .0.as_secs_f64())]
    TimeIsUp(Duration),
    /// Whoever took the answer wants no more of it.
    #[error(transparent)]
    Taker(anyhow::Error),
}

/// Whoever takes an answer.
pub trait Taker {
    /// Takes the next rows; `columns` are the same each time.
    ///
    /// # Errors
    /// If no more are wanted.
    fn take(&mut self, columns: &[String], rows: Vec<Vec<Value>>) -> anyhow::Result<()>;

    /// Takes the end of an answer that is whole.
    ///
    /// # Errors
    /// If it cannot be taken.
    fn end(&mut self, columns: &[String]) -> anyhow::Result<()>;
}

/// Answers a question about the catalogue at `path`, which must be there and of this program's
/// version. The time that the taker takes counts: while it does, the catalogue is being read. Within one function
/// SQLite does not look at the clock; who cannot wait for that has to end the process. Blocks.
///
/// # Errors
/// If the question is refused or wrong, its time is up, or nothing bounds the memory that it may take.
pub fn ask(path: &Path, question: &str, time: Duration, taker: &mut impl Taker) -> Result<(), QueryError> {
    let deadline = deadline(time);
    let in_words = |error| in_words(error, time);
    let connection = open(path, deadline).map_err(in_words)?;
    if !is_bounded(&connection).map_err(in_words)? {
        return Err(QueryError::Unbounded);
    }
    let mut statement = connection.prepare(question).map_err(in_words)?;
    if statement.column_count() == 0 {
        return Err(QueryError::Wrong("this is no question: there is nothing to answer".to_owned()));
    }
    let columns = distinct(statement.column_names());
    let mut rows = statement.query([]).map_err(in_words)?;
    while let Some(batch) = next_batch(&mut rows, columns.len()).map_err(in_words)? {
        taker.take(&columns, batch).map_err(QueryError::Taker)?;
    }
    taker.end(&columns).map_err(QueryError::Taker)
}

fn open(path: &Path, deadline: Instant) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", 1)?;
    connection.pragma_update_and_check(None, "hard_heap_limit", MEMORY_BYTES, |_| Ok(()))?;
    connection.progress_handler(LOOK_EVERY, Some(move || Instant::now() >= deadline))?;
    Ok(connection)
}

/// Closes what is not open to questions, and finds out whether their memory is bounded: a SQLite that was compiled
/// not to count its memory heeds no limit, and then the process has to have one.
fn is_bounded(connection: &Connection) -> rusqlite::Result<bool> {
    let too_much = connection.query_row("SELECT length(zeroblob(?) || '')", [TOO_MUCH_BYTES], |_| Ok(()));
    let is_bounded = match too_much {
        Err(rusqlite::Error::SqliteFailure(failure, _)) if failure.code == ErrorCode::OutOfMemory => true,
        Err(error) => return Err(error),
        Ok(()) => false,
    };
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE_BYTES)?;
    let tables = tables_of(connection)?;
    connection.authorizer(Some(move |context: AuthContext<'_>| permit(&context, &tables)))?;
    Ok(is_bounded)
}

/// The names of every table and view, in lower case.
fn tables_of(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut statement = connection.prepare("SELECT LOWER(name) FROM sqlite_schema WHERE type IN ('table', 'view')")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn permit(context: &AuthContext<'_>, tables: &HashSet<String>) -> Authorization {
    let is_open = match context.action {
        AuthAction::Select | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        // Without a column only rows are counted, also those of what the question itself has named (`WITH mine AS …`).
        AuthAction::Read { table_name, column_name: "" } => {
            is_open_table(table_name) || !tables.contains(&table_name.to_ascii_lowercase())
        }
        AuthAction::Read { table_name, .. } => is_open_table(table_name),
        AuthAction::Pragma { pragma_name, .. } => OPEN_PRAGMAS.contains(&pragma_name),
        _ => false,
    };
    if is_open { Authorization::Allow } else { Authorization::Deny }
}

fn is_open_table(name: &str) -> bool {
    let pragma = name.strip_prefix("pragma_");
    name.starts_with(VIEWS) || OPEN_TABLES.contains(&name) || pragma.is_some_and(|name| OPEN_PRAGMAS.contains(&name))
}

/// The next rows, none after the last.
fn next_batch(rows: &mut Rows<'_>, columns: usize) -> rusqlite::Result<Option<Vec<Vec<Value>>>> {
    let begun = Instant::now();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH && bytes < BATCH_BYTES && (batch.is_empty() || begun.elapsed() < HAND_OVER_WITHIN) {
        let Some(row) = rows.next()? else { break };
        let values: Vec<ValueRef<'_>> = (0..columns).map(|at| row.get_ref(at)).collect::<Result<_, _>>()?;
        let row_bytes: usize = values.iter().copied().map(bytes_of).sum();
        if row_bytes > LONGEST_VALUE_BYTES as usize {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None));
        }
        bytes += row_bytes;
        batch.push(values.into_iter().map(Value::from).collect());
    }
    Ok((!batch.is_empty()).then_some(batch))
}

fn bytes_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 0,
    }
}

/// The columns' names, each of them once: an object with two members of one name loses one of them.
fn distinct(names: Vec<&str>) -> Vec<String> {
    let mut columns: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let fresh = |candidate: &String| !columns.contains(candidate);
        let numbered = (1..).map(|number| format!("{name}:{number}"));
        let column = std::iter::once(name.to_owned()).chain(numbered).find(fresh);
        columns.extend(column);
    }
    columns
}

fn in_words(error: rusqlite::Error, time: Duration) -> QueryError {
    match error {
        rusqlite::Error::MultipleStatement => {
            QueryError::Wrong("there is more than one statement; ask one question at a time".to_owned())
        }
        rusqlite::Error::InvalidParameterCount(..) => {
            QueryError::Wrong("parameters have no values here; write the values".to_owned())
        }
        rusqlite::Error::SqliteFailure(failure, message) => {
            let message = message.unwrap_or_else(|| failure.to_string());
            match failure.code {
                ErrorCode::OperationInterrupted => QueryError::TimeIsUp(time),
                ErrorCode::OutOfMemory => QueryError::TooMuch("memory", "256 MiB"),
                ErrorCode::TooBig => QueryError::TooMuch("bytes in one row or value", "32 MiB"),
                ErrorCode::AuthorizationForStatementDenied => QueryError::Refused(message),
                // What SQLite says of a function has the code of any other mistake.
                _ if message.starts_with("not authorized") => QueryError::Refused(message),
                _ => QueryError::Wrong(message),
            }
        }
        other => QueryError::Wrong(other.to_string()),
    }
}

/// The end of a question's time that begins now.
fn deadline(time: Duration) -> Instant {
    // A time too long to be counted is as good as none.
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    Instant::now() + time.min(CENTURY)
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::FILE_NAME;
    use crate::catalogue::listing::seed::{Seed, Seeded};

    #[derive(Default)]
    struct Rows(Vec<Vec<Value>>);

    impl Taker for Rows {
        fn take(&mut self, _: &[String], rows: Vec<Vec<Value>>) -> anyhow::Result<()> {
            self.0.extend(rows);
            Ok(())
        }

        fn end(&mut self, _: &[String]) -> anyhow::Result<()> {
            Ok(())
        }
    }

    fn ask_of(seeded: &Seeded, question: &str) -> Result<Vec<Vec<Value>>, QueryError> {
        let mut rows = Rows::default();
        ask(&seeded.directory.path().join(FILE_NAME), question, Duration::from_secs(20), &mut rows)?;
        Ok(rows.0)
    }

    #[tokio::test]
    async fn every_view_and_what_it_consists_of_can_be_asked() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::default()).await;
        let views = ask_of(&seeded, "SELECT name FROM sqlite_schema WHERE type = 'view'").unwrap();
        assert!(views.len() >= 4, "{views:?}");
        for row in views {
            let [Value::Text(name)] = row.as_slice() else { panic!("{row:?}") };
            ask_of(&seeded, &format!("SELECT * FROM {name}")).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for question in [
            "WITH mine AS (SELECT key, COUNT(*) AS n FROM v_resources GROUP BY key) SELECT n FROM mine",
            "WITH mine AS (SELECT key FROM v_resources) SELECT COUNT(*) FROM mine",
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT COUNT(*) FROM n",
            "SELECT key FROM resources JOIN messages USING (message_row_id)",
            "SELECT name FROM pragma_table_info('resources')",
            "SELECT value FROM json_each('[1,2]')",
            "EXPLAIN QUERY PLAN SELECT * FROM v_resources",
            "VALUES (1); -- one statement",
        ] {
            assert!(!ask_of(&seeded, question).unwrap().is_empty(), "{question}");
        }
    }

    #[tokio::test]
    async fn secrets_stay_closed_however_they_are_asked_for() {
        let seeded = Seeded::new().await;
        seeded.run("INSERT INTO app_tickets VALUES ('cli_a', 'the-ticket', 1)").await;
        for question in [
            "SELECT * FROM app_tickets",
            "SELECT ticket FROM main.app_tickets AS t",
            "SELECT count(*) FROM app_tickets",
            "SELECT COUNT(*) FROM APP_TICKETS",
            "WITH app_tickets AS (SELECT 1) SELECT COUNT(*) FROM main.app_tickets",
            "SELECT key, (SELECT ticket FROM app_tickets) FROM resources",
            "WITH app AS (SELECT * FROM \"app_tickets\") SELECT * FROM app",
            "SELECT * FROM resources NATURAL JOIN app_tickets",
            "TABLE app_tickets",
            "SELECT payload FROM events",
            "SELECT * FROM sqlite_stat1",
            "SELECT data FROM sqlite_dbpage",
        ] {
            let error = ask_of(&seeded, question).unwrap_err();
            assert!(!error.to_string().contains("the-ticket"), "{question}: {error}");
        }
    }

    #[tokio::test]
    async fn nothing_is_changed_attached_loaded_or_asked_twice() {
        let seeded = Seeded::new().await;
        for question in [
            "INSERT INTO recalls VALUES ('a', 'b', 1, NULL)",
            "WITH x AS (SELECT 1) DELETE FROM resources",
            "CREATE TEMP TABLE x (y)",
            "CREATE TEMP VIEW resources AS SELECT 1",
            "ATTACH ':memory:' AS other",
            "PRAGMA query_only = 0",
            "PRAGMA writable_schema",
            "EXPLAIN PRAGMA query_only = 0",
            "SELECT load_extension('x')",
            "BEGIN IMMEDIATE",
            "ANALYZE",
        ] {
            let answer = ask_of(&seeded, question);
            assert!(matches!(answer, Err(QueryError::Refused(_))), "{question}: {answer:?}");
        }
        let copy = seeded.directory.path().join("copy.db");
        let vacuum = format!("VACUUM INTO '{}'", copy.display());
        for question in
            ["", "-- nothing", "SELEC 1", "SELECT ?", "SELECT 1; SELECT 2", "SELECT * FROM nowhere", &vacuum]
        {
            assert!(matches!(ask_of(&seeded, question), Err(QueryError::Wrong(_))), "{question}");
        }
        assert!(!copy.exists());
    }

    #[tokio::test]
    async fn a_question_without_an_end_ends_and_takes_no_memory() {
        let seeded = Seeded::new().await;
        let path = seeded.directory.path().join(FILE_NAME);
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n";
        let ended = ask(&path, endless, Duration::from_millis(50), &mut Rows::default());
        assert!(matches!(ended, Err(QueryError::TimeIsUp(_))), "{ended:?}");
        assert!(matches!(ask_of(&seeded, "SELECT hex(zeroblob(100000000))"), Err(QueryError::TooMuch(..))));
    }
}
