//! Deliveries after their answer: expanded in order, set aside where they cannot be, and replayed.

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use crate::support::{ADMIN_TOKEN, TestApp, spawn_app, until};

/// Deliveries as the API lists them, oldest first.
async fn listed(app: &TestApp, query: &str) -> Vec<Value> {
    let mut listed = app.json(&format!("/api/v1/events{query}")).await["items"].as_array().unwrap().clone();
    listed.reverse();
    listed
}

async fn replay(app: &TestApp, delivery: &Value) {
    let id = delivery["id"].as_str().unwrap();
    assert_eq!(app.post(&format!("/api/v1/events/{id}/replay")).await, json!({"queued": 1}));
    app.drain().await;
}

#[tokio::test]
async fn one_bad_event_never_stops_another() {
    let app = spawn_app().await;
    for seed in 0..30 {
        let mut payload =
            event::image(&format!("om_{seed}"), &Media::Png.key(seed)).payload(app.sender.app(), app.clock.now());
        if seed % 3 == 1 {
            payload["event"]["message"]["message_id"] = Value::Null;
        }
        assert_eq!(app.deliver_payload(&payload).await.status, 200);
    }
    app.drain().await;
    for seed in (0..30).filter(|seed| seed % 3 != 1) {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
    let unparsed = listed(&app, "?result=unparsed").await;
    assert_eq!(unparsed.len(), 10);
    assert_eq!(unparsed[0]["error"], "event.message.message_id is missing");
    assert_eq!(unparsed[0]["event_type"], "im.message.receive_v1");
    assert_eq!(app.metric("larkive_events_total{result=\"unparsed\"}").await, Some(10.0));
}

#[tokio::test]
async fn an_event_that_the_catalogue_refuses_is_set_aside_and_can_be_replayed() {
    let app = spawn_app().await;
    let mut outside = app.outside_connection().await;
    outside
        .execute(
            "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.message_id = 'om_3'
             BEGIN INSERT INTO totals (name, value) VALUES ('no such total', 0); END",
        )
        .await
        .unwrap();
    for seed in 1..=5 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    app.drain().await;
    for seed in [1, 2, 4, 5] {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
    let aside = listed(&app, "?result=unparsed").await;
    assert_eq!((aside.len(), &aside[0]["message_id"]), (1, &json!("om_3")));
    assert!(aside[0]["error"].as_str().unwrap().starts_with("the catalogue refuses it: "), "{}", aside[0]["error"]);

    outside.execute("DROP TRIGGER poison").await.unwrap();
    outside.close().await.unwrap();
    replay(&app, &aside[0]).await;
    app.assert_stored(&Media::Png.key(3)).await;
    assert_eq!(listed(&app, "?result=unparsed").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_replay_adds_what_is_missing_and_nothing_twice() {
    let app = spawn_app().await;
    let (image, file) = (Media::Png.key(1), Media::Pdf.key(2));
    let post =
        json!({"content": [[{"tag": "img", "image_key": image}]], "files": [{"file_key": file, "file_name": "a.pdf"}]});
    app.deliver(&event::post("om_1", &post)).await;
    app.deliver(&event::post("om_1", &post).redelivered("again")).await;
    app.drain().await;
    let deliveries = listed(&app, "").await;
    let results: Vec<_> = deliveries.iter().map(|delivery| &delivery["result"]).collect();
    assert_eq!(results, ["expanded", "duplicate"]);

    // As if the program that expanded it had not known about files yet.
    let mut outside = app.outside_connection().await;
    outside.execute("DELETE FROM resources WHERE type = 'file'").await.unwrap();
    for delivery in &deliveries {
        replay(&app, delivery).await;
    }
    app.assert_stored(&file).await;
    app.assert_stored(&image).await;
    assert_eq!((app.resources().await.len(), app.count("SELECT COUNT(*) FROM messages").await), (2, 1));
    assert_eq!(app.platform.requests_for(&image), 1);
    let results: Vec<_> = listed(&app, "").await.into_iter().map(|delivery| delivery["result"].clone()).collect();
    assert_eq!(results, ["expanded", "duplicate"]);
}

#[tokio::test]
async fn a_replay_of_what_is_not_there_is_not_found() {
    let app = spawn_app().await;
    for id in ["e000000000001", "r000000000001", "1", "%00", "..%2f"] {
        let url = format!("http://{}/api/v1/events/{id}/replay", app.address);
        let answer = app.http.post(url).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{id}");
    }
}

#[tokio::test]
async fn authentic_events_without_use_are_kept_and_counted() {
    let app = spawn_app().await;
    let mut payload = event::image("om_1", "img_1").payload(app.sender.app(), app.clock.now());
    payload["header"]["event_type"] = json!("im.message.message_read_v1");
    assert_eq!(app.deliver_payload(&payload).await.status, 200);
    app.drain().await;
    let kept = listed(&app, "?result=ignored").await;
    assert_eq!((kept.len(), &kept[0]["event_type"]), (1, &json!("im.message.message_read_v1")));
    assert_eq!(app.metric("larkive_events_total{result=\"ignored\"}").await, Some(1.0));
    assert_eq!(app.count("SELECT COUNT(*) FROM messages").await, 0);
}

#[tokio::test]
async fn what_another_process_wrote_into_the_inbox_is_found() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    let payload = event::image("om_1", &key).payload(app.sender.app(), app.clock.now()).to_string();
    let mut outside = app.outside_connection().await;
    sqlx::query("INSERT INTO events (app_id, received_at, payload) VALUES ('cli_test', 0, ?)")
        .bind(payload)
        .execute(&mut outside)
        .await
        .unwrap();
    until("it is expanded", async || app.resources().await.len() == 1).await;
    app.drain().await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn content_that_is_no_json_is_kept_and_reported() {
    let app = spawn_app().await;
    app.deliver(&event::MessageEvent::new("om_1", "image", "[Image] cannot be shown")).await;
    app.drain().await;
    let message = &app.json("/api/v1/messages/om_1").await["items"][0];
    assert_eq!((&message["problem"], &message["resources"]), (&json!("content_unreadable"), &json!([])));
    assert_eq!(listed(&app, "").await[0]["result"], "expanded");
}
