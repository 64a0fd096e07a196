//! Large files: they come in parts, go on where they broke, also in another process, and are right
//! or not stored at all.

use std::fs;
use std::path::Path;
use std::time::Duration;

use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::samples::{Media, digest_of};
use larkive::sandbox::{Action, Route, Rule, Sandbox, SandboxOptions, event};
use serde_json::{Value, json};

use crate::program::{ADMIN_TOKEN, Workplace};
use crate::support::{Options, TestApp, blob_below, sha256, spawn_app, spawn_app_with, until};

const MIB: u64 = 1 << 20;
/// What "large" is where the real program is killed over it: more would only take longer.
const LARGE: u64 = 96 * MIB;

fn large(size_bytes: u64) -> (String, u64) {
    (Media::Blob { size_bytes }.key(1), size_bytes)
}

async fn deliver(app: &TestApp, key: &str) {
    app.deliver(&event::file("om_large", key, "large.bin")).await;
}

/// How many bytes of a file the platform has sent, and in how many answers.
fn served(platform: &Sandbox, key: &str) -> (u64, usize) {
    let journal = platform.journal();
    let of_key: Vec<_> = journal.iter().filter(|entry| entry.key.as_deref() == Some(key)).collect();
    (of_key.iter().map(|entry| entry.bytes).sum(), of_key.len())
}

fn names_in(spool: &Path) -> Vec<String> {
    let names = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

fn spool(app: &TestApp) -> Vec<String> {
    names_in(&app.layout.spool)
}

/// How many bytes of a file are safe, as the spool says.
fn kept_in(spool: &Path) -> u64 {
    let kept = |name: &String| name.strip_prefix("partial-")?.split('-').nth(2)?.parse().ok();
    names_in(spool).iter().filter_map(kept).max().unwrap_or(0)
}

async fn until_kept(app: &TestApp, bytes: u64) {
    until("enough is kept", async || kept_in(&app.layout.spool) >= bytes).await;
}

/// The real program, killed with SIGKILL: neither its locks nor its leases are given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_broken_five_times_and_killed_once_costs_little_more_than_its_size() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let (key, size) = large(LARGE);
    let fault = |action| platform.fault(Rule::on(Route::Resource, action).key(&key).times(1));
    // Each answer but the last brings another eighth or so.
    for thousandths in [80, 140, 110, 170, 125] {
        fault(Action::Cut { after: Some(size / 1000 * thousandths) });
    }
    fault(Action::Stall { after: size / 4 });
    let (serving, address) = workplace.serve();
    order(&address, &key).await;
    until("three quarters are kept", async || kept_in(&workplace.path("data/spool")) > size / 4 * 3).await;
    drop(serving);
    let (serving, address) = workplace.serve();
    until("it is stored", async || order(&address, &key).await["state"] == "stored").await;
    serving.stop().ended(0);

    let stored = &workplace.run(&["list"]).ended(0).rows()[0];
    let digest = digest_of(&key).unwrap().to_string();
    assert_eq!((stored["sha256"].as_str(), stored["size_bytes"].as_u64()), (Some(digest.as_str()), Some(size)));
    let blob = blob_below(&workplace.path("data/blobs"), &digest);
    assert_eq!(sha256(&fs::read(blob).unwrap()), digest);
    let (bytes, answers) = served(&platform, &key);
    assert!(bytes < size + size / 5, "{bytes} bytes were served for {size}");
    assert!((7..=12).contains(&answers), "{answers} answers");
    assert!(names_in(&workplace.path("data/spool")).is_empty());
}

/// Asks an archive for the file by hand; says where it stands.
async fn order(address: &str, key: &str) -> Value {
    let body = json!({"source": "resource", "message": "om_large", "key": key, "type": "file"});
    let url = format!("http://{address}/api/v1/fetch");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(url).bearer_auth(ADMIN_TOKEN).body(body.to_string()).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
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
    let (bytes, _) = served(&app.platform, &key);
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
    assert!(served(&app.platform, &key).0 >= size, "all of it was fetched anew");
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
        assert_eq!(served(&app.platform, &key).1, 3, "{fault}: broken off, the rest, the whole");
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
        assert!(served(&app.platform, &key).1 <= 6, "{fault}: {} answers", served(&app.platform, &key).1);
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
    let (_, answers) = served(&app.platform, &key);
    assert!((2..=20).contains(&answers), "{answers} answers in one try");
}

#[tokio::test]
async fn what_was_kept_goes_when_the_file_is_not_tried_any_more() {
    for (code, reason) in [
        (230_110, ReasonCode::MessageDeleted),
        (234_004, ReasonCode::AppNotInChat),
        (2_200, ReasonCode::AttemptsExhausted),
    ] {
        let app = spawn_app_with(Options { retry_for: Duration::ZERO, ..Options::default() }).await;
        let (key, _) = large(12 * MIB);
        app.fault(json!({"route": "resource", "times": 1, "do": {"stall": {"after": 6 * MIB}}}));
        deliver(&app, &key).await;
        until_kept(&app, 4 * MIB).await;
        app.fault(json!({"route": "resource", "do": {"answer": {"status": 400, "code": code}}}));
        let app = app.kill().await;
        app.drain().await;
        assert_eq!(app.resource(&key).await.resource.reason_code, Some(reason));
        assert!(spool(&app).is_empty(), "{reason}: {:?}", spool(&app));
    }
}
