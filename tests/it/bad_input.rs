//! Bad input that is neither an event's shape nor a download's failure: what lies in forwards, and names.
//!
//! Events are damaged in `deliveries`, bodies in `properties`, answers in `faults`; odd shapes of
//! content stand in the corpus.

use larkive::sandbox::Route;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use crate::deliveries::damage;
use crate::support::{TestApp, spawn_app};

/// Forwards with something odd inside: each costs some milliseconds.
const DAMAGED: u64 = 150;

fn item(message_id: &str, msg_type: &str, content: &Value) -> Value {
    json!({"message_id": message_id, "msg_type": msg_type, "chat_id": event::GROUP_CHAT, "deleted": false,
        "create_time": "1767225600000", "sender": {"id": event::SENDER, "id_type": "open_id", "sender_type": "user"},
        "mentions": [{"key": "@_user_1", "id": "ou_2", "id_type": "open_id", "name": "Tom"}],
        "body": {"content": content.to_string()}})
}

/// A forward of everything that has keys.
fn forward(number: u64) -> (String, Vec<Value>) {
    let (id, child) = (format!("om_{number}"), |n: u64| format!("om_{number}_{n}"));
    let (image_key, file_key) = (Media::Png.key(number), Media::Zip.key(number));
    let file = json!({"file_key": file_key, "file_name": "a.zip"});
    let post = json!({"title": "t", "content": [[{"tag": "img", "image_key": image_key}]], "files": [file]});
    let card = json!({"schema": "2.0", "body": {"elements": [{"tag": "img", "img_key": image_key}]}});
    let items = vec![
        item(&child(1), "image", &json!({"image_key": image_key})),
        item(&child(2), "file", &file),
        item(&child(3), "post", &post),
        item(&child(4), "interactive", &card),
        item(&child(5), "merge_forward", &json!("words")),
    ];
    (id, items)
}

#[tokio::test]
async fn anything_in_any_place_of_a_listing_is_recorded_or_left_out() {
    let app = spawn_app().await;
    let mut chance = fastrand::Rng::with_seed(2);
    for number in 0..DAMAGED {
        let (id, mut items) = forward(number);
        for _ in 0..chance.u8(1..4) {
            let place = chance.usize(..items.len());
            damage(&mut items[place], &mut chance);
        }
        items.insert(0, item(&id, "merge_forward", &json!("words")));
        app.platform.put_message(&id, items);
        app.deliver(&event::merge_forward(&id)).await;
    }
    app.drain().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE role = 'forward'").await, 0, "all of them are open");
    assert_eq!(app.platform.requests_of(Route::Message), DAMAGED as usize);
    let failed =
        "SELECT COUNT(*) FROM resources WHERE upstream_msg LIKE '%Larkive%' OR upstream_msg LIKE '%catalogue%'";
    assert_eq!(app.count(failed).await, 0);
    let whole = "SELECT COUNT(*) FROM resources WHERE state = 'stored'";
    assert!(app.count(whole).await > 2 * DAMAGED as i64, "what is beside the damage is stored");
    assert_eq!(app.api("/api/v1/resources?limit=200").await.status(), 200);
}

async fn stored_under(app: &TestApp, name: &str) -> String {
    let key = Media::Zip.key(1);
    app.deliver(&event::file("om_1", &key, name)).await;
    app.drain().await;
    let resource = app.assert_stored(&key).await.resource;
    assert_eq!(resource.file_name.as_deref(), Some(name));
    format!("/api/v1/resources/{}", resource.id)
}

#[tokio::test]
async fn a_name_of_4_kb_that_would_deceive_a_reader_is_kept_and_harms_nobody() {
    let app = spawn_app().await;
    let name = "gpj.\u{202e}exe\u{7}\u{1b}[31m\r\nX-Y: z\u{200f}".repeat(4096 / 26);
    let path = stored_under(&app, &name).await;
    assert_eq!(app.json(&path).await["file_name"], json!(name));
    let answer = app.api(&format!("{path}/content")).await;
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("x-y")), (200, false));
    let header = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(header.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{header}");
}
