//! A backlog that waits for the call budget: it is in the way neither of what is new nor of a stop.

use std::time::{Duration, Instant};

use larkive::domain::download::State;
use larkive::feishu::limit::Budget;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::json;

use crate::support::{Options, TestApp, spawn_app_with, until, until_called};

/// Far below the ten seconds that bytes in flight are waited for, and enough for a slow machine.
const SOON: Duration = Duration::from_secs(5);

async fn deliver(app: &TestApp, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
}

#[tokio::test]
async fn a_new_image_waited_until_the_backlog_had_burnt_the_whole_budget() {
    let budget = Budget { per_second: None, per_minute: Some(100) };
    let app = spawn_app_with(Options { budget, download_concurrency: 8, ..Options::default() }).await;
    deliver(&app, 0..130).await;
    until_called(&app.platform, Route::Resource, 2).await;
    app.clock.set(app.clock.now().after(Duration::from_secs(60)));
    deliver(&app, 1000..1001).await;
    let before = app.platform.requests_of(Route::Resource);
    let newest = Media::Png.key(1000);
    until("the newest is asked for", async || app.platform.requests_for(&newest) == 1).await;
    let journal = app.platform.journal();
    let calls = journal.iter().filter(|entry| entry.route == Route::Resource);
    let place = calls.clone().position(|call| call.key.as_deref() == Some(newest.as_str())).unwrap();
    // One that was next already, one whose turn it was, and one that was on its way.
    assert!(place <= before + 3, "{} older ones went first", place - before);
}

#[tokio::test]
async fn a_stop_took_ten_seconds_while_downloads_waited_for_the_budget() {
    let budget = Budget { per_second: None, per_minute: Some(1) };
    let app = spawn_app_with(Options { budget, ..Options::default() }).await;
    deliver(&app, 0..20).await;
    until_called(&app.platform, Route::Resource, 1).await;
    until("downloads wait", async || app.count("SELECT COUNT(*) FROM resources WHERE state = 'running'").await >= 4)
        .await;
    let begun = Instant::now();
    let app = app.restart().await;
    assert!(begun.elapsed() < SOON, "the stop took {:?}", begun.elapsed());
    let tried = app.count("SELECT COUNT(*) FROM resources WHERE attempts > 0 OR reason_code IS NOT NULL").await;
    assert_eq!(tried, 1, "what was given back counts no attempt");
}

#[tokio::test]
async fn a_stop_waited_for_a_pause_that_the_platform_had_asked_for() {
    let app = spawn_app_with(Options::default()).await;
    app.fault(json!({"route": "resource", "do": {"rate_limited": {"status": 429, "reset": 8}}}));
    deliver(&app, 0..20).await;
    let refused_and_waiting =
        "SELECT MAX(reason_code IS 'rate_limited') AND SUM(state = 'running') >= 4 FROM resources";
    until("some are refused and others wait", async || app.count(refused_and_waiting).await == 1).await;
    let begun = Instant::now();
    let app = app.restart().await;
    assert!(begun.elapsed() < SOON, "the stop took {:?}", begun.elapsed());
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE attempts > 0").await, 0);
}

#[tokio::test]
async fn a_stop_waited_ten_seconds_for_answers_that_did_not_begin() {
    for route in ["resource", "token"] {
        let app = spawn_app_with(Options::default()).await;
        app.fault(json!({"route": route, "do": "hang"}));
        deliver(&app, 0..20).await;
        let asked = if route == "token" { Route::Token } else { Route::Resource };
        until_called(&app.platform, asked, 1).await;
        let begun = Instant::now();
        let app = app.restart().await;
        assert!(begun.elapsed() < SOON, "{route}: the stop took {:?}", begun.elapsed());
        assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE attempts > 0").await, 0, "{route}");
        assert!(app.resources().await.iter().all(|found| found.state != State::Stored), "{route}");
    }
}
