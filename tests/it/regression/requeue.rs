//! What an event had cleared, and what became of it while the catalogue was in trouble.

use std::time::Duration;

use larkive::sandbox::event::{self, Notice, NoticeEvent};
use larkive::sandbox::samples::Media;
use serde_json::json;
use sqlx::Executor as _;

use crate::support::{TestApp, spawn_app, until};

/// More than becomes due at once.
const BLOCKED: i64 = 1200;
const LEFT: &str = "SELECT COUNT(*) FROM resources WHERE state = 'blocked'";

/// An archive with many files of a chat that the bot was not in. Only some of them can be made due again before the
/// catalogue fails; the bot has come back meanwhile.
async fn half_cleared() -> TestApp {
    let app = spawn_app().await;
    let keys = (0..BLOCKED).map(|seed| Media::Blob { size_bytes: 10 }.key(seed.unsigned_abs()));
    let images: Vec<_> = keys.map(|key| json!([{"tag": "img", "image_key": key}])).collect();
    app.fault(json!({"route": "resource", "times": BLOCKED, "do": {"answer": {"status": 400, "code": 234_004}}}));
    app.deliver(&event::post("om_many", &json!({"title": "", "content": images}))).await;
    app.drain().await;
    assert_eq!(app.count(LEFT).await, BLOCKED);

    let mut outside = app.outside_connection().await;
    let failing = "CREATE TRIGGER failing BEFORE UPDATE ON resources
        WHEN NEW.state = 'pending' AND OLD.state = 'blocked'
            AND (SELECT COUNT(*) FROM resources WHERE state = 'blocked') <= 700
        BEGIN SELECT RAISE(ABORT, 'in trouble'); END";
    outside.execute(failing).await.unwrap();
    app.clock.set(app.clock.now().after(Duration::from_secs(60)));
    let notice = Notice::BotAdded { chat_id: event::GROUP_CHAT.to_owned() };
    let back = NoticeEvent { event_id: "back".to_owned(), notice };
    app.deliver_payload(&back.payload(app.sender.app(), app.clock.now())).await;
    until("the catalogue refuses more", async || app.count(LEFT).await == 700).await;
    app
}

async fn mend(app: &TestApp) {
    app.outside_connection().await.execute("DROP TRIGGER failing").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_failed_once_ended_a_requeue_until_the_next_start() {
    let app = half_cleared().await;
    let elsewhere = Media::Blob { size_bytes: 10 }.key(1_000_000);
    app.deliver(&event::file("om_elsewhere", &elsewhere, "a.bin")).await;
    until("others' deliveries go on", async || {
        app.count("SELECT COUNT(*) FROM v_resources WHERE message_id = 'om_elsewhere' AND state = 'stored'").await == 1
    })
    .await;
    mend(&app).await;
    app.drain().await;
    assert_eq!(app.count(LEFT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_that_was_under_way_at_a_kill_is_gone_on_with() {
    let app = half_cleared().await.kill().await;
    mend(&app).await;
    app.drain().await;
    assert_eq!(app.count(LEFT).await, 0);
}
