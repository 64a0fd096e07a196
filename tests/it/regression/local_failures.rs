//! Failures on our side of the wire were told as the platform's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::pages::browser::Browser;
use crate::support::{APP_ID, Options, TestApp, spawn_app, spawn_app_with};

/// Longer than the longest pause between two tries.
const TWO_HOURS: Duration = Duration::from_secs(2 * 3600);

/// Puts a file where a directory should be, so that nothing can be written there.
struct Obstacle {
    place: PathBuf,
    aside: PathBuf,
}

impl Obstacle {
    fn at(place: &Path) -> Self {
        let aside = place.with_extension("aside");
        let _ = fs::rename(place, &aside);
        fs::write(place, "in the way").unwrap();
        Self { place: place.to_owned(), aside }
    }

    fn remove(self) {
        fs::remove_file(&self.place).unwrap();
        let _ = fs::rename(self.aside, self.place);
    }
}

/// The only resource that there is, as the API shows it.
async fn only(app: &TestApp) -> Value {
    let page = app.json("/api/v1/resources").await;
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{page}");
    app.json(&format!("/api/v1/resources/{}", items[0]["id"].as_str().unwrap())).await
}

/// Asserts that it failed here and that nothing of that is said of the platform.
fn assert_failed_here(resource: &Value, state: &str) {
    assert_eq!((&resource["state"], &resource["reason_code"]), (&json!(state), &json!("local_failure")), "{resource}");
    assert_eq!(resource["upstream"], Value::Null, "{resource}");
    for one in resource["tries"].as_array().unwrap() {
        assert_eq!((&one["reason_code"], &one["upstream"]), (&json!("local_failure"), &Value::Null), "{one}");
    }
    assert!(resource["reason"].is_string() && resource["remedy"]["zh"].is_string(), "{resource}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_was_told_as_a_broken_transfer() {
    let app = spawn_app().await;
    let obstacle = Obstacle::at(&app.layout.store.join("sha256"));
    let key = Media::Png.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    assert_failed_here(&only(&app).await, "pending");
    obstacle.remove();
    app.advance(TWO_HOURS).await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_was_told_as_a_broken_transfer() {
    let app = spawn_app().await;
    let obstacle = Obstacle::at(&app.layout.spool);
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    assert_failed_here(&only(&app).await, "pending");
    obstacle.remove();
    app.advance(TWO_HOURS).await;
    app.assert_stored(&Media::Png.key(1)).await;
}

#[tokio::test]
async fn a_local_failure_waited_for_its_hour_though_the_start_had_mended_it() {
    let app = spawn_app().await;
    let obstacle = Obstacle::at(&app.layout.store.join("sha256"));
    let key = Media::Png.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    assert!(only(&app).await["next_attempt_at"].is_string());
    obstacle.remove();
    // The clock stands still: what waits for its time would go on waiting.
    let app = app.restart().await;
    app.drain().await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_local_failure_that_lasted_ended_as_the_platforms_and_no_start_tried_it_again() {
    let app = spawn_app_with(Options { retry_for: Duration::from_secs(3600), ..Options::default() }).await;
    let obstacle = Obstacle::at(&app.layout.store.join("sha256"));
    let key = Media::Png.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    app.advance(TWO_HOURS).await;
    let blocked = only(&app).await;
    assert_failed_here(&blocked, "blocked");
    assert_eq!(blocked["next_attempt_at"], Value::Null, "{blocked}");
    let listed = app.json("/api/v1/resources?state=blocked").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");

    let app = app.restart().await;
    app.drain().await;
    assert_failed_here(&only(&app).await, "pending");
    obstacle.remove();
    let app = app.restart().await;
    app.drain().await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_forward_whose_messages_cannot_be_written_was_told_as_a_broken_transfer() {
    let app = spawn_app().await;
    let mut outside = app.outside_connection().await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.message_id = 'om_inside'
        BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    outside.execute(refuse).await.unwrap();
    let key = Media::Png.key(1);
    let inside = json!({"message_id": "om_inside", "upper_message_id": "om_forward", "chat_id": "oc_1",
        "msg_type": "image", "create_time": "1767225600000", "body": {"content": json!({"image_key": key}).to_string()}});
    let container = json!({"message_id": "om_forward", "chat_id": "oc_1", "msg_type": "merge_forward",
        "create_time": "1767225600000", "body": {"content": "Merged and Forwarded Message"}});
    app.platform.put_message("om_forward", vec![container, inside]);
    app.deliver(&event::merge_forward("om_forward")).await;
    app.drain().await;
    assert_failed_here(&only(&app).await, "pending");

    outside.execute("DROP TRIGGER refuse").await.unwrap();
    app.advance(TWO_HOURS).await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn an_ending_that_the_catalogue_refuses_was_told_as_a_broken_transfer_for_ever() {
    let app = spawn_app_with(Options { retry_for: Duration::from_secs(3600), ..Options::default() }).await;
    let mut outside = app.outside_connection().await;
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON resources WHEN NEW.state = 'stored'
        BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    outside.execute(refuse).await.unwrap();
    let key = Media::Png.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    assert_failed_here(&only(&app).await, "pending");
    app.advance(TWO_HOURS).await;
    assert_failed_here(&only(&app).await, "blocked");

    outside.execute("DROP TRIGGER refuse").await.unwrap();
    let app = app.restart().await;
    app.drain().await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_quoted_message_that_cannot_be_written_held_up_all_others_and_nobody_was_told() {
    let app = spawn_app().await;
    let mut outside = app.outside_connection().await;
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON messages WHEN NEW.message_id = 'om_quoted_1'
        BEGIN SELECT RAISE(ABORT, 'refused by the test'); END";
    outside.execute(refuse).await.unwrap();
    for nth in 1..=2 {
        let (id, key) = (format!("om_quoted_{nth}"), Media::Png.key(nth));
        let content = json!({"image_key": key}).to_string();
        let item = json!({"message_id": id, "chat_id": "oc_1", "msg_type": "image", "create_time": "1767225600000",
            "body": {"content": content}});
        app.platform.put_message(&id, vec![item]);
        app.deliver(&event::reply(&format!("om_reply_{nth}"), &id)).await;
    }
    app.drain().await;
    app.assert_stored(&Media::Png.key(2)).await;
    let told: (String, Option<String>) = sqlx::query_as("SELECT reason_code, upstream_msg FROM v_quoted_failed")
        .fetch_one(app.catalogue.read())
        .await
        .unwrap();
    assert_eq!(told, ("local_failure".to_owned(), None));
    outside.execute("DROP TRIGGER refuse").await.unwrap();
    let app = app.restart().await;
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
}

#[tokio::test]
async fn the_page_of_failures_shows_what_failed_here_whether_it_waits_or_is_given_up() {
    let app = spawn_app_with(Options { retry_for: Duration::from_secs(3600), ..Options::default() }).await;
    let _obstacle = Obstacle::at(&app.layout.store.join("sha256"));
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    app.advance(TWO_HOURS).await;
    app.deliver(&event::image("om_2", &Media::Png.key(2))).await;
    app.drain().await;
    let states = "SELECT COUNT(DISTINCT state) FROM v_failed WHERE reason_code = 'local_failure'";
    assert_eq!(app.count(states).await, 2);
    let browser = Browser::signed_in(&app).await;
    let page = browser.page(&format!("/failed/local_failure?app_id={APP_ID}")).await;
    for resource in app.resources().await {
        assert!(page.contains(&resource.id.to_string()), "{} in {page}", resource.id);
    }
}
