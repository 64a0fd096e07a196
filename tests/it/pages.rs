//! The administrators' pages over real HTTP: who gets in, what a page may do, what is shown, and
//! that what strangers sent stays harmless.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::time::Duration;

use larkive::domain::message::OnRecall;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::json;
use zip::ZipArchive;

use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app, spawn_app_with, until};

/// A browser that keeps its cookies and follows no redirect.
struct Browser<'a> {
    app: &'a TestApp,
    http: Client,
    cookie: Option<String>,
    language: &'static str,
}

impl<'a> Browser<'a> {
    fn new(app: &'a TestApp) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { app, http, cookie: None, language: "en" }
    }

    async fn signed_in(app: &'a TestApp) -> Self {
        let mut browser = Self::new(app);
        let answer = browser.sign_in(ADMIN_TOKEN, "/").await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (303, "/"));
        browser
    }

    async fn sign_in(&mut self, token: &str, next: &str) -> Response {
        let answer = self.post("/login", &[("token", token), ("next", next)]).await;
        if let Some(cookie) = answer.headers().get("set-cookie") {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        answer
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path, &[], None).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let origin = format!("http://{}", self.app.admin_address);
        self.ask(Method::POST, path, &[("origin", &origin)], Some(form)).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        form: Option<&[(&str, &str)]>,
    ) -> Response {
        let mut request = self.http.request(method, format!("http://{}{path}", self.app.admin_address));
        request = request.header("accept-language", self.language);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        request.send().await.unwrap()
    }

    /// The HTML of a page that is there.
    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name.parse::<HeaderName>().unwrap()).map_or("", |value| str::from_utf8(value.as_bytes()).unwrap())
}

/// The parts of a page between two words.
fn between<'h>(html: &'h str, before: &str, after: &str) -> Vec<&'h str> {
    html.split(before).skip(1).map(|rest| rest.split(after).next().unwrap()).collect()
}

/// Delivers a file of these bytes; the path of its page.
async fn shelved(app: &TestApp, key: &str, name: &str, bytes: &[u8]) -> String {
    app.shelve(key, bytes);
    app.deliver(&event::file(&format!("om_{key}"), key, name)).await;
    app.drain().await;
    format!("/resources/{}", app.resource(key).await.resource.id)
}

#[tokio::test]
async fn without_a_token_there_are_no_pages() {
    let app = spawn_app_with(Options { admin_token: None, ..Options::default() }).await;
    let browser = Browser::new(&app);
    for path in ["/", "/login", "/resources", "/resources/r000000000001", "/nonsense"] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (404, ""), "{path}");
        assert!(!answer.text().await.unwrap().contains("<html"), "{path}");
    }
    assert_eq!(browser.post("/login", &[("token", "")]).await.status(), 404);
}

#[tokio::test]
async fn with_an_address_of_their_own_the_pages_are_nowhere_else() {
    let admin_listen = Some("127.0.0.1:0".parse().unwrap());
    let app = spawn_app_with(Options { admin_listen, ..Options::default() }).await;
    assert_eq!(Browser::new(&app).get("/login").await.status(), 200);
    for path in ["/login", "/resources", "/"] {
        let answer = app.http.get(format!("http://{}{path}", app.address)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn who_has_not_signed_in_comes_to_the_form_and_from_there_to_where_they_wanted() {
    let app = spawn_app().await;
    let mut browser = Browser::new(&app);
    for path in ["/", "/resources", "/resources/r000000000001", "/resources/r000000000001/content"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 303, "{path}");
        assert_eq!(text(answer.headers(), "location"), format!("/login?next={path}"));
    }
    let wanted = "/resources?q=%E5%8F%91%E7%A5%A8&view=table";
    let form = browser.get(wanted).await;
    let form = browser.page(text(form.headers(), "location")).await;
    let next = between(&form, "name=\"next\" value=\"", "\"").pop().unwrap().replace("&#38;", "&");
    let answer = browser.sign_in(ADMIN_TOKEN, &next).await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (303, wanted));
    assert!(browser.page(wanted).await.contains("value=\"发票\""));
    assert_eq!(text(browser.get("/login?next=/resources").await.headers(), "location"), "/resources");
}

#[tokio::test]
async fn signing_in_leads_to_no_other_host() {
    let app = spawn_app().await;
    for elsewhere in
        ["https://evil.test/", "//evil.test", "/\\evil.test", "/\t/evil.test", "javascript:alert(1)", "/\r\nX: y"]
    {
        let answer = Browser::new(&app).sign_in(ADMIN_TOKEN, elsewhere).await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "location")), (303, "/"), "{elsewhere:?}");
    }
}

#[tokio::test]
async fn guessing_is_throttled_and_forgotten_after_a_while() {
    let app = spawn_app().await;
    let mut browser = Browser::new(&app);
    for _ in 0..10 {
        let answer = browser.sign_in("not the token", "/").await;
        assert_eq!((answer.status().as_u16(), text(answer.headers(), "set-cookie")), (403, ""));
        assert!(answer.text().await.unwrap().contains("That is not the token."));
    }
    let answer = browser.sign_in(ADMIN_TOKEN, "/").await;
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "retry-after")), (429, "900"));
    app.advance(Duration::from_secs(900)).await;
    assert_eq!(browser.sign_in(ADMIN_TOKEN, "/").await.status(), 303);
}

#[tokio::test]
async fn sessions_end_by_signing_out_by_time_and_by_a_new_start() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    let answer = browser.post("/logout", &[]).await;
    assert_eq!(text(answer.headers(), "location"), "/login");
    assert!(text(answer.headers(), "set-cookie").contains("Max-Age=0"));
    assert_eq!(browser.get("/resources").await.status(), 303, "the old key opens nothing");

    let browser = Browser::signed_in(&app).await;
    app.advance(Duration::from_secs(11 * 3600)).await;
    assert_eq!(browser.get("/resources").await.status(), 200);
    app.advance(Duration::from_secs(12 * 3600)).await;
    assert_eq!(browser.get("/resources").await.status(), 303);

    let cookie = Browser::signed_in(&app).await.cookie;
    let app = app.restart().await;
    let browser = Browser { cookie, ..Browser::new(&app) };
    assert_eq!(browser.get("/resources").await.status(), 303);
}

#[tokio::test]
async fn the_cookie_is_for_this_site_only_and_for_https_where_a_trusted_proxy_says_so() {
    let behind_proxy = Options { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Options::default() };
    for (options, secure) in [(Options::default(), false), (behind_proxy, true)] {
        let app = spawn_app_with(options).await;
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-proto", "https")];
        let form: &[(&str, &str)] = &[("token", ADMIN_TOKEN)];
        let answer = Browser::new(&app).ask(Method::POST, "/login", &headers, Some(form)).await;
        let cookie = text(answer.headers(), "set-cookie");
        assert!(cookie.contains("; Path=/;") && cookie.contains("; HttpOnly"), "{cookie}");
        assert!(cookie.contains("; SameSite=Strict"), "{cookie}");
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
    }
}

#[tokio::test]
async fn a_page_of_somebody_else_changes_nothing() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(json!({"key": key, "do": {"answer": {"status": 400, "code": 234_038, "msg": "restricted"}}}));
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    let id = app.resource(&key).await.resource.id.to_string();
    let own = format!("http://{}", app.admin_address);
    for headers in [
        vec![],
        vec![("origin", "http://evil.test")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site"), ("origin", own.as_str())],
    ] {
        for path in ["/resources/retry", &format!("/resources/{id}/retry"), "/logout", "/login", "/language"] {
            let answer = browser.ask(Method::POST, path, &headers, Some(&[("id", &id), ("back", "/resources")])).await;
            assert_eq!(answer.status(), 403, "{path} {headers:?}");
        }
    }
    app.drain().await;
    assert_eq!(app.platform.requests_for(&key), 1);
    assert_eq!(browser.get("/resources").await.status(), 200);
}

#[tokio::test]
async fn pages_may_load_only_what_is_here_and_nobody_may_frame_them() {
    let app = spawn_app().await;
    let path = shelved(&app, "file_1", "a.txt", b"hello").await;
    let browser = Browser::signed_in(&app).await;
    let outside = Browser::new(&app);
    let pages = [
        outside.get("/login").await,
        browser.get("/resources").await,
        browser.get("/resources?view=table").await,
        browser.get("/resources?state=broken").await,
        browser.get(&path).await,
        browser.get("/nonsense").await,
    ];
    for page in pages {
        let headers = page.headers().clone();
        let policy = text(&headers, "content-security-policy");
        for directive in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(directive), "{} {policy}", page.url());
        }
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(&headers, "cache-control"), "no-store");
        assert_eq!(text(&headers, "referrer-policy"), "same-origin");
        let html = page.text().await.unwrap();
        assert!(!html.contains("://") || html.contains("xmlns"), "no other host is named");
        assert!(!html.contains("style=\"") && !html.contains("onclick"), "the policy would refuse it");
        for asset in between(&html, "href=\"/assets/", "\"").into_iter().chain(between(&html, "src=\"/assets/", "\"")) {
            let answer = outside.get(&format!("/assets/{asset}")).await;
            assert_eq!(answer.status(), 200, "{asset}");
            assert!(text(answer.headers(), "cache-control").contains("immutable"));
        }
    }
    assert_eq!(outside.get("/assets/0000000000000000/larkive.css").await.status(), 404);
}

#[tokio::test]
async fn pages_speak_the_readers_language_and_remember_another_choice() {
    let app = spawn_app().await;
    let mut browser = Browser::signed_in(&app).await;
    assert!(browser.page("/resources").await.contains("<html lang=\"en\">"));
    browser.language = "zh-CN,zh;q=0.9,en;q=0.8";
    let page = browser.page("/resources").await;
    assert!(page.contains("<html lang=\"zh-CN\">") && page.contains("退出登录"), "{page}");
    let answer = browser.post("/language", &[("language", "en"), ("next", "/resources?view=table")]).await;
    assert_eq!(text(answer.headers(), "location"), "/resources?view=table");
    let chosen = text(answer.headers(), "set-cookie").split(';').next().unwrap().to_owned();
    browser.cookie = Some(format!("{}; {chosen}", browser.cookie.unwrap()));
    assert!(browser.page("/resources").await.contains("Sign out"));
    let nonsense = browser.post("/language", &[("language", "tlh")]).await;
    assert_eq!(nonsense.status(), 400);
}

#[tokio::test]
async fn what_strangers_wrote_is_shown_as_text() {
    let app = spawn_app().await;
    let name = "<script>alert(1)</script>\" onload='x' \u{202e}gpj.txt";
    let path = shelved(&app, "file_1", name, b"</pre><script>alert(2)</script>&amp;").await;
    let sender =
        event::MessageEvent { chat_id: "oc_\"><img src=x>".into(), ..event::image("om_2", &Media::Png.key(1)) };
    app.deliver(&sender).await;
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    for path in [path.as_str(), "/resources", "/resources?view=table", "/resources?q=%3Cscript%3E&colour=%3Cscript%3E"]
    {
        let html = browser.get(path).await.text().await.unwrap();
        assert!(!html.contains("<script>") && !html.contains("<img src=x>"), "{path}");
        assert!(!html.contains('\u{202e}'), "{path}");
    }
    let html = browser.page(&path).await;
    assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;") && html.contains("\\u{202e}gpj.txt"), "{html}");
}

#[tokio::test]
async fn hostile_files_are_only_ever_attachments() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    let hostile: [(&str, &[u8]); 8] = [
        ("page.html", b"<!doctype html><script>alert(1)</script>"),
        ("page.txt", b"\n<html><script>alert(1)</script>"),
        ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("data.xml", b"<?xml version='1.0'?><a/>"),
        ("script.js", b"alert(1)"),
        ("run.txt", b"#!/bin/sh\necho"),
        ("photo.png", b"this is no picture"),
        ("unknown", b"\x00\x01\x02\x03"),
    ];
    for (number, (name, bytes)) in hostile.into_iter().enumerate() {
        let path = shelved(&app, &format!("file_{number}"), name, bytes).await;
        assert_eq!(browser.get(&format!("{path}/preview")).await.status(), 404, "{name}");
        assert!(!browser.page(&path).await.contains(&format!("{path}/preview")), "{name}");
        let answer = browser.get(&format!("{path}/content")).await;
        assert!(text(answer.headers(), "content-disposition").starts_with("attachment; "), "{name}");
        assert_eq!(text(answer.headers(), "content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(text(answer.headers(), "x-content-type-options"), "nosniff");
        let thumbnail = browser.get(&format!("{path}/thumbnail")).await;
        assert!(!thumbnail.bytes().await.unwrap().windows(6).any(|piece| piece == b"script"), "{name}");
        let stranger = Browser::new(&app).get(&format!("{path}/content")).await;
        assert_eq!(stranger.status(), 303, "{name}");
    }
}

#[tokio::test]
async fn what_can_be_shown_is_shown_in_a_sandbox_and_in_parts() {
    let app = spawn_app().await;
    let media = [
        (Media::Png, "image/png", "<img"),
        (Media::Jpeg, "image/jpeg", "<img"),
        (Media::Voice, "audio/ogg", "<audio"),
        (Media::Video, "video/mp4", "<video"),
        (Media::Pdf, "application/pdf", "<a"),
    ];
    let browser = Browser::signed_in(&app).await;
    for (media, media_type, element) in media {
        let key = media.key(1);
        let message_id = format!("om_{key}");
        let message = match element {
            "<img" => event::image(&message_id, &key),
            _ => event::file(&message_id, &key, "misleading.html"),
        };
        app.deliver(&message).await;
        app.drain().await;
        let resource = app.resource(&key).await.resource;
        let path = format!("/resources/{}", resource.id);
        let html = browser.page(&path).await;
        let shown = html.split('>').find(|tag| tag.contains(&format!("{path}/preview")));
        assert!(shown.is_some_and(|tag| tag.contains(element)), "{media_type}: {shown:?}");
        let answer = browser.get(&format!("{path}/preview")).await;
        let headers = answer.headers().clone();
        assert_eq!(text(&headers, "content-type"), media_type);
        assert!(text(&headers, "content-disposition").starts_with("inline; "), "{media_type}");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(&headers, "cross-origin-resource-policy"), "same-origin");
        let policy = text(&headers, "content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(policy.contains("sandbox"), media_type != "application/pdf", "{policy}");
        let whole = answer.bytes().await.unwrap();
        assert_eq!(whole.len() as u64, resource.size_bytes.unwrap());
        let part = browser.ask(Method::GET, &format!("{path}/preview"), &[("range", "bytes=4-9")], None).await;
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.unwrap(), whole.slice(4..10));
        let head = browser.ask(Method::HEAD, &format!("{path}/preview"), &[], None).await;
        assert_eq!(text(head.headers(), "content-length"), whole.len().to_string());
    }
}

#[tokio::test]
async fn a_text_is_shown_with_its_beginning() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    let gb18030 = [0xb7, 0xa2, 0xc6, 0xb1, b' ', b'3'];
    let path = shelved(&app, "file_1", "说明.txt", &gb18030).await;
    assert!(browser.page(&path).await.contains(">发票 3</pre>"));
    let answer = browser.get(&format!("{path}/preview")).await;
    assert_eq!(text(answer.headers(), "content-type"), "text/plain; charset=gb18030");
    let path = shelved(&app, "file_2", "long.log", "发票\n".repeat(20_000).as_bytes()).await;
    let html = browser.page(&path).await;
    assert!(html.len() < 60_000 && html.contains("Only the beginning is shown here."), "{}", html.len());
}

#[tokio::test]
async fn what_is_hidden_is_on_no_page() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    let (hidden, shown) = (Media::Png.key(1), Media::Png.key(2));
    app.deliver(&event::image("om_1", &hidden)).await;
    app.deliver(&event::image("om_2", &shown)).await;
    app.drain().await;
    let (hidden, shown) = (app.resource(&hidden).await.resource.id, app.resource(&shown).await.resource.id);
    let notice = event::Notice::Recalled { message_id: "om_1".into() };
    let recall = event::NoticeEvent { event_id: "recall".into(), notice };
    app.deliver_payload(&recall.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    for rest in ["", "/preview", "/content", "/thumbnail"] {
        assert_eq!(browser.get(&format!("/resources/{hidden}{rest}")).await.status(), 404, "{rest}");
    }
    assert_eq!(browser.post(&format!("/resources/{hidden}/retry"), &[]).await.status(), 404);
    for path in ["/resources".to_owned(), format!("/resources/{shown}")] {
        let html = browser.page(&path).await;
        assert!(!html.contains(&hidden.to_string()) && html.contains(&shown.to_string()), "{path}");
    }
}

#[tokio::test]
async fn a_resource_stands_among_the_messages_of_its_chat() {
    let app = spawn_app().await;
    for number in 1..=9 {
        let elsewhere = if number == 6 { "oc_other" } else { event::GROUP_CHAT };
        let message = event::file(&format!("om_{number}"), &Media::Pdf.key(number), &format!("name-{number}.pdf"));
        app.deliver(&event::MessageEvent { chat_id: elsewhere.into(), ..message }).await;
        app.advance(Duration::from_secs(60)).await;
    }
    let browser = Browser::signed_in(&app).await;
    let own = app.resource(&Media::Pdf.key(5)).await.resource;
    let html = browser.page(&format!("/resources/{}", own.id)).await;
    let conversation = between(&html, "<ol class=\"turns\">", "</ol>").pop().unwrap();
    let names: Vec<&str> = between(conversation, "<bdi>name-", ".pdf</bdi>");
    assert_eq!(names, ["2", "3", "4", "5", "7", "8", "9"]);
    assert!(html.contains(&own.sha256.unwrap().to_string()) && html.contains("/blobs/sha256/"));
}

#[tokio::test]
async fn a_bad_filter_is_named_at_its_field_in_the_readers_language() {
    let app = spawn_app().await;
    let mut browser = Browser::signed_in(&app).await;
    for (query, field, english, chinese) in [
        ("from=yesterday", "from", "Write 2026-01-31T09", "请写成 2026-01-31T09"),
        ("max_size=many", "max_size", "Write bytes", "请写字节数"),
        ("state=broken", "state", "no such choice", "没有这个选项"),
        ("colour=red", "colour", "no such filter", "没有这个筛选条件"),
        ("to=1d&to=2d", "to", "only once", "只能写一次"),
        ("mime=png", "mime", "a media type such as image/png", "请写媒体类型"),
        (
            "q=%E5%8F%91%E7%A5%A8+%22%E6%80%BB",
            "q",
            "At character 4: This quotation mark",
            "第 4 个字符：这个引号没有结束",
        ),
        ("q=a+type:", "q", "At character 8: type: wants a value", "第 8 个字符：type: 后面缺少值"),
        ("q=a+state:done", "q", "At character 9: There is no such choice", "第 9 个字符：没有这个选项"),
        ("q=a+after:yesterday", "q", "At character 9: Write 2026", "第 9 个字符：请写成 2026"),
        ("q=a+tpye:image", "q", "At character 3: There is no tpye: to ask for", "第 3 个字符：没有 tpye: 这个条件"),
        ("q=-larger:1", "q", "At character 1: larger: cannot be", "第 1 个字符：larger: 前面不能加减号"),
        ("q=sort:relevance", "q", "needs words", "需要有要搜索的词"),
    ] {
        for (language, sentence) in [("en", english), ("zh", chinese)] {
            browser.language = language;
            let answer = browser.get(&format!("/resources?{query}")).await;
            assert_eq!(answer.status(), 400, "{query}");
            let html = answer.text().await.unwrap();
            let trouble = between(&html, &format!("id=\"{field}-trouble\">"), "</p>");
            assert!(trouble.iter().any(|trouble| trouble.contains(sentence)), "{query} {language}: {trouble:?}");
        }
    }
    assert_eq!(browser.get("/resources?state=&q=&from=&chat_id=").await.status(), 200, "empty fields are no filters");
    assert_eq!(browser.get("/resources?cursor=nonsense").await.status(), 400);
}

#[tokio::test]
async fn every_resource_is_on_one_of_the_pages() {
    let app = spawn_app().await;
    for number in 0..130 {
        app.deliver(&event::sticker(&format!("om_{number}"), &format!("sticker_{number}"))).await;
    }
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    for view in ["", "&view=table"] {
        let mut path = Some(format!("/resources?state=impossible{view}"));
        let mut ids = Vec::new();
        while let Some(here) = path {
            let html = browser.page(&here).await;
            ids.extend(between(&html, "name=\"id\" value=\"", "\"").into_iter().map(str::to_owned));
            let next = between(&html, "class=\"button\" href=\"", "\" rel=\"next\"")
                .pop()
                .map(|next| next.replace("&#38;", "&"));
            path = next;
        }
        assert_eq!(ids.len(), 130);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 130);
    }
}

#[tokio::test]
async fn what_is_blocked_says_why_and_is_stored_after_a_retry() {
    let app = spawn_app().await;
    let keys = [Media::Png.key(1), Media::Png.key(2), Media::Png.key(3)];
    for key in &keys {
        app.fault(json!({"key": key, "times": 1, "do": {"answer": {"status": 400, "code": 234_038, "msg": "restricted <b>"}}}));
        app.deliver(&event::image(&format!("om_{key}"), key)).await;
    }
    app.drain().await;
    let mut browser = Browser::signed_in(&app).await;
    let ids = [
        app.resource(&keys[0]).await.resource.id.to_string(),
        app.resource(&keys[1]).await.resource.id.to_string(),
        app.resource(&keys[2]).await.resource.id.to_string(),
    ];
    browser.language = "zh";
    let html = browser.page(&format!("/resources/{}", ids[0])).await;
    assert!(html.contains("请群主在群设置中允许下载") && html.contains("restricted_mode"), "{html}");
    assert!(html.contains("code 234038") && html.contains("restricted &#60;b&#62;"), "{html}");

    let answer = browser.post(&format!("/resources/{}/retry", ids[0]), &[]).await;
    assert_eq!(text(answer.headers(), "location"), format!("/resources/{}", ids[0]));
    let selected = [("id", ids[1].as_str()), ("id", &ids[2]), ("id", &ids[0]), ("back", "/resources?state=blocked")];
    let answer = browser.post("/resources/retry", &selected).await;
    let back = text(answer.headers(), "location").to_owned();
    assert!(back.starts_with("/resources?state=blocked&queued="), "{back}");
    assert!(browser.page(&back).await.contains("已重新排队"));
    app.drain().await;
    for key in &keys {
        app.assert_stored(key).await;
    }
    let elsewhere = browser.post("/resources/retry", &[("id", &ids[1]), ("back", "https://evil.test")]).await;
    assert_eq!(elsewhere.status(), 400);
    assert_eq!(browser.post("/resources/r0000000000ff/retry", &[]).await.status(), 404);
}

#[tokio::test]
async fn a_download_keeps_its_original_name() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    let path = shelved(&app, "file_1", "第四课#1?.pdf", b"%PDF-1.4").await;
    let answer = browser.get(&format!("{path}/content")).await;
    let disposition = text(answer.headers(), "content-disposition");
    assert!(disposition.ends_with("filename*=UTF-8''%E7%AC%AC%E5%9B%9B%E8%AF%BE#1%3F.pdf"), "{disposition}");
    let head = browser.ask(Method::HEAD, &path, &[], None).await;
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
}

/// The files of a ZIP that was answered, under their paths.
async fn unzipped(answer: Response) -> BTreeMap<String, Vec<u8>> {
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "content-type")), (200, "application/zip"));
    let mut zip = ZipArchive::new(Cursor::new(answer.bytes().await.unwrap())).unwrap();
    let mut files = BTreeMap::new();
    for place in 0..zip.len() {
        let mut file = zip.by_index(place).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(file.name().unwrap().into_owned(), bytes);
    }
    files
}

fn originals(files: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    files.keys().filter_map(|path| path.strip_prefix("files/2026-01-01/")).collect()
}

#[tokio::test]
async fn what_is_selected_or_matches_is_exported_as_a_zip() {
    let app = spawn_app().await;
    let mut ids = Vec::new();
    for (key, name) in [("file_1", "发票 一.txt"), ("file_2", "我的发票.txt"), ("file_3", "other.txt")] {
        ids.push(shelved(&app, key, name, name.as_bytes()).await.rsplit('/').next().unwrap().to_owned());
    }
    let browser = Browser::signed_in(&app).await;
    let html = browser.page("/resources?q=%E5%8F%91%E7%A5%A8&view=table").await;
    let address = between(&html, "id=\"export-all\" method=\"post\" action=\"", "\"").pop().unwrap();
    let answer = browser.post(&address.replace("&#38;", "&"), &[("extent", "matching")]).await;
    let headers = answer.headers().clone();
    assert_eq!(text(&headers, "content-disposition"), "attachment; filename=\"larkive-20260101T000000Z.zip\"");
    assert!(text(&headers, "content-security-policy").starts_with("sandbox"));
    let files = unzipped(answer).await;
    assert_eq!(originals(&files), ["发票 一.txt", "我的发票.txt"]);
    assert_eq!(files["files/2026-01-01/发票 一.txt"], "发票 一.txt".as_bytes());
    assert!(files.contains_key("manifest.jsonl") && files.contains_key("SHA256SUMS"), "{:?}", files.keys());

    let ranked = browser.post("/export?q=%E5%8F%91%E7%A5%A8+sort:relevance", &[("extent", "matching")]).await;
    assert_eq!(unzipped(ranked).await["manifest.jsonl"], files["manifest.jsonl"], "an export has one order");

    let selected = [("extent", "selected"), ("id", ids[2].as_str()), ("id", &ids[0]), ("back", "/resources")];
    let files = unzipped(browser.post("/export", &selected).await).await;
    assert_eq!(originals(&files), ["other.txt", "发票 一.txt"]);
    let files = unzipped(browser.post("/export", &[("extent", "matching")]).await).await;
    assert_eq!(originals(&files).len(), 3);
}

#[tokio::test]
async fn an_export_is_asked_for_by_a_page_of_ours_and_says_what_it_takes() {
    let app = spawn_app().await;
    let path = shelved(&app, "file_1", "a.txt", b"hello").await;
    let browser = Browser::signed_in(&app).await;
    let matching: &[(&str, &str)] = &[("extent", "matching")];
    let elsewhere = browser.ask(Method::POST, "/export", &[("origin", "http://evil.test")], Some(matching)).await;
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(Browser::new(&app).post("/export", matching).await.status(), 303);
    assert_eq!(browser.get("/export").await.status(), 404);
    let id = path.rsplit('/').next().unwrap();
    for (address, form, says) in [
        ("/export", vec![("extent", "selected")], "Nothing was selected"),
        ("/export", vec![("extent", "selected"), ("id", "nonsense")], "cannot be understood"),
        ("/export", vec![("extent", "selected"); 1].into_iter().chain([("id", id); 1001]).collect(), "Too much"),
        ("/export", vec![("extent", "x")], "cannot be understood"),
        ("/export?colour=red", vec![("extent", "matching")], "cannot be understood"),
    ] {
        let answer = browser.post(address, &form).await;
        assert_eq!(answer.status(), 400, "{address}");
        let html = answer.text().await.unwrap();
        assert!(html.contains(says), "{says}: {html}");
    }
}

#[tokio::test]
async fn only_a_few_exports_are_made_at_once() {
    let app = spawn_app().await;
    // More than waits to be taken in buffers on the way.
    shelved(&app, "file_1", "large.bin", &vec![7; 24 << 20]).await;
    let browser = Browser::signed_in(&app).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let answer = browser.post("/export", &[("extent", "matching")]).await;
        assert_eq!(answer.status(), 200);
        taken.push(answer);
    }
    let refused = browser.post("/export", &[("extent", "matching")]).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("Several exports"));
    drop(taken);
    until("a place for an export is free", async || {
        browser.post("/export", &[("extent", "matching")]).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn results_are_counted_up_to_a_thousand() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    shelved(&app, "file_1", "a.txt", b"hello").await;
    sqlx::query(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200)
         INSERT INTO resources (app_id, source, owner, type, key, role, state, reason_code, listed_at, seen_at)
         SELECT 'cli_test', 'message', 'om_' || n, 'image', 'img_' || n, 'image', 'gone', 'message_deleted', n, n FROM n",
    )
    .execute(app.catalogue.write().unwrap())
    .await
    .unwrap();
    for (query, found) in
        [("", "1,201"), ("?state=gone", "1000+"), ("?role=file", "1"), ("?state=gone&role=image", "1000+")]
    {
        let html = browser.page(&format!("/resources{query}")).await;
        assert!(html.contains(&format!("Found {found}<")), "{query}");
    }
    // What is kept of the whole archive would mislead beside another filter.
    let html = browser.page("/resources?state=gone").await;
    assert!(html.contains("Gone (1,200)") && !html.contains("Image (1,200)"));
    let html = browser.page("/resources?q=a").await;
    assert!(!html.contains("Gone (1,200)"));
}

#[tokio::test]
async fn where_a_search_paused_is_said_in_words() {
    let app = spawn_app().await;
    let mut browser = Browser::signed_in(&app).await;
    // More than one reading looks through, and none of them has a size.
    sqlx::query(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 25000)
         INSERT INTO resources (app_id, source, owner, type, key, role, mime, state, reason_code, listed_at, seen_at)
         SELECT 'cli_test', 'message', 'om_' || n, 'image', 'img_' || n, 'image', 'image/png', 'gone', 'message_deleted', n, n
         FROM n",
    )
    .execute(app.catalogue.write().unwrap())
    .await
    .unwrap();
    for (language, nothing, paused) in
        [("en", "Nothing so far.", "the search paused here"), ("zh", "目前还没有找到。", "查找先停在这里")]
    {
        browser.language = language;
        let html = browser.page("/resources?min_size=1").await;
        assert!(html.contains(nothing) && html.contains(paused) && html.contains("data-more"), "{html}");
        assert!(!html.contains("没有符合条件的资源") && !html.contains("Nothing matches"));
    }
}

#[tokio::test]
async fn who_has_signed_in_reads_the_description_of_the_api() {
    let app = spawn_app().await;
    let mut browser = Browser::signed_in(&app).await;
    let settings = browser.page("/settings").await;
    assert!(settings.contains("href=\"/api/docs\""));
    let answer = browser.get("/api/docs").await;
    let policy = text(answer.headers(), "content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
    let html = answer.text().await.unwrap();
    assert!(html.contains("/v1/resources") && !html.contains("<script"));
    assert_eq!(browser.get("/api/openapi.json").await.status(), 401, "a session is for pages");

    app.advance(Duration::from_secs(13 * 3600)).await;
    assert_eq!(text(browser.get("/api/docs").await.headers(), "location"), "/login?next=/api/docs");
    browser.cookie = None;
    assert_eq!(browser.get("/api/docs").await.status(), 401);
}
