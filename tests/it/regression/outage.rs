//! A platform that fails for an app as a whole: the app pauses, and its resources do not pay for it.

use std::net::SocketAddr;
use std::time::Duration;

use larkive::sandbox::listing::Listed;
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::Sender;
use larkive::sandbox::{Route, Sandbox, SandboxOptions, event};
use serde_json::{Value, json};

use crate::program::Workplace;
use crate::support::{APP_ID, Options, TestApp, app_setup, spawn_app, spawn_app_with, until};

const AWAY: &str = "cli_away";
/// Longer than the first pause, with its spread.
const FIRST_PAUSE_IS_OVER: Duration = Duration::from_secs(2);
/// Longer than any pause.
const PAUSE_IS_OVER: Duration = Duration::from_secs(61);
const MANY: u64 = 30;

/// An archive with an app whose platform does not listen any more, and where it did.
async fn with_an_app_that_is_away() -> (TestApp, SocketAddr, Sender) {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let address = platform.base_url().strip_prefix("http://").unwrap().parse().unwrap();
    let neighbour = app_setup(&Options::default(), AWAY, &platform);
    platform.stop().await;
    let app = spawn_app_with(Options { neighbours: vec![neighbour], ..Options::default() }).await;
    let sender = app.sender_of(AWAY);
    (app, address, sender)
}

async fn deliver_to(app: &TestApp, sender: &Sender, message: &event::MessageEvent) {
    let reply = sender.deliver(&message.payload(sender.app(), app.clock.now())).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
}

async fn deliver_many(app: &TestApp, sender: &Sender) {
    for seed in 0..MANY {
        deliver_to(app, sender, &event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
}

async fn is_paused(app: &TestApp, app_id: &str) -> bool {
    app.metric(&format!("larkive_app_paused{{app=\"{app_id}\"}}")).await == Some(1.0)
}

async fn until_paused(app: &TestApp, app_id: &str) {
    until("the app is paused", async || is_paused(app, app_id).await).await;
    until("nothing runs", async || app.count("SELECT COUNT(*) FROM resources WHERE state = 'running'").await == 0)
        .await;
}

async fn attempts(app: &TestApp) -> i64 {
    app.count("SELECT SUM(attempts) FROM resources").await
}

/// Moves the clock past pauses until something is so. Once is not enough: a refusal that is on its way when the clock
/// is moved begins its pause after that, and sometimes it is the turn of somebody else to ask.
async fn pass_until(app: &TestApp, what: &str, is_so: impl AsyncFn() -> bool) {
    let is_so_soon = async || {
        app.pass(PAUSE_IS_OVER);
        let is_so = async || {
            while !is_so().await {
                tokio::task::yield_now().await
            }
        };
        tokio::time::timeout(Duration::from_secs(2), is_so()).await.is_ok()
    };
    until(what, is_so_soon).await;
}

/// Moves the clock past pauses until a resource has asked in vain.
async fn probe(app: &TestApp) {
    let before = attempts(app).await;
    pass_until(app, "a probe has failed", async || attempts(app).await != before).await;
    until("nothing runs", async || app.count("SELECT COUNT(*) FROM resources WHERE state = 'running'").await == 0)
        .await;
}

#[tokio::test]
async fn every_resource_asked_a_platform_that_refused_connections() {
    let (app, address, sender) = with_an_app_that_is_away().await;
    deliver_many(&app, &sender).await;
    until_paused(&app, AWAY).await;
    until("all are expanded", async || app.count("SELECT COUNT(*) FROM resources").await == 30).await;
    assert_eq!(attempts(&app).await, 1, "one has found out for all of them");
    for probes in 2..=5 {
        probe(&app).await;
        assert_eq!(attempts(&app).await, probes, "one at a time");
    }
    let others = "SELECT COUNT(*) FROM resources WHERE state = 'pending' AND attempts = 0 AND reason_code IS NULL
         AND next_attempt_at IS NULL";
    assert_eq!(app.count(others).await, 29, "the others wait as they did");
    let asked = app.count("SELECT COUNT(*) FROM resources WHERE reason_code = 'upstream_error'").await;
    assert_eq!(asked, 1, "the one that asks says why it does not come");
    assert!(!is_paused(&app, APP_ID).await, "no other app is paused");

    let clock = app.clock.clone();
    let back = Sandbox::start(SandboxOptions { listen: address, clock, ..SandboxOptions::default() }).await.unwrap();
    app.advance(PAUSE_IS_OVER).await;
    assert!(!is_paused(&app, AWAY).await);
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, 30);
    assert_eq!(back.requests_of(Route::Resource), 30);
}

#[tokio::test]
async fn every_resource_asked_for_a_token_that_was_not_to_be_had() {
    for fault in [
        json!({"page": {"status": 503}}),
        json!({"cut": {}}),
        json!({"page": {"status": 200}}),
        json!({"answer": {"status": 400, "code": 777, "msg": "no"}}),
    ] {
        let app = spawn_app().await;
        app.fault(json!({"route": "token", "do": fault}));
        deliver_many(&app, &app.sender).await;
        until_paused(&app, APP_ID).await;
        assert_eq!(attempts(&app).await, 1, "{fault}");
        app.platform.clear_faults();
        app.advance(FIRST_PAUSE_IS_OVER).await;
        assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, 30, "{fault}");
        assert!(!is_paused(&app, APP_ID).await, "{fault}");
    }
}

#[tokio::test]
async fn every_resource_asked_a_platform_that_failed_whatever_was_asked() {
    for fault in [json!({"page": {"status": 502}}), json!({"answer": {"status": 500, "code": 2200}}), json!("hang")] {
        let idle_timeout = Duration::from_millis(300);
        let app = spawn_app_with(Options { idle_timeout, ..Options::default() }).await;
        app.fault(json!({"route": "resource", "do": fault}));
        deliver_many(&app, &app.sender).await;
        until_paused(&app, APP_ID).await;
        let found_out = attempts(&app).await;
        assert!(found_out <= 5, "{fault}: {found_out} had to fail");
        for probes in 1..=3 {
            probe(&app).await;
            assert_eq!(attempts(&app).await, found_out + probes, "{fault}: one at a time");
        }
        app.platform.clear_faults();
        app.advance(PAUSE_IS_OVER).await;
        assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, 30, "{fault}");
    }
}

#[tokio::test]
async fn one_resource_that_the_platform_fails_on_pauses_nobody() {
    let app = spawn_app().await;
    let poison = Media::Png.key(99);
    app.fault(json!({"key": poison, "do": {"page": {"status": 502}}}));
    app.deliver(&event::image("om_poison", &poison)).await;
    app.drain().await;
    for _ in 0..8 {
        app.advance(Duration::from_secs(3600) * 2).await;
        assert!(!is_paused(&app, APP_ID).await);
    }
    assert_eq!(app.resource(&poison).await.resource.attempts, 9, "it is tried at its own times");
    deliver_many(&app, &app.sender).await;
    app.drain().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, 30);
}

#[tokio::test]
async fn forwards_quotes_and_names_asked_while_the_platform_could_not_be_reached() {
    let app = spawn_app().await;
    app.fault(json!({"route": "token", "do": {"page": {"status": 503}}}));
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    until_paused(&app, APP_ID).await;
    let asked = app.platform.requests_of(Route::Token);
    app.deliver(&event::merge_forward(&Listed::Album.id(1))).await;
    let quoted = Listed::Picture.id(3);
    app.deliver(&event::reply("om_2", &quoted)).await;
    let expanded = "SELECT (SELECT COUNT(*) FROM resources) + (SELECT COUNT(*) FROM quoted_messages)";
    until("both are expanded", async || app.count(expanded).await == 3).await;
    // Names look twice a second.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(app.platform.requests_of(Route::Token), asked, "nobody asks during the pause");
    let untouched = "SELECT COUNT(*) FROM quoted_messages WHERE attempts = 0 AND reason_code IS NULL";
    assert_eq!(app.count(untouched).await, 1);

    app.platform.clear_faults();
    app.advance(FIRST_PAUSE_IS_OVER).await;
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE state <> 'stored'").await, 0);
    assert_eq!(app.count("SELECT COUNT(*) FROM quoted_messages WHERE state = 'found'").await, 1);
}

#[tokio::test]
async fn an_outage_counts_no_tries_of_quoted_messages() {
    let app = spawn_app().await;
    app.fault(json!({"route": "token", "do": {"page": {"status": 503}}}));
    app.deliver(&event::reply("om_2", &Listed::Picture.id(3))).await;
    for asked in 1..=14 {
        pass_until(&app, "it is asked for", async || app.platform.requests_of(Route::Token) >= asked).await;
    }
    assert_eq!(app.count("SELECT attempts FROM quoted_messages").await, 0);
    app.platform.clear_faults();
    let found = "SELECT COUNT(*) FROM quoted_messages WHERE state = 'found'";
    pass_until(&app, "it is found", async || app.count(found).await == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_by_hand_still_says_why_nothing_came() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    platform.stop().await;
    let key = Media::Png.key(1);
    let fetch = ["fetch", "resource", "--message", "om_1", "--key", &key, "--type", "image", "--timeout", "3s"];
    let ran = workplace.run(&fetch);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let resource: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&resource["state"], &resource["reason_code"]), (&json!("pending"), &json!("upstream_error")));
    assert!(resource["attempts"].as_i64() >= Some(2), "it tries for itself: {resource}");
}
