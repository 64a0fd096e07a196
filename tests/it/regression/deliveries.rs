//! What went wrong with deliveries: replays, floods, disks that are slow or full, and what the log made of them.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::domain::time::Timestamp;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::{Sealing, Sender, seal};
use larkive::sandbox::{Sandbox, SandboxOptions};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};

use crate::program::{self, Workplace};
use crate::support::{ENCRYPT_KEY, Options, TestApp, app_setup, spawn_app, spawn_app_with, until};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// More than the runtime has threads that may wait.
const BLOCKING_TASKS: usize = 600;

fn event_of(app: &TestApp, number: u64) -> Value {
    event::image(&format!("om_{number}"), &Media::Png.key(number)).payload(app.sender.app(), app.clock.now())
}

async fn rows(app: &TestApp) -> i64 {
    app.count("SELECT COUNT(*) FROM events").await
}

async fn counted(app: &TestApp, result: &str) -> f64 {
    app.metric(&format!("larkive_events_total{{result=\"{result}\"}}")).await.unwrap_or_default()
}

/// What is answered to an event that was signed at this time.
async fn answer_to(app: &TestApp, payload: &Value, signed_at: Timestamp) -> u16 {
    let key = EncryptKey::new(Secret::new(ENCRYPT_KEY));
    app.sender.post(&seal(payload, Some(&key), Sealing::Proper, signed_at)).await.unwrap().status
}

#[tokio::test]
async fn a_recorded_delivery_was_written_down_each_time_it_came() {
    let app = spawn_app().await;
    let payload = event_of(&app, 1);
    for _ in 0..20 {
        assert_eq!(app.deliver_payload(&payload).await.status, 200);
    }
    assert_eq!((rows(&app).await, counted(&app, "accepted").await, counted(&app, "duplicate").await), (1, 1.0, 19.0));
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;

    let app = app.restart().await;
    assert_eq!(app.deliver_payload(&payload).await.status, 200);
    assert_eq!((rows(&app).await, counted(&app, "duplicate").await), (1, 1.0), "also after a restart");

    // Another app, another id or another content is another delivery.
    let mut other = payload.clone();
    other["header"]["event_id"] = "another".into();
    assert_eq!(app.deliver_payload(&other).await.status, 200);
    other["event"]["message"]["content"] = "{}".into();
    assert_eq!(app.deliver_payload(&other).await.status, 200);
    other["header"]["event_id"] = Value::Null;
    for _ in 0..3 {
        assert_eq!(app.deliver_payload(&other).await.status, 200);
    }
    assert_eq!(rows(&app).await, 4);
    app.drain().await;
}

#[tokio::test]
async fn the_token_of_every_delivery_was_kept_with_it() {
    let app = spawn_app().await;
    assert_eq!(app.deliver_payload(&event_of(&app, 1)).await.status, 200);
    app.drain().await;
    let with_token = app.count("SELECT COUNT(*) FROM events WHERE payload LIKE '%verification-token%'").await;
    assert_eq!((rows(&app).await, with_token), (1, 0));
}

#[tokio::test]
async fn copies_of_a_delivery_that_was_being_written_were_written_as_well() {
    let app = spawn_app().await;
    let payload = event_of(&app, 1);
    let mut other = app.outside_connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let answers = join_all((0..3).map(|_| app.deliver_payload(&payload))).await;
    assert!(answers.iter().all(|answer| answer.status == 503), "nobody is told that it is durable before it is");
    lock.rollback().await.unwrap();
    let answers = join_all((0..3).map(|_| app.deliver_payload(&payload))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(rows(&app).await, 1);
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
}

#[tokio::test]
async fn a_delivery_that_was_signed_long_ago_was_taken() {
    let app = spawn_app().await;
    // What the platform answers says what time it is.
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    let now = app.clock.now();
    for (number, signed_at, status) in [
        (2, now.before(3 * 365 * 24 * HOUR), 401),
        (3, now.before(24 * HOUR + Duration::from_secs(2)), 401),
        (4, now.before(24 * HOUR), 200),
        (5, now.after(HOUR), 200),
        (6, now.after(HOUR + Duration::from_secs(2)), 401),
    ] {
        assert_eq!(answer_to(&app, &event_of(&app, number), signed_at).await, status, "{signed_at}");
    }
    assert_eq!((rows(&app).await, counted(&app, "signature").await), (3, 3.0));
    app.drain().await;
}

#[tokio::test]
async fn while_the_time_is_in_doubt_age_refuses_nothing() {
    let app = spawn_app().await;
    let old = app.clock.now().before(48 * HOUR);
    assert_eq!(answer_to(&app, &event_of(&app, 1), old).await, 200, "the platform has not told its time yet");
    app.drain().await;
    assert_eq!(answer_to(&app, &event_of(&app, 2), old).await, 401);

    // Whoever's clock is wrong, ours is not the platform's.
    let clock = Clock::fixed(app.clock.now().after(HOUR));
    let platform = Sandbox::start(SandboxOptions { clock, ..SandboxOptions::default() }).await.unwrap();
    let neighbour = app_setup(&Options::default(), "cli_ahead", &platform);
    let app = spawn_app_with(Options { neighbours: vec![neighbour], ..Options::default() }).await;
    let sender = app.sender_of("cli_ahead");
    let payload = event::image("om_1", &Media::Png.key(1)).payload(sender.app(), app.clock.now());
    assert_eq!(sender.deliver(&payload).await.unwrap().status, 200);
    app.drain().await;
    assert_eq!(answer_to(&app, &event_of(&app, 2), old).await, 200);
    app.drain().await;
}

#[tokio::test]
async fn deliveries_waited_for_threads_that_others_had_taken() {
    let app = spawn_app().await;
    let mut kept = Vec::new();
    for _ in 0..BLOCKING_TASKS {
        let (keep, given_back) = mpsc::channel::<()>();
        kept.push(keep);
        tokio::task::spawn_blocking(move || given_back.recv());
    }
    for number in 0..10 {
        assert_eq!(app.deliver_payload(&event_of(&app, number)).await.status, 200);
    }
    drop(kept);
    app.drain().await;
    app.assert_stored(&Media::Png.key(9)).await;
}

#[tokio::test]
async fn readiness_looked_at_the_lock_and_wrote_nothing() {
    let app = spawn_app().await;
    let status = async |app: &TestApp| {
        app.http.get(format!("http://{}/readyz", app.admin_address)).send().await.unwrap().status()
    };
    assert_eq!(status(&app).await, 200);
    let written = app.count("SELECT writes FROM write_probe").await;
    assert_eq!(status(&app).await, 200);
    assert!(app.count("SELECT writes FROM write_probe").await > written);
    fill_disk(&app, "UPDATE ON write_probe").await;
    assert_eq!(status(&app).await, 503);
}

/// Lets SQLite answer to such a change that the disk is full: there is no number left for a row.
async fn fill_disk(app: &TestApp, change: &str) {
    let mut outside = app.outside_connection().await;
    let full = "CREATE TABLE full (row INTEGER PRIMARY KEY AUTOINCREMENT);
         INSERT INTO full VALUES (9223372036854775807);";
    let trigger = format!("CREATE TRIGGER is_full BEFORE {change} BEGIN INSERT INTO full (row) VALUES (NULL); END");
    outside.execute(sqlx::AssertSqlSafe(format!("{full} {trigger}"))).await.unwrap();
}

#[tokio::test]
async fn nothing_was_kept_free_for_deliveries_on_a_full_disk() {
    let app = spawn_app().await;
    let reserve = app.layout.directory.join("reserve");
    assert!(reserve.exists());
    fill_disk(&app, "INSERT ON events").await;
    assert_eq!(app.deliver_payload(&event_of(&app, 1)).await.status, 503);
    assert!(!reserve.exists(), "the room is given up for deliveries");
    let ready = app.http.get(format!("http://{}/readyz", app.admin_address)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("the disk is full"));

    app.outside_connection().await.execute("DROP TRIGGER is_full").await.unwrap();
    assert_eq!(app.deliver_payload(&event_of(&app, 1)).await.status, 200);
    until("the room is taken again", async || {
        let expanded = app.count("SELECT COUNT(*) FROM messages").await;
        let is_back = reserve.exists();
        assert!(is_back || expanded == 0, "what can wait leaves the room to deliveries");
        is_back
    })
    .await;
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
}

/// A sender of events to a program that was started with this configuration.
fn sender_to(address: &str) -> Sender {
    let app =
        event::App { app_id: "cli_program".to_owned(), verification_token: Secret::new(program::VERIFICATION_TOKEN) };
    let key = EncryptKey::new(Secret::new(program::ENCRYPT_KEY));
    Sender::new(&format!("http://{address}/webhook/event"), app, Some(key)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_deliveries_flooded_the_log() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let (serving, address) = Workplace::configured(&platform.base_url()).serve();
    let sender = sender_to(&address);
    let begun = std::time::Instant::now();
    let refused = sender.sealed(&event::url_verification(sender.app(), "c"), Sealing::BadSignature);
    for _ in 0..300 {
        assert_eq!(sender.post(&refused).await.unwrap().status, 401);
    }
    let most = 1 + begun.elapsed().as_secs() as usize;
    let log = serving.stop().ended(0).stderr;
    let lines = log.lines().filter(|line| line.contains("\"cause\":\"signature\"")).count();
    assert!((1..=most).contains(&lines), "{lines} lines, at most {most}:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_id_forged_lines_of_the_log() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let workplace = workplace.with("LARKIVE_LOG_FORMAT", "text").with("RUST_LOG", "larkive=debug");
    let serving = workplace.start(&["serve"]);
    let listening = serving.log_line_with(" address=");
    let (_, address) = listening.split_once(" address=").unwrap();
    let sender = sender_to(address.split(' ').next().unwrap());
    let mut payload = event::image("om_1", &Media::Png.key(1)).payload(sender.app(), Clock::system().now());
    payload["header"]["event_id"] = "x\n2026-01-01T00:00:00.000Z ERROR larkive: forged\u{1b}[2J".into();
    assert_eq!(sender.deliver(&payload).await.unwrap().status, 200);
    let log = serving.stop().ended(0).stderr;
    assert!(log.contains("ERROR larkive: forged"), "the id is logged:\n{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01T00:00:00.000Z")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
}
