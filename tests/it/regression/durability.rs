//! What was answered or shown before it was on the disk: seen by the order of the program's system calls.
//!
//! A kill loses nothing that was written, synced or not, so that no row can tell. The calls can.

use std::collections::HashMap;
use std::path::Path;

use larkive::clock::Clock;
use larkive::domain::digest::Digest;
use larkive::domain::secret::Secret;
use larkive::sandbox::event::{App, MessageEvent};
use larkive::sandbox::{Sandbox, SandboxOptions};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::program::{Running, VERIFICATION_TOKEN, Workplace};
use crate::support::until;
use crate::tools;

/// What is looked at: what goes to files and sockets, and what waits for the disk.
const CALLS: &str = "trace=write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat";
const LOG: &str = "larkive.db-wal>";
/// The length of what stands before each page in the log; bytes 4 to 8 of the last of a commit are not zero.
const HEAD_OF_A_PAGE: &str = ", 24, ";
const ENDED: &str = "+++ killed by SIGKILL +++\n";
/// As many events as are expanded in one transaction.
const BATCH: usize = 1024;

/// A system call, with what it was given and whether it succeeded.
struct Call {
    text: String,
    /// When it began and ended, in lines of the trace.
    begun: usize,
    ended: usize,
}

/// The calls of a program that has ended, in the order in which they began.
struct Trace {
    calls: Vec<Call>,
    /// When it was about to be killed. Everything that was seen of it before had been done by then.
    killed: usize,
}

impl Trace {
    fn read(path: &Path, killed: usize) -> Self {
        let trace = std::fs::read_to_string(path).unwrap();
        let mut calls: Vec<Call> = Vec::new();
        let mut unfinished: HashMap<&str, usize> = HashMap::new();
        for (at, line) in trace.lines().enumerate() {
            let (thread, told) = line.trim_start().split_once(' ').unwrap();
            let told = told.trim_start();
            if let Some(rest) = told.strip_prefix("<... ") {
                if let Some(began) = unfinished.remove(thread) {
                    calls[began].text += &decoded(rest);
                    calls[began].ended = at;
                }
                continue;
            }
            let ended = if told.ends_with("<unfinished ...>") {
                unfinished.insert(thread, calls.len());
                usize::MAX
            } else {
                at
            };
            calls.push(Call { text: decoded(told), begun: at, ended });
        }
        Self { calls, killed }
    }

    /// The first call after this moment that is one of these and contains all of that.
    fn after(&self, moment: usize, names: &[&str], parts: &[&str]) -> &Call {
        let found = self.calls.iter().find(|call| call.begun > moment && call.is_one_of(names) && call.has(parts));
        found.unwrap_or_else(|| panic!("none of {names:?} with {parts:?} after line {moment}"))
    }

    /// Asserts that nothing is written to the log between the end of a commit and the sync that makes it durable. The
    /// kill may hit one that nobody has seen.
    fn assert_every_commit_is_synced(&self) {
        let in_log = |call: &&Call| call.is_one_of(&["pwrite64", "fdatasync", "fsync"]) && call.has(&[LOG]);
        let calls: Vec<_> = self.calls.iter().filter(in_log).collect();
        let mut commits = 0;
        for (at, call) in calls.iter().enumerate() {
            if call.begun < self.killed && call.ends_a_commit() {
                commits += 1;
                // The page that belongs to the head, then the sync.
                let then = calls.get(at + 2).unwrap_or_else(|| panic!("commit {commits} is the last that was written"));
                assert!(
                    then.is_one_of(SYNC),
                    "commit {commits} is followed by {}",
                    then.text.chars().take(60).collect::<String>()
                );
            }
        }
        assert!(commits > 0, "no commit was seen");
    }
}

const SYNC: &[&str] = &["fdatasync", "fsync"];
const SEND: &[&str] = &["write", "writev", "sendto", "sendmsg"];
const MOVE: &[&str] = &["rename", "renameat", "renameat2", "link", "linkat"];

impl Call {
    fn is_one_of(&self, names: &[&str]) -> bool {
        let name = self.text.split('(').next().unwrap();
        names.contains(&name)
    }

    fn has(&self, parts: &[&str]) -> bool {
        parts.iter().all(|part| self.text.contains(part))
    }

    /// Whether it writes the head of the last page of a commit.
    fn ends_a_commit(&self) -> bool {
        if !(self.is_one_of(&["pwrite64"]) && self.has(&[LOG, HEAD_OF_A_PAGE])) {
            return false;
        }
        let head: Vec<char> = self.text.split_once("\"").unwrap().1.chars().take(8).collect();
        head[4..8].iter().any(|byte| *byte != '\0')
    }
}

/// A line with every `\xNN` as the character of that number.
fn decoded(line: &str) -> String {
    let mut parts = line.split("\\x");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        text.push(char::from(u8::from_str_radix(digits, 16).unwrap()));
        text += rest;
    }
    text
}

/// Kills a program and reads what it did.
async fn calls_of(serving: Running, trace: &Path) -> Trace {
    let (leader, lines) = (format!("{} ", serving.id()), || std::fs::read_to_string(trace).unwrap());
    // The tracer writes a call down before the program goes on.
    let killed = lines().lines().count();
    serving.kill();
    // The first of the threads is the last one that is gone, and what was written of it is whole.
    let is_last = |line: &str| line.starts_with(&leader) && line.ends_with(ENDED);
    until("the tracer is done", async || lines().split_inclusive('\n').next_back().is_some_and(is_last)).await;
    Trace::read(trace, killed)
}

async fn number(catalogue: &Path, sql: &'static str) -> i64 {
    let mut outside = SqliteConnectOptions::new().filename(catalogue).connect().await.unwrap();
    let number = sqlx::query_scalar(sql).fetch_one(&mut outside).await.unwrap();
    outside.close().await.unwrap();
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_went_out_or_a_row_said_stored_before_the_disk_had_it() {
    if !tools::can_trace() {
        return;
    }
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let (trace, catalogue) = (workplace.path("trace"), workplace.path("data/larkive.db"));
    let (serving, address) = tokio::task::block_in_place(|| workplace.serve_traced(CALLS, &trace));
    let url = format!("http://{address}/webhook/event");
    let sent = tokio::task::block_in_place(|| workplace.run(&["trigger", "image", "--url", &url])).ended(0);
    let sent = &sent.rows()[0];
    let (event, digest) = (sent["event_id"].as_str().unwrap(), sent["resources"][0]["sha256"].as_str().unwrap());
    let stored = "SELECT COUNT(*) FROM resources WHERE state = 'stored'";
    until("it is stored", async || number(&catalogue, stored).await == 1).await;
    let trace = calls_of(serving, &trace).await;

    let written = trace.after(0, &["pwrite64"], &[LOG, event]);
    let synced = trace.after(written.begun, SYNC, &[LOG]);
    let answered = trace.after(written.begun, SEND, &["HTTP/1.1 200"]);
    assert!(synced.ended < answered.begun, "the log is synced after the answer");

    let moved = trace.after(0, MOVE, &[&format!("/{digest}\""), " = 0"]);
    let spooled =
        |call: &&Call| call.begun < moved.begun && call.is_one_of(&["write", "pwrite64"]) && call.has(&["/spool/"]);
    let last_byte = trace.calls.iter().rfind(spooled).expect("bytes go through the spool");
    let file_synced = trace.after(last_byte.begun, SYNC, &["/spool/"]);
    assert!(file_synced.ended < moved.begun, "the file is moved before it is synced");
    let directory = format!("/sha256/{}/{}>", &digest[..2], &digest[2..4]);
    let directory_synced = trace.after(moved.ended, SYNC, &[&directory]);
    // The row has the digest as bytes.
    let bytes: String = digest.parse::<Digest>().unwrap().as_bytes().iter().map(|byte| char::from(*byte)).collect();
    let promised = trace.after(0, &["pwrite64"], &[LOG, &bytes]);
    assert!(directory_synced.ended < promised.begun, "the row says so before the directory is synced");
    trace.after(promised.begun, SYNC, &[LOG]);
    trace.assert_every_commit_is_synced();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_backlog_was_shown_and_never_synced() {
    if !tools::can_trace() {
        return;
    }
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let (trace, catalogue) = (workplace.path("trace"), workplace.path("data/larkive.db"));
    workplace.serve().0.stop().ended(0);
    let app = App { app_id: "cli_program".to_owned(), verification_token: Secret::new(VERIFICATION_TOKEN) };
    let mut outside = SqliteConnectOptions::new().filename(&catalogue).connect().await.unwrap();
    let mut transaction = outside.begin().await.unwrap();
    for number in 0..BATCH {
        let content = json!({"text": "later"}).to_string();
        let message = MessageEvent::new(&format!("om_of_the_backlog_{number}"), "text", content);
        sqlx::query("INSERT INTO events (app_id, received_at, payload) VALUES (?, 1, ?)")
            .bind(&app.app_id)
            .bind(message.payload(&app, Clock::system().now()).to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    outside.close().await.unwrap();

    let (serving, _) = tokio::task::block_in_place(|| workplace.serve_traced(CALLS, &trace));
    let left = "SELECT COUNT(*) FROM events WHERE event_row_id > (SELECT expanded_through FROM inbox_cursor)";
    until("the backlog is expanded", async || number(&catalogue, left).await == 0).await;
    let trace = calls_of(serving, &trace).await;
    let last = format!("om_of_the_backlog_{}", BATCH - 1);
    let expanded = trace.after(0, &["pwrite64"], &[LOG, &last]);
    trace.after(expanded.begun, SYNC, &[LOG]);
    trace.assert_every_commit_is_synced();
}
