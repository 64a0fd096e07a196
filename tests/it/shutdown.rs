//! Stopping: what is under way is finished or given back, and taken up by the next start.

use std::time::{Duration, Instant};

use larkive::domain::download::State;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::json;

use crate::support::{spawn_app, until_called};

/// As long as a connection that does not go may hold up the end.
const HELD_UP: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_download_that_can_finish_is_finished() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(json!({"key": key, "delay_ms": 500}));
    app.deliver(&event::image("om_1", &key)).await;
    until_called(&app.platform, Route::Resource, 1).await;
    let app = app.restart().await;
    assert_eq!(app.resource(&key).await.resource.state, State::Stored);
    app.assert_stored(&key).await;
    assert_eq!(app.platform.requests_for(&key), 1);
}

#[tokio::test]
async fn a_download_that_hangs_is_given_back_and_counts_no_try() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(json!({"key": key, "times": 1, "do": {"stall": {"after": 10}}}));
    app.deliver(&event::image("om_1", &key)).await;
    until_called(&app.platform, Route::Resource, 1).await;
    let app = app.restart().await;
    app.drain().await;
    assert_eq!(app.assert_stored(&key).await.resource.attempts, 1);
    assert_eq!((app.platform.requests_for(&key), app.spooled()), (2, 0));
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut app = spawn_app().await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.json("/api/v1/stats").await;
    app.drain().await;
    let begun = Instant::now();
    app.stop().await;
    assert!(begun.elapsed() < HELD_UP, "{:?}", begun.elapsed());
    app.start().await;
    app.assert_stored(&Media::Png.key(1)).await;
}
