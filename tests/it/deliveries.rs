//! Deliveries after their answer: expanded in order, set aside where they cannot be, and replayed.

use larkive::catalogue::events::{self, NewEvent};
use larkive::domain::time::Timestamp;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};

use crate::corpus;
use crate::support::{ADMIN_TOKEN, APP_ID, TestApp, spawn_app, until};

/// How many damaged events are sent.
const DAMAGED: usize = 300;
/// Deliveries that are expanded in several batches of the largest size, and a rest.
const BACKLOG: usize = 2500;

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
    app.until_metric("larkive_events_total{result=\"unparsed\"}", 10.0).await;
}

/// A connection from outside, which has made the catalogue refuse this message.
async fn refusing(app: &TestApp, message_id: &str) -> SqliteConnection {
    let trigger = format!(
        "CREATE TRIGGER poison BEFORE INSERT ON messages WHEN NEW.message_id = '{message_id}'
         BEGIN INSERT INTO totals (name, value) VALUES ('no such total', 0); END"
    );
    let mut outside = app.outside_connection().await;
    outside.execute(AssertSqlSafe(trigger)).await.unwrap();
    outside
}

#[tokio::test]
async fn an_event_that_the_catalogue_refuses_is_set_aside_and_can_be_replayed() {
    let app = spawn_app().await;
    let mut outside = refusing(&app, "om_3").await;
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
async fn a_backlog_is_expanded_to_the_last_delivery_around_one_that_is_refused() {
    let app = spawn_app().await;
    let _outside = refusing(&app, "om_1500").await;
    let delivery = |seed: usize| {
        let event = event::sticker(&format!("om_{seed}"), &format!("sticker_{seed}"));
        waiting(event.payload(app.sender.app(), app.clock.now()), app.clock.now())
    };
    let backlog: Vec<_> = (0..BACKLOG).map(delivery).collect();
    let turn = app.catalogue.write().unwrap().acquire().await.unwrap();
    events::append(&app.catalogue, &turn, &backlog).unwrap();
    drop(turn);
    app.drain().await;
    let expanded = BACKLOG as i64 - 1;
    assert_eq!(app.count("SELECT COUNT(*) FROM messages").await, expanded);
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE reason_code = 'sticker_not_offered'").await, expanded);
    assert_eq!(app.count("SELECT SUM(messages) FROM v_chats").await, expanded);
    assert_eq!(listed(&app, "?result=unparsed").await[0]["message_id"], "om_1500");
    app.until_metric("larkive_events_total{result=\"unparsed\"}", 1.0).await;

    app.deliver(&event::image("om_after", &Media::Png.key(1))).await;
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
}

/// A delivery of a message that was answered already.
fn waiting(payload: Value, received_at: Timestamp) -> NewEvent {
    NewEvent {
        app_id: APP_ID.parse().unwrap(),
        event_id: None,
        event_type: Some("im.message.receive_v1".to_owned()),
        message_id: payload["event"]["message"]["message_id"].as_str().map(str::to_owned),
        received_at,
        payload: payload.to_string(),
    }
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
    app.until_metric("larkive_events_total{result=\"ignored\"}", 1.0).await;
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

/// Something that nobody expects in a member of an event.
fn anything(chance: &mut fastrand::Rng) -> Value {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("\0"),
        json!("a\0b\u{202e}\r\n"),
        json!("99999999999999999"),
        json!("../../x"),
        json!("%2e%2e%2f"),
        json!("'; DROP TABLE events; --"),
        json!("x".repeat(10_000)),
        json!([]),
        json!({}),
        json!([[[{"image_key": "img_nested"}]]]),
        json!({"message_id": "om_inside", "content": 7}),
    ];
    odd[chance.usize(..odd.len())].clone()
}

/// Puts something else into one place of an event, wherever chance leads.
pub fn damage(value: &mut Value, chance: &mut fastrand::Rng) {
    let deeper = chance.u8(..10) > 1;
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let place = chance.usize(..members.len());
            damage(members.values_mut().nth(place).unwrap(), chance);
        }
        Value::Array(elements) if deeper && !elements.is_empty() => {
            let place = chance.usize(..elements.len());
            damage(&mut elements[place], chance);
        }
        // Content is JSON inside a text: what is damaged then is inside.
        Value::String(text) if deeper && text.starts_with('{') => {
            let mut inner: Value = serde_json::from_str(text).unwrap_or_default();
            damage(&mut inner, chance);
            *text = inner.to_string();
        }
        other => *other = anything(chance),
    }
}

#[tokio::test]
async fn anything_in_any_place_of_an_authentic_event_is_answered_and_settled() {
    let app = spawn_app().await;
    let mut chance = fastrand::Rng::with_seed(1);
    let bodies: Vec<Value> = corpus::bodies()
        .iter()
        .filter_map(|(body, _)| serde_json::from_str(&std::fs::read_to_string(body).unwrap()).ok())
        .filter(|body: &Value| body.get("schema").is_some())
        .collect();
    for number in 0..DAMAGED {
        let mut payload = bodies[chance.usize(..bodies.len())].clone();
        if let Some(message) = payload.pointer_mut("/event/message") {
            message["message_id"] = json!(format!("om_{number}"));
        }
        for _ in 0..chance.u8(1..4) {
            damage(&mut payload["event"], &mut chance);
        }
        // Those that turn out the same are still deliveries of their own.
        payload["header"]["event_id"] = json!(format!("event_{number}"));
        payload["header"]["app_id"] = json!(app.sender.app().app_id);
        payload["header"]["token"] = json!(app.sender.app().verification_token.reveal());
        let reply = app.deliver_payload(&payload).await;
        assert_eq!(reply.status, 200, "{payload}");
    }
    app.drain().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM events").await, DAMAGED as i64);
    let failed = app.count("SELECT COUNT(*) FROM event_outcomes WHERE error LIKE '%Larkive failed%'").await;
    let refused = app.count("SELECT COUNT(*) FROM event_outcomes WHERE error LIKE '%catalogue refuses%'").await;
    assert_eq!((failed, refused), (0, 0));
    for path in ["resources?limit=200", "events?limit=200", "chats?limit=200", "stats"] {
        assert_eq!(app.api(&format!("/api/v1/{path}")).await.status(), 200, "{path}");
    }
    app.deliver(&event::image("om_after", &Media::Png.key(1))).await;
    app.drain().await;
    let after = app.json("/api/v1/messages/om_after").await;
    assert_eq!(after["items"][0]["resources"][0]["state"], "stored");
}
