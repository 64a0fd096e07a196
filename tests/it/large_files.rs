//! Large files: they come in parts, go on where they broke, also in another process, and are right
//! or not stored at all.

use std::fs;
use std::time::{Duration, Instant};

use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::json;

use crate::support::{TestApp, spawn_app};

const MIB: u64 = 1 << 20;

fn large(size_bytes: u64) -> (String, u64) {
    (Media::Blob { size_bytes }.key(1), size_bytes)
}

async fn deliver(app: &TestApp, key: &str) {
    app.deliver(&event::file("om_large", key, "large.bin")).await;
}

/// How many bytes of a file the platform has sent, and in how many answers.
fn served(app: &TestApp, key: &str) -> (u64, usize) {
    let journal = app.platform.journal();
    let of_key: Vec<_> = journal.iter().filter(|entry| entry.key.as_deref() == Some(key)).collect();
    (of_key.iter().map(|entry| entry.bytes).sum(), of_key.len())
}

fn spool(app: &TestApp) -> Vec<String> {
    let names = fs::read_dir(&app.layout.spool).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

/// Waits until the spool says that so much of a file is safe.
async fn until_kept(app: &TestApp, bytes: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let kept = |name: &String| {
        name.starts_with("partial-") && name.split('-').nth(3).unwrap().parse::<u64>().unwrap() >= bytes
    };
    while !spool(app).iter().any(kept) {
        assert!(Instant::now() < deadline, "nothing is kept: {:?}", spool(app));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_file_broken_five_times_and_killed_once_costs_little_more_than_its_size() {
    let app = spawn_app().await;
    let (key, size) = large(64 * MIB);
    for broken_at in [5, 9, 7, 11, 8] {
        app.fault(json!({"route": "resource", "times": 1, "do": {"cut": {"after": broken_at * MIB}}}));
    }
    app.fault(json!({"route": "resource", "times": 1, "do": {"stall": {"after": 15 * MIB}}}));
    deliver(&app, &key).await;
    until_kept(&app, 52 * MIB).await;
    let app = app.kill().await;
    app.drain().await;
    app.assert_stored(&key).await;
    let (bytes, answers) = served(&app, &key);
    assert!(bytes < size + size / 5, "{bytes} bytes were served for {size}");
    assert!(answers <= 10, "{answers} answers");
    assert!(spool(&app).is_empty(), "{:?}", spool(&app));
}

#[tokio::test]
async fn a_file_too_large_for_one_answer_goes_on_after_a_restart() {
    let app = spawn_app().await;
    let (key, size) = large(40 * MIB);
    app.fault(json!({"route": "resource", "times": 1, "do": "refuse_whole"}));
    app.fault(json!({"route": "resource", "times": 1, "do": {"stall": {"after": 10 * MIB}}}));
    deliver(&app, &key).await;
    until_kept(&app, 8 * MIB).await;
    let app = app.kill().await;
    app.drain().await;
    app.assert_stored(&key).await;
    let (bytes, _) = served(&app, &key);
    assert!(bytes < size + size / 5, "{bytes} bytes were served for {size}");
}

#[tokio::test]
async fn bytes_in_the_spool_that_are_not_what_they_were_are_never_gone_on_with() {
    let app = spawn_app().await;
    let (key, size) = large(12 * MIB);
    app.fault(json!({"route": "resource", "times": 1, "do": {"stall": {"after": 6 * MIB}}}));
    deliver(&app, &key).await;
    until_kept(&app, 4 * MIB).await;
    let kept = spool(&app).remove(0);
    let path = app.layout.spool.join(kept);
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let app = app.kill().await;
    app.drain().await;
    app.assert_stored(&key).await;
    assert!(served(&app, &key).0 >= size, "all of it was fetched anew");
    assert!(spool(&app).is_empty(), "{:?}", spool(&app));
}

#[tokio::test]
async fn a_platform_that_no_longer_hands_out_the_rest_is_asked_for_the_whole() {
    for fault in [json!({"range": "ignored"}), json!({"range": "refused"}), json!({"range": "shifted"})] {
        let app = spawn_app().await;
        let (key, _) = large(12 * MIB);
        app.fault(json!({"route": "resource", "times": 1, "do": {"stall": {"after": 6 * MIB}}}));
        deliver(&app, &key).await;
        until_kept(&app, 4 * MIB).await;
        app.fault(json!({"route": "resource", "do": fault}));
        let app = app.kill().await;
        app.drain().await;
        app.assert_stored(&key).await;
        assert_eq!(served(&app, &key).1, 3, "{fault}: broken off, the rest, the whole");
    }
}

#[tokio::test]
async fn a_broken_transfer_is_right_in_the_end_whatever_the_platform_makes_of_ranges() {
    for (fault, tries) in [("ignored", 2), ("refused", 2), ("shifted", 2), ("one_byte", 2)] {
        let app = spawn_app().await;
        let (key, _) = large(3 * MIB);
        app.fault(json!({"route": "resource", "times": 1, "do": {"cut": {"after": MIB}}}));
        app.fault(json!({"route": "resource", "times": 3, "do": {"range": fault}}));
        deliver(&app, &key).await;
        app.drain().await;
        let failed = app.resource(&key).await.resource;
        assert_eq!(failed.reason_code, Some(ReasonCode::TransferBroken), "{fault}");
        app.advance(Duration::from_secs(2)).await;
        assert_eq!(app.assert_stored(&key).await.resource.attempts, tries, "{fault}");
    }
}

#[tokio::test]
async fn what_comes_in_wrong_parts_is_never_stored() {
    for fault in [json!("refused"), json!("shifted"), json!("one_byte"), json!({"overlong": {"bytes": 40}})] {
        let app = spawn_app().await;
        let (key, _) = large(3 * MIB);
        // The whole is refused, and every part is wrong.
        app.fault(json!({"route": "resource", "times": 1, "do": "refuse_whole"}));
        app.fault(json!({"route": "resource", "do": {"range": fault}}));
        deliver(&app, &key).await;
        app.drain().await;
        let resource = app.resource(&key).await.resource;
        assert_eq!((resource.state, resource.sha256), (State::Pending, None), "{fault}");
        assert!(served(&app, &key).1 <= 6, "{fault}: {} answers", served(&app, &key).1);
    }
}

#[tokio::test]
async fn a_platform_that_gives_a_byte_at_a_time_is_given_up_on_after_a_few_calls() {
    let app = spawn_app().await;
    let (key, _) = large(3 * MIB);
    app.fault(json!({"route": "resource", "do": {"cut": {"after": 1}}}));
    deliver(&app, &key).await;
    app.drain().await;
    assert_eq!(app.resource(&key).await.resource.reason_code, Some(ReasonCode::TransferBroken));
    let (_, answers) = served(&app, &key);
    assert!((2..=20).contains(&answers), "{answers} answers in one try");
}

#[tokio::test]
async fn what_was_kept_goes_when_the_file_is_gone_upstream() {
    let app = spawn_app().await;
    let (key, _) = large(12 * MIB);
    app.fault(json!({"route": "resource", "times": 1, "do": {"stall": {"after": 6 * MIB}}}));
    deliver(&app, &key).await;
    until_kept(&app, 4 * MIB).await;
    app.fault(json!({"route": "resource", "do": {"answer": {"status": 400, "code": 230_110}}}));
    let app = app.kill().await;
    app.drain().await;
    assert_eq!(app.resource(&key).await.resource.reason_code, Some(ReasonCode::MessageDeleted));
    assert!(spool(&app).is_empty(), "{:?}", spool(&app));
}
