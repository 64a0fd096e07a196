//! The command line: what each command prints, leaves behind and ends with.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use larkive::domain::resource::ResourceType;
use larkive::sandbox::samples::{Media, digest_of};
use larkive::sandbox::{Route, Rule, Sandbox, SandboxOptions};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::patience::Patience;
use crate::program::{ADMIN_TOKEN, Output, SECRETS, Workplace};
use crate::support::{sha256, until_called};
use crate::wire::exchange;

const COMMANDS: [&str; 16] = [
    "serve",
    "demo",
    "sandbox",
    "trigger",
    "extract",
    "list",
    "show",
    "stats",
    "export",
    "sql",
    "fetch",
    "retry",
    "config",
    "health",
    "completions",
    "man",
];
const PROBE: &str = "/healthz";

async fn platform() -> Sandbox {
    Sandbox::start(SandboxOptions::default()).await.unwrap()
}

fn rule(rule: Value) -> Rule {
    serde_json::from_value(rule).unwrap()
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Waits until as many resources are in this state as there are said to be.
fn until_in_state(workplace: &Workplace, state: &str, count: u64) {
    let mut patience = Patience::new();
    loop {
        let stats = workplace.run(&["stats"]).ended(0);
        if stats.rows()[0]["states"][state] == count {
            return;
        }
        patience.note(&format!("{count} are {state}"), stats.stdout);
    }
}

fn trigger(workplace: &Workplace, address: &str, words: &[&str]) -> Output {
    let url = format!("http://{address}/webhook/event");
    workplace.run(&[&["trigger"], words, &["--url", &url]].concat())
}

#[test]
fn two_hundred_pictures_arrive_and_everybody_agrees_on_them() {
    let bare = Workplace::bare();
    let sandbox = bare.start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let workplace = Workplace::configured(&sandbox.line_with("http://"));
    let (serving, address) = workplace.serve();
    let sent = trigger(&workplace, &address, &["image", "--count", "200"]).ended(0);
    sent.keeps_secrets();
    let digests: BTreeSet<String> =
        sent.rows().iter().map(|event| event["resources"][0]["sha256"].as_str().unwrap().to_owned()).collect();
    assert_eq!(digests.len(), 200);
    until_in_state(&workplace, "stored", 200);

    let listed = workplace.run(&["list", "--state", "stored"]).ended(0);
    assert_eq!(
        listed.rows().iter().map(|row| row["sha256"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(),
        digests
    );
    let files = files(&workplace.path("data/blobs/sha256"));
    assert_eq!(files.len(), 200);
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(digests.contains(name) && sha256(&fs::read(&file).unwrap()) == name, "{name}");
    }
    let stats = &workplace.run(&["stats"]).rows()[0];
    assert_eq!((&stats["blobs"], &stats["messages"], &stats["resources"]), (&json!(200), &json!(200), &json!(200)));

    let (first, ended) = workplace.run_for_one_line(&["list"]);
    assert!(serde_json::from_str::<Value>(&first).is_ok(), "{first}");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "a closed pipe is no failure");

    let served = serving.stop().ended(0);
    assert_eq!(served.stdout, "");
    served.keeps_secrets();
    assert!(!served.stderr.contains("\"t-"), "a tenant access token in the log");
    assert_eq!(sandbox.stop().code, Some(0));
    assert_eq!(fs::read_dir(workplace.path("data/spool")).unwrap().count(), 0);
}

#[test]
fn the_demo_ends_as_it_should_whatever_is_configured() {
    let workplace =
        Workplace::configured("https://open.feishu.cn").with("FEISHU_NONSENSE", "1").with("LARKIVE_LISTEN", "x");
    let shown = workplace.run(&["demo", "--once", "--data-dir", "archive"]).ended(0);
    shown.keeps_secrets();
    let rows = shown.rows();
    assert!(rows.len() >= 20, "{} rows", rows.len());
    for row in &rows {
        assert_eq!(row["state"], row["expected_state"], "{row}");
    }
    let states: BTreeSet<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["blocked", "gone", "impossible", "stored"]);
    assert_eq!(workplace.contents(), ["archive"]);
    assert!(workplace.path("archive/larkive.db").is_file());
}

#[test]
fn the_demo_tells_where_to_look_and_goes_when_told() {
    let workplace = Workplace::bare();
    let demo = workplace.start(&["demo", "--listen", "127.0.0.1:0"]);
    let invitation: Value = serde_json::from_str(&demo.line_with("admin_token")).unwrap();
    let health = || workplace.run(&["health", "--url", invitation["address"].as_str().unwrap()]).code;
    assert_eq!(health(), Some(0));
    let shown = demo.stop().ended(0);
    assert_eq!(health(), Some(1), "it is gone");
    assert!(shown.rows().iter().any(|row| row["sample"] == "image"), "{}", shown.stdout);
    assert_eq!(workplace.contents(), Vec::<String>::new(), "the archive was a temporary one");
}

#[test]
fn a_wrong_configuration_is_told_whole_one_line_a_problem() {
    let workplace = Workplace::bare()
        .with("FEISHU_APP_ID", "cli_1")
        .with("FEISHU_APP_SECERT", SECRETS[0])
        .with("LARKIVE_LISTEN", "somewhere")
        .with("LARKIVE_DOWNLOAD_CONCURRENCY", "0")
        .with("LARKIVE_RETRY_FOR", "soon")
        .with("LARKIVE_ADMIN_TOKEN", "short")
        .with("LARKIVE_COLOUR", "red")
        .with("LARKIVE_BACKFILL_ON_JOIN", "30d");
    let keys = [
        "FEISHU_APP_SECERT",
        "FEISHU_APP_SECRET",
        "FEISHU_VERIFICATION_TOKEN",
        "LARKIVE_ADMIN_TOKEN",
        "LARKIVE_BACKFILL_ON_JOIN",
        "LARKIVE_COLOUR",
        "LARKIVE_DOWNLOAD_CONCURRENCY",
        "LARKIVE_LISTEN",
        "LARKIVE_RETRY_FOR",
    ];
    let named = |stderr: &str, prefix: &str| -> Vec<String> {
        let key = |line: &str| line.trim_start_matches(prefix).split([' ', ':', '=']).next().unwrap().to_owned();
        let mut named: Vec<_> = stderr.lines().map(key).collect();
        named.sort();
        named
    };
    let refused = workplace.run(&["serve"]).ended(2);
    assert_eq!((refused.stdout.as_str(), named(&refused.stderr, "larkive: ")), ("", keys.map(String::from).to_vec()));
    refused.keeps_secrets();
    let checked = workplace.run(&["config", "check"]).ended(1);
    assert_eq!(named(&checked.stderr, ""), keys);
    checked.keeps_secrets();
    assert_eq!(workplace.contents(), Vec::<String>::new(), "nothing is created by what cannot run");
}

#[test]
fn a_good_configuration_is_shown_with_stars_for_secrets() {
    let shown = Workplace::configured("http://127.0.0.1:9").run(&["config", "check"]).ended(0);
    shown.keeps_secrets();
    for line in
        ["FEISHU_APP_SECRET=***", "FEISHU_ENCRYPT_KEY=***", "LARKIVE_ADMIN_TOKEN=***", "LARKIVE_CALL_BUDGET=off"]
    {
        assert!(shown.stdout.lines().any(|shown| shown.starts_with(line)), "{line} in {}", shown.stdout);
    }
}

#[test]
fn what_cannot_be_served_is_refused_in_one_line() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let (serving, address) = workplace.serve();
    let last_line = |refused: Output| {
        let refused = refused.ended(2);
        assert_eq!(refused.stdout, "");
        refused.stderr.lines().last().unwrap().to_owned()
    };
    assert!(last_line(workplace.run(&["serve"])).contains("another larkive serves"));
    let elsewhere = Workplace::configured("http://127.0.0.1:9").with("LARKIVE_LISTEN", &address);
    assert!(last_line(elsewhere.run(&["serve"])).contains(&format!("cannot listen on {address}")));
    serving.stop().ended(0);
    workplace.serve().0.stop().ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_from_the_future_is_left_alone_by_every_command() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    workplace.serve().0.stop().ended(0);
    let options = SqliteConnectOptions::new().filename(workplace.path("data/larkive.db"));
    let mut outside = options.connect().await.unwrap();
    outside
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
             SELECT 99991231000000, 'from the future', installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
        )
        .await
        .unwrap();
    outside.close().await.unwrap();
    let before = fs::read(workplace.path("data/larkive.db")).unwrap();
    let fetch = fetch_words("img_1");
    for words in [&["serve"][..], &["list"], &["show", "om_1"], &["stats"], &["retry", "--all"], &fetch] {
        let refused = workplace.run(words).ended(2);
        let line = refused.stderr.lines().last().unwrap();
        assert!(refused.stdout.is_empty() && line.contains("newer than this program's"), "{words:?}: {line}");
    }
    assert_eq!(fs::read(workplace.path("data/larkive.db")).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_can_lie_elsewhere() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    let store = workplace.path("elsewhere/blobs");
    let workplace = workplace.with("LARKIVE_STORE_URL", &format!("file://{}", store.display()));
    let (serving, address) = workplace.serve();
    trigger(&workplace, &address, &["image"]).ended(0);
    until_in_state(&workplace, "stored", 1);
    serving.stop().ended(0);
    assert_eq!(files(&store).len(), 1);
    assert!(store.join(".spool").is_dir() && !workplace.path("data/spool").exists());
    let row = &workplace
        .run(&["show", "--format", "json", files(&store)[0].file_name().unwrap().to_str().unwrap()])
        .rows()[0];
    assert!(store.join(row["blob_path"].as_str().unwrap()).is_file());
}

#[test]
fn health_is_the_probe_of_a_running_archive() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let (serving, address) = workplace.serve();
    let probe = |address: &str| workplace.run(&["health", "--url", &format!("http://{address}")]);
    assert_eq!(probe(&address), Output { code: Some(0), stdout: String::new(), stderr: String::new() });
    let own = Workplace::bare().with("LARKIVE_LISTEN", &address);
    assert_eq!(own.run(&["health"]).code, Some(0), "without --url the configured address counts");
    serving.stop().ended(0);
    let dead = probe(&address).ended(1);
    assert!(dead.stdout.is_empty() && dead.stderr.contains(PROBE), "{}", dead.stderr);
}

#[test]
fn reading_an_archive_that_is_not_there_creates_nothing() {
    let workplace = Workplace::bare();
    for words in [&["list"][..], &["stats"], &["show", "om_1"]] {
        workplace.run(words).refused("there is no catalogue at");
    }
    assert_eq!(workplace.contents(), Vec::<String>::new());
}

#[test]
fn wrong_usage_ends_with_two_and_help_with_none() {
    let workplace = Workplace::bare();
    for words in [
        &[][..],
        &["backfill"],
        &["serve", "--fast"],
        &["list", "--limit", "0"],
        &["list", "--limit", "201"],
        &["trigger"],
        &["trigger", "nonsense"],
        &["trigger", "image", "--count", "0"],
        &["fetch", "resource", "--message", "om_1", "--key", "k", "--type", "audio"],
        &["fetch", "resource", "--message", "om_1", "--key", "k"],
        &["demo", "--listen", "nowhere"],
        &["extract"],
        &["extract", "no-such-file.json"],
        &["sandbox", "--fixtures", "no-such-directory"],
        &["stats", "--format", "xml"],
    ] {
        let refused = workplace.run(words).ended(2);
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty(), "{words:?}: {refused:?}");
    }
    for command in COMMANDS {
        let help = workplace.run(&[command, "--help"]).ended(0);
        assert!(help.stderr.is_empty() && help.stdout.contains("Usage: larkive"), "{command}");
        let taught = help.stdout.contains("Example") || help.stdout.contains("Commands:");
        assert!(taught, "{command} --help has no example");
    }
    assert!(workplace.run(&["--version"]).ended(0).stdout.starts_with("larkive "));
    assert_eq!(workplace.contents(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_asked_in_every_format() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    let (serving, address) = workplace.serve();
    for kind in ["post", "sticker", "image"] {
        trigger(&workplace, &address, &[kind]).ended(0);
    }
    until_in_state(&workplace, "stored", 6);
    until_in_state(&workplace, "impossible", 1);

    let rows = workplace.run(&["list"]).ended(0).rows();
    let array: Vec<Value> = serde_json::from_str(&workplace.run(&["list", "--format", "json"]).stdout).unwrap();
    assert_eq!((rows.len(), &rows), (7, &array));
    let csv = workplace.run(&["list", "--format", "csv"]).stdout;
    assert!(
        csv.starts_with("id,app_id,tenant_key,source,message_id,download_message_id,") && csv.lines().count() == 8,
        "{csv}"
    );
    assert_eq!(workplace.run(&["list", "--format", "table"]).stdout.lines().count(), 8);
    assert_eq!(workplace.run(&["list", "--limit", "2"]).rows().len(), 2);
    assert_eq!(workplace.run(&["list", "--role", "sticker", "--state", "impossible"]).rows().len(), 1);
    assert!(workplace.run(&["list", "--state", "lost"]).ended(2).stdout.is_empty());

    let video = rows.iter().find(|row| row["role"] == "video").unwrap();
    let text = |member: &str| video[member].as_str().unwrap();
    let shown = &workplace.run(&["show", text("id")]).ended(0).rows()[0];
    assert_eq!((&shown["sha256"], &shown["tries"][0]["result"]), (&video["sha256"], &json!("stored")));
    assert!(workplace.path("data/blobs").join(shown["blob_path"].as_str().unwrap()).is_file());
    assert_eq!(workplace.run(&["show", text("sha256")]).ended(0).rows()[0]["id"], video["id"]);
    let message: Vec<Value> =
        serde_json::from_str(&workplace.run(&["show", text("message_id"), "--format", "json"]).ended(0).stdout)
            .unwrap();
    assert_eq!(message.len(), 5);
    assert_eq!(workplace.run(&["show", "om_nobody"]).ended(1).stdout, "");
    serving.stop().ended(0);
    assert_eq!(workplace.run(&["list"]).rows().len(), 7, "it can be asked when nobody serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_moves_what_failed_and_serve_notices() {
    let platform = platform().await;
    let refusal =
        json!({"route": "resource", "times": 3, "do": {"answer": {"status": 400, "code": 234_038, "msg": "no"}}});
    platform.fault(rule(refusal));
    let workplace = Workplace::configured(&platform.base_url());
    let (serving, address) = workplace.serve();
    trigger(&workplace, &address, &["image", "--count", "3"]).ended(0);
    until_in_state(&workplace, "blocked", 3);
    let queued = |words: &[&str]| workplace.run(&[&["retry"], words].concat()).ended(0).rows()[0]["queued"].clone();
    assert_eq!(queued(&["--state", "blocked", "--dry-run"]), 3);
    let id = workplace.run(&["list", "--limit", "1"]).rows()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(queued(&[&id]), 1);
    until_in_state(&workplace, "stored", 1);
    assert_eq!(queued(&["--all"]), 2);
    until_in_state(&workplace, "stored", 3);
    assert_eq!(queued(&["--all"]), 0);
    workplace.run(&["retry"]).refused("say what to try again");
    workplace.run(&["retry", "om_nobody"]).refused("nothing was moved");
    serving.stop().ended(0);
}

/// The words that fetch a sample.
fn fetch_words(key: &str) -> Vec<&str> {
    let kind = if key.starts_with("img") { ResourceType::Image } else { ResourceType::File };
    vec!["fetch", "resource", "--message", "om_by_hand", "--key", key, "--type", kind.as_str()]
}

/// Fetches a sample twice, the second time without asking the platform again, then with force.
fn fetch_all_ways(workplace: &Workplace, platform: &Sandbox, key: &str) {
    let fetched = workplace.run(&fetch_words(key)).ended(0);
    fetched.keeps_secrets();
    assert_eq!(fetched.rows()[0]["sha256"], digest_of(key).unwrap().to_string());
    assert_eq!(workplace.run(&fetch_words(key)).ended(0).rows(), fetched.rows());
    assert_eq!(platform.requests_for(key), 1, "what is stored is not asked for again");
    let forced = workplace.run(&[fetch_words(key), vec!["--force"]].concat()).ended(0);
    assert_eq!((&forced.rows()[0]["state"], platform.requests_for(key)), (&json!("stored"), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_archives_one_thing_alone_and_beside_serve() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    fetch_all_ways(&workplace, &platform, &Media::Png.key(1));
    let (serving, _) = workplace.serve();
    fetch_all_ways(&workplace, &platform, &Media::Pdf.key(2));
    serving.stop().ended(0);
    assert_eq!(files(&workplace.path("data/blobs/sha256")).len(), 2);
    assert_eq!(fs::read_dir(workplace.path("data/spool")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_fetch_that_fails_costs_nothing_that_is_there() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    let key = Media::Png.key(1);
    let stored = &workplace.run(&fetch_words(&key)).ended(0).rows()[0];
    let force = || workplace.run(&[fetch_words(&key), vec!["--force", "--timeout", "2s"]].concat());
    let deleted = json!({"answer": {"status": 400, "code": 230_110, "msg": "deleted"}});
    for (fault, said) in [(deleted, "230110"), (json!("hang"), "time was up")] {
        platform.clear_faults();
        platform.fault(rule(json!({"key": key, "do": fault})));
        let told = force().ended(0).stderr;
        let told = told.lines().filter(|line| line.contains("could not be fetched anew")).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].contains(said), "{told:?}");
        let kept = &workplace.run(&["show", stored["id"].as_str().unwrap()]).ended(0).rows()[0];
        for member in ["state", "sha256", "stored_at", "reason_code"] {
            assert_eq!(kept[member], stored[member], "{member} after {fault}");
        }
        let tries: Vec<_> = kept["tries"].as_array().unwrap().iter().map(|again| &again["reason_code"]).collect();
        assert_eq!(tries, [&Value::Null, &json!("message_deleted")], "what was broken off is no try");
    }
    assert_eq!(files(&workplace.path("data/blobs/sha256")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_says_why_there_is_nothing() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    let unknown = workplace.run(&fetch_words("img_unknown")).ended(1);
    assert_eq!(unknown.rows()[0]["reason_code"], "not_in_message");
    assert!(unknown.stderr.lines().last().unwrap().contains("impossible"), "{}", unknown.stderr);
    let unusable = workplace.run(&fetch_words("../x")).ended(1);
    assert_eq!(unusable.rows()[0]["reason_code"], "key_unusable");
    platform.fault(rule(json!({"key": Media::Png.key(1), "do": "hang"})));
    let key = Media::Png.key(1);
    let late = workplace.run(&[fetch_words(&key), vec!["--timeout", "1s"]].concat()).ended(1);
    assert_eq!((&late.rows()[0]["state"], &late.rows()[0]["attempts"]), (&json!("pending"), &json!(0)));
    platform.clear_faults();
    assert_eq!(workplace.run(&fetch_words(&key)).ended(0).rows()[0]["attempts"], 1);
    Workplace::bare().run(&fetch_words(&key)).ended(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once_and_nothing_is_lost() {
    let platform = platform().await;
    platform.fault(rule(json!({"route": "resource", "do": "hang"})));
    let workplace = Workplace::configured(&platform.base_url());
    let (serving, address) = workplace.serve();
    trigger(&workplace, &address, &["image", "--count", "5"]).ended(0);
    until_called(&platform, Route::Resource, 5).await;
    serving.terminate();
    serving.log_line("stopping; a second signal stops at once");
    let begun = std::time::Instant::now();
    assert_eq!(serving.stop().code, Some(1));
    assert!(begun.elapsed().as_secs() < 8, "{:?}", begun.elapsed());

    platform.clear_faults();
    let (serving, _) = workplace.serve();
    until_in_state(&workplace, "stored", 5);
    serving.stop().ended(0);
}

#[test]
fn extract_prints_what_a_body_names() {
    let workplace = Workplace::bare();
    let fixture = |name: &str| format!("{}/tests/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let from_file = workplace.run(&["extract", &fixture("file_event")]).ended(0);
    assert_eq!(from_file.rows()[0]["role"], "file");
    let body = fs::read_to_string(fixture("file_event")).unwrap();
    assert_eq!(workplace.run_with_input(&["extract", "-"], &body).ended(0), from_file);
    let text = json!({"message_id": "om_1", "message_type": "text", "content": "{\"text\":\"no\"}"}).to_string();
    assert_eq!(workplace.run_with_input(&["extract", "-"], &text).ended(0).stdout, "");
    workplace.run_with_input(&["extract", "-"], "{}").refused("no event, message or listing");
    workplace.run_with_input(&["extract", "-"], "hello").refused("not JSON");
    assert_eq!(workplace.contents(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn trigger_tells_how_its_events_were_answered() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    let (serving, address) = workplace.serve();
    for (kind, status, code) in [
        ("url_verification", 200, 0),
        ("v1", 200, 0),
        ("unsigned", 401, 1),
        ("bad_signature", 401, 1),
        ("tampered", 401, 1),
    ] {
        let sent = trigger(&workplace, &address, &[kind]).ended(code);
        assert_eq!((&sent.rows()[0]["kind"], &sent.rows()[0]["status"]), (&json!(kind), &json!(status)));
    }
    let (first, ended) = workplace.run_for_one_line(&[
        "trigger",
        "text",
        "--count",
        "2000",
        "--url",
        &format!("http://{address}/webhook/event"),
    ]);
    assert!(first.contains("\"kind\":\"text\""), "{first}");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "a closed pipe is no failure");
    serving.stop().ended(0);
    trigger(&workplace, &address, &["image"]).refused("cannot connect");
    let real = Workplace::configured("https://open.feishu.cn").with("LARKIVE_CALL_BUDGET", "50/s 1000/min");
    trigger(&real, &address, &["image"]).refused("--into-production");
    let kinds = Workplace::bare().run(&["trigger", "--list"]).ended(0);
    assert!(kinds.stdout.lines().any(|line| line.starts_with("image ")), "{}", kinds.stdout);
}

#[test]
fn a_closed_pipe_is_no_failure_for_any_command() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    for words in
        [&["config", "check"][..], &["trigger", "--list"], &["demo", "--once", "--listen", "127.0.0.1:0"], &["--help"]]
    {
        let (_, ended) = workplace.run_for_one_line(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{words:?}: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_files_and_go_nowhere() {
    let platform = platform().await;
    let mut workplace = Workplace::configured(&platform.base_url()).with("RUST_LOG", "trace");
    for (name, file, secret) in [
        ("FEISHU_APP_SECRET", "FEISHU_APP_SECRET_FILE", SECRETS[0]),
        ("FEISHU_VERIFICATION_TOKEN", "FEISHU_VERIFICATION_TOKEN_FILE", SECRETS[1]),
        ("FEISHU_ENCRYPT_KEY", "FEISHU_ENCRYPT_KEY_FILE", SECRETS[2]),
        ("LARKIVE_ADMIN_TOKEN", "LARKIVE_ADMIN_TOKEN_FILE", SECRETS[3]),
    ] {
        fs::write(workplace.path(file), format!("{secret}\n")).unwrap();
        workplace = workplace.with(name, "").with(file, file);
    }
    let (serving, address) = workplace.serve();
    trigger(&workplace, &address, &["image"]).ended(0).keeps_secrets();
    trigger(&workplace, &address, &["tampered"]).ended(1).keeps_secrets();
    until_in_state(&workplace, "stored", 1);
    let get =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: larkive\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n");
    let ask = async |path: &str| exchange(address.parse().unwrap(), get(path).as_bytes()).await;
    assert_eq!(ask("/api/v1/stats").await.status, 200);
    let metrics = String::from_utf8(ask("/metrics").await.body).unwrap();
    let served = serving.stop().ended(0);
    served.keeps_secrets();
    let token = platform.journal().into_iter().find_map(|entry| entry.token).unwrap();
    for text in [&served.stderr, &metrics] {
        assert!(!text.contains(&token), "a tenant access token was told");
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_app_that_is_not_configured_any_more_is_said_and_ages_no_queue() {
    let platform = platform().await;
    let workplace = Workplace::configured(&platform.base_url());
    platform.fault(rule(json!({"route": "resource", "do": {"page": {"status": 502}}})));
    let (serving, address) = workplace.serve();
    let url = format!("http://{address}/webhook/event");
    workplace.run(&["trigger", "image", "--url", &url]).ended(0);
    until_called(&platform, Route::Resource, 1).await;
    serving.stop().ended(0);

    let workplace = workplace.with("FEISHU_APP_ID", "cli_successor");
    let (serving, address) = workplace.serve();
    let warning = "App cli_program is not configured, but 1 of its resources wait: configure it again and restart";
    assert_eq!(serving.log_line(warning)["level"], "WARN");
    let question = "GET /metrics HTTP/1.1\r\nHost: larkive\r\nConnection: close\r\n\r\n";
    let metrics = exchange(address.parse().unwrap(), question.as_bytes()).await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("larkive_queue_oldest_age_seconds 0.0\n"), "{metrics}");
    assert!(metrics.contains("larkive_resources{state=\"pending\"} 1\n"), "{metrics}");
    serving.stop().ended(0);
}
