//! Numbers that were shown and given again.

use larkive::sandbox::event;
use larkive::sandbox::listing::Listed;
use larkive::sandbox::samples::Media;
use sqlx::Executor as _;

use crate::support::spawn_app;

#[tokio::test]
async fn the_id_of_an_opened_forward_was_given_to_the_next_picture() {
    let app = spawn_app().await;
    // Words only: nothing is left of it but messages.
    app.deliver(&event::merge_forward(&Listed::Crowd { messages: 3 }.id(1))).await;
    app.drain().await;
    let feed = app.json("/api/v1/changes?after=0").await;
    let forward = feed["items"][0]["resource"]["id"].as_str().unwrap().to_owned();
    assert!(app.resources().await.is_empty(), "it is opened");

    let key = Media::Blob { size_bytes: 10 }.key(1);
    app.deliver(&event::file("om_1", &key, "a.bin")).await;
    app.drain().await;
    assert_ne!(app.assert_stored(&key).await.resource.id.to_string(), forward);
}

#[tokio::test]
async fn the_newest_delivery_and_change_could_go_and_their_numbers_come_again() {
    let app = spawn_app().await;
    let key = Media::Blob { size_bytes: 10 }.key(1);
    app.deliver(&event::file("om_1", &key, "a.bin")).await;
    app.deliver(&event::sticker("om_2", "sticker")).await;
    app.drain().await;
    let mut outside = app.outside_connection().await;
    for (removal, table) in [
        ("DELETE FROM events WHERE event_row_id = (SELECT MAX(event_row_id) FROM events)", "events"),
        ("DELETE FROM changes", "changes"),
    ] {
        let refused = outside.execute(removal).await.unwrap_err().to_string();
        assert!(refused.contains("must not be given again"), "{table}: {refused}");
    }
    outside.execute("DELETE FROM changes WHERE seq < (SELECT MAX(seq) FROM changes)").await.unwrap();
}
