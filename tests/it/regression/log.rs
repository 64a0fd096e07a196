//! The catalogue's log, and what made it long.

use std::io::Read as _;
use std::process::{Child, ChildStdout};

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use sqlx::Executor as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::program::Workplace;
use crate::support::{TestApp, spawn_app, until};

const MIB: f64 = 1024.0 * 1024.0;
/// From here on somebody is warned.
const LONG: f64 = 128.0 * MIB;

const WARNING: &str = "Somebody has been reading the catalogue for so long that its log cannot be shortened; end what reads it (sqlite3, a copy, a question in SQL)";

async fn log_bytes(app: &TestApp) -> f64 {
    app.metric("larkive_catalogue_log_bytes").await.unwrap()
}

/// Writes so many megabytes as another process might, a few at a time so that the service gets its turn.
async fn write(outside: &mut SqliteConnection, mebibytes: u32) {
    outside.execute("CREATE TABLE IF NOT EXISTS ballast (bytes BLOB)").await.unwrap();
    for _ in 0..mebibytes / 4 {
        outside.execute("INSERT INTO ballast VALUES (zeroblob(4194304))").await.unwrap();
        outside.execute("DELETE FROM ballast").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_others_had_written_was_shortened_by_nobody() {
    let app = spawn_app().await;
    let mut outside = app.outside_connection().await;
    outside.execute("PRAGMA wal_autocheckpoint = 0").await.unwrap();
    write(&mut outside, 400).await;
    until("it is written into the file", async || log_bytes(&app).await < LONG + 8.0 * MIB).await;
    // The next commits start it over.
    app.deliver(&event::file("om_1", &Media::Blob { size_bytes: 10 }.key(1), "a.bin")).await;
    app.drain().await;
    write(&mut outside, 60).await;
    until("it stays short", async || log_bytes(&app).await < LONG + 8.0 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stayed_made_the_log_long_and_nobody_was_told() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let (serving, address) = workplace.serve();
    let path = workplace.path("data/larkive.db");
    let connect = async || SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let (mut reader, mut writer) = (connect().await, connect().await);
    writer.execute("PRAGMA wal_autocheckpoint = 0").await.unwrap();
    let url = format!("http://{address}/webhook/event");
    let deliver = || workplace.run(&["trigger", "text", "--url", &url]).ended(0);
    deliver();
    let mut reading = reader.begin().await.unwrap();
    let _: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM events").fetch_one(&mut *reading).await.unwrap();
    write(&mut writer, 160).await;
    let warned = tokio::task::block_in_place(|| serving.log_line(WARNING));
    assert!(warned["log_bytes"].as_f64().unwrap() >= LONG, "{warned}");
    // A delivery is still answered, and in good time.
    deliver();

    let log = workplace.path("data/larkive.db-wal");
    let log_bytes = || std::fs::metadata(&log).unwrap().len() as f64;
    assert!(log_bytes() >= LONG);
    reading.rollback().await.unwrap();
    tokio::task::block_in_place(|| serving.log_line("The catalogue's log is short again"));
    assert!(log_bytes() < MIB, "{}", log_bytes());
    deliver();
    let stopped = serving.stop().ended(0);
    assert_eq!(stopped.stderr.matches(WARNING).count(), 1);
}

/// More than a pipe holds, and less than may wait.
const LONG_ANSWER: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000)
    SELECT i, (SELECT COUNT(*) FROM v_resources) FROM n";
/// More than may wait.
const ENDLESS_ANSWER: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i, (SELECT COUNT(*) FROM v_resources) FROM n";

/// Asks, looks at the beginning, as a pager does, and leaves the rest where it is. Meanwhile others write until the
/// log has to start over. What was printed, and the program that still has the rest.
async fn ask_and_leave(question: &str, timeout: &str) -> (Workplace, Child, ChildStdout) {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let (serving, _) = workplace.serve();
    let mut asking = workplace.command(&["sql", question, "--timeout", timeout]).spawn().unwrap();
    let mut answer = asking.stdout.take().unwrap();
    answer.read_exact(&mut [0]).unwrap();
    let path = workplace.path("data/larkive.db");
    let mut writer = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    writer.execute("PRAGMA wal_autocheckpoint = 0").await.unwrap();
    write(&mut writer, 160).await;
    let log = workplace.path("data/larkive.db-wal");
    until("the log starts over", async || (std::fs::metadata(&log).unwrap().len() as f64) < LONG).await;
    writer.close().await.unwrap();
    serving.stop().ended(0);
    (workplace, asking, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whose_answer_nobody_took_held_the_log_for_ever() {
    // So long that whoever waits for the log gives up before.
    let (_workplace, mut asking, mut answer) = ask_and_leave(LONG_ANSWER, "10d").await;
    assert!(asking.try_wait().unwrap().is_none(), "what was answered still waits for somebody to take it");
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 50_000);
    assert!(asking.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_an_end_held_the_log_beyond_its_time() {
    let (_workplace, mut asking, answer) = ask_and_leave(ENDLESS_ANSWER, "1s").await;
    drop(answer);
    asking.wait().unwrap();
}
