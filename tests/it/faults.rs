//! Downloads that go wrong: whatever the platform does, the bytes are right or there are none.

use std::time::Duration;

use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::feishu::code::{CODES, Class};
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::{Value, json};

use crate::support::{Options, TestApp, spawn_app, spawn_app_with, until};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// More than the first pause with its jitter, less than the second.
const FIRST_PAUSE: Duration = Duration::from_millis(1300);

/// Sends one file for each fault and lets the fault happen to it.
async fn deliver_with_faults(app: &TestApp, faults: &[(Value, &str)], times: Option<u64>) -> Vec<String> {
    let mut keys = Vec::new();
    for (seed, (fault, _)) in faults.iter().enumerate() {
        let key = Media::Text.key(seed as u64);
        let mut rule = json!({"route": "resource", "key": key, "times": times});
        rule.as_object_mut().unwrap().append(fault.clone().as_object_mut().unwrap());
        app.fault(rule);
        app.deliver(&event::file(&format!("om_{seed}"), &key, "a.txt")).await;
        keys.push(key);
    }
    app.drain().await;
    keys
}

/// An archive that does not wait long for a byte.
async fn impatient_app() -> TestApp {
    spawn_app_with(Options { idle_timeout: SECOND, download_concurrency: 16, ..Options::default() }).await
}

#[tokio::test]
async fn a_broken_transfer_is_tried_again_and_never_stored() {
    let app = impatient_app().await;
    let faults = [
        (json!({"do": {"page": {"status": 502}}}), "upstream_error"),
        (json!({"do": {"answer": {"status": 500, "code": 2200, "msg": "internal error"}}}), "upstream_error"),
        (json!({"do": {"answer": {"status": 503, "code": 0}}}), "upstream_error"),
        (json!({"do": {"page": {"status": 200}}}), "not_a_file"),
        (json!({"do": {"page": {"status": 302}}}), "not_a_file"),
        (json!({"do": {"answer": {"status": 200, "code": 7, "msg": "what?"}}}), "not_a_file"),
        (json!({"do": {"headers": {"set": {"content-encoding": "gzip"}}}}), "not_a_file"),
        (json!({"do": {"headers": {"set": {"content-disposition": null, "content-type": "text/html"}}}}), "not_a_file"),
        (json!({"do": "empty"}), "transfer_broken"),
        (json!({"do": {"cut": {}}}), "transfer_broken"),
        (json!({"do": {"cut": {"after": 0}}}), "transfer_broken"),
        (json!({"do": {"cut": {"after": 20}}}), "transfer_broken"),
        (json!({"do": {"reset": {}}}), "transfer_broken"),
        (json!({"do": {"reset": {"after": 20}}}), "transfer_broken"),
        (json!({"do": {"length": {"promise": 100_000}}}), "transfer_broken"),
        (json!({"do": {"chunked": {"cut_after": 20}}}), "transfer_broken"),
        (json!({"do": "hang"}), "transfer_broken"),
        (json!({"do": {"stall": {"after": 0}}}), "transfer_broken"),
        (json!({"do": {"stall": {"after": 20}}}), "transfer_broken"),
        (json!({"do": {"drip": {"bytes": 20, "every_ms": 3000}}}), "transfer_broken"),
        (json!({"delay_ms": 3000}), "transfer_broken"),
    ];
    let keys = deliver_with_faults(&app, &faults, Some(1)).await;
    for (key, (fault, reason)) in keys.iter().zip(&faults) {
        let failed = app.resource(key).await.resource;
        let wait = failed.next_attempt_at.map(|at| at.since(app.clock.now())).unwrap_or_default();
        assert_eq!((failed.state, failed.attempts), (State::Pending, 1), "{fault}");
        assert_eq!(failed.reason_code.map(ReasonCode::as_str), Some(*reason), "{fault}: {:?}", failed.upstream);
        assert!((SECOND.mul_f64(0.8)..=SECOND.mul_f64(1.2)).contains(&wait), "{fault}: waits {wait:?}");
        assert_eq!(app.platform.requests_for(key), 1, "{fault}");
    }
    assert_eq!((app.count("SELECT COUNT(*) FROM blobs").await, app.spooled()), (0, 0));

    app.advance(FIRST_PAUSE).await;
    for (key, (fault, reason)) in keys.iter().zip(&faults) {
        let stored = app.assert_stored(key).await;
        assert_eq!((stored.resource.attempts, app.platform.requests_for(key)), (2, 2), "{fault}");
        assert_eq!((stored.resource.reason_code, &stored.resource.upstream), (None, &None), "{fault}");
        let tries: Vec<_> = stored.tries.iter().map(|one| one.reason_code.map(ReasonCode::as_str)).collect();
        assert_eq!(tries, [Some(*reason), None], "{fault}");
    }
    assert_eq!(app.spooled(), 0);
}

#[tokio::test]
async fn an_unusual_answer_that_brings_the_file_is_good_enough() {
    let app = impatient_app().await;
    let set = |name: &str, value: Value| json!({"do": {"headers": {"set": {name: value}}}});
    let faults = [
        (json!({"do": {"surplus": {"bytes": 1000}}}), ""),
        (json!({"do": {"chunked": {}}}), ""),
        (json!({"do": "unsized"}), ""),
        (json!({"do": {"drip": {"bytes": 16, "every_ms": 5}}}), ""),
        (json!({"delay_ms": 100}), ""),
        (set("content-type", json!("text/html")), ""),
        (set("content-type", Value::Null), ""),
        (set("content-disposition", Value::Null), ""),
        (set("content-disposition", json!("nonsense; ;;\"")), ""),
        (set("content-encoding", json!("identity")), ""),
    ];
    let keys = deliver_with_faults(&app, &faults, None).await;
    for (key, (fault, _)) in keys.iter().zip(&faults) {
        let stored = app.assert_stored(key).await.resource;
        assert_eq!((stored.attempts, app.platform.requests_for(key)), (1, 1), "{fault}");
    }
}

#[tokio::test]
async fn a_users_file_may_look_like_an_error_if_it_comes_as_a_file() {
    let app = spawn_app().await;
    let (named, nameless) = (Media::Json.key(1), Media::Json.key(2));
    app.fault(json!({"key": nameless, "do": {"headers": {"set": {"content-disposition": null}}}}));
    app.deliver(&event::file("om_1", &named, "gateway-log.json")).await;
    app.deliver(&event::file("om_2", &nameless, "gateway-log.json")).await;
    app.drain().await;
    app.assert_stored(&named).await;
    let doubtful = app.resource(&nameless).await.resource;
    assert_eq!((doubtful.state, doubtful.reason_code), (State::Pending, Some(ReasonCode::NotAFile)));
    assert_eq!(doubtful.upstream.unwrap().code, Some(502));
}

#[tokio::test]
async fn every_known_code_ends_in_the_state_of_its_reason_with_what_was_said() {
    let app = spawn_app().await;
    let told = |class: &Class| !matches!(class, Class::RateLimited | Class::AskForParts);
    for (code, _) in CODES.iter().filter(|(_, class)| told(class)) {
        let key = format!("img_{code}");
        let answer = json!({"status": 400, "code": code, "msg": format!("said {code}")});
        app.fault(json!({"route": "resource", "key": key, "do": {"answer": answer}}));
        app.deliver(&event::image(&format!("om_{code}"), &key)).await;
    }
    app.drain().await;
    for (code, class) in CODES.iter().filter(|(_, class)| told(class)) {
        let key = format!("img_{code}");
        let failed = app.resource(&key).await.resource;
        assert_eq!((failed.state, failed.reason_code), (class.reason().state(), Some(class.reason())), "{code}");
        assert_eq!(failed.attempts, 1, "{code}");
        let requests = if matches!(class, Class::Refresh(_)) { 2 } else { 1 };
        assert_eq!(app.platform.requests_for(&key), requests, "{code}");
        let upstream = failed.upstream.unwrap();
        let said = Some(format!("said {code}"));
        assert_eq!((upstream.http_status, upstream.code, upstream.msg), (Some(400), Some(*code), said));
        assert!(upstream.log_id.is_some_and(|id| id.len() == 32), "{code}");
        assert!(failed.remedy.is_some() && failed.reason.is_some(), "{code}");
    }
    let minute_and_a_half = Duration::from_secs(90);
    let waits = app.resource("img_234042").await.resource.next_attempt_at.unwrap().since(app.clock.now());
    assert!((minute_and_a_half * 8..=minute_and_a_half * 12).contains(&waits), "15 min ± 20 %: {waits:?}");
}

#[tokio::test]
async fn an_unknown_refusal_is_tried_three_times() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(json!({"key": key, "do": {"answer": {"status": 418, "code": 123_456, "msg": "teapot"}}}));
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    for attempts in 1..=2 {
        let waiting = app.resource(&key).await.resource;
        assert_eq!((waiting.state, waiting.attempts), (State::Pending, attempts));
        app.advance(HOUR).await;
    }
    let ended = app.resource(&key).await.resource;
    assert_eq!((ended.state, ended.reason_code), (State::Blocked, Some(ReasonCode::UnknownCode)));
    app.advance(HOUR * 100).await;
    assert_eq!((ended.attempts, app.platform.requests_for(&key)), (3, 3));
}

#[tokio::test]
async fn pauses_double_up_to_an_hour_until_the_time_for_trying_is_over() {
    let app = spawn_app_with(Options { retry_for: HOUR * 6, ..Options::default() }).await;
    let key = Media::Png.key(1);
    app.fault(json!({"route": "resource", "times": 20, "do": {"page": {"status": 502}}}));
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    let mut waits = Vec::new();
    while let Some(at) = app.resource(&key).await.resource.next_attempt_at {
        let wait = at.since(app.clock.now());
        waits.push(wait.as_secs_f64());
        app.advance(wait).await;
    }
    for (place, wait) in waits.iter().enumerate() {
        let plain = f64::min(2_f64.powi(i32::try_from(place).unwrap()), 3600.0);
        assert!((plain * 0.79..=plain * 1.21).contains(wait), "pause {place} is {wait} s");
    }
    let ended = app.resource(&key).await;
    assert_eq!(
        (ended.resource.state, ended.resource.reason_code),
        (State::Blocked, Some(ReasonCode::AttemptsExhausted))
    );
    assert_eq!(ended.resource.upstream.unwrap().http_status, Some(502), "what the platform said last is kept");
    let trying_for = app.clock.now().since(ended.tries[0].ended_at);
    assert!(trying_for >= HOUR * 6 && trying_for <= HOUR * 8, "{trying_for:?}");

    let tries = app.platform.requests_for(&key);
    assert_eq!(app.post(&format!("/api/v1/resources/{}/retry", ended.resource.id)).await, json!({"queued": 1}));
    app.drain().await;
    let again = app.resource(&key).await.resource;
    assert_eq!((again.state, app.platform.requests_for(&key)), (State::Pending, tries + 1), "a retry begins anew");
    app.platform.clear_faults();
    app.advance(HOUR).await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn what_is_too_large_ends_whether_declared_or_not() {
    let app = spawn_app_with(Options { max_resource_bytes: 100_000, ..Options::default() }).await;
    let blob = |seed, size_bytes| Media::Blob { size_bytes }.key(seed);
    let (declared, flowing, fitting) = (blob(1, 100_001), blob(2, 100_001), blob(3, 100_000));
    app.fault(json!({"key": flowing, "do": {"chunked": {}}}));
    for (id, key) in [("om_1", &declared), ("om_2", &flowing), ("om_3", &fitting)] {
        app.deliver(&event::file(id, key, "a.bin")).await;
    }
    app.drain().await;
    app.assert_stored(&fitting).await;
    for key in [&declared, &flowing] {
        let ended = app.resource(key).await.resource;
        assert_eq!((ended.state, ended.reason_code), (State::Impossible, Some(ReasonCode::TooLarge)), "{key}");
        assert_eq!((ended.sha256, app.platform.requests_for(key)), (None, 1), "{key}");
    }
    assert_eq!((app.count("SELECT COUNT(*) FROM blobs").await, app.spooled()), (1, 0));
}

#[tokio::test]
async fn a_file_refused_whole_is_fetched_in_parts_and_an_image_is_not() {
    let app = spawn_app().await;
    let (big, image) = (Media::Big.key(1), Media::Png.key(1));
    // The third request is the second part; it breaks, and is taken up where it broke.
    app.fault(json!({"key": big, "after": 2, "times": 1, "do": {"cut": {"after": 1_000_000}}}));
    app.fault(json!({"route": "resource", "do": "refuse_whole"}));
    app.deliver(&event::file("om_1", &big, "recording.bin")).await;
    app.deliver(&event::image("om_2", &image)).await;
    app.drain().await;
    let stored = app.assert_stored(&big).await.resource;
    assert_eq!((stored.attempts, stored.size_bytes), (1, Some(40 << 20)));
    let journal = app.platform.journal();
    let ranges: Vec<_> =
        journal.iter().filter(|entry| entry.key.as_ref() == Some(&big)).map(|entry| entry.range.as_deref()).collect();
    assert_eq!(ranges[..3], [None, Some("bytes=0-33554431"), Some("bytes=33554432-41943039")]);
    let resumed = ranges[3].unwrap().strip_prefix("bytes=").unwrap().strip_suffix("-41943039").unwrap();
    assert!((33_554_433..=34_554_432).contains(&resumed.parse().unwrap()), "{resumed}");
    assert_eq!(ranges.len(), 4);
    let ended = app.resource(&image).await.resource;
    assert_eq!((ended.state, ended.reason_code), (State::Impossible, Some(ReasonCode::TooLarge)));
}

#[tokio::test]
async fn parts_that_are_not_what_was_asked_for_are_not_put_together() {
    let app = spawn_app().await;
    let cases = [
        ("ignored", json!("ignored"), None),
        ("refused", json!("refused"), Some(ReasonCode::UnknownCode)),
        ("shifted", json!("shifted"), Some(ReasonCode::TransferBroken)),
        ("one byte", json!("one_byte"), Some(ReasonCode::TransferBroken)),
        ("overlong", json!({"overlong": {"bytes": 40}}), Some(ReasonCode::TransferBroken)),
    ];
    for (seed, (_, fault, _)) in cases.iter().enumerate() {
        let key = Media::Pdf.key(seed as u64);
        app.fault(json!({"key": key, "times": 1, "do": "refuse_whole"}));
        app.fault(json!({"key": key, "times": 1, "do": {"range": fault}}));
        app.deliver(&event::file(&format!("om_{seed}"), &key, "a.pdf")).await;
    }
    app.drain().await;
    for (seed, (name, _, reason)) in cases.iter().enumerate() {
        let found = app.resource(&Media::Pdf.key(seed as u64)).await.resource;
        assert_eq!((found.reason_code, found.attempts), (*reason, 1), "{name}: {:?}", found.upstream);
    }
    app.advance(FIRST_PAUSE).await;
    for seed in 0..cases.len() {
        app.assert_stored(&Media::Pdf.key(seed as u64)).await;
    }
}

#[tokio::test]
async fn file_names_come_from_the_message_else_from_the_header_in_any_spelling() {
    let app = spawn_app().await;
    let name = "第四课 #1.pdf";
    let spellings = ["raw", "unquoted", "extended", "percent", "gbk"];
    for (seed, spelling) in spellings.iter().enumerate() {
        let key = Media::Voice.key(seed as u64);
        app.fault(json!({"key": key, "do": {"disposition": {"spelling": spelling, "file_name": name}}}));
        app.deliver(&event::audio(&format!("om_{seed}"), &key)).await;
    }
    let (climbing, named) = (Media::Voice.key(10), Media::Pdf.key(11));
    for key in [&climbing, &named] {
        let climb = json!({"spelling": "raw", "file_name": "../../etc/passwd"});
        app.fault(json!({"key": key, "do": {"disposition": climb}}));
    }
    app.deliver(&event::audio("om_10", &climbing)).await;
    app.deliver(&event::file("om_11", &named, "../本月/报告?.pdf")).await;
    app.drain().await;
    for (seed, spelling) in spellings.iter().enumerate() {
        let stored = app.assert_stored(&Media::Voice.key(seed as u64)).await.resource;
        assert_eq!(stored.file_name.as_deref(), Some(name), "{spelling}");
    }
    assert_eq!(app.assert_stored(&climbing).await.resource.file_name.as_deref(), Some("passwd"));
    assert_eq!(app.assert_stored(&named).await.resource.file_name.as_deref(), Some("../本月/报告?.pdf"));
}

#[tokio::test]
async fn keys_that_cannot_stand_in_a_path_are_never_sent() {
    let app = spawn_app().await;
    let long = "k".repeat(257);
    let keys = ["..", ".", "../../auth/v3", "a\\b", "a\nb", "a\u{7f}b", long.as_str()];
    for (number, key) in keys.iter().enumerate() {
        app.deliver(&event::image(&format!("om_{number}"), key)).await;
    }
    app.deliver(&event::image("../om_message", &Media::Png.key(1))).await;
    app.drain().await;
    for key in keys.iter().copied().chain([Media::Png.key(1).as_str()]) {
        let refused = app.resource(key).await.resource;
        assert_eq!((refused.state, refused.reason_code), (State::Impossible, Some(ReasonCode::KeyUnusable)), "{key:?}");
    }
    assert_eq!(app.platform.requests_of(Route::Resource) + app.platform.requests_of(Route::Other), 0);
}

#[tokio::test]
async fn equal_bytes_are_kept_once() {
    let app = spawn_app().await;
    for seed in 1..=5 {
        app.deliver(&event::file(&format!("om_{seed}"), &Media::Pdf.key(seed), &format!("{seed}.pdf"))).await;
    }
    app.drain().await;
    for seed in 1..=5 {
        app.assert_stored(&Media::Pdf.key(seed)).await;
    }
    let stats = app.json("/api/v1/stats").await;
    let size = Media::Pdf.sample(1).size_bytes();
    assert_eq!((&stats["resources"], &stats["blobs"]), (&json!(5), &json!(1)));
    assert_eq!((&stats["bytes"], &stats["saved_bytes"]), (&json!(5 * size), &json!(4 * size)));
}

#[tokio::test]
async fn a_nearly_full_disk_pauses_downloads_and_nothing_else() {
    let app = spawn_app_with(Options { min_free_bytes: u64::MAX, ..Options::default() }).await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    until("the event is expanded", async || app.count("SELECT COUNT(*) FROM resources").await == 1).await;
    app.deliver(&event::image("om_2", &Media::Png.key(2))).await;
    let readiness = app.api("/readyz").await;
    assert_eq!(readiness.status(), 503);
    let checks: Value = serde_json::from_str(&readiness.text().await.unwrap()).unwrap();
    let red: Vec<_> =
        checks.as_object().unwrap().iter().filter(|(_, check)| check["ok"] == false).map(|(name, _)| name).collect();
    assert_eq!(red, ["space"]);
    let app = app.restart().await;
    until("both are expanded", async || app.count("SELECT COUNT(*) FROM resources WHERE state = 'pending'").await == 2)
        .await;
    assert_eq!(app.platform.requests_of(Route::Resource), 0);
}
