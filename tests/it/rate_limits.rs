//! Rate limits: waiting is no failure, and while the platform wants peace it is left in peace.

use std::time::Duration;

use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::feishu::limit::Budget;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::json;

use crate::support::{Options, spawn_app, spawn_app_with};

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_counts_no_try() {
    for (status, reset) in [(429, Some(1)), (400, Some(1)), (429, None), (400, None)] {
        let app = spawn_app().await;
        let key = Media::Png.key(1);
        app.fault(json!({"key": key, "times": 1, "do": {"rate_limited": {"status": status, "reset": reset}}}));
        app.deliver(&event::image("om_1", &key)).await;
        app.drain().await;
        let waiting = app.resource(&key).await.resource;
        assert_eq!((waiting.state, waiting.reason_code), (State::Pending, Some(ReasonCode::RateLimited)), "{status}");
        assert_eq!((waiting.attempts, app.platform.requests_for(&key)), (0, 1), "{status} {reset:?}");
        let wait = waiting.next_attempt_at.unwrap().since(app.clock.now()).as_secs_f64();
        assert!((0.8..=1.2).contains(&wait), "{status} {reset:?}: {wait} s");
        let failed = app.count("SELECT COUNT(*) FROM v_failed").await;
        assert_eq!(failed, 1, "what waits is seen among what failed");

        app.advance(Duration::from_secs(2)).await;
        assert_eq!(app.assert_stored(&key).await.resource.attempts, 1, "{status} {reset:?}");
        assert_eq!(app.platform.requests_for(&key), 2);
    }
}

#[tokio::test]
async fn a_long_wait_is_kept_by_everybody() {
    let app = spawn_app_with(Options { download_concurrency: 1, ..Options::default() }).await;
    app.fault(json!({"route": "resource", "do": {"rate_limited": {"status": 429, "reset": 600}}}));
    for seed in 0..10 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    app.drain().await;
    assert_eq!(app.platform.requests_of(Route::Resource), 1, "one refusal is enough");
    for seed in 0..10 {
        let waiting = app.resource(&Media::Png.key(seed)).await.resource;
        assert_eq!((waiting.state, waiting.reason_code), (State::Pending, Some(ReasonCode::RateLimited)));
        let wait = waiting.next_attempt_at.unwrap().since(app.clock.now()).as_secs();
        assert!((590..=600).contains(&wait), "{wait} s");
        assert_eq!(waiting.attempts, 0);
    }
}

#[tokio::test]
async fn the_budget_is_never_exceeded_and_everything_arrives() {
    let budget = Budget { per_second: Some(10), per_minute: None };
    let app = spawn_app_with(Options { budget, download_concurrency: 16, ..Options::default() }).await;
    let begun = std::time::Instant::now();
    for seed in 0..25 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    app.drain().await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "25 calls at 10 a second took {:?}", begun.elapsed());
    for seed in 0..25 {
        assert_eq!(app.assert_stored(&Media::Png.key(seed)).await.resource.attempts, 1);
    }
}
