//! Every source, by hand on the command line, by the API, and from events of helpdesk tickets.

use std::process::Command;

use larkive::domain::download::State;
use larkive::sandbox::event::{self, App as SampleApp};
use larkive::sandbox::samples::{Media, Origin, digest_of};
use larkive::sandbox::ticket::{Images, TICKET_CHAT, TicketEvent};
use larkive::sandbox::{Route, Sandbox, SandboxOptions, dictionary};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ADMIN_TOKEN, TestApp, spawn_app};

/// A ticket message of the stand-in that is an image, and a post with two.
const TICKET: &str = "6500000000000000001";
const IMAGE: &str = "6900000000000000010";
const POST: &str = "6900000000000000012";

/// The real program with a data directory of its own, and the platform that it asks.
struct Cli {
    platform: Sandbox,
    directory: TempDir,
}

/// What one run of it left behind.
struct Ran {
    exit: i32,
    lines: Vec<Value>,
    stderr: String,
}

impl Cli {
    async fn new() -> Self {
        let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
        Self { platform, directory: tempfile::tempdir().unwrap() }
    }

    async fn run(&self, words: &str) -> Ran {
        self.run_with(words, &[("FEISHU_HELPDESK_ID", "12345"), ("FEISHU_HELPDESK_TOKEN", "ht-sometoken")]).await
    }

    async fn run_with(&self, words: &str, settings: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larkive"));
        command.args(words.split(' ')).current_dir(self.directory.path()).env_clear();
        command.env("FEISHU_APP_ID", "cli_1").env("FEISHU_APP_SECRET", "secret").env("RUST_LOG", "error");
        command.env("FEISHU_BASE_URL", self.platform.base_url()).env("LARKIVE_MIN_FREE_BYTES", "0");
        command.envs(settings.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Ran {
            exit: output.status.code().unwrap(),
            lines: stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

/// One thing of each source: its words on the command line, its body for the API, its route.
fn one_of_each() -> Vec<(String, Value, Route)> {
    let sent = Media::Pdf.key(1);
    let (image, file) = (Media::Png.key_from(Origin::Uploaded, 1), Media::Zip.key_from(Origin::Uploaded, 1));
    let (baike, lingo) = (Media::Png.key_from(Origin::Dictionary, 8), Media::Png.key_from(Origin::Dictionary, 9));
    let keyed = |source: &str, key: &str| (format!("{source} --key {key}"), json!({"source": source, "key": key}));
    let with = |(words, body), route| (words, body, route);
    vec![
        (
            format!("resource --message om_1 --key {sent} --type file"),
            json!({"source": "resource", "message": "om_1", "key": sent, "type": "file"}),
            Route::Resource,
        ),
        with(keyed("image", &image), Route::Image),
        with(keyed("file", &file), Route::File),
        with(keyed("baike", &baike), Route::Baike),
        with(keyed("lingo", &lingo), Route::Lingo),
        (
            format!("ticket-image --ticket {TICKET} --msg {IMAGE}"),
            json!({"source": "ticket-image", "ticket": TICKET, "msg": IMAGE}),
            Route::TicketImage,
        ),
        (
            format!("ticket-image --ticket {TICKET} --msg {POST} --index 1"),
            json!({"source": "ticket_image", "ticket": TICKET, "msg": POST, "index": 1}),
            Route::TicketImage,
        ),
    ]
}

/// What was served last has to be what is kept now.
fn assert_kept(platform: &Sandbox, route: Route, resource: &Value) {
    let served = platform.journal().into_iter().rfind(|entry| entry.route == route).unwrap();
    assert_eq!(resource["state"], "stored", "{resource}");
    assert_eq!(resource["sha256"].as_str(), served.sha256.map(|digest| digest.to_string()).as_deref());
    assert_eq!(resource["key"].as_str(), served.key.as_deref());
    if let Some(expected) = digest_of(resource["key"].as_str().unwrap()) {
        assert_eq!(resource["sha256"], expected.to_string());
    }
}

#[tokio::test]
async fn each_source_is_fetched_on_the_command_line_and_asked_only_once() {
    let cli = Cli::new().await;
    for (words, _, route) in one_of_each() {
        let before = cli.platform.requests_of(route);
        let asked = || cli.platform.requests_of(route) - before;
        let first = cli.run(&format!("fetch {words}")).await;
        assert_eq!((first.exit, first.lines.len(), asked()), (0, 1, 1), "{words}: {}", first.stderr);
        assert_kept(&cli.platform, route, &first.lines[0]);
        let again = cli.run(&format!("fetch {words}")).await;
        assert_eq!((again.exit, &again.lines, asked()), (0, &first.lines, 1), "{words}");
        let forced = cli.run(&format!("fetch {words} --force")).await;
        assert_eq!((forced.exit, &forced.lines[0]["id"], asked()), (0, &first.lines[0]["id"], 2), "{words}");
    }
}

impl TestApp {
    pub async fn post_fetch(&self, body: &Value) -> (u16, Value) {
        self.post_bytes(&body.to_string()).await
    }

    async fn post_bytes(&self, body: &str) -> (u16, Value) {
        let url = format!("http://{}/api/v1/fetch", self.address);
        let request = self.http.post(url).bearer_auth(ADMIN_TOKEN).body(body.to_owned());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    pub async fn shown(&self, resource: &Value) -> Value {
        let path = format!("/api/v1/resources/{}", resource["id"].as_str().unwrap());
        serde_json::from_str(&self.api(&path).await.text().await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn each_source_is_fetched_by_the_api_and_asked_only_once() {
    let app = spawn_app().await;
    for (_, mut body, route) in one_of_each() {
        let before = app.platform.requests_of(route);
        let asked = || app.platform.requests_of(route) - before;
        let (status, ordered) = app.post_fetch(&body).await;
        assert_eq!(status, 202, "{body}: {ordered}");
        app.drain().await;
        assert_kept(&app.platform, route, &app.shown(&ordered).await);
        let (status, again) = app.post_fetch(&body).await;
        app.drain().await;
        assert_eq!((status, &again["id"], again["state"].as_str(), asked()), (202, &ordered["id"], Some("stored"), 1));
        body["force"] = true.into();
        assert_eq!(app.post_fetch(&body).await.0, 202);
        app.drain().await;
        assert_eq!((asked(), app.shown(&ordered).await["state"].as_str()), (2, Some("stored")), "{body}");
    }
}

#[tokio::test]
async fn a_refused_refetch_leaves_the_bytes_that_are_there() {
    let app = spawn_app().await;
    let key = Media::Png.key_from(Origin::Uploaded, 3);
    app.post_fetch(&json!({"source": "image", "key": key})).await;
    app.drain().await;
    app.fault(json!({"route": "image", "do": {"answer": {"status": 400, "code": 234005, "msg": "deleted"}}}));
    app.post_fetch(&json!({"source": "image", "key": key, "force": true})).await;
    app.drain().await;
    let results: Vec<_> = app.assert_stored(&key).await.tries.into_iter().map(|again| again.result).collect();
    assert_eq!((app.platform.requests_for(&key), results.len()), (2, 2), "{results:?}");
}

#[tokio::test]
async fn of_many_tries_the_last_fifty_are_kept_however_they_ended() {
    let app = spawn_app().await;
    let key = Media::Png.key_from(Origin::Uploaded, 3);
    for _ in 0..53 {
        app.post_fetch(&json!({"source": "image", "key": key, "force": true})).await;
        app.drain().await;
    }
    let shown = app.assert_stored(&key).await;
    assert_eq!((app.platform.requests_for(&key), shown.resource.attempts, shown.tries.len()), (53, 53, 50));
}

/// HTTP status and code of an answer; state, reason and number of requests that it leads to.
type Row = (u16, i64, &'static str, &'static str, usize);

#[tokio::test]
async fn each_source_has_its_own_table_of_errors() {
    let app = spawn_app().await;
    let keyed = |source, key: &str| json!({"source": source, "key": key});
    let in_ticket = |_, key: &str| json!({"source": "ticket_image", "ticket": TICKET, "msg": key});
    let cases: &[(&str, &[Row])] = &[
        (
            "image",
            &[
                (400, 234001, "impossible", "bad_request", 1),
                (401, 234002, "blocked", "unauthorized", 2),
                (400, 234005, "gone", "image_deleted", 1),
                (400, 234007, "blocked", "bot_disabled", 1),
                (400, 234008, "impossible", "not_owner", 1),
                (400, 234041, "blocked", "tenant_key_deleted", 1),
                (400, 234042, "pending", "tenant_storage_error", 1),
            ],
        ),
        (
            "file",
            &[
                (400, 234001, "impossible", "bad_request", 1),
                (401, 234002, "blocked", "unauthorized", 2),
                (400, 234005, "gone", "image_deleted", 1),
                (400, 234008, "impossible", "not_owner", 1),
                (400, 234041, "blocked", "tenant_key_deleted", 1),
                (400, 234042, "pending", "tenant_storage_error", 1),
            ],
        ),
        ("baike", &[(400, 1540001, "impossible", "bad_request", 1), (500, 1540002, "pending", "upstream_error", 1)]),
        ("lingo", &[(400, 2250001, "impossible", "bad_request", 1), (500, 2250002, "pending", "upstream_error", 1)]),
        (
            "ticket_image",
            &[
                (400, 154000, "impossible", "bad_request", 1),
                (401, 154001, "blocked", "helpdesk_denied", 1),
                (403, 154003, "blocked", "helpdesk_denied", 1),
                (404, 154004, "impossible", "ticket_mismatch", 1),
                (401, 154404, "gone", "image_deleted", 1),
                (500, 155000, "pending", "upstream_error", 1),
            ],
        ),
    ];
    let mut number = 0;
    for (source, codes) in cases {
        for (status, code, state, reason, requests) in *codes {
            number += 1;
            let key = format!("key{number}");
            let body = if *source == "ticket_image" { in_ticket(*source, &key) } else { keyed(*source, &key) };
            let asked_as = if *source == "ticket_image" { format!("{TICKET}/{key}/0") } else { key };
            let answer = json!({"answer": {"status": status, "code": code, "msg": "no"}});
            app.fault(json!({"route": source, "key": asked_as, "do": answer}));
            let (_, ordered) = app.post_fetch(&body).await;
            app.drain().await;
            let ended = app.shown(&ordered).await;
            let what = (ended["state"].as_str(), ended["reason_code"].as_str());
            assert_eq!(what, (Some(*state), Some(*reason)), "{source} {code}");
            assert_eq!(ended["upstream"]["code"], *code, "{source} {code}");
            assert_eq!(app.platform.requests_for(&asked_as), *requests, "{source} {code}");
        }
    }
    assert_eq!(app.platform.requests_of(Route::Token), 3, "one, and one more for each 234002");
}

#[tokio::test]
async fn a_key_that_a_message_carries_is_fetched_from_that_message() {
    let app = spawn_app().await;
    let (image, file) = (Media::Png.key(5), Media::Zip.key(5));
    app.deliver(&event::image("om_1", &image)).await;
    app.deliver(&event::file("om_2", &file, "a.zip")).await;
    app.drain().await;
    for (source, key, message_id) in [("image", &image, "om_1"), ("file", &file, "om_2")] {
        let (status, found) = app.post_fetch(&json!({"source": source, "key": key})).await;
        assert_eq!(
            (status, found["source"].as_str(), found["message_id"].as_str()),
            (202, Some("message"), Some(message_id))
        );
        let forced = json!({"source": source, "key": key, "force": true});
        assert_eq!(app.post_fetch(&forced).await.1["id"], found["id"]);
        app.drain().await;
        assert_eq!(app.platform.requests_for(key), 2);
    }
    assert_eq!((app.platform.requests_of(Route::Image), app.platform.requests_of(Route::File)), (0, 0));
}

#[tokio::test]
async fn a_users_key_asked_for_as_the_apps_own_ends_after_one_request_and_says_what_to_do() {
    let cli = Cli::new().await;
    let key = Media::Png.key(6);
    let ran = cli.run(&format!("fetch image --key {key}")).await;
    assert_eq!((ran.exit, ran.lines[0]["state"].as_str()), (1, Some("impossible")));
    assert_eq!(ran.lines[0]["reason_code"], "not_owner");
    assert!(ran.lines[0]["remedy"]["en"].as_str().unwrap().contains("`resource`"));
    assert!(ran.stderr.contains("`resource`"), "{}", ran.stderr);
    cli.run(&format!("fetch image --key {key}")).await;
    assert_eq!(cli.platform.requests_for(&key), 1);
}

#[tokio::test]
async fn a_post_is_fetched_to_its_end_which_is_no_error() {
    let cli = Cli::new().await;
    let words = format!("fetch ticket-image --ticket {TICKET} --msg {POST} --all");
    let first = cli.run(&words).await;
    let keys: Vec<_> = first.lines.iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        (first.exit, keys),
        (0, vec![format!("{TICKET}/{POST}/0"), format!("{TICKET}/{POST}/1")]),
        "{}",
        first.stderr
    );
    assert_eq!(cli.platform.requests_of(Route::TicketImage), 3);
    let listed = cli.run("list").await;
    assert_eq!(listed.lines.len(), 2, "what lies behind the end is no resource");
    let again = cli.run(&words).await;
    assert_eq!((again.exit, again.lines.len(), cli.platform.requests_of(Route::TicketImage)), (0, 2, 3));
    let wrong = cli.run("fetch ticket-image --ticket 1 --msg 2 --all").await;
    assert_eq!((wrong.exit, wrong.lines.len()), (1, 1));
    assert_eq!(wrong.lines[0]["reason_code"], "ticket_mismatch");
    assert_eq!(cli.platform.requests_of(Route::TicketImage), 4);
}

#[tokio::test]
async fn the_dictionary_is_walked_and_each_image_fetched_once() {
    let cli = Cli::new().await;
    cli.platform.fault(
        serde_json::from_value(json!({"route": "lingo_entities", "times": 1, "do": {"page": {"status": 502}}}))
            .unwrap(),
    );
    let ran = cli.run("fetch lingo --all").await;
    let keys: Vec<&str> = ran.lines.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!((ran.exit, keys), (0, dictionary::tokens().iter().map(String::as_str).collect()), "{}", ran.stderr);
    cli.run("fetch lingo --all").await;
    assert_eq!(cli.platform.requests_of(Route::Lingo), 4);

    let refused = json!({"route": "lingo_entities", "do": {"answer": {"status": 400, "code": 99991672, "msg": "Access denied."}}});
    cli.platform.fault(serde_json::from_value(refused).unwrap());
    let ran = cli.run("fetch lingo --all").await;
    assert_eq!((ran.exit, ran.lines.len()), (2, 0));
    assert!(ran.stderr.contains("99991672") && ran.stderr.contains("scope"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_list_is_fetched_in_its_order_and_one_failure_shows_in_the_exit_code() {
    let cli = Cli::new().await;
    let (first, last) = (Media::Png.key_from(Origin::Dictionary, 20), Media::Png.key_from(Origin::Dictionary, 21));
    std::fs::write(cli.file("tokens"), format!("{first}\r\n\n  {last}\n{first}\nboxbc_unheard_of\n")).unwrap();
    let ran = cli.run("fetch baike --list tokens").await;
    let states: Vec<_> = ran.lines.iter().map(|line| (line["key"].as_str(), line["state"].as_str())).collect();
    let expected = [
        (Some(first.as_str()), Some("stored")),
        (Some(last.as_str()), Some("stored")),
        (Some("boxbc_unheard_of"), Some("impossible")),
    ];
    assert_eq!((ran.exit, states.as_slice()), (1, expected.as_slice()));
    assert_eq!(cli.platform.requests_of(Route::Baike), 3);
    assert_eq!(cli.run("fetch baike --list nowhere").await.exit, 2);
    assert_eq!(cli.run("fetch baike").await.exit, 2);
    assert_eq!(cli.run("fetch ticket-image --ticket 1 --msg 2 --all --index 1").await.exit, 2);
}

#[tokio::test]
async fn the_helpdesk_is_asked_for_its_events() {
    let cli = Cli::new().await;
    let ran = cli.run("helpdesk subscribe").await;
    assert_eq!((ran.exit, &ran.lines[0]["subscribed"]), (0, &Value::Bool(true)), "{}", ran.stderr);
    let refused =
        json!({"route": "helpdesk_subscribe", "do": {"answer": {"status": 403, "code": 154003, "msg": "no access"}}});
    cli.platform.fault(serde_json::from_value(refused).unwrap());
    let ran = cli.run("helpdesk subscribe").await;
    assert_eq!((ran.exit, ran.lines[0]["reason_code"].as_str()), (1, Some("helpdesk_denied")));
    assert_eq!(ran.lines[0]["upstream"]["code"], 154003);
    assert!(ran.lines[0]["remedy"]["zh"].is_string());
    let ran = cli.run_with("helpdesk subscribe", &[]).await;
    assert!(ran.exit == 2 && ran.stderr.contains("FEISHU_HELPDESK_ID"), "{}", ran.stderr);
    assert_eq!(cli.platform.requests_of(Route::HelpdeskSubscribe), 2);
    let ran = cli.run_with(&format!("fetch ticket-image --ticket {TICKET} --msg {IMAGE}"), &[]).await;
    assert_eq!((ran.exit, ran.lines[0]["reason_code"].as_str()), (1, Some("helpdesk_denied")));
    assert_eq!(cli.platform.requests_of(Route::TicketImage), 0);
    let ran = cli.run(&format!("fetch ticket-image --ticket {TICKET} --msg {IMAGE} --format json")).await;
    assert_eq!((ran.exit, ran.lines[0]["state"].as_str()), (0, Some("stored")), "once it is configured");
}

#[tokio::test]
async fn two_platforms_are_two_addresses_and_nothing_else() {
    let (feishu, lark) = (Cli::new().await, Sandbox::start(SandboxOptions::default()).await.unwrap());
    let (here, there) = (Media::Png.key_from(Origin::Uploaded, 1), Media::Png.key_from(Origin::Uploaded, 2));
    assert_eq!(feishu.run(&format!("fetch image --key {here}")).await.exit, 0);
    let other = [("FEISHU_APP_ID", "cli_2"), ("FEISHU_BASE_URL", &*lark.base_url())];
    assert_eq!(feishu.run_with(&format!("fetch image --key {there}"), &other).await.exit, 0);
    let keys = |platform: &Sandbox| platform.journal().into_iter().filter_map(|entry| entry.key).collect::<Vec<_>>();
    assert_eq!((keys(&feishu.platform), keys(&lark)), (vec![here], vec![there]));
}

fn sample_app(app: &TestApp) -> &SampleApp {
    app.sender.app()
}

#[tokio::test]
async fn images_in_tickets_arrive_by_events() {
    let app = spawn_app().await;
    let (image, post) = (TicketEvent::sample(Images::One, 1), TicketEvent::sample(Images::Post, 2));
    for _ in 0..2 {
        for ticket in [&image, &post] {
            assert_eq!(app.deliver_payload(&ticket.payload(sample_app(&app), app.clock.now())).await.status, 200);
        }
        app.drain().await;
    }
    assert_eq!(app.resources().await.len(), 4);
    for (ticket, index) in
        image.images().into_iter().zip([None]).chain(post.images().into_iter().zip([Some(0), Some(1), Some(2)]))
    {
        let resource = app.resource(&ticket.key()).await.resource;
        assert_eq!(resource.state, State::Stored, "{:?}", resource.upstream);
        let told_by = if index.is_none() { &image } else { &post };
        assert_eq!(resource.message_id.unwrap().as_str(), told_by.message_id);
        assert_eq!((resource.kind, resource.chat_id.unwrap().as_str()), (None, TICKET_CHAT));
        assert!(resource.tenant_key.is_some() && resource.sender.open_id.is_some() && resource.sent_at.is_some());
        let asked = app.platform.journal().into_iter().find(|entry| entry.key == Some(ticket.key())).unwrap();
        let query = format!("ticket_id={}&msg_id={}", ticket.ticket_id, ticket.msg_id);
        let index = index.map_or_else(String::new, |index: u32| format!("&index={index}"));
        assert_eq!(asked.query, Some(query + &index), "the position goes with posts only");
    }
    assert_eq!(app.platform.requests_of(Route::TicketImage), 4);
}

#[tokio::test]
async fn a_message_that_a_ticket_told_first_still_brings_what_its_own_event_tells() {
    let app = spawn_app().await;
    let ticket = TicketEvent::sample(Images::One, 3);
    app.deliver_payload(&ticket.payload(sample_app(&app), app.clock.now())).await;
    app.drain().await;
    let key = Media::Png.key(9);
    app.deliver(&event::image(&ticket.message_id, &key)).await;
    app.drain().await;
    app.assert_stored(&key).await;
    let of_ticket = app.resource(&ticket.images()[0].key()).await.resource;
    assert_eq!(of_ticket.chat_id.unwrap().as_str(), event::GROUP_CHAT);
    let chats: Value = serde_json::from_str(&app.api("/api/v1/chats").await.text().await.unwrap()).unwrap();
    let counts: Vec<_> = chats["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| (&chat["chat_id"], &chat["messages"], &chat["resources"]))
        .collect();
    assert!(counts.contains(&(&json!(event::GROUP_CHAT), &json!(1), &json!(2))), "{counts:?}");
}

#[tokio::test]
async fn a_ticket_does_not_move_what_its_messages_own_event_has_placed() {
    let app = spawn_app().await;
    let ticket = TicketEvent::sample(Images::One, 3);
    app.deliver(&event::image(&ticket.message_id, &Media::Png.key(9))).await;
    app.deliver_payload(&ticket.payload(sample_app(&app), app.clock.now())).await;
    let mut without_message = ticket.payload(sample_app(&app), app.clock.now());
    without_message["header"]["event_id"] = "another".into();
    without_message["event"]["message_id"] = json!(null);
    app.deliver_payload(&without_message).await;
    app.drain().await;
    let of_ticket = app.resource(&ticket.images()[0].key()).await.resource;
    assert_eq!(of_ticket.message_id.unwrap().as_str(), ticket.message_id);
    assert_eq!(of_ticket.chat_id.unwrap().as_str(), event::GROUP_CHAT);
}

#[tokio::test]
async fn a_ticket_event_that_cannot_be_read_is_kept_and_shown() {
    let app = spawn_app().await;
    let mut payload = TicketEvent::sample(Images::One, 4).payload(sample_app(&app), app.clock.now());
    payload["event"]["ticket"]["ticket_id"] = "../6500".into();
    assert_eq!(app.deliver_payload(&payload).await.status, 200);
    app.drain().await;
    let events: Value =
        serde_json::from_str(&app.api("/api/v1/events?result=unparsed").await.text().await.unwrap()).unwrap();
    assert_eq!(events["items"][0]["error"], "event.ticket.ticket_id cannot stand in a URL");
    assert!(app.resources().await.is_empty());
}

#[tokio::test]
async fn what_is_no_order_is_a_problem_with_a_code() {
    let app = spawn_app().await;
    for (body, code) in [
        ("", "bad_body"),
        ("[1]", "bad_body"),
        (r#"{"source":"image","key":"k","keys":1}"#, "bad_body"),
        (r#"{"source":"image","key":7}"#, "bad_body"),
        (r#"{"key":"k"}"#, "missing_value"),
        (r#"{"source":"image"}"#, "missing_value"),
        (r#"{"source":"image","key":""}"#, "missing_value"),
        (r#"{"source":"sticker","key":"k"}"#, "bad_value"),
        (r#"{"source":"resource","message":"om_1","key":"k","type":"audio"}"#, "bad_value"),
        (r#"{"source":"resource","message":"om_1","key":"k"}"#, "missing_value"),
        (r#"{"source":"image","key":"k","message":"om_1"}"#, "bad_value"),
        (r#"{"source":"ticket-image","ticket":"1"}"#, "missing_value"),
        (r#"{"source":"ticket-image","ticket":"1","msg":"2","index":-1}"#, "bad_body"),
        (r#"{"source":"image","key":"k","app_id":"cli_other"}"#, "bad_value"),
    ] {
        let (status, problem) = app.post_bytes(body).await;
        assert_eq!((status, problem["code"].as_str()), (400, Some(code)), "{body}: {problem}");
    }
    let (status, problem) = app.post_bytes(&" ".repeat(20_000)).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("too_large")));
    let (status, unusable) = app.post_fetch(&json!({"source": "image", "key": "../auth"})).await;
    assert_eq!((status, unusable["reason_code"].as_str()), (202, Some("key_unusable")));
    app.drain().await;
    assert!(app.platform.journal().is_empty(), "nothing of this was worth a request");
    assert_eq!(app.resources().await.len(), 1);
}

#[tokio::test]
async fn what_was_asked_for_before_its_message_came_belongs_to_it_and_is_there_once() {
    let app = spawn_app().await;
    let keys = [Media::Png.key(1), Media::Png.key(2)];
    let body = |key: &String| json!({"source": "resource", "message": "om_later", "key": key, "type": "image"});
    let mut ordered = Vec::new();
    for key in &keys {
        ordered.push(app.post_fetch(&body(key)).await.1["id"].clone());
    }
    app.drain().await;
    // The message shows only the first of them.
    app.deliver(&event::image("om_later", &keys[0])).await;
    app.drain().await;
    let shown = app.resources().await;
    assert_eq!(shown.len(), 2, "{shown:?}");
    for (key, id) in keys.iter().zip(&ordered) {
        let resource = app.resource(key).await.resource;
        assert_eq!(json!(resource.id), *id);
        assert_eq!(resource.message_id.as_ref().map(ToString::to_string).as_deref(), Some("om_later"));
        assert!(resource.chat_id.is_some() && resource.message_type.as_deref() == Some("image"), "{resource:?}");
        assert_eq!(app.post_fetch(&body(key)).await.1["id"], *id, "asked for again");
        assert_eq!(app.platform.requests_for(key), 1);
    }
}
