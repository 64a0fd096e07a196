//! Many resources: filters, pages, and how many there are.

use larkive::cli::output::Record as _;
use larkive::domain::zone::Zone;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use super::browser::{Browser, between, shelved, text};
use super::export::unzipped;
use crate::support::{spawn_app, until};

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
async fn everything_that_a_filter_finds_is_tried_again() {
    let app = spawn_app().await;
    for (seed, chat) in [(1, "oc_a"), (2, "oc_a"), (3, "oc_b")] {
        let key = Media::Png.key(seed);
        app.fault(json!({"key": key, "times": 1, "do": {"answer": {"status": 400, "code": 234_038, "msg": "no"}}}));
        let message = event::image(&format!("om_{seed}"), &key);
        app.deliver(&event::MessageEvent { chat_id: chat.into(), ..message }).await;
    }
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    for (query, offers) in [("?state=blocked&chat_id=oc_a", true), ("?chat_id=oc_a", false), ("?state=stored", false)] {
        let html = browser.page(&format!("/resources{query}")).await;
        assert_eq!(html.contains("id=\"retry-all\""), offers, "{query}");
    }
    let html = browser.page("/resources?state=blocked&chat_id=oc_a").await;
    let address =
        between(&html, "id=\"retry-all\" method=\"post\" action=\"", "\"").pop().unwrap().replace("&#38;", "&");
    let form = [("extent", "matching"), ("back", "/resources?state=blocked")];
    let answer = browser.post(&address, &form).await;
    assert_eq!(text(answer.headers(), "location"), "/resources?state=blocked&queued=2");
    app.drain().await;
    app.assert_stored(&Media::Png.key(1)).await;
    app.assert_stored(&Media::Png.key(2)).await;
    for refused in ["?colour=red", "", "?chat_id=oc_b"] {
        assert_eq!(browser.post(&format!("/resources/retry{refused}"), &form).await.status(), 400, "{refused}");
    }
    let nowhere = [("extent", "matching"), ("back", "//evil.test")];
    assert_eq!(browser.post("/resources/retry?state=blocked", &nowhere).await.status(), 400);
    app.drain().await;
    assert_eq!(app.platform.requests_for(&Media::Png.key(3)), 1, "nothing was queued");
}

#[tokio::test]
async fn a_chat_without_a_name_is_known_by_its_person() {
    let app = spawn_app().await;
    let alone = event::file("om_1", &Media::Text.key(1), "note.txt");
    app.deliver(&event::MessageEvent { chat_id: event::P2P_CHAT.into(), chat_type: "p2p", ..alone }).await;
    app.drain().await;
    // Who is looked up later than that would get another name while the pages are read.
    let looked_up = async || app.count("SELECT COUNT(*) FROM senders WHERE name_due_at = 0").await == 0;
    until("its person was looked up", looked_up).await;
    let mut browser = Browser::signed_in(&app).await;
    let id = app.resource(&Media::Text.key(1)).await.resource.id;
    let places = ["/", "/chats", "/resources", "/resources?view=table", &format!("/resources/{id}")];
    for (name, language, title) in [
        (None, "en", "Direct chat · oc_1d9e8c7b…"),
        (None, "zh", "单聊 · oc_1d9e8c7b…"),
        (Some("李四"), "en", "Direct chat · 李四"),
        (Some("李四"), "zh", "单聊 · 李四"),
    ] {
        let rename = sqlx::query("UPDATE senders SET name = ?").bind(name);
        rename.execute(app.catalogue.write().unwrap()).await.unwrap();
        browser.language = language;
        for place in places {
            let html = browser.page(place).await;
            assert!(html.contains(&format!("{title}</bdi>")), "{place} {title}");
            assert!(html.contains(event::P2P_CHAT), "{place}: the id is there too");
        }
    }
    let files = unzipped(browser.post("/export", &[("extent", "matching")]).await).await;
    assert!(str::from_utf8(&files["index.html"]).unwrap().contains("<bdi>单聊 direct · 李四</bdi>"));
    let resource = app.resource(&Media::Text.key(1)).await.resource;
    let cells = resource.cells(&Zone::default());
    assert!(cells.contains(&"direct · 李四".to_owned()), "{cells:?}");
    assert_eq!(serde_json::to_value(&resource).unwrap()["chat_name"], Value::Null);
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
