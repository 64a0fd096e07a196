//! What holds for every page: what it may load, who may post to it, its language, and that nothing in it
//! acts that a stranger wrote.

use std::time::Duration;

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use reqwest::Method;
use serde_json::json;

use super::browser::{Browser, between, shelved, text};
use crate::support::spawn_app;

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
    let cookie = browser.cookie.take().unwrap();
    browser.cookie = Some(format!("{cookie}; {chosen}"));
    assert!(browser.page("/resources").await.contains("Sign out"));
    for (language, words) in [("zh-CN", "这个页面不存在。"), ("en", "There is nothing here.")] {
        browser.cookie = Some(format!("{cookie}; larkive_language={language}"));
        browser.language = "fr";
        for path in ["/nowhere", "/resources/r0000000000ff", "/deliveries/x"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status(), 404, "{path}");
            let html = answer.text().await.unwrap();
            assert!(html.contains(&format!("<h1>{words}</h1>")), "{path} {html}");
        }
    }
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
