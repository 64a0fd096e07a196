//! The JSON API over real HTTP: who may ask, what is shown, how bytes are handed out.

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Options, TestApp, sha256, spawn_app, spawn_app_with};

/// Every member of a resource in JSON.
const MEMBERS: &str = "id app_id tenant_key source message_id chat_id chat_name chat_type thread_id sender \
     message_type role key type file_name mime size_bytes sha256 state reason_code reason remedy upstream attempts \
     next_attempt_at sent_at seen_at stored_at recalled_at recalled_by download_message_id";

async fn ask(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = app.http.request(method, format!("http://{}{path}", app.admin_address)).bearer_auth(ADMIN_TOKEN);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

async fn problem(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(text(answer.headers(), "content-type"), "application/problem+json");
    let document: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(document["status"], status, "{document}");
    assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
    (status, document["code"].as_str().unwrap().to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| str::from_utf8(value.as_bytes()).unwrap())
}

/// An archive with one file under this name; the path of its resource.
async fn with_file(name: &str) -> (TestApp, String) {
    let app = spawn_app().await;
    app.deliver(&event::file("om_1", &Media::Pdf.key(1), name)).await;
    app.drain().await;
    let id = app.assert_stored(&Media::Pdf.key(1)).await.resource.id;
    (app, format!("/api/v1/resources/{id}"))
}

#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let (app, resource) = with_file("a.pdf").await;
    for path in
        ["/api/v1/resources", "/api/v1/stats", "/api/v1/events", "/api/openapi.json", "/api/nonsense", &resource]
    {
        for authorization in ["", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", &format!("Bearer {ADMIN_TOKEN}x")]
        {
            let url = format!("http://{}{path}", app.address);
            let answer = app.http.get(url).header("authorization", authorization).send().await.unwrap();
            assert_eq!(text(answer.headers(), "www-authenticate"), "Bearer", "{path} {authorization:?}");
            assert_eq!(problem(answer).await, (401, "unauthorized".to_owned()), "{path} {authorization:?}");
        }
    }
    let url = format!("http://{}/api/v1/stats", app.address);
    let answer = app.http.get(url).header("authorization", format!("bearer  {ADMIN_TOKEN}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "the scheme's case does not matter");
}

#[tokio::test]
async fn without_an_admin_token_there_is_no_api() {
    let app = spawn_app_with(Options { admin_token: None, ..Options::default() }).await;
    for path in ["/api/v1/resources", "/api/v1/stats", "/api/openapi.json", "/"] {
        assert_eq!(ask(&app, Method::GET, path, &[]).await.status(), 404, "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(&app, Method::GET, path, &[]).await.status(), 200, "{path}");
        assert_eq!(ask(&app, Method::HEAD, path, &[]).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn administrators_can_have_an_address_of_their_own() {
    let own = "127.0.0.1:0".parse().ok();
    let app = spawn_app_with(Options { admin_listen: own, ..Options::default() }).await;
    assert_ne!(app.address, app.admin_address);
    let status = async |address, method: Method, path: &str| {
        let request = app.http.request(method, format!("http://{address}{path}")).bearer_auth(ADMIN_TOKEN);
        request.send().await.unwrap().status().as_u16()
    };
    for path in ["/api/v1/stats", "/metrics", "/readyz"] {
        assert_eq!(status(app.address, Method::GET, path).await, 404, "{path}");
        assert_eq!(status(app.admin_address, Method::GET, path).await, 200, "{path}");
    }
    assert_eq!(status(app.address, Method::GET, "/healthz").await, 200);
    assert_eq!(status(app.admin_address, Method::POST, "/webhook/event").await, 404);
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
}

#[tokio::test]
async fn a_resource_shows_everything_that_is_known_of_it() {
    let (app, path) = with_file("a.pdf").await;
    let mut shown = app.json(&path).await;
    let tries = shown.as_object_mut().unwrap().remove("tries").unwrap();
    assert_eq!(tries[0]["result"], "stored");
    assert_eq!(app.json("/api/v1/resources").await["items"], json!([shown]), "the list says the same");
    let mut members: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    let mut promised: Vec<_> = MEMBERS.split_whitespace().collect();
    members.sort_unstable();
    promised.sort_unstable();
    assert_eq!(members, promised);
    let sample = Media::Pdf.sample(1);
    for (member, value) in [
        ("app_id", json!("cli_test")),
        ("tenant_key", json!(event::TENANT_KEY)),
        ("source", json!("message")),
        ("message_id", json!("om_1")),
        ("chat_id", json!(event::GROUP_CHAT)),
        ("chat_type", json!("group")),
        ("sender", json!({"open_id": event::SENDER, "name": null, "type": "user"})),
        ("message_type", json!("file")),
        ("role", json!("file")),
        ("type", json!("file")),
        ("mime", json!("application/pdf")),
        ("size_bytes", json!(sample.size_bytes())),
        ("sha256", json!(sample.digest().to_string())),
        ("state", json!("stored")),
        ("attempts", json!(1)),
        ("sent_at", json!("2026-01-01T00:00:00.000Z")),
        ("stored_at", json!("2026-01-01T00:00:00.000Z")),
        ("upstream", Value::Null),
        ("remedy", Value::Null),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
}

#[tokio::test]
async fn names_survive_the_download_header() {
    for (name, plain, extended) in [
        ("第四课#1?.pdf", "第四课#1?.pdf", "%E7%AC%AC%E5%9B%9B%E8%AF%BE#1%3F.pdf"),
        ("a \"b\"\\c/d.pdf", "a _b__c_d.pdf", "a%20%22b%22%5Cc%2Fd.pdf"),
        ("%2e%2e%2f..\\a.txt", "_2e_2e_2f.._a.txt", "%252e%252e%252f..%5Ca.txt"),
        ("a\u{202e}gpj.exe", "a_gpj.exe", "a%E2%80%AEgpj.exe"),
        ("it's*(1).txt", "it's*(1).txt", "it%27s%2A%281%29.txt"),
        (&"档".repeat(85), &"档".repeat(85), &"%E6%A1%A3".repeat(85)),
        ("x\r\nSet-Cookie: a=b", "x__Set-Cookie: a=b", "x%0D%0ASet-Cookie%3A%20a%3Db"),
    ] {
        let (app, path) = with_file(name).await;
        assert_eq!(app.json(&path).await["file_name"], name);
        let answer = app.api(&format!("{path}/content")).await;
        let expected = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}");
        assert_eq!(answer.headers()["content-disposition"].as_bytes(), expected.as_bytes());
        assert!(!answer.headers().contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn bytes_are_handed_out_whole_in_part_or_not_again() {
    let (app, path) = with_file("a.pdf").await;
    let content = format!("{path}/content");
    let sample = Media::Pdf.sample(1);
    let (size, tag) = (sample.size_bytes(), format!("\"{}\"", sample.digest()));

    let whole = ask(&app, Method::GET, &content, &[]).await;
    assert_eq!(whole.status(), 200);
    let headers = whole.headers().clone();
    assert_eq!((text(&headers, "etag"), text(&headers, "accept-ranges")), (tag.as_str(), "bytes"));
    assert_eq!(
        (text(&headers, "content-type"), text(&headers, "x-content-type-options")),
        ("application/pdf", "nosniff")
    );
    let bytes = whole.bytes().await.unwrap();
    assert_eq!(sha256(&bytes), sample.digest().to_string());

    let head = ask(&app, Method::HEAD, &content, &[]).await;
    assert_eq!((head.status().as_u16(), text(head.headers(), "content-length")), (200, size.to_string().as_str()));
    assert_eq!(text(head.headers(), "etag"), tag);

    let part = async |range: &str| {
        let answer = ask(&app, Method::GET, &content, &[("range", range)]).await;
        (answer.status().as_u16(), text(answer.headers(), "content-range").to_owned(), answer.bytes().await.unwrap())
    };
    assert_eq!(part("bytes=2-5").await, (206, format!("bytes 2-5/{size}"), bytes.slice(2..6)));
    assert_eq!(
        part("bytes=-3").await,
        (206, format!("bytes {}-{}/{size}", size - 3, size - 1), bytes.slice(bytes.len() - 3..))
    );
    assert_eq!(part("bytes=10-").await, (206, format!("bytes 10-{}/{size}", size - 1), bytes.slice(10..)));
    let (status, range, _) = part(&format!("bytes={size}-")).await;
    assert_eq!((status, range), (416, format!("bytes */{size}")));

    for (condition, status) in [(tag.as_str(), 304), ("*", 304), (&format!("W/{tag}"), 304), ("\"other\"", 200)] {
        let answer = ask(&app, Method::GET, &content, &[("if-none-match", condition)]).await;
        assert_eq!(answer.status(), status, "{condition}");
        assert_eq!(text(answer.headers(), header::ETAG.as_str()), tag);
    }
}

#[tokio::test]
async fn bytes_that_are_not_here_are_not_found() {
    let app = spawn_app().await;
    app.deliver(&event::sticker("om_1", "file_v3_sticker")).await;
    app.drain().await;
    let id = app.resource("file_v3_sticker").await.resource.id;
    let answer = app.api(&format!("/api/v1/resources/{id}/content")).await;
    assert_eq!(problem(answer).await, (404, "not_stored".to_owned()));
    for id in ["r0000000000ff", "1", "om_1", "..%2f..%2fetc%2fpasswd", "%00"] {
        let answer = app.api(&format!("/api/v1/resources/{id}/content")).await;
        assert_eq!(problem(answer).await, (404, "not_found".to_owned()), "{id}");
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_said_so() {
    let app = spawn_app().await;
    for (query, code) in [
        ("limit=0", "bad_value"),
        ("limit=201", "bad_value"),
        ("limit=x", "bad_value"),
        ("state=lost", "bad_value"),
        ("role=picture", "bad_value"),
        ("from=yesterday", "bad_value"),
        ("min_size=much", "bad_value"),
        ("colour=red", "unknown_parameter"),
        ("cursor=nonsense", "bad_cursor"),
    ] {
        let answer = app.api(&format!("/api/v1/resources?{query}")).await;
        assert_eq!(problem(answer).await, (400, code.to_owned()), "{query}");
    }
    for (method, path, status) in [
        (Method::DELETE, "/api/v1/resources", 405),
        (Method::GET, "/api/v1/resources/retry", 405),
        (Method::GET, "/api/v1/nonsense", 404),
        (Method::GET, "/api/v1/messages/om_nobody", 404),
        (Method::POST, "/api/v1/resources/r000000000001/retry", 404),
        (Method::POST, "/api/v1/resources/retry", 400),
    ] {
        let answer = ask(&app, method.clone(), path, &[]).await;
        assert_eq!(problem(answer).await.0, status, "{method} {path}");
    }
}

#[tokio::test]
async fn pages_bring_everything_once_while_more_comes_in() {
    let app = spawn_app().await;
    for number in 0..25 {
        app.deliver(&event::image(&format!("om_{number}"), &format!("img_{number}"))).await;
    }
    app.drain().await;
    let (mut keys, mut query) = (Vec::new(), "limit=10".to_owned());
    loop {
        let page = app.json(&format!("/api/v1/resources?{query}")).await;
        keys.extend(page["items"].as_array().unwrap().iter().map(|item| item["key"].to_string()));
        app.deliver(&event::image(&format!("om_later_{}", keys.len()), "img_later")).await;
        app.drain().await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("limit=10&cursor={cursor}");
    }
    keys.retain(|key| key != "\"img_later\"");
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 25);
}

#[tokio::test]
async fn filters_let_through_what_they_say() {
    let app = spawn_app().await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.deliver(&event::file("om_2", &Media::Pdf.key(2), "发票 2026.pdf")).await;
    app.deliver(&event::audio("om_3", &Media::Voice.key(3))).await;
    app.deliver(&event::sticker("om_4", "file_v3_sticker")).await;
    app.drain().await;
    let digest = Media::Pdf.sample(2).digest();
    for (query, messages) in [
        ("state=stored", vec!["om_1", "om_2", "om_3"]),
        ("state=impossible", vec!["om_4"]),
        ("role=image,audio", vec!["om_1", "om_3"]),
        ("role=image&role=audio", vec!["om_1", "om_3"]),
        ("message_type=file&state=stored", vec!["om_2"]),
        ("mime=image/*", vec!["om_1"]),
        ("message_id=om_3", vec!["om_3"]),
        (&format!("sha256={digest}"), vec!["om_2"]),
        ("q=发票", vec!["om_2"]),
        ("chat_id=oc_other", vec![]),
        ("from=2026-01-01", vec!["om_1", "om_2", "om_3", "om_4"]),
        ("to=2026-01-01", vec![]),
        ("source=image", vec![]),
        ("app_id=cli_test&max_size=1", vec![]),
    ] {
        let listed = app.json(&format!("/api/v1/resources?{query}")).await;
        let mut found: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|item| item["message_id"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, messages, "{query}");
    }
}

#[tokio::test]
async fn retry_asks_again_for_what_failed_and_only_that() {
    let app = spawn_app().await;
    for seed in 1..=4 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    app.drain().await;
    for (seed, code) in [(11, 230_110), (12, 234_038), (13, 234_008), (14, 2200)] {
        let key = Media::Png.key(seed);
        app.fault(json!({"key": key, "times": 1, "do": {"answer": {"status": 400, "code": code, "msg": "no"}}}));
        app.deliver(&event::image(&format!("om_{seed}"), &key)).await;
    }
    app.drain().await;
    let gone = app.resource(&Media::Png.key(11)).await.resource.id;
    assert_eq!(app.post(&format!("/api/v1/resources/{gone}/retry")).await, json!({"queued": 1}));
    app.drain().await;
    app.assert_stored(&Media::Png.key(11)).await;
    assert_eq!(app.post(&format!("/api/v1/resources/{gone}/retry")).await, json!({"queued": 0}), "it is stored");

    assert_eq!(app.post("/api/v1/resources/retry?state=blocked").await, json!({"queued": 1}));
    assert_eq!(
        app.post("/api/v1/resources/retry?all=true").await["queued"].as_u64().map(|count| count >= 2),
        Some(true)
    );
    app.drain().await;
    for seed in [1, 2, 3, 4, 11, 12, 13, 14] {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
    assert_eq!(app.platform.requests_for(&Media::Png.key(1)), 1, "what was stored is left alone");
}

#[tokio::test]
async fn a_message_comes_with_its_resources() {
    let app = spawn_app().await;
    let (video, cover) = (Media::Video.key(1), Media::Cover.key(1));
    app.deliver(&event::media("om_1", &video, &cover, "演示.mp4")).await;
    app.drain().await;
    let item = &app.json("/api/v1/messages/om_1").await["items"][0];
    assert_eq!((&item["message_type"], &item["app_id"]), (&json!("media"), &json!("cli_test")));
    let mut roles: Vec<_> = item["resources"].as_array().unwrap().iter().map(|row| row["role"].as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, [Some("cover"), Some("video")]);
    let chat = &app.json("/api/v1/chats").await["items"][0];
    assert_eq!(
        (&chat["chat_id"], &chat["messages"], &chat["stored"]),
        (&json!(event::GROUP_CHAT), &json!(1), &json!(2))
    );
}
