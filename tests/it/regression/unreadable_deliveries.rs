//! A delivery that could not be read swallowed the readable one that followed.

use larkive::sandbox::event::{self, MessageEvent};
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use crate::support::{TestApp, spawn_app};

const MESSAGE: &str = "om_1";

/// A delivery of the message under an event id of its own, with this content.
fn delivered(event_id: &str, message_type: &str, content: &str) -> MessageEvent {
    MessageEvent { event_id: event_id.into(), ..MessageEvent::new(MESSAGE, message_type, content) }
}

fn picture(key: &str) -> String {
    json!({"image_key": key}).to_string()
}

async fn deliver(app: &TestApp, message: &MessageEvent) {
    app.deliver(message).await;
    app.drain().await;
}

/// The message without the names of chat and sender, which are looked up at some time after it came.
async fn message(app: &TestApp) -> Value {
    let mut seen = app.json(&format!("/api/v1/messages/{MESSAGE}")).await["items"][0].take();
    seen["chat_name"] = Value::Null;
    seen["sender"]["name"] = Value::Null;
    for resource in seen["resources"].as_array_mut().unwrap() {
        resource["chat_name"] = Value::Null;
        resource["sender"]["name"] = Value::Null;
    }
    seen
}

async fn replay(app: &TestApp, result: &str) {
    let events = app.json(&format!("/api/v1/events?result={result}")).await;
    for event in events["items"].as_array().unwrap() {
        app.post(&format!("/api/v1/events/{}/replay", event["id"].as_str().unwrap())).await;
    }
    app.drain().await;
}

#[tokio::test]
async fn a_readable_delivery_after_an_unreadable_one_was_a_duplicate_and_its_key_was_lost() {
    for unreadable in ["", "   ", "words", "[]", r#"{"image_key":""}"#, r#"{"image_key":7}"#] {
        let app = spawn_app().await;
        let key = Media::Png.key(1);
        deliver(&app, &delivered("first", "image", unreadable)).await;
        assert_eq!(message(&app).await["problem"], "content_unreadable", "{unreadable:?}");
        deliver(&app, &delivered("second", "image", &picture(&key))).await;
        app.assert_stored(&key).await;
        let read = message(&app).await;
        assert_eq!(
            (&read["problem"], read["resources"].as_array().unwrap().len()),
            (&Value::Null, 1),
            "{unreadable:?}"
        );
        assert_eq!(app.count("SELECT COUNT(*) FROM messages").await, 1);
        assert_eq!(app.json("/api/v1/events?result=duplicate").await["items"], json!([]), "{unreadable:?}");
    }
}

#[tokio::test]
async fn both_deliveries_in_one_batch_left_the_unreadable_one() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    let (first, second) = (delivered("first", "image", ""), delivered("second", "image", &picture(&key)));
    app.deliver(&first).await;
    app.deliver(&second).await;
    app.drain().await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn what_could_be_read_is_not_replaced_by_what_cannot() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    deliver(&app, &delivered("first", "image", &picture(&key))).await;
    deliver(&app, &delivered("second", "image", "")).await;
    assert_eq!(message(&app).await["problem"], Value::Null);
    app.assert_stored(&key).await;
    assert_eq!(app.json("/api/v1/events?result=duplicate").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_replay_of_the_unreadable_delivery_does_not_bring_the_problem_back() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    deliver(&app, &delivered("first", "text", "words")).await;
    deliver(&app, &delivered("second", "image", &picture(&key))).await;
    let before = message(&app).await;
    replay(&app, "expanded").await;
    assert_eq!(message(&app).await, before);
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_replay_of_a_delivery_that_was_swallowed_changed_nothing() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    deliver(&app, &delivered("first", "image", "")).await;
    let second = delivered("second", "image", &picture(&key));
    deliver(&app, &second).await;
    // As an earlier version left it: the first one's row, and the second a duplicate.
    let mut outside = app.outside_connection().await;
    for sql in [
        "DELETE FROM tries",
        "DELETE FROM resources",
        "UPDATE messages SET problem = 'content_unreadable', event_row_id = 1",
        "INSERT INTO event_outcomes (event_row_id, result) VALUES (2, 'duplicate') ON CONFLICT DO NOTHING",
    ] {
        sqlx::query(sql).execute(&mut outside).await.unwrap();
    }
    replay(&app, "duplicate").await;
    app.assert_stored(&key).await;
    assert_eq!(message(&app).await["problem"], Value::Null);
}

#[tokio::test]
async fn a_listing_that_shows_what_the_delivery_did_not_left_the_problem_standing() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    deliver(&app, &delivered("first", "image", "")).await;
    let inside = json!({"message_id": MESSAGE, "upper_message_id": "om_forward", "chat_id": "oc_1",
        "msg_type": "image", "create_time": "1767225600000", "body": {"content": picture(&key)}});
    let container = json!({"message_id": "om_forward", "chat_id": "oc_1", "msg_type": "merge_forward",
        "create_time": "1767225600000", "body": {"content": "Merged and Forwarded Message"}});
    app.platform.put_message("om_forward", vec![container, inside]);
    deliver(&app, &event::merge_forward("om_forward")).await;
    app.assert_stored(&key).await;
    assert_eq!(message(&app).await["problem"], Value::Null);
    replay(&app, "expanded").await;
    assert_eq!(message(&app).await["problem"], Value::Null);
}

#[tokio::test]
async fn an_unreadable_delivery_took_the_text_from_what_a_forward_had_shown() {
    let app = spawn_app().await;
    let inside = json!({"message_id": MESSAGE, "upper_message_id": "om_forward", "chat_id": "oc_1", "msg_type": "text",
        "create_time": "1767225600000", "body": {"content": json!({"text": "words to keep"}).to_string()}});
    let container = json!({"message_id": "om_forward", "chat_id": "oc_1", "msg_type": "merge_forward",
        "create_time": "1767225600000", "body": {"content": "Merged and Forwarded Message"}});
    app.platform.put_message("om_forward", vec![container, inside]);
    deliver(&app, &event::merge_forward("om_forward")).await;
    deliver(&app, &delivered("first", "text", "words")).await;
    let read = message(&app).await;
    assert_eq!((&read["text"], &read["problem"]), (&json!("words to keep"), &Value::Null));
}

#[tokio::test]
async fn a_shell_that_stands_for_a_message_swallowed_the_message() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    deliver(&app, &delivered("first", "nonsupport", "{}")).await;
    deliver(&app, &delivered("second", "image", &picture(&key))).await;
    app.assert_stored(&key).await;
    assert_eq!(message(&app).await["message_type"], "image");
}

#[tokio::test]
async fn a_forward_in_which_something_is_unreadable_is_not_opened_by_each_redelivery() {
    let app = spawn_app().await;
    let container = json!({"message_id": "om_forward", "chat_id": "oc_1", "msg_type": "merge_forward",
        "create_time": "1767225600000", "body": {"content": "Merged and Forwarded Message"}});
    app.platform.put_message("om_forward", vec![container, json!({"no": "message"})]);
    let forward = event::merge_forward("om_forward");
    deliver(&app, &forward).await;
    deliver(&app, &forward.redelivered("again")).await;
    assert_eq!(app.platform.requests_of(larkive::sandbox::Route::Message), 1);
    assert_eq!(app.json("/api/v1/events?result=duplicate").await["items"].as_array().unwrap().len(), 1);
}
