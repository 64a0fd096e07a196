//! One resource: what of it is shown and how, what was said around it, and trying it once more.

use std::time::Duration;

use larkive::domain::message::OnRecall;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use reqwest::Method;
use serde_json::json;

use super::browser::{Browser, between, shelved, text};
use crate::support::{ADMIN_TOKEN, Options, spawn_app, spawn_app_with};

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
async fn a_strangers_script_was_served_as_one_from_the_pages_origin() {
    let app = spawn_app().await;
    let browser = Browser::signed_in(&app).await;
    let kinds = [
        ("text/javascript", "application/octet-stream"),
        ("application/javascript; charset=utf-8", "application/octet-stream"),
        ("text/css", "application/octet-stream"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("application/wasm", "application/octet-stream"),
        ("no type", "application/octet-stream"),
        ("text/plain", "text/plain"),
        ("audio/amr", "audio/amr"),
    ];
    for (number, (told, sent)) in kinds.into_iter().enumerate() {
        let key = format!("file_{number}");
        let headers = json!({"set": {"content-type": told}});
        app.fault(json!({"route": "resource", "key": key, "do": {"headers": headers}}));
        let path = shelved(&app, &key, "bytes.bin", b"alert(1)").await;
        for place in [format!("{path}/content"), format!("/api/v1{path}/content")] {
            for range in [None, Some("bytes=0-4")] {
                let url = format!("http://{}{place}", app.admin_address);
                for method in [Method::GET, Method::HEAD] {
                    let request = app.http.request(method, &url).bearer_auth(ADMIN_TOKEN);
                    let request = request.header("cookie", browser.cookie.as_deref().unwrap());
                    let request = range.into_iter().fold(request, |request, range| request.header("range", range));
                    let answer = request.send().await.unwrap();
                    assert!(answer.status().is_success(), "{place}: {}", answer.status());
                    let headers = answer.headers();
                    assert_eq!(text(headers, "content-type"), sent, "{told}");
                    assert_eq!(text(headers, "x-content-type-options"), "nosniff");
                    assert_eq!(text(headers, "content-security-policy"), "sandbox; default-src 'none'");
                    assert!(text(headers, "content-disposition").starts_with("attachment; "));
                }
            }
        }
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
async fn pictures_in_a_text_stood_there_as_markdown() {
    let app = spawn_app().await;
    let (shown, refused) = (Media::Png.key(1), Media::Png.key(2));
    app.fault(json!({"key": refused, "do": {"answer": {"status": 400, "code": 234_038, "msg": "restricted"}}}));
    let text = format!("before ![图]({shown}) after\n![]({refused})\n![web](https://example.com/a.png)");
    let body = json!({"content": [[{"tag": "md", "text": text}]]});
    app.deliver(&event::post("om_1", &body)).await;
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    let ids = [app.resource(&shown).await.resource.id, app.resource(&refused).await.resource.id];
    let html = browser.page(&format!("/resources/{}", ids[0])).await;
    let conversation = between(&html, "<ol class=\"turns\">", "</ol>").pop().unwrap();
    assert!(!conversation.contains("![图]") && !conversation.contains("![]"), "{conversation}");
    assert!(!conversation.contains(&shown) && !conversation.contains(&refused), "{conversation}");
    for id in &ids {
        assert_eq!(conversation.matches(&format!("href=\"/resources/{id}\"")).count(), 1, "{conversation}");
    }
    assert!(conversation.contains("before ") && conversation.contains(" after"), "{conversation}");
    assert!(conversation.contains("![web](https://example.com/a.png)"), "it is none of ours: {conversation}");
}

#[tokio::test]
async fn a_forward_stood_in_the_conversation_as_its_type() {
    let app = spawn_app().await;
    app.deliver(&event::merge_forward("om_1")).await;
    app.deliver(&event::MessageEvent::new("om_2", "share_chat", r#"{"chat_id":"oc_9"}"#)).await;
    app.deliver(&event::MessageEvent::new("om_3", "from_the_future", "{}")).await;
    app.deliver(&event::image("om_4", &Media::Png.key(4))).await;
    app.drain().await;
    let mut browser = Browser::signed_in(&app).await;
    let path = format!("/resources/{}", app.resource(&Media::Png.key(4)).await.resource.id);
    for (language, words) in [
        ("zh", ["转发的聊天记录", "群名片", "from_the_future"]),
        ("en", ["Forwarded messages", "Shared chat", "from_the_future"]),
    ] {
        browser.language = language;
        let html = browser.page(&path).await;
        let conversation = between(&html, "<ol class=\"turns\">", "</ol>").pop().unwrap();
        assert!(!conversation.contains("[merge_forward]") && !conversation.contains("share_chat"), "{conversation}");
        assert!(words.iter().all(|word| conversation.contains(word)), "{conversation}");
    }
}

#[tokio::test]
async fn a_resource_without_bytes_left_an_empty_column() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(json!({"key": key, "do": {"answer": {"status": 400, "code": 234_038, "msg": "restricted"}}}));
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    let browser = Browser::signed_in(&app).await;
    let html = browser.page(&format!("/resources/{}", app.resource(&key).await.resource.id)).await;
    let main = between(&html, "<div class=\"detail-main\">", "<section").pop().unwrap();
    assert!(main.contains("class=\"nothing\"") && main.contains("There is nothing to show"), "{main}");
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
