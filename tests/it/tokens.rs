//! The access token: one for everybody, replaced when it ends or is refused, and no loop about it.

use std::time::Duration;

use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::json;

use crate::support::{Options, TestApp, spawn_app, spawn_app_with};

async fn deliver_images(app: &TestApp, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    app.drain().await;
}

#[tokio::test]
async fn many_downloads_share_one_token() {
    let app = spawn_app_with(Options { download_concurrency: 16, ..Options::default() }).await;
    app.fault(json!({"route": "token", "delay_ms": 100}));
    deliver_images(&app, 0..40).await;
    for seed in 0..40 {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
    assert_eq!(app.platform.requests_of(Route::Token), 1);
    assert_eq!(app.metric("larkive_token_refreshes_total").await, Some(1.0));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_costs_no_try() {
    let app = spawn_app().await;
    for (place, status) in [400, 401, 200].into_iter().enumerate() {
        let key = Media::Png.key(place as u64);
        app.fault(json!({"key": key, "times": 1, "do": {"token_expired": {"status": status}}}));
        app.deliver(&event::image(&format!("om_{place}"), &key)).await;
        app.drain().await;
        assert_eq!(app.assert_stored(&key).await.resource.attempts, 1, "{status}");
        assert_eq!(
            (app.platform.requests_for(&key), app.platform.requests_of(Route::Token)),
            (2, 2 + place),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_token_refused_by_everybody_at_once_is_replaced_once() {
    let app = spawn_app_with(Options { download_concurrency: 16, ..Options::default() }).await;
    for seed in 0..16 {
        let key = Media::Png.key(seed);
        // Long enough for all of them to be on their way with the same token.
        app.fault(json!({"key": key, "times": 1, "delay_ms": 2000, "do": {"token_expired": {"status": 400}}}));
    }
    deliver_images(&app, 0..16).await;
    for seed in 0..16 {
        assert_eq!(app.assert_stored(&Media::Png.key(seed)).await.resource.attempts, 1);
    }
    assert_eq!(app.platform.requests_of(Route::Token), 2);
}

#[tokio::test]
async fn a_second_refusal_ends_without_a_loop() {
    let app = spawn_app().await;
    let key = Media::Png.key(0);
    app.fault(json!({"route": "resource", "do": {"token_expired": {"status": 401}}}));
    deliver_images(&app, 0..1).await;
    let ended = app.resource(&key).await.resource;
    assert_eq!((ended.state, ended.reason_code), (State::Blocked, Some(ReasonCode::CredentialsRejected)));
    assert_eq!((ended.attempts, app.platform.requests_for(&key), app.platform.requests_of(Route::Token)), (1, 2, 2));
    app.advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(app.platform.requests_for(&key), 2);
}

#[tokio::test]
async fn a_token_that_ends_while_nobody_looks_is_no_failure() {
    let app = spawn_app().await;
    deliver_images(&app, 0..1).await;
    app.advance(Duration::from_secs(3 * 3600)).await;
    deliver_images(&app, 1..2).await;
    assert_eq!(app.assert_stored(&Media::Png.key(1)).await.resource.attempts, 1);
    assert_eq!(app.platform.requests_of(Route::Token), 2);
}

#[tokio::test]
async fn a_token_with_hardly_any_life_is_good_for_those_who_waited() {
    let app = spawn_app().await;
    app.fault(json!({"route": "token", "do": {"token_life": {"seconds": 5}}}));
    deliver_images(&app, 0..8).await;
    for seed in 0..8 {
        assert_eq!(app.assert_stored(&Media::Png.key(seed)).await.resource.attempts, 1);
    }
    let calls = app.platform.requests_of(Route::Token);
    assert!((1..=8).contains(&calls), "{calls} token calls for 8 downloads");
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_asked_again_later() {
    for (fault, reason) in [
        (json!({"page": {"status": 502}}), ReasonCode::UpstreamError),
        (json!({"cut": {}}), ReasonCode::UpstreamError),
        (json!({"page": {"status": 200}}), ReasonCode::NotAFile),
        (json!({"answer": {"status": 200, "code": 0, "msg": "ok"}}), ReasonCode::NotAFile),
    ] {
        let app = spawn_app().await;
        let key = Media::Png.key(0);
        app.fault(json!({"route": "token", "times": 1, "do": fault}));
        deliver_images(&app, 0..1).await;
        let waiting = app.resource(&key).await.resource;
        assert_eq!((waiting.state, waiting.reason_code), (State::Pending, Some(reason)), "{:?}", waiting.upstream);
        assert_eq!((waiting.attempts, app.platform.requests_of(Route::Resource)), (1, 0), "{reason}");
        app.advance(Duration::from_secs(2)).await;
        assert_eq!(app.assert_stored(&key).await.resource.attempts, 2, "{reason}");
    }
}

#[tokio::test]
async fn wrong_credentials_block_everything_until_the_next_start() {
    let app = spawn_app_with(Options { download_concurrency: 16, ..Options::default() }).await;
    app.fault(json!({"route": "token", "do": {"answer": {"status": 200, "code": 10014, "msg": "app secret invalid"}}}));
    deliver_images(&app, 0..20).await;
    for seed in 0..20 {
        let blocked = app.resource(&Media::Png.key(seed)).await.resource;
        assert_eq!((blocked.state, blocked.reason_code), (State::Blocked, Some(ReasonCode::CredentialsRejected)));
        assert_eq!(blocked.upstream.unwrap().msg.as_deref(), Some("app secret invalid"));
    }
    assert_eq!(app.platform.requests_of(Route::Resource), 0);
    let calls = app.platform.requests_of(Route::Token);
    assert!(calls <= 5, "{calls} token calls with the same wrong secret");

    app.platform.clear_faults();
    let app = app.restart().await;
    app.drain().await;
    for seed in 0..20 {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
}
