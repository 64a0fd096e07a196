//! The stand-in seen from outside: what goes over the wire, byte by byte.

use std::io;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::faults::{RangeFault, Spelling};
use super::samples::{self, Media, Origin};
use super::{Action, Route, Rule, Sandbox, SandboxOptions, dictionary};
use crate::clock::Clock;
use crate::domain::digest::Digest;
use crate::domain::time::Timestamp;

/// What a client got until the connection ended.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
    ended: Option<io::ErrorKind>,
}

/// A client with a token.
struct Client {
    address: String,
    token: String,
}

impl Client {
    async fn of(sandbox: &Sandbox) -> Self {
        let address = sandbox.base_url().strip_prefix("http://").unwrap().to_owned();
        let client = Self { address, token: String::new() };
        let body = r#"{"app_id":"cli_1","app_secret":"s"}"#;
        let head = "POST /open-apis/auth/v3/tenant_access_token/internal HTTP/1.1";
        let got = client.send(&format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        let token = got.json()["tenant_access_token"].as_str().unwrap().to_owned();
        Self { token, ..client }
    }

    /// Sends a request without its `Host` and reads until the connection ends.
    async fn send(&self, request: &str) -> Got {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = request.replacen("\r\n", "\r\nHost: sandbox\r\nConnection: close\r\n", 1);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        let ended = stream.read_to_end(&mut read).await.err().map(|error| error.kind());
        let head_bytes = read.windows(4).position(|window| window == b"\r\n\r\n").map_or(read.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&read[..head_bytes]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Got { status, head, body: read[head_bytes..].to_vec(), ended }
    }

    async fn get(&self, path: &str, headers: &str) -> Got {
        self.send(&format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n{headers}\r\n", self.token)).await
    }

    async fn resource(&self, key: &str) -> Got {
        self.get(&resource_path(key), "").await
    }

    async fn part(&self, key: &str, range: &str) -> Got {
        self.get(&resource_path(key), &format!("Range: {range}\r\n")).await
    }
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn resource_path(key: &str) -> String {
    let kind = if key.starts_with("img") { "image" } else { "file" };
    format!("/open-apis/im/v1/messages/om_1/resources/{key}?type={kind}")
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from(<[u8; 32]>::from(Sha256::digest(bytes)))
}

async fn start() -> (Sandbox, Client) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let client = Client::of(&sandbox).await;
    (sandbox, client)
}

#[tokio::test]
async fn every_sample_is_served_as_its_key_promises_and_entered_in_the_journal() {
    let (sandbox, client) = start().await;
    for media in Media::OF_ONE_SIZE {
        let (key, sample) = (media.key(3), media.sample(3));
        let got = client.resource(&key).await;
        assert_eq!((got.status, got.header("content-type")), (200, Some(sample.mime)), "{key}");
        assert_eq!(got.header("content-length"), Some(sample.size_bytes().to_string().as_str()));
        assert_eq!(Some(digest(&got.body)), samples::digest_of(&key));
        let name = sample.file_name.map(|name| format!("attachment; filename=\"{name}\""));
        assert_eq!(got.header("content-disposition"), name.as_deref());
        let entry = sandbox.journal().pop().unwrap();
        assert_eq!(
            (entry.status, entry.bytes, entry.sha256),
            (Some(200), got.body.len() as u64, Some(sample_digest(&key)))
        );
        assert_eq!(sandbox.requests_for(&key), 1);
    }
    assert_eq!(sandbox.requests_of(Route::Token), 1);
}

fn sample_digest(key: &str) -> Digest {
    samples::digest_of(key).unwrap()
}

#[tokio::test]
async fn what_cannot_be_handed_out_is_refused_with_the_codes_of_its_api() {
    let (_sandbox, client) = start().await;
    let image = Media::Png.key(1);
    let check = async |client: &Client, path: &str, status: u16, code: i64| {
        let got = client.get(path, "").await;
        assert_eq!((got.status, got.json()["code"].as_i64()), (status, Some(code)), "{path}");
        assert_eq!(got.json()["error"]["log_id"].as_str(), got.header("x-tt-logid"), "{path}");
    };
    check(&client, &format!("/open-apis/im/v1/messages/om_1/resources/{image}?type=file"), 400, 234001).await;
    check(&client, &format!("/open-apis/im/v1/messages/om_1/resources/{image}"), 400, 234001).await;
    check(&client, "/open-apis/im/v1/messages/om_1/resources/img_x?type=image", 400, 234003).await;
    check(&client, "/open-apis/im/v1/images/img_x", 400, 234003).await;
    check(&client, "/open-apis/baike/v1/files/x/download", 400, 1540001).await;
    check(&client, "/open-apis/lingo/v1/files/x/download", 400, 2250001).await;
    check(&client, "/open-apis/helpdesk/v1/ticket_images?ticket_id=651&msg_id=2", 403, 154003).await;
    check(&client, "/open-apis/im/v1/unheard_of", 404, 404).await;
    let stranger = Client { token: "t-unknown".to_owned(), ..client };
    check(&stranger, &resource_path(&image), 400, 99991663).await;
    let nobody = Client { token: String::new(), ..stranger };
    check(&nobody, &resource_path(&image), 400, 99991661).await;
}

#[tokio::test]
async fn the_sibling_apis_serve_what_was_not_sent_by_somebody() {
    let (_sandbox, client) = start().await;
    let sent = Media::Png.key(1);
    let (image, file) = (Media::Png.key_from(Origin::Uploaded, 1), Media::Zip.key_from(Origin::Uploaded, 1));
    let entry = Media::Png.key_from(Origin::Dictionary, 1);
    for (path, key) in [
        (format!("/open-apis/im/v1/images/{image}"), &image),
        (format!("/open-apis/im/v1/files/{file}"), &file),
        (format!("/open-apis/baike/v1/files/{entry}/download"), &entry),
        (format!("/open-apis/lingo/v1/files/{entry}/download"), &entry),
    ] {
        let got = client.get(&path, "").await;
        assert_eq!((got.status, digest(&got.body)), (200, sample_digest(key)), "{path}");
    }
    assert_eq!(client.get(&format!("/open-apis/im/v1/images/{sent}"), "").await.json()["code"], 234008);
}

#[tokio::test]
async fn a_ticket_hands_out_an_image_by_itself_and_those_of_a_post_by_position() {
    let (_sandbox, client) = start().await;
    let ticket = async |query: &str| {
        let path = format!("/open-apis/helpdesk/v1/ticket_images?ticket_id=6500000000000000001&{query}");
        client.get(&path, "X-Lark-Helpdesk-Authorization: MTIzNDU6aHQtc29tZXRva2Vu\r\n").await
    };
    let (image, first, second) =
        (ticket("msg_id=70").await, ticket("msg_id=72&index=0").await, ticket("msg_id=72&index=1").await);
    assert_eq!((image.status, first.status, second.header("content-type")), (200, 200, Some("image/png")));
    assert!(image.body != first.body && first.body != second.body);
    for (query, code) in [
        ("msg_id=70&index=0", 154000),
        ("msg_id=72", 154000),
        ("msg_id=72&index=x", 154000),
        ("msg_id=72&index=2", 154004),
        ("index=0", 154000),
    ] {
        assert_eq!(ticket(query).await.json()["code"], code, "{query}");
    }
}

#[tokio::test]
async fn the_dictionary_comes_in_pages() {
    let (_sandbox, client) = start().await;
    let mut page = client.get("/open-apis/lingo/v1/entities?page_size=100", "").await.json();
    let mut images = Vec::new();
    let mut pages = 1;
    loop {
        for entry in page["data"]["entities"].as_array().unwrap() {
            images
                .extend(entry["related_meta"]["images"].as_array().unwrap().iter().map(|image| image["token"].clone()));
        }
        if page["data"]["has_more"] == false {
            break;
        }
        let token = page["data"]["page_token"].as_str().unwrap();
        page = client.get(&format!("/open-apis/lingo/v1/entities?page_size=100&page_token={token}"), "").await.json();
        pages += 1;
    }
    images.dedup();
    assert_eq!((pages, images.len()), (3, 5));
    assert!(dictionary::tokens().iter().all(|token| images.contains(&Value::from(token.as_str()))));
    assert_eq!(client.get("/open-apis/lingo/v1/entities?page_token=x", "").await.json()["code"], 2250001);
}

#[tokio::test]
async fn a_token_ends_when_its_life_is_over() {
    let clock = Clock::fixed(Timestamp::EPOCH);
    let sandbox = Sandbox::start(SandboxOptions { clock: clock.clone(), ..SandboxOptions::default() }).await.unwrap();
    sandbox.fault(Rule::on(Route::Token, Action::TokenLife { seconds: 5 }));
    let client = Client::of(&sandbox).await;
    let key = Media::Png.key(1);
    clock.set(Timestamp::EPOCH.after(Duration::from_millis(4999)));
    assert_eq!(client.resource(&key).await.status, 200);
    clock.set(Timestamp::EPOCH.after(Duration::from_secs(5)));
    assert_eq!(client.resource(&key).await.json()["code"], 99991663);
}

#[tokio::test]
async fn requests_that_are_none_are_refused() {
    let (_sandbox, client) = start().await;
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("PUT / HTTP/1.1\r\nContent-Length: many\r\n\r\n".to_owned(), 400),
        ("PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n".to_owned(), 413),
        ("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 411),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100)), 431),
    ] {
        assert_eq!(client.send(&request).await.status, status, "{request}");
    }
}

#[tokio::test]
async fn broken_transfers_break_exactly_where_the_script_says() {
    let (sandbox, client) = start().await;
    let media = Media::Blob { size_bytes: 200_000 };
    let reset = Some(io::ErrorKind::ConnectionReset);
    let cases = [
        (Action::Cut { after: Some(100) }, Some("200000"), 100, None),
        (Action::Cut { after: Some(199_999) }, Some("200000"), 199_999, None),
        (Action::Reset { after: Some(100) }, Some("200000"), 100, reset),
        (Action::Surplus { bytes: 7 }, Some("200000"), 200_007, None),
        (Action::Length { promise: 200_001 }, Some("200001"), 200_000, None),
        (Action::Length { promise: 10 }, Some("10"), 200_000, None),
        (Action::Unsized, None, 200_000, None),
        (Action::Empty, Some("0"), 0, None),
    ];
    for (seed, (action, length, bytes, ended)) in cases.into_iter().enumerate() {
        let key = media.key(seed as u64);
        sandbox.fault(Rule::on(Route::Resource, action.clone()).key(&key));
        let got = client.resource(&key).await;
        assert_eq!((got.status, got.header("content-length")), (200, length), "{action:?}");
        assert_eq!((got.body.len(), got.ended), (bytes, ended), "{action:?}");
        let (noise, mut expected) = (super::noise::Noise { seed: seed as u64, size_bytes: 200_000 }, Vec::new());
        noise.append(0..bytes.min(200_000) as u64, &mut expected);
        assert!(got.body.starts_with(&expected), "{action:?}");
    }
}

#[tokio::test]
async fn an_answer_can_be_cut_or_reset_before_it_begins() {
    let (sandbox, client) = start().await;
    for (action, ended) in
        [(Action::Cut { after: None }, None), (Action::Reset { after: None }, Some(io::ErrorKind::ConnectionReset))]
    {
        sandbox.clear_faults();
        sandbox.fault(Rule::on(Route::Resource, action));
        let got = client.resource(&Media::Png.key(1)).await;
        assert_eq!((got.head.as_str(), got.ended), ("", ended));
        assert_eq!(sandbox.journal().pop().unwrap().status, None);
    }
}

#[tokio::test]
async fn chunks_come_with_and_without_their_end() {
    let (sandbox, client) = start().await;
    let key = Media::Blob { size_bytes: 5 }.key(1);
    sandbox.fault(Rule::on(Route::Resource, Action::Chunked { cut_after: None }).times(1));
    sandbox.fault(Rule::on(Route::Resource, Action::Chunked { cut_after: Some(3) }));
    let got = client.resource(&key).await;
    assert_eq!((got.header("transfer-encoding"), got.header("content-length")), (Some("chunked"), None));
    assert!(got.body.starts_with(b"5\r\n") && got.body.ends_with(b"\r\n0\r\n\r\n"), "{got:?}");
    let cut = client.resource(&key).await;
    assert!(cut.body.starts_with(b"3\r\n") && cut.body.len() == 8, "{cut:?}");
}

#[tokio::test]
async fn silence_lasts_until_the_client_leaves() {
    let (sandbox, client) = start().await;
    let (hanging, stalling) = (Media::Blob { size_bytes: 9 }.key(1), Media::Blob { size_bytes: 9 }.key(2));
    sandbox.fault(Rule::on(Route::Resource, Action::Hang).key(&hanging));
    sandbox.fault(Rule::on(Route::Resource, Action::Stall { after: 4 }).key(&stalling));
    let open = async |key: &str| {
        let mut stream = TcpStream::connect(&client.address).await.unwrap();
        let head = format!("GET {} HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n", resource_path(key), client.token);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let silent = open(&hanging).await;
    let mut stalled = open(&stalling).await;
    sandbox.until_called(Route::Resource, 2).await;
    assert_eq!(client.resource(&Media::Png.key(1)).await.status, 200, "others are served meanwhile");
    let mut read = vec![0; 4096];
    assert_eq!(silent.try_read(&mut read).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let mut got = Vec::new();
    while got.windows(4).position(|window| window == b"\r\n\r\n").is_none_or(|at| got.len() < at + 8) {
        let count = stalled.read(&mut read).await.unwrap();
        assert!(count > 0, "the connection stays open");
        got.extend_from_slice(&read[..count]);
    }
    assert_eq!(stalled.try_read(&mut read).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    sandbox.stop().await;
    assert_eq!(stalled.read(&mut read).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_slow_answer_arrives_whole() {
    let (sandbox, client) = start().await;
    let key = Media::Blob { size_bytes: 20 }.key(1);
    sandbox.fault(Rule::on(Route::Resource, Action::Drip { bytes: 5, every_ms: 5 }).delay_ms(20));
    let started = Instant::now();
    let got = client.resource(&key).await;
    assert!(started.elapsed() >= Duration::from_millis(40));
    assert_eq!(digest(&got.body), sample_digest(&key));
}

#[tokio::test]
async fn errors_come_in_every_disguise() {
    let (sandbox, client) = start().await;
    let key = Media::Png.key(1);
    let next = async |action: Action| {
        sandbox.fault(Rule::on(Route::Resource, action).times(1));
        client.resource(&key).await
    };
    for status in [400, 401, 200] {
        let got = next(Action::TokenExpired { status }).await;
        assert_eq!((got.status, got.json()["code"].as_i64()), (status, Some(99991663)));
    }
    let limited = next(Action::RateLimited { status: 429, reset: Some(3) }).await;
    assert_eq!((limited.status, limited.header("x-ogw-ratelimit-reset")), (429, Some("3")));
    let limited = next(Action::RateLimited { status: 400, reset: None }).await;
    assert_eq!((limited.json()["code"].as_i64(), limited.header("x-ogw-ratelimit-reset")), (Some(99991400), None));
    for status in [502, 200] {
        let page = next(Action::Page { status }).await;
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")));
    }
    let headers = [("X-Extra".to_owned(), "1".to_owned())].into();
    let got = next(Action::Answer { status: 200, code: 234043, msg: "no".to_owned(), headers }).await;
    assert_eq!((got.status, got.json()["code"].as_i64(), got.header("x-extra")), (200, Some(234043), Some("1")));
    assert_eq!(client.resource(&key).await.body.len() as u64, Media::Png.sample(1).size_bytes());
}

#[tokio::test]
async fn headers_are_spelled_as_the_script_wants() {
    let (sandbox, client) = start().await;
    let key = Media::Zip.key(1);
    let next = async |action: Action| {
        sandbox.fault(Rule::on(Route::Resource, action).times(1));
        client.resource(&key).await
    };
    for (spelling, expected) in [
        (Spelling::Raw, "attachment; filename=\"文 1.zip\""),
        (Spelling::Unquoted, "attachment; filename=文 1.zip"),
        (Spelling::Extended, "attachment; filename*=UTF-8''%E6%96%87%201%2Ezip"),
        (Spelling::Percent, "attachment; filename=\"%E6%96%87%201%2Ezip\""),
        (Spelling::Gbk, "attachment; filename=\"\u{fffd}\u{fffd} 1.zip\""),
    ] {
        let got = next(Action::Disposition { spelling, file_name: Some("文 1.zip".to_owned()) }).await;
        assert_eq!(got.header("content-disposition"), Some(expected));
    }
    let set = [("content-type".to_owned(), Some("text/html".to_owned())), ("content-disposition".to_owned(), None)];
    let got = next(Action::Headers { set: set.into() }).await;
    assert_eq!((got.header("content-type"), got.header("content-disposition")), (Some("text/html"), None));
    assert_eq!(digest(&got.body), sample_digest(&key));
}

#[tokio::test]
async fn files_know_ranges_and_images_do_not() {
    let (sandbox, client) = start().await;
    let key = Media::Blob { size_bytes: 100 }.key(1);
    let whole = client.resource(&key).await.body;
    let got = client.part(&key, "bytes=13-20").await;
    assert_eq!((got.status, got.header("content-range")), (206, Some("bytes 13-20/100")));
    assert_eq!(got.body, whole[13..=20]);
    let got = client.part(&key, "bytes=100-").await;
    assert_eq!((got.status, got.header("content-range")), (416, Some("bytes */100")));
    assert_eq!(client.part(&Media::Png.key(1), "bytes=0-1").await.status, 200);

    sandbox.fault(Rule::on(Route::Resource, Action::RefuseWhole).times(2));
    assert_eq!(client.resource(&key).await.json()["code"], 234037);
    assert_eq!(client.part(&key, "bytes=0-1").await.status, 206);
    for (fault, status, range, bytes) in [
        (RangeFault::Ignored, 200, None, 100),
        (RangeFault::Refused, 416, Some("bytes */100"), 0),
        (RangeFault::Shifted, 206, Some("bytes 14-21/100"), 8),
        (RangeFault::OneByte, 206, Some("bytes 13-13/100"), 1),
        (RangeFault::Overlong { bytes: 40 }, 206, Some("bytes 13-20/100"), 48),
    ] {
        sandbox.fault(Rule::on(Route::Resource, Action::Range(fault)).times(1));
        let got = client.part(&key, "bytes=13-20").await;
        assert_eq!((got.status, got.header("content-range"), got.body.len()), (status, range, bytes), "{fault:?}");
        assert_eq!(got.header("content-length"), Some(bytes.to_string().as_str()), "{fault:?}");
    }
}

#[tokio::test]
async fn scripts_and_journal_travel_over_http() {
    let (_sandbox, client) = start().await;
    let put = async |script: &str| {
        client.send(&format!("PUT /sandbox/faults HTTP/1.1\r\nContent-Length: {}\r\n\r\n{script}", script.len())).await
    };
    assert_eq!(put(r#"[{"route":"resource","times":1,"do":{"page":{"status":502}}}]"#).await.status, 200);
    assert_eq!(client.get("/sandbox/faults", "").await.json()[0]["do"]["page"]["status"], 502);
    assert_eq!(client.resource("img_x").await.status, 502);
    assert_eq!(client.resource("img_x").await.status, 400);
    assert_eq!(put(r#"[{"route":"nowhere"}]"#).await.status, 400);
    assert_eq!(client.send("DELETE /sandbox/faults HTTP/1.1\r\n\r\n").await.body, b"[]");
    let journal = client.get("/sandbox/requests", "").await;
    let lines: Vec<Value> =
        journal.body.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let shown: Vec<_> = lines.iter().map(|line| (line["route"].as_str().unwrap(), line["status"].as_u64())).collect();
    assert_eq!(shown, [("token", Some(200)), ("resource", Some(502)), ("resource", Some(400))]);
    assert!(!String::from_utf8_lossy(&journal.body).contains(&client.token));
}

#[tokio::test]
async fn fixtures_are_served_by_name_and_nothing_beside_them() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("media")).unwrap();
    std::fs::write(directory.path().join("secret"), "secret").unwrap();
    std::fs::write(directory.path().join("media/img_own"), b"\x89PNG\r\n\x1a\nand so on").unwrap();
    let fixtures = Some(directory.path().join("media"));
    let sandbox = Sandbox::start(SandboxOptions { fixtures, ..SandboxOptions::default() }).await.unwrap();
    let client = Client::of(&sandbox).await;
    let got = client.resource("img_own").await;
    assert_eq!((got.header("content-type"), got.body.len()), (Some("image/png"), 17));
    assert_eq!(client.part("img_own", "bytes=1-3").await.body.len(), 17, "asked as an image");
    let as_file = "/open-apis/im/v1/messages/om_1/resources/img_own?type=file";
    assert_eq!(client.get(as_file, "Range: bytes=1-3\r\n").await.body, b"PNG");
    for key in ["..%2Fsecret", "..", "%2E%2E%2Fsecret", "."] {
        assert_eq!(client.resource(key).await.json()["code"], 234003, "{key}");
    }
}
