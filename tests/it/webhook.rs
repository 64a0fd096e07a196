//! The webhook: what is believed, what is refused and how, and when the answer comes.

use std::time::{Duration, Instant};

use larkive::domain::secret::Secret;
use larkive::feishu::crypto::{self, EncryptKey};
use larkive::sandbox::event::{self, MessageEvent, TimeUnit};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::Sealing;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{
    APP_ID, ENCRYPT_KEY, Options, TestApp, VERIFICATION_TOKEN, spawn_app, spawn_app_with, until_called,
};
use crate::wire::{Answer, exchange, post};

const JSON: &str = "Content-Type: application/json; charset=utf-8";
const EVENT: &str = "/webhook/event";
/// The largest body that is read.
const MAX_BODY: usize = 1 << 20;
/// Less than the catalogue waits for a lock, and more than an answer takes on a busy machine.
const EVENT_WITHIN: Duration = Duration::from_millis(4500);
/// Less than a download that hangs is waited for.
const BEFORE_DOWNLOADS_END: Duration = Duration::from_secs(15);

/// "Configure the Encrypt Key": a challenge, key `mazhe.nerd`, from the platform's Node SDK.
const CHALLENGE_VECTOR: &str = "tT1xP+ovuc0T3b/rnZX3ax76exqAn0ANQ6/U45GcciC0mgNBc8JtvqOJGNAPMKpgRs2dVU1NYk9VDeqS8T4SYtU0hzNU54aS84WnxvZ3VFfDcy/RyABlNqlUiGyLDzFI0yxdCMT4KR/YEQXlt6nZi50KwRlZ+A75r645KesZuLMljezYyY8VeeXEVjPw35+e";
/// A challenge in the clothes of an event with a whole block of padding, key `1212121212`, from the
/// platform's Go SDK.
const HYBRID_VECTOR: &str = "bZ3L7yh6m3Fkuffl4g+3uGjIHnhOm5fVZbKVuyT8t7tcd5ABMYm8l28/X900ZL3knZ7n+sCREu/H2WnIzft0amC7+xWqNH8o25IU63N4BnZWfHh+4hyG76QPd19vkw2bPJCx9aqxK8Nz+xqFNbk0RdgyWhmgd30jSxHtcQXAllkI7FMpGpOCteJad3bLXPDBQIV/xkCtKICCS7Z63gakpxZCLaRZ3qCXP1fapHh+LBIupxenrU6ysc7I3nHmjmKie41IiWwS5puG4zQHhVbq6KWLcgWm/3NBZOPQy53ucMu75SXA55I7jarVLZXWUcqBGrcgE3vouWbtwgZuzmoTQl0GSh5VYSVvpW992BuGxUWj0XjPYdICJm6Cr7xouNXwMcdb7N8caVdkdSZeEnswG19qSyDoQhklwzNGW0yiaayulBqJNjfge/G5V3401c2XaIuAeEIo+QQ4RSNpRGfnHkbu/j55FGQAGWjpuBNaIwZbaUoVP3NkGP+vM5rpEDe3sL2GN+Xsd+g9yBs7FqdMV8mXTGgLjCqjrPrke5/km76Q3Pe6KPs2YexMRG4MkSx3xUTzZnNn7zIzShPcjeSwBd2pxk6ht5N+fzueZdxl6Oo=";

fn key() -> EncryptKey {
    EncryptKey::new(Secret::new(ENCRYPT_KEY))
}

/// A body as the platform makes it out of this plain text.
fn encrypted(plain: &[u8]) -> Vec<u8> {
    json!({ "encrypt": key().encrypt(plain, [7; 16]) }).to_string().into_bytes()
}

/// The request for a body, signed as the platform does it.
fn signed(body: &[u8]) -> Vec<u8> {
    let signature = crypto::signature("1767225600", "nonce", &key(), body);
    let headers = [
        JSON,
        "X-Lark-Request-Timestamp: 1767225600",
        "X-Lark-Request-Nonce: nonce",
        &format!("X-Lark-Signature: {signature}"),
        &format!("Content-Length: {}", body.len()),
    ];
    post(EVENT, &headers, body)
}

fn unsigned(body: &[u8]) -> Vec<u8> {
    post(EVENT, &[JSON, &format!("Content-Length: {}", body.len())], body)
}

fn event_payload(app_id: &str, token: &str) -> Value {
    json!({"schema": "2.0", "header": {"event_type": "x", "token": token, "app_id": app_id}, "event": {}})
}

async fn ask(app: &TestApp, request: &[u8]) -> Answer {
    exchange(app.address, request).await
}

/// What an archive without an Encrypt Key answers to a body.
async fn ask_plainly(app: &TestApp, body: &str) -> (u16, String) {
    let answer = ask(app, &unsigned(body.as_bytes())).await;
    (answer.status, String::from_utf8(answer.body).unwrap())
}

async fn plain_app() -> TestApp {
    spawn_app_with(Options { encrypt_key: None, ..Options::default() }).await
}

#[tokio::test]
async fn an_image_is_stored_under_its_digest() {
    let app = spawn_app().await;
    let key = Media::Png.key(7);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    let stored = app.assert_stored(&key).await;
    assert_eq!(stored.resource.mime.as_deref(), Some("image/png"));
    assert_eq!(stored.resource.attempts, 1);
}

#[tokio::test]
async fn whatever_does_not_authenticate_gets_the_same_bytes_and_leaves_nothing() {
    let app = spawn_app().await;
    let event = event_payload(APP_ID, VERIFICATION_TOKEN).to_string().into_bytes();
    let challenge = json!({"challenge": "c", "token": VERIFICATION_TOKEN, "type": "url_verification"}).to_string();
    let wrong_challenge = challenge.replace(VERIFICATION_TOKEN, "wrong");
    let good = encrypted(&event);
    let mut bad_padding = key().encrypt(&event, [7; 16]);
    bad_padding.replace_range(bad_padding.len() - 20..bad_padding.len() - 16, "AAAA");
    let bad_padding = json!({ "encrypt": bad_padding }).to_string().into_bytes();
    let forged = String::from_utf8(signed(&good)).unwrap().replace("Nonce: nonce", "Nonce: other").into_bytes();
    let unreadable_signature = [post(EVENT, &[JSON, "Content-Length: 2"], b""), b"{}".to_vec()].concat();
    let unreadable_signature =
        String::from_utf8(unreadable_signature).unwrap().replace("\r\n\r\n", "\r\nX-Lark-Signature: \u{e9}\r\n\r\n");
    let requests: [(&str, Vec<u8>); 19] = [
        ("an event without a signature", unsigned(&good)),
        ("bad padding without a signature", unsigned(&bad_padding)),
        ("bad padding with a signature", signed(&bad_padding)),
        ("a forged signature", forged),
        ("a signature that is no text", unreadable_signature.into_bytes()),
        ("a wrong token without a signature", unsigned(&encrypted(wrong_challenge.as_bytes()))),
        ("a wrong token with a signature", signed(&encrypted(wrong_challenge.as_bytes()))),
        ("an event with a wrong token", signed(&encrypted(event_payload(APP_ID, "wrong").to_string().as_bytes()))),
        ("an event without a token", signed(&encrypted(br#"{"header":{"app_id":"cli_test"},"event":{}}"#))),
        ("another app's event", signed(&encrypted(event_payload("cli_2", VERIFICATION_TOKEN).to_string().as_bytes()))),
        ("an array", signed(&encrypted(b"[]"))),
        ("no JSON", signed(&encrypted(b"hello world"))),
        ("no UTF-8", signed(&encrypted(b"{\"token\":\"\xff\"}"))),
        ("no base64", signed(br#"{"encrypt":"%%%"}"#)),
        ("half a block", signed(br#"{"encrypt":"AAAA"}"#)),
        ("a plain challenge", unsigned(challenge.as_bytes())),
        ("a plain event with a signature", signed(&event)),
        ("nothing", unsigned(b"")),
        ("garbage", unsigned(b"\x00\xff\xfe")),
    ];
    let expected = ask(&app, &requests[0].1).await;
    assert_eq!((expected.status, expected.body.as_slice()), (401, &br#"{"msg":"refused"}"#[..]));
    for (what, request) in &requests {
        let answer = ask(&app, request).await;
        assert_eq!(answer.without_date(), expected.without_date(), "{what}: {answer:?}");
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM events").await, 0);
    for cause in ["signature", "undecryptable", "malformed", "token", "app"] {
        let counted = app.metric(&format!("larkive_events_total{{result=\"{cause}\"}}")).await;
        assert!(counted.is_some_and(|count| count >= 1.0), "{cause} is counted {counted:?}");
    }
    assert_eq!(ask(&app, &signed(&good)).await.status, 200, "the same event with a signature is taken");
}

#[tokio::test]
async fn requests_are_turned_away_in_the_documented_order() {
    let app = spawn_app().await;
    let large = vec![b' '; MAX_BODY + 1];
    let text = "Content-Type: text/plain";
    let length = |bytes: usize| format!("Content-Length: {bytes}");
    let other = "/webhook/event/cli_other";
    for (what, request, status) in [
        ("an unknown app comes before size and type", post(other, &[text, &length(large.len())], b""), 404),
        ("size comes before type", post(EVENT, &[text, &length(large.len())], b""), 413),
        ("type comes before the signature", post(EVENT, &[text, &length(2)], b"{}"), 415),
        ("no type", post(EVENT, &[&length(2)], b"{}"), 415),
        ("a form", post(EVENT, &["Content-Type: application/x-www-form-urlencoded", &length(2)], b"{}"), 415),
        ("a longer type", post(EVENT, &["Content-Type: application/jsonx", &length(2)], b"{}"), 415),
        ("another spelling", post(EVENT, &["content-type: Application/JSON ; charset=GBK", &length(2)], b"{}"), 401),
        ("the largest body", post(EVENT, &[JSON, &length(MAX_BODY)], &large[..MAX_BODY]), 401),
        ("one byte more", post(EVENT, &[JSON, &length(large.len())], &large), 413),
        ("an absurd length", post(EVENT, &[JSON, "Content-Length: 99999999999999"], b""), 413),
        ("the app's own path", post("/webhook/event/cli_test", &[JSON, &length(2)], b"{}"), 401),
        ("another path", post("/webhook", &[JSON, &length(2)], b"{}"), 404),
    ] {
        let answer = ask(&app, &request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.head);
    }
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let request = String::from_utf8(unsigned(b"")).unwrap().replace("POST", method);
        assert!(matches!(ask(&app, request.as_bytes()).await.status, 404 | 405), "{method}");
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_refused_when_it_grows_too_large() {
    let app = spawn_app().await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for (chunks, status) in [(16, 401), (17, 413)] {
        let mut request = post(EVENT, &[JSON, "Transfer-Encoding: chunked"], b"");
        request.extend_from_slice(chunk.repeat(chunks).as_bytes());
        request.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(ask(&app, &request).await.status, status, "{chunks} chunks");
    }
}

#[tokio::test]
async fn a_challenge_is_echoed_signed_or_not() {
    let app = spawn_app().await;
    let question = event::url_verification(app.sender.app(), "5634b122 \"c\" 汉").to_string();
    for request in [unsigned(&encrypted(question.as_bytes())), signed(&encrypted(question.as_bytes()))] {
        let answer = ask(&app, &request).await;
        let echo: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, echo), (200, json!({"challenge": "5634b122 \"c\" 汉"})));
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM events").await, 0);
}

#[tokio::test]
async fn the_platforms_own_examples_of_challenges_are_answered() {
    let check = async |app_id, encrypt_key, verification_token, vector: &str, challenge: &str| {
        let options = Options { app_id, verification_token, encrypt_key: Some(encrypt_key), ..Options::default() };
        let app = spawn_app_with(options).await;
        let answer = ask(&app, &unsigned(json!({ "encrypt": vector }).to_string().as_bytes())).await;
        assert_eq!(answer.status, 200, "{challenge}");
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({ "challenge": challenge }));
    };
    let (token, challenge) = ("iRdCP2WwXNBXRM3mGLqhrgch3cn0gbT6", "5634b122-c042-4634-bc7f-b07a3c3e77ad");
    check("cli_any", "mazhe.nerd", token, CHALLENGE_VECTOR, challenge).await;
    check("cli_xxxxxxxx", "1212121212", "v", HYBRID_VECTOR, "1212").await;
}

#[tokio::test]
async fn without_an_encrypt_key_the_token_alone_decides() {
    let app = plain_app().await;
    let refused = |status| (status, r#"{"msg":"refused"}"#.to_owned());
    for body in ["", "[]", "null", "{", "\"x\"", r#"{"a":1} x"#, r#"{"encrypt":"P37w+VZImNgPEO1RBhJ6RtKl7n6"}"#] {
        assert_eq!(ask_plainly(&app, body).await, refused(400), "{body}");
    }
    for body in [
        "{}".to_owned(),
        event_payload(APP_ID, "wrong").to_string(),
        event_payload("cli_other", VERIFICATION_TOKEN).to_string(),
        json!({"challenge": "c", "token": "wrong", "type": "url_verification"}).to_string(),
        json!({"challenge": "c", "type": "url_verification"}).to_string(),
        json!({"schema": "2.0", "token": VERIFICATION_TOKEN, "header": {"token": 7}, "event": {}}).to_string(),
    ] {
        assert_eq!(ask_plainly(&app, &body).await, refused(401), "{body}");
    }
    let question = event::url_verification(app.sender.app(), "c1").to_string();
    assert_eq!(ask_plainly(&app, &question).await, (200, r#"{"challenge":"c1"}"#.to_owned()));
    let key = Media::Png.key(1);
    let message = event::image("om_1", &key).payload(app.sender.app(), app.clock.now()).to_string();
    assert_eq!(ask_plainly(&app, &message).await, (200, r#"{"msg":"success"}"#.to_owned()));
    app.drain().await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn events_of_the_old_envelope_are_taken_and_seen() {
    let app = spawn_app().await;
    let payload = event::v1(app.sender.app(), "uuid_1", app.clock.now());
    assert_eq!(app.deliver_payload(&payload).await.status, 200);
    app.drain().await;
    let seen = &app.json("/api/v1/events").await["items"][0];
    assert_eq!((&seen["event_id"], &seen["event_type"]), (&json!("uuid_1"), &json!("p2p_chat_create")));
    assert_eq!((&seen["result"], &seen["error"]), (&json!("ignored"), &Value::Null));
}

#[tokio::test]
async fn times_in_microseconds_are_the_times_they_mean() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.deliver(&MessageEvent { unit: TimeUnit::Microseconds, ..event::image("om_1", &key) }).await;
    app.drain().await;
    assert_eq!(app.assert_stored(&key).await.resource.sent_at, Some(app.clock.now()));
}

#[tokio::test]
async fn an_authentic_event_is_kept_however_odd_it_is() {
    let app = spawn_app().await;
    let good = event::image("om_odd", &Media::Png.key(1)).payload(app.sender.app(), app.clock.now());
    let changed = |pointer: &str, value: Value| {
        let mut payload = good.clone();
        *payload.pointer_mut(pointer).unwrap() = value;
        payload.to_string()
    };
    let deep = |levels: usize| {
        let nest = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        good.to_string().replacen("\"event\":{", &format!("\"event\":{{\"nest\":{nest},"), 1)
    };
    let odd = [
        (changed("/header/event_type", Value::Null), "header.event_type is missing"),
        (changed("/header/event_type", json!(7)), "header.event_type is not a text"),
        (changed("/event", Value::Null), "event.message.message_id is missing"),
        (changed("/event", json!([1, 2])), "event.message.message_id is missing"),
        (changed("/event/message", json!("text")), "event.message.message_id is missing"),
        (changed("/event/message/message_id", json!("")), "event.message.message_id is empty"),
        (changed("/event/message/message_id", json!(5)), "event.message.message_id is not a text"),
        (changed("/event/message/chat_id", Value::Null), "event.message.chat_id is missing"),
        (changed("/event/message/message_type", json!({})), "event.message.message_type is not a text"),
        (changed("/event/message/content", json!({"image_key": "k"})), "event.message.content is not a text"),
        (deep(600), "the payload is nested deeper than 512 levels"),
        (deep(100_000), "the payload is nested deeper than 512 levels"),
    ];
    for (payload, _) in &odd {
        assert_eq!(ask(&app, &signed(&encrypted(payload.as_bytes()))).await.status, 200, "{payload:.300}");
    }
    app.drain().await;
    let unparsed = app.json("/api/v1/events?result=unparsed").await;
    let mut errors: Vec<_> = unparsed["items"].as_array().unwrap().iter().map(|item| &item["error"]).collect();
    errors.reverse();
    assert_eq!(errors, odd.iter().map(|(_, error)| error).collect::<Vec<_>>());
    assert_eq!(app.count("SELECT COUNT(*) FROM messages").await, 0);
}

#[tokio::test]
async fn odd_decoration_does_not_cost_the_file() {
    let app = spawn_app().await;
    let payload =
        |id: &str, seed: u64| event::image(id, &Media::Png.key(seed)).payload(app.sender.app(), app.clock.now());
    let nest = format!("\"event\":{{\"nest\":{}{},", "[".repeat(400), "]".repeat(400));
    let mut typeless = payload("om_2", 2);
    typeless["event"]["sender"] = json!(7);
    typeless["event"]["message"]["create_time"] = json!(["now"]);
    typeless["event"]["message"]["mentions"] = json!({"id": null});
    let half = r#""text":"\ud83d half","header""#;
    for body in [
        payload("om_1", 1).to_string().replacen("\"event\":{", &nest, 1),
        typeless.to_string(),
        payload("om_3", 3).to_string().replacen("\"header\"", half, 1),
        format!("\n\t {} \r\n", payload("om_4", 4)),
    ] {
        assert_eq!(ask(&app, &signed(&encrypted(body.as_bytes()))).await.status, 200, "{body:.300}");
    }
    app.drain().await;
    for seed in 1..=4 {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
}

#[tokio::test]
async fn answers_do_not_wait_for_downloads() {
    let app = spawn_app().await;
    app.fault(json!({"route": "resource", "do": "hang"}));
    app.deliver(&event::image("om_first", &Media::Png.key(100))).await;
    until_called(&app.platform, larkive::sandbox::Route::Resource, 1).await;
    let begun = Instant::now();
    for number in 0..20 {
        app.deliver(&event::image(&format!("om_{number}"), &Media::Png.key(number))).await;
    }
    let question = event::url_verification(app.sender.app(), "c");
    assert_eq!(app.sender.post(&app.sender.sealed(&question, Sealing::Unsigned)).await.unwrap().status, 200);
    assert!(begun.elapsed() < BEFORE_DOWNLOADS_END, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_acknowledged() {
    let app = spawn_app().await;
    let mut other = app.outside_connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let message = event::image("om_1", &Media::Png.key(1));
    let payload = message.payload(app.sender.app(), app.clock.now()).to_string();
    let begun = Instant::now();
    let answer = ask(&app, &signed(&encrypted(payload.as_bytes()))).await;
    assert_eq!((answer.status, answer.body.as_slice()), (503, &br#"{"msg":"refused"}"#[..]));
    assert!(begun.elapsed() < EVENT_WITHIN, "answered after {:?}", begun.elapsed());

    // A challenge is answered while the lock is held.
    let question = event::url_verification(app.sender.app(), "c");
    assert_eq!(app.sender.post(&app.sender.sealed(&question, Sealing::Unsigned)).await.unwrap().status, 200);

    lock.rollback().await.unwrap();
    app.deliver(&message).await;
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
    assert_eq!(app.count("SELECT COUNT(*) FROM messages").await, 1);
    assert_eq!(app.platform.requests_for(&Media::Png.key(1)), 1);
}
