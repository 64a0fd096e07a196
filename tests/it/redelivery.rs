//! Redelivery: the platform sends an event again whenever it likes, and it is the same message every time.

use std::time::Duration;

use futures_util::future::join_all;
use larkive::sandbox::event::{self, MessageEvent};
use larkive::sandbox::samples::Media;
use serde_json::json;

use crate::support::{APP_ID, Options, TestApp, spawn_app, spawn_app_with};

/// The same message under these event ids, all at once.
async fn deliver_again(app: &TestApp, message: &MessageEvent, event_ids: &[&str]) {
    let redelivered: Vec<_> = event_ids.iter().map(|id| message.redelivered(id)).collect();
    join_all(redelivered.iter().map(|message| app.deliver(message))).await;
    app.drain().await;
}

async fn results(app: &TestApp) -> (i64, i64) {
    let counted = |result: &str| format!("larkive_events_total{{result=\"{result}\"}}");
    let duplicates = app.count("SELECT COUNT(*) FROM event_outcomes WHERE result = 'duplicate'").await;
    let all = app.count("SELECT COUNT(*) FROM events").await;
    assert!(app.metric(&counted("accepted")).await.is_some());
    (all, duplicates)
}

#[tokio::test]
async fn five_event_ids_and_a_restart_are_one_message_and_one_fetch() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    let message = event::image("om_1", &key);
    deliver_again(&app, &message, &["a", "b", "c", "a"]).await;
    let app = app.restart().await;
    deliver_again(&app, &message, &["d", "a"]).await;
    app.advance(Duration::from_secs(7 * 3600)).await;
    deliver_again(&app, &message, &["e"]).await;

    let stored = app.assert_stored(&key).await;
    assert_eq!((app.platform.requests_for(&key), stored.tries.len()), (1, 1));
    assert_eq!(app.count("SELECT COUNT(*) FROM messages").await, 1);
    assert_eq!(app.count("SELECT messages FROM v_chats").await, 1);
    assert_eq!(results(&app).await, (5, 4), "each delivery is kept once, and told from the first");
    let duplicates = app.json("/api/v1/events?result=duplicate").await;
    assert_eq!(duplicates["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_redelivery_changes_nothing_of_what_is_known() {
    let app = spawn_app().await;
    let (first, other) = (Media::Png.key(1), Media::Png.key(2));
    app.deliver(&event::image("om_1", &first)).await;
    app.drain().await;
    let edited = MessageEvent { event_id: "later".into(), chat_id: "oc_other".into(), ..event::image("om_1", &other) };
    app.deliver(&edited).await;
    app.drain().await;
    let resources = app.resources().await;
    assert_eq!(resources.len(), 1);
    assert_eq!(resources[0].chat_id.as_ref().unwrap().as_str(), event::GROUP_CHAT);
    assert_eq!(app.platform.requests_for(&other), 0);
}

#[tokio::test]
async fn a_redelivery_does_not_stir_what_failed_or_runs() {
    let app = spawn_app().await;
    let (gone, slow) = (Media::Png.key(1), Media::Png.key(2));
    app.fault(json!({"key": gone, "do": {"answer": {"status": 400, "code": 230_110, "msg": "deleted"}}}));
    app.fault(json!({"key": slow, "times": 1, "delay_ms": 300}));
    let messages = [event::image("om_1", &gone), event::image("om_2", &slow)];
    for event_id in ["a", "b", "c"] {
        for message in &messages {
            app.deliver(&message.redelivered(&format!("{event_id} {}", message.message_id))).await;
        }
    }
    app.drain().await;
    app.assert_stored(&slow).await;
    assert_eq!(app.resource(&gone).await.resource.attempts, 1);
    assert_eq!((app.platform.requests_for(&gone), app.platform.requests_for(&slow)), (1, 1));
}

#[tokio::test]
async fn two_apps_that_see_one_message_each_have_their_own() {
    let app = spawn_app_with(Options { more_apps: &["cli_second"], ..Options::default() }).await;
    let second = app.sender_of("cli_second");
    let message = event::image("om_1", &Media::Png.key(1));
    app.deliver(&message).await;
    for _ in 0..2 {
        let payload = message.payload(second.app(), app.clock.now());
        assert_eq!(second.deliver(&payload).await.unwrap().status, 200);
    }
    app.drain().await;
    let seen = app.json("/api/v1/messages/om_1").await;
    let mut apps: Vec<_> = seen["items"].as_array().unwrap().iter().map(|item| item["app_id"].as_str()).collect();
    apps.sort();
    assert_eq!(apps, [Some("cli_second"), Some(APP_ID)]);
    let resources = app.resources().await;
    assert_eq!(resources.len(), 2);
    assert!(resources.iter().all(|resource| resource.sha256 == resources[0].sha256 && resource.sha256.is_some()));
    assert_eq!(app.count("SELECT COUNT(*) FROM blobs").await, 1);
}

#[tokio::test]
async fn an_old_event_is_archived_like_a_new_one() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    let mut payload = event::image("om_1", &key).payload(app.sender.app(), app.clock.now());
    payload["header"]["create_time"] = json!("1600000000000");
    payload["event"]["message"]["create_time"] = json!("1600000000000");
    assert_eq!(app.deliver_payload(&payload).await.status, 200);
    app.drain().await;
    assert_eq!(app.assert_stored(&key).await.resource.sent_at.unwrap().unix_ms(), 1_600_000_000_000);
}
