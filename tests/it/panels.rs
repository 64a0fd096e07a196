//! The pages around the resources: overview, what needs attention, chats, deliveries, settings.

use larkive::domain::download::State;
use larkive::domain::message::OnRecall;
use larkive::domain::setting::{ShownSetting, ShownValue};
use larkive::sandbox::event::{self, Notice, NoticeEvent};
use larkive::sandbox::listing::Listed;
use larkive::sandbox::samples::Media;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app, spawn_app_with};

const PAGES: [&str; 5] = ["/", "/failed", "/chats", "/deliveries", "/settings"];

/// Somebody who has signed in.
struct Browser<'a> {
    app: &'a TestApp,
    http: reqwest::Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(app: &'a TestApp) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let url = format!("http://{}/login", app.admin_address);
        let form = format!("token={ADMIN_TOKEN}&next=/");
        let request = http.post(url).header("sec-fetch-site", "same-origin").body(form);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { app, http, cookie }
    }

    /// The status and text of a page, in a language.
    async fn get_in(&self, language: &str, path: &str) -> (u16, String) {
        let request = self.http.get(format!("http://{}{path}", self.app.admin_address)).header("cookie", &self.cookie);
        let answer = request.header("accept-language", language).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// An English page that is there.
    async fn read(&self, path: &str) -> String {
        let (status, text) = self.get_in("en", path).await;
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// Posts a form from a page of a site; the status, and where it leads.
    async fn post_from(&self, site: &str, path: &str, form: &str) -> (u16, String) {
        let request = self.http.post(format!("http://{}{path}", self.app.admin_address)).header("cookie", &self.cookie);
        let request = request.header("sec-fetch-site", site).body(form.to_owned());
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let place = answer.headers().get("location").map_or("", |place| place.to_str().unwrap());
        (answer.status().as_u16(), place.to_owned())
    }

    /// Posts a form of ours and reads the page that it leads to.
    async fn post(&self, path: &str, form: &str) -> String {
        let (status, place) = self.post_from("same-origin", path, form).await;
        assert_eq!(status, 303, "{path}");
        self.read(&place).await
    }
}

/// Makes the platform refuse a picture with this code, once or for good.
fn refuse(app: &TestApp, key: &str, code: i64, times: Option<u64>) {
    let mut rule = json!({"key": key, "do": {"answer": {"status": 400, "code": code, "msg": "no <b>way</b>"}}});
    if let Some(times) = times {
        rule["times"] = json!(times);
    }
    app.fault(rule);
}

/// An archive where one picture is stored twice over, one is blocked and one is gone.
async fn mixed() -> TestApp {
    let app = spawn_app().await;
    refuse(&app, &Media::Png.key(2), 234_038, Some(1));
    refuse(&app, &Media::Png.key(3), 230_110, None);
    for (message, seed) in [("om_1", 1), ("om_2", 2), ("om_3", 3), ("om_4", 1)] {
        app.deliver(&event::image(message, &Media::Png.key(seed))).await;
    }
    app.drain().await;
    app
}

#[tokio::test]
async fn pages_are_for_who_has_signed_in() {
    let app = spawn_app().await;
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    for path in PAGES {
        let answer = http.get(format!("http://{}{path}", app.admin_address)).send().await.unwrap();
        let place = answer.headers()["location"].to_str().unwrap();
        assert!(answer.status() == 303 && place.starts_with("/login?next=/"), "{path}: {place}");
    }
    let closed = spawn_app_with(Options { admin_token: None, ..Options::default() }).await;
    for path in PAGES {
        let answer = http.get(format!("http://{}{path}", closed.admin_address)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn an_empty_archive_has_all_its_pages_in_both_languages() {
    let app = spawn_app().await;
    let browser = Browser::sign_in(&app).await;
    for path in PAGES {
        for (language, tag) in [("zh-CN", "<html lang=\"zh-CN\">"), ("en", "<html lang=\"en\">")] {
            let (status, text) = browser.get_in(language, path).await;
            assert!(status == 200 && text.contains(tag), "{path} {language}: {status}");
        }
    }
    assert!(browser.read("/").await.contains("Nothing needs a person."));
    assert!(browser.read("/failed").await.contains("All is well"));
    for (path, expected) in [
        ("/failed/nonsense?app_id=cli_test", 404),
        ("/failed/scope_missing", 404),
        ("/failed/scope_missing?app_id=cli_test", 200),
        ("/failed/scope_missing?app_id=cli_test&cursor=x", 400),
        ("/chats?cursor=x", 400),
        ("/deliveries?cursor=x", 400),
        ("/deliveries?result=x", 400),
        ("/deliveries/e000000000001", 404),
        ("/deliveries/x", 404),
        ("/?days=x", 400),
    ] {
        assert_eq!(browser.get_in("en", path).await.0, expected, "{path}");
    }
}

#[tokio::test]
async fn the_overview_tells_what_came_in_and_what_needs_a_person() {
    let app = mixed().await;
    let browser = Browser::sign_in(&app).await;
    let page = browser.read("/").await;
    for shown in [
        "Everything works",
        "Ask the group owner to allow downloads",
        "group owner",
        "href=\"/failed/restricted_mode?app_id=cli_test\"",
        "4 in all. Most on 2026-01-01: 4.",
        "role=\"img\" aria-labelledby=\"received-title received-summary\"",
        "<th scope=\"row\">2026-01-01</th>",
    ] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    let (_, chinese) = browser.get_in("zh-CN", "/?days=90").await;
    assert!(chinese.contains("请群主在群设置中允许下载") && chinese.contains("群主"), "{chinese}");
    assert!(!chinese.contains("Ask the group owner"), "{chinese}");
}

#[tokio::test]
async fn a_group_is_retried_and_becomes_stored() {
    let app = mixed().await;
    let browser = Browser::sign_in(&app).await;
    let page = browser.read("/failed").await;
    let (act, accept) = (page.find("Needs a person").unwrap(), page.find("Out of reach").unwrap());
    assert!(act < accept, "what needs a person comes first");
    for shown in ["234038", "no &#60;b&#62;way&#60;/b&#62;", "message_deleted"] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    let group = browser.read("/failed/restricted_mode?app_id=cli_test").await;
    assert!(group.contains("234038") && group.contains("name=\"id\""), "{group}");

    let form = "extent=group&reason=restricted_mode&app_id=cli_test";
    assert_eq!(browser.post_from("cross-site", "/failed/retry", form).await.0, 403);
    assert_eq!(browser.post_from("same-origin", "/failed/retry", "extent=x").await.0, 400);
    assert!(browser.post("/failed/retry", form).await.contains("Queued again: 1"));
    app.drain().await;
    app.assert_stored(&Media::Png.key(2)).await;
    let page = browser.read("/failed").await;
    assert!(!page.contains("restricted_mode") && page.contains("message_deleted"), "{page}");
}

#[tokio::test]
async fn everything_that_asks_the_same_is_retried_at_once() {
    let app = mixed().await;
    let browser = Browser::sign_in(&app).await;
    for (extent, queued) in [("waiting", 0), ("ended", 1), ("blocked", 1)] {
        let page = browser.post("/failed/retry", &format!("extent={extent}")).await;
        assert!(page.contains(&format!("Queued again: {queued}")), "{extent}\n{page}");
        app.drain().await;
    }
    app.assert_stored(&Media::Png.key(2)).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_shown_harmlessly_and_replayed() {
    let app = spawn_app().await;
    let mut payload = event::image("om_1", &Media::Png.key(1)).payload(app.sender.app(), app.clock.now());
    payload["event"]["message"]["message_id"] = json!(12);
    payload["event"]["message"]["content"] = json!("</pre><script>alert(1)</script>\u{202e}");
    assert_eq!(app.deliver_payload(&payload).await.status, 200);
    app.drain().await;
    let browser = Browser::sign_in(&app).await;

    let page = browser.read("/failed").await;
    assert!(page.contains("Events that could not be read"), "{page}");
    assert!(page.contains("&#60;script&#62;alert(1)") && page.contains("\\u{202e}"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains(crate::support::VERIFICATION_TOKEN), "{page}");

    let id = app.json("/api/v1/events?result=unparsed").await["items"][0]["id"].as_str().unwrap().to_owned();
    let one = browser.read(&format!("/deliveries/{id}")).await;
    assert!(one.contains("im.message.receive_v1") && one.contains("&#34;***&#34;"), "{one}");
    let replay = format!("/deliveries/{id}/replay");
    assert_eq!(browser.post_from("cross-site", &replay, "").await.0, 403);
    assert!(browser.post(&replay, "").await.contains("It will be read again in a moment."));
    app.drain().await;
    assert!(browser.read("/deliveries?result=unparsed").await.contains(&id));
    assert_eq!(browser.post_from("same-origin", "/deliveries/e00000000002a/replay", "").await.0, 404);
}

#[tokio::test]
async fn the_payload_of_a_hidden_message_is_not_shown() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    let browser = Browser::sign_in(&app).await;
    let id = app.json("/api/v1/events").await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/deliveries/{id}");
    assert!(browser.read(&path).await.contains(&Media::Png.key(1)));
    let notice = Notice::Recalled { message_id: "om_1".to_owned() };
    let recall = NoticeEvent { event_id: "recall".to_owned(), notice };
    app.deliver_payload(&recall.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
    let page = browser.read(&path).await;
    assert!(!page.contains(&Media::Png.key(1)) && page.contains("The message was recalled"), "{page}");
}

#[tokio::test]
async fn a_recalled_message_that_could_not_be_read_still_showed_its_text() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    let secret = event::MessageEvent::new("om_1", "text", json!({"text": "the secret words"}).to_string());
    let unreadable = |event_id: &str, change: &dyn Fn(&mut Value)| {
        let mut payload = secret.payload(app.sender.app(), app.clock.now());
        payload["header"]["event_id"] = json!(event_id);
        change(&mut payload["event"]);
        payload
    };
    let payloads = [
        // The message has no chat.
        unreadable("e1", &|event| event["message"]["chat_id"] = json!(7)),
        // Nor is it where it belongs.
        unreadable("e2", &|event| *event = json!({"messages": [event["message"]]})),
        unreadable("e3", &|event| *event = json!({"open_message_id": "om_1", "text": "the secret words"})),
        // Another one stays to be seen.
        unreadable("e4", &|event| *event = json!({"open_message_id": "om_2", "text": "what is not recalled"})),
    ];
    for payload in payloads {
        assert_eq!(app.deliver_payload(&payload).await.status, 200);
    }
    app.drain().await;
    let browser = Browser::sign_in(&app).await;
    let ids: Vec<String> = app.json("/api/v1/events?result=unparsed").await["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 4);
    let pages = async || {
        let mut pages = browser.read("/failed").await;
        for id in &ids {
            pages += &browser.read(&format!("/deliveries/{id}")).await;
        }
        pages
    };
    assert_eq!(pages().await.matches("the secret words").count(), 6);
    let notice = Notice::Recalled { message_id: "om_1".to_owned() };
    let recall = NoticeEvent { event_id: "recall".to_owned(), notice };
    app.deliver_payload(&recall.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
    let pages = pages().await;
    assert!(!pages.contains("the secret words"), "{pages}");
    assert_eq!(pages.matches("what is not recalled").count(), 2);
}

#[tokio::test]
async fn deliveries_are_paged_and_filtered() {
    let app = spawn_app().await;
    for number in 0..51 {
        app.deliver(&event::image(&format!("om_{number}"), &Media::Png.key(1))).await;
    }
    app.deliver(&event::image("om_0", &Media::Png.key(1)).redelivered("again")).await;
    app.drain().await;
    let browser = Browser::sign_in(&app).await;
    let first = browser.read("/deliveries").await;
    assert_eq!(first.matches("href=\"/deliveries/e").count(), 50);
    let next = first.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
    let second = browser.read(&next).await;
    assert_eq!(second.matches("href=\"/deliveries/e").count(), 2);
    assert!(!second.contains("rel=\"next\"") && second.contains("Back to the first page"), "{second}");
    let duplicates = browser.read("/deliveries?result=duplicate").await;
    assert_eq!(duplicates.matches("href=\"/deliveries/e").count(), 1, "{duplicates}");
}

#[tokio::test]
async fn chats_lead_to_their_resources() {
    let app = mixed().await;
    let browser = Browser::sign_in(&app).await;
    let page = browser.read("/chats").await;
    let chat = app.json("/api/v1/chats").await["items"][0].clone();
    let id = chat["chat_id"].as_str().unwrap();
    assert!(page.contains(&format!("href=\"/resources?chat_id={id}\"")), "{page}");
    assert!(
        page.contains(&format!("href=\"/resources?chat_id={id}&amp;state=blocked,gone,impossible\">2</a>")),
        "{page}"
    );
}

#[tokio::test]
async fn settings_are_shown_as_the_program_sees_them() {
    let given = ShownValue::Given { text: "<i>10</i>".to_owned(), place: ".env line 3".to_owned() };
    let shown_settings = vec![
        ShownSetting { key: "LARKIVE_DOWNLOAD_CONCURRENCY".to_owned(), value: given },
        ShownSetting { key: "LARKIVE_STORE_URL".to_owned(), value: ShownValue::Unset("beside the catalogue") },
    ];
    let app = spawn_app_with(Options { shown_settings, ..Options::default() }).await;
    let browser = Browser::sign_in(&app).await;
    let page = browser.read("/settings").await;
    for shown in [
        "LARKIVE_DOWNLOAD_CONCURRENCY",
        "&#60;i&#62;10",
        ".env line 3",
        "beside the catalogue",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    assert!(browser.get_in("zh", "/settings").await.1.contains("未设置"));
}

#[tokio::test]
async fn a_quoted_message_that_could_not_be_had_is_shown_and_asked_for_again() {
    let app = spawn_app().await;
    let quoted = Listed::Picture.id(3);
    app.fault(json!({"route": "message", "times": 1, "do": {"answer": {"status": 400, "code": 230_002}}}));
    app.deliver(&event::reply("om_1", &quoted)).await;
    app.drain().await;
    let browser = Browser::sign_in(&app).await;
    let page = browser.read("/failed").await;
    for shown in ["Quoted messages that could not be had", &quoted, "om_1", "230002", "app_not_in_chat"] {
        assert!(page.contains(shown), "{shown}\n{page}");
    }
    assert!(browser.read("/").await.contains("Quoted messages that could not be had: 1<"));
    let (_, chinese) = browser.get_in("zh-CN", "/failed").await;
    assert!(chinese.contains("未能取得的被回复消息") && chinese.contains("重新查询"), "{chinese}");

    let form = "extent=quoted&reason=app_not_in_chat&app_id=cli_test";
    assert_eq!(browser.post_from("cross-site", "/failed/retry", form).await.0, 403);
    assert!(browser.post("/failed/retry", form).await.contains("Queued again: 1"));
    app.drain().await;
    assert_eq!(app.resources().await[0].state, State::Stored);
    assert!(browser.read("/failed").await.contains("All is well"));
    assert!(browser.post("/failed/retry", form).await.contains("Queued again: 0"));
}

#[tokio::test]
async fn what_a_hidden_message_quotes_is_hidden_too() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    app.deliver(&event::reply("om_1", "om_never_seen")).await;
    app.drain().await;
    let browser = Browser::sign_in(&app).await;
    assert!(browser.read("/failed").await.contains("om_never_seen"));
    let notice = Notice::Recalled { message_id: "om_1".to_owned() };
    let recall = NoticeEvent { event_id: "recall".to_owned(), notice };
    app.deliver_payload(&recall.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
    assert!(!browser.read("/failed").await.contains("om_never_seen"));
    assert!(!browser.read("/").await.contains("Quoted messages"));
}

#[tokio::test]
async fn what_comes_later_has_no_page_yet() {
    let app = spawn_app().await;
    let browser = Browser::sign_in(&app).await;
    for path in ["/backfills", "/coverage"] {
        assert_eq!(browser.get_in("en", path).await.0, 404, "{path}");
    }
    assert_eq!(app.api("/api/v1/coverage").await.status(), 404);
}
