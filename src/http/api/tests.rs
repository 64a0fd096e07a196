//! The API as its callers see it, on a real catalogue and real files.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode, header};
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, web};
use governor::Quota;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Api, Throttles, configure};
use crate::archive::asker::Asker;
use crate::archive::damage::Examiner;
use crate::archive::thumbnail::Thumbnails;
use crate::blob::checked::Sum;
use crate::blob::space::Space;
use crate::blob::store::Store;
use crate::blob::thumbnails::Thumbnails as ThumbnailCache;
use crate::catalogue::listing::seed::{NOON_MS, Seed, Seeded, noon};
use crate::clock::Clock;
use crate::domain::app::AppKind;
use crate::domain::download::State;
use crate::domain::proxies::TrustedProxies;
use crate::domain::secret::Secret;
use crate::http::attempts::Allowance;
use crate::picture::apart::Workshop;

const TOKEN: &str = "a token of more than sixteen characters";

/// The digest that the tests' one blob is kept under; nothing here hashes it.
/// The digest of `0123456789`.
const DIGEST: &str = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

struct Server {
    seeded: Seeded,
    api: Api,
    woken: Arc<AtomicUsize>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| std::str::from_utf8(value.as_bytes()).unwrap())
    }

    /// Status and code of a problem document.
    fn problem(&self) -> (u16, String) {
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        let document = self.json();
        assert_eq!(document["status"], self.status.as_u16());
        (self.status.as_u16(), document["code"].as_str().unwrap().to_owned())
    }
}

impl Server {
    async fn new() -> Self {
        let seeded = Seeded::new().await;
        let woken = Arc::new(AtomicUsize::new(0));
        let bell = woken.clone();
        let (catalogue, place) = (seeded.catalogue.clone(), seeded.directory.path());
        let store = Store::open(place, &place.join("spool")).unwrap();
        let examiner = Examiner::new(catalogue.clone(), store.checked(), Clock::fixed(noon()), watch::Sender::new(()));
        let api = Api {
            catalogue: catalogue.clone(),
            apps: Arc::from([Asker::new("cli_1".parse().unwrap(), AppKind::Custom)]),
            store: Arc::new(store.clone()),
            examiner: examiner.clone(),
            thumbnails: Thumbnails::new(
                catalogue,
                (examiner, Space::new(&[place], 0)),
                ThumbnailCache::open(&place.join("thumbnails")).unwrap(),
                Workshop::new("/nowhere".into()),
            ),
            admin_token: Some(Secret::new(TOKEN)),
            throttles: Arc::default(),
            proxies: TrustedProxies::default(),
            clock: Clock::fixed(noon()),
            wake: Arc::new(move || {
                bell.fetch_add(1, Ordering::SeqCst);
            }),
        };
        Self { seeded, api, woken }
    }

    async fn send(&self, request: TestRequest) -> Answer {
        let service = init_service(App::new().app_data(web::Data::new(self.api.clone())).configure(configure)).await;
        answer(call_service(&service, request.to_request()).await).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(authorised(Method::GET, path)).await
    }

    async fn post(&self, path: &str) -> Answer {
        self.send(authorised(Method::POST, path)).await
    }

    /// Adds a stored file with its bytes; returns the path of its content.
    async fn add_file(&self, file_name: &'static str, bytes: &str) -> String {
        let mut sum = Sum::default();
        sum.add(bytes.as_bytes());
        let digest = sum.digest().to_string();
        let seed = Seed { file_name: Some(file_name), ..Seed::stored(&digest, bytes.len().try_into().unwrap()) };
        let id = self.seeded.add("img_1", seed).await;
        let place = PathBuf::from(self.api.store.location(&sum.digest()));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
        format!("/api/v1/resources/{id}/content")
    }
}

fn authorised(method: Method, path: &str) -> TestRequest {
    TestRequest::with_uri(path).method(method).insert_header((header::AUTHORIZATION, format!("Bearer {TOKEN}")))
}

async fn answer<B: MessageBody>(response: ServiceResponse<B>) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let Ok(body) = to_bytes(response.into_body()).await else { panic!("the body broke off") };
    Answer { status, headers, body: body.to_vec() }
}

#[actix_web::test]
async fn only_the_token_opens_the_api() {
    let mut server = Server::new().await;
    for path in ["/api/v1/stats", "/api/v1/resources?limit=0", "/api/openapi.json"] {
        for given in ["", "Bearer ", "Bearer wrong", TOKEN, "Basic YTpi"] {
            let refused = server.send(TestRequest::get().uri(path).insert_header(("Authorization", given))).await;
            assert_eq!(refused.problem(), (401, "unauthorized".to_owned()), "{path} {given}");
            assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer");
        }
    }
    let lower = TestRequest::get().uri("/api/v1/stats").insert_header(("Authorization", format!("bearer {TOKEN}")));
    assert_eq!(server.send(lower).await.status, 200);

    server.api.admin_token = None;
    assert_eq!(server.get("/api/v1/stats").await.problem(), (404, "not_found".to_owned()));
}

#[actix_web::test]
async fn who_asks_too_often_is_told_how_long_to_wait() {
    let mut server = Server::new().await;
    let hourly = Quota::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::new(2).unwrap());
    let guesses = Allowance { window: Duration::from_secs(3600), from_one: 2, from_network: 2 };
    server.api.throttles = Arc::new(Throttles::new(hourly, guesses));
    for _ in 0..2 {
        assert_eq!(server.get("/api/v1/stats").await.status, 200);
    }
    let refused = server.get("/api/v1/stats").await;
    assert_eq!(refused.problem(), (429, "too_many_requests".to_owned()));
    let pause: u64 = refused.header(header::RETRY_AFTER).parse().unwrap();
    assert!((3500..=3600).contains(&pause), "{pause}");

    let guess = |authorization: &str| {
        let request = TestRequest::get().uri("/api/v1/stats");
        request.insert_header((header::AUTHORIZATION, authorization.to_owned()))
    };
    for _ in 0..3 {
        assert_eq!(server.send(guess("")).await.problem().0, 401, "nothing is guessed");
    }
    for (given, status) in [("Bearer a", 401), ("Bearer b", 401), ("Bearer c", 429)] {
        assert_eq!(server.send(guess(given)).await.problem().0, status, "{given}");
    }
}

#[actix_web::test]
async fn an_answer_that_is_known_is_not_sent_again() {
    let server = Server::new().await;
    let id = server.seeded.add("img_1", Seed::default()).await;
    for path in ["resources", &format!("resources/{id}"), "messages/om_1", "chats", "stats", "events", "changes"] {
        let path = format!("/api/v1/{path}");
        let answer = server.get(&path).await;
        let tag = answer.header(header::ETAG).to_owned();
        let again = authorised(Method::GET, &path).insert_header((header::IF_NONE_MATCH, tag.as_str()));
        let again = server.send(again).await;
        assert_eq!(
            (again.status.as_u16(), again.body.len(), again.header(header::ETAG)),
            (304, 0, tag.as_str()),
            "{path}"
        );
        let other = authorised(Method::GET, &path).insert_header((header::IF_NONE_MATCH, "\"other\""));
        assert_eq!(server.send(other).await.status, 200, "{path}");
    }
    let known = server.get("/api/v1/stats").await.header(header::ETAG).to_owned();
    server.seeded.add("img_2", Seed::default()).await;
    assert_ne!(server.get("/api/v1/stats").await.header(header::ETAG), known);
}

#[actix_web::test]
async fn a_resource_has_every_member_and_null_where_there_is_nothing() {
    let server = Server::new().await;
    let id = server.seeded.add("img_v3_1", Seed::ended(State::Blocked, "restricted_mode")).await;
    let listed = server.get("/api/v1/resources?state=blocked").await.json();
    let mut expected = json!({
        "id": id.to_string(), "app_id": "cli_a", "tenant_key": null, "source": "message", "message_id": "om_1",
        "download_message_id": null, "chat_id": "oc_1", "chat_name": null, "chat_type": "group", "thread_id": null,
        "sender": {"open_id": "ou_1", "name": null, "type": "user"}, "message_type": "image", "role": "image",
        "key": "img_v3_1", "type": "image", "file_name": null, "mime": null, "size_bytes": null, "sha256": null,
        "state": "blocked", "reason_code": "restricted_mode",
        "reason": "The chat or message is restricted and forbids downloads.",
        "remedy": {"zh": "请群主在群设置中允许下载，然后重试。",
            "en": "Ask the group owner to allow downloads in the chat's settings, then retry."},
        "upstream": {"http_status": null, "code": 234_038, "msg": null, "log_id": null},
        "attempts": 0, "next_attempt_at": null, "sent_at": "2026-03-01T12:00:00.000Z",
        "seen_at": "2026-03-01T12:00:00.005Z", "stored_at": null, "recalled_at": null, "recalled_by": null,
    });
    assert_eq!(listed, json!({"items": [expected.clone()], "next_cursor": null}));

    server
        .seeded
        .run(
            "INSERT INTO tries (resource_row_id, started_at, ended_at, result, reason_code, upstream_http_status)
            VALUES (1, 0, 1500, 'blocked', 'restricted_mode', 400)",
        )
        .await;
    expected["tries"] = json!([{
        "started_at": "1970-01-01T00:00:00.000Z", "ended_at": "1970-01-01T00:00:01.500Z", "result": "blocked",
        "reason_code": "restricted_mode", "upstream": {"http_status": 400, "code": null, "msg": null, "log_id": null},
    }]);
    assert_eq!(server.get(&format!("/api/v1/resources/{id}")).await.json(), expected);

    let message = server.get("/api/v1/messages/om_1").await.json();
    expected.as_object_mut().unwrap().remove("tries");
    assert_eq!(message["items"][0]["resources"], json!([expected]));
    assert_eq!(message["items"][0]["sender"]["open_id"], "ou_1");
    assert_eq!(server.get("/api/v1/messages/om_404").await.problem().0, 404);
}

#[actix_web::test]
async fn pages_lead_to_one_another_and_a_cursor_fits_its_filters_only() {
    let server = Server::new().await;
    for n in 0..3 {
        server.seeded.add(&format!("img_{n}"), Seed { sent_at: NOON_MS + n, ..Seed::default() }).await;
    }
    let first = server.get("/api/v1/resources?limit=2&from=2026-03-01T20:00:00+08:00").await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/api/v1/resources?from=2026-03-01T12:00:00Z&limit=200&cursor={cursor}");
    let second = server.get(&path).await.json();
    assert_eq!((&second["items"][0]["key"], &second["next_cursor"]), (&json!("img_0"), &Value::Null));
    for other in ["/api/v1/resources?", "/api/v1/chats?", "/api/v1/events?", "/api/v1/resources?state=gone&"] {
        let answer = server.get(&format!("{other}cursor={cursor}")).await;
        assert_eq!(answer.problem(), (400, "bad_cursor".to_owned()), "{other}");
    }
}

#[actix_web::test]
async fn what_is_asked_wrongly_is_said_with_what_would_be_right() {
    let server = Server::new().await;
    for (path, code, shown) in [
        ("resources?colour=red", "unknown_parameter", "cursor"),
        ("resources?state=broken", "bad_value", "impossible"),
        ("resources?state=", "bad_value", "empty"),
        ("resources?limit=0", "bad_value", "1 to 200"),
        ("resources?limit=201", "bad_value", "1 to 200"),
        ("resources?limit=5&limit=5", "bad_value", "twice"),
        ("resources?cursor=", "bad_cursor", "next_cursor"),
        ("resources?q=%20", "bad_query", "character 1"),
        ("resources?from=soon", "bad_value", "7d"),
        ("chats?state=gone", "unknown_parameter", "limit, cursor"),
        ("events?result=lost", "bad_value", "unparsed"),
    ] {
        let answer = server.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.problem(), (400, code.to_owned()), "{path}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(shown), "{path}: {detail}");
    }
    for path in ["resources/r00000000002a", "resources/42", "resources/retry/content", "coverage", "nothing"] {
        assert_eq!(server.get(&format!("/api/v1/{path}")).await.problem().0, 404, "{path}");
    }
    let wrong_method = server.post("/api/v1/resources").await;
    assert_eq!(wrong_method.problem().0, 405);
    assert_eq!(wrong_method.header(header::ALLOW), "GET, HEAD");
    for path in ["resources/retry", "fetch"] {
        assert_eq!(server.get(&format!("/api/v1/{path}")).await.problem().0, 405, "{path}");
    }
}

#[actix_web::test]
async fn content_is_an_attachment_under_its_exact_name() {
    let server = Server::new().await;
    let path = server.add_file("第四课#1?\"\r\n<b>.pdf", "0123456789").await;
    let answer = server.get(&path).await;
    assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, b"0123456789".as_slice()));
    assert_eq!(
        answer.header(header::CONTENT_DISPOSITION),
        "attachment; filename=\"第四课#1?___<b>.pdf\"; \
        filename*=UTF-8''%E7%AC%AC%E5%9B%9B%E8%AF%BE#1%3F%22%0D%0A%3Cb%3E.pdf"
    );
    assert_eq!(answer.header(header::CONTENT_TYPE), "image/png");
    assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(answer.header(header::CONTENT_SECURITY_POLICY), "sandbox; default-src 'none'");
    assert_eq!(answer.header(header::ETAG), format!("\"{DIGEST}\""));
    assert!(answer.header(header::CACHE_CONTROL).starts_with("private"));

    let head = server.send(authorised(Method::HEAD, &path).insert_header((header::RANGE, "bytes=0-0"))).await;
    assert_eq!((head.status, head.header(header::ETAG)), (StatusCode::OK, answer.header(header::ETAG)));

    for (wanted, status) in [
        (format!("\"{DIGEST}\""), 200),
        ("*".to_owned(), 200),
        (format!("W/\"{DIGEST}\""), 412),
        ("\"a\"".to_owned(), 412),
    ] {
        let answer =
            server.send(authorised(Method::GET, &path).insert_header((header::IF_MATCH, wanted.as_str()))).await;
        assert_eq!(answer.status, status, "{wanted}");
    }
    let known = authorised(Method::GET, &path).insert_header((header::IF_NONE_MATCH, format!("W/\"{DIGEST}\"")));
    let answer = server.send(known).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[actix_web::test]
async fn a_range_is_cut_to_the_byte_or_refused() {
    let server = Server::new().await;
    let path = server.add_file("a.bin", "0123456789").await;
    let right = format!("\"{DIGEST}\"");
    for (range, condition, status, body) in [
        ("bytes=2-4", None, 206, "234"),
        ("bytes=7-", None, 206, "789"),
        ("bytes=-3", None, 206, "789"),
        ("bytes=8-99", None, 206, "89"),
        ("bytes=0-0", Some(right.as_str()), 206, "0"),
        ("bytes=0-0", Some("\"another\""), 200, "0123456789"),
        ("bytes=0-0", Some("Sun, 01 Mar 2026 12:00:00 GMT"), 200, "0123456789"),
        ("bytes=0-1,4-5", None, 200, "0123456789"),
        ("bytes=4-2", None, 200, "0123456789"),
        ("lines=1-2", None, 200, "0123456789"),
    ] {
        let mut request = authorised(Method::GET, &path).insert_header((header::RANGE, range));
        if let Some(condition) = condition {
            request = request.insert_header((header::IF_RANGE, condition));
        }
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), String::from_utf8(answer.body).unwrap().as_str()),
            (status, body),
            "{range}"
        );
    }
    let partial = server.send(authorised(Method::GET, &path).insert_header((header::RANGE, "bytes=2-4"))).await;
    assert_eq!(partial.header(header::CONTENT_RANGE), "bytes 2-4/10");
    let behind = server.send(authorised(Method::GET, &path).insert_header((header::RANGE, "bytes=10-"))).await;
    assert_eq!((behind.status.as_u16(), behind.header(header::CONTENT_RANGE)), (416, "bytes */10"));
}

#[actix_web::test]
async fn bytes_that_are_not_here_or_not_right_are_never_served() {
    let server = Server::new().await;
    let path = server.add_file("a.bin", "0123456789").await;
    let pending = server.seeded.add("img_2", Seed::default()).await;
    let answer = server.get(&format!("/api/v1/resources/{pending}/content")).await;
    assert_eq!(answer.problem(), (404, "not_stored".to_owned()));

    let blob = server.api.store.location(&DIGEST.parse().unwrap());
    std::fs::write(&blob, "012345678").unwrap();
    assert_eq!(server.get(&path).await.problem(), (404, "not_stored".to_owned()));
    let standing = server.get(path.trim_end_matches("/content")).await.json();
    assert_eq!((&standing["state"], &standing["reason_code"]), (&json!("pending"), &json!("blob_corrupt")));
    assert_eq!((&standing["stored_at"], &standing["sha256"]), (&Value::Null, &json!(DIGEST)));

    server.seeded.run("UPDATE messages SET hidden = 1").await;
    for path in [path.as_str(), &format!("/api/v1/resources/{pending}"), "/api/v1/messages/om_1"] {
        assert_eq!(server.get(path).await.problem(), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(server.get("/api/v1/resources").await.json()["items"], json!([]));
}

#[actix_web::test]
async fn retry_moves_what_failed_or_waits_and_leaves_the_rest() {
    let server = Server::new().await;
    let blocked = server.seeded.add("img_1", Seed::ended(State::Blocked, "restricted_mode")).await;
    server.seeded.add("img_2", Seed::ended(State::Gone, "message_deleted")).await;
    let waiting = Seed { next_attempt_at: Some(NOON_MS + 1), ..Seed::ended(State::Pending, "upstream_error") };
    server.seeded.add("img_3", waiting).await;
    let stored = server.seeded.add("img_4", Seed::stored(DIGEST, 10)).await;
    server.seeded.add("img_5", Seed { state: State::Running, ..Seed::default() }).await;
    server.seeded.add("img_6", Seed::default()).await;

    assert_eq!(server.post("/api/v1/resources/retry").await.problem(), (400, "filter_required".to_owned()));
    assert_eq!(server.post("/api/v1/resources/retry?all=yes").await.problem(), (400, "bad_value".to_owned()));
    assert_eq!(server.post("/api/v1/resources/retry?limit=5").await.problem(), (400, "unknown_parameter".to_owned()));
    assert_eq!(server.post("/api/v1/resources/r00000000002a/retry").await.problem().0, 404);
    assert_eq!(server.woken.load(Ordering::SeqCst), 0);

    for (path, queued) in [
        (format!("/api/v1/resources/{stored}/retry"), 0),
        (format!("/api/v1/resources/{blocked}/retry"), 1),
        ("/api/v1/resources/retry?state=gone,stored".to_owned(), 1),
        ("/api/v1/resources/retry?all=true".to_owned(), 1),
        ("/api/v1/resources/retry?all=true".to_owned(), 0),
    ] {
        let answer = server.post(&path).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"queued": queued})), "{path}");
    }
    assert_eq!(server.woken.load(Ordering::SeqCst), 3);
    let moved = server.get(&format!("/api/v1/resources/{blocked}")).await.json();
    assert_eq!((&moved["state"], &moved["reason_code"]), (&json!("pending"), &json!("restricted_mode")));
    assert_eq!(server.get("/api/v1/stats").await.json()["states"]["pending"], 4);
}

#[actix_web::test]
async fn statistics_and_chats_agree_with_what_is_there() {
    let server = Server::new().await;
    let empty = server.get("/api/v1/stats").await.json();
    assert_eq!((&empty["states"]["gone"], &empty["oldest_pending_at"]), (&json!(0), &Value::Null));

    for key in ["img_1", "img_2"] {
        server.seeded.add(key, Seed::stored(DIGEST, 10)).await;
    }
    let other = Seed { message_id: "om_2".to_owned(), chat_id: "oc_2", role: "sticker", ..Seed::default() };
    server.seeded.add("img_3", other).await;
    server.seeded.add_delivery(None).await;

    let stats = server.get("/api/v1/stats").await.json();
    assert_eq!(
        stats,
        json!({
            "states": {"pending": 1, "running": 0, "stored": 2, "blocked": 0, "gone": 0, "impossible": 0},
            "roles": {"image": 2, "file": 0, "audio": 0, "video": 0, "cover": 0, "sticker": 1, "folder": 0,
                "card_image": 0, "forward": 0},
            "messages": 2, "chats": 2, "resources": 3, "bytes": 20, "blobs": 1, "blob_bytes": 10, "saved_bytes": 10,
            "oldest_pending_at": "2026-03-01T12:00:00.005Z", "last_event_at": "2026-03-01T12:00:00.000Z",
            "days": [{"day": "2026-03-01", "found": 3, "stored": 2, "bytes": 20, "saved_bytes": 10,
                "roles": {"image": 2, "sticker": 1}}],
            "largest_chats": [{"app_id": "cli_a", "chat_id": "oc_1", "chat_name": null, "stored": 2, "bytes": 20}],
        })
    );
    let first = server.get("/api/v1/chats?limit=1").await.json();
    assert_eq!((&first["items"][0]["chat_id"], &first["items"][0]["pending"]), (&json!("oc_2"), &json!(1)));
    let path = format!("/api/v1/chats?cursor={}", first["next_cursor"].as_str().unwrap());
    let chat = &server.get(&path).await.json()["items"][0];
    let expected = json!({
        "app_id": "cli_a", "chat_id": "oc_1", "chat_name": null, "chat_type": "group", "bot_in_chat": null,
        "messages": 1, "resources": 2, "stored": 2, "pending": 0, "failed": 0, "bytes": 20,
        "last_message_at": "2026-03-01T12:00:00.000Z", "downloads": null, "disbanded_at": null,
    });
    assert_eq!(*chat, expected);
}

#[actix_web::test]
async fn a_delivery_that_could_not_be_read_is_seen_and_replayed() {
    let server = Server::new().await;
    let id = server.seeded.add_delivery(Some("unparsed")).await;
    server.seeded.add_delivery(None).await;
    server.seeded.run("UPDATE inbox_cursor SET expanded_through = 2").await;
    let listed = server.get("/api/v1/events?result=unparsed").await.json();
    let expected = json!({"id": id.to_string(), "app_id": "cli_a", "event_id": null, "event_type": null,
        "message_id": null, "received_at": "2026-03-01T12:00:00.000Z", "result": "unparsed", "error": "why"});
    assert_eq!(listed, json!({"items": [expected], "next_cursor": null}));

    assert_eq!(server.post(&format!("/api/v1/events/{id}/replay")).await.status, 202);
    assert_eq!(server.woken.load(Ordering::SeqCst), 1);
    let pending = server.get("/api/v1/events?result=pending").await.json();
    assert_eq!((&pending["items"][0]["id"], &pending["items"][0]["error"]), (&json!(id.to_string()), &Value::Null));
    assert_eq!(server.post("/api/v1/events/e00000000002a/replay").await.problem().0, 404);
}

#[tokio::test]
async fn a_thumbnail_that_cannot_be_made_now_may_be_asked_for_again() {
    let server = Server::new().await;
    let content = server.add_file("picture.png", "the program for thumbnails is not where it should be").await;
    let answer = server.get(&content.replace("/content", "/thumbnail")).await;
    assert_eq!(answer.problem(), (404, "thumbnail_not_ready".to_owned()));
    assert_eq!(answer.header(header::RETRY_AFTER), "2");
}
