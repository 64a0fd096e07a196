//! The pages in a real browser: what people do on them in either language, and what nobody should
//! notice: errors in the console, requests to other hosts, pages that some people cannot use.

mod driver;
mod pages;
mod reader;
mod stage;
mod window;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::json;

use self::reader::{CHINESE, ENGLISH, Reader};
use self::window::{Theme, Window};
use crate::support::{ADMIN_TOKEN, TestApp, sha256, spawn_app};
use crate::tools;

/// A name with what browsers, shells and addresses take for something else.
const LESSON: &str = "第四课#1?.pdf";
/// More than the 60 of one page, several times over.
const MANY: usize = 500;
/// What failed once is tried again within this time.
const BEYOND_THE_FIRST_PAUSE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn who_reads_chinese_finds_sees_hears_mends_and_takes_out() {
    spend_a_morning(&CHINESE).await;
}

#[tokio::test]
async fn who_reads_english_finds_sees_hears_mends_and_takes_out() {
    spend_a_morning(&ENGLISH).await;
}

async fn spend_a_morning(reader: &Reader) {
    let app = spawn_app().await;
    let refused = Media::Png.key(7);
    app.fault(json!({
        "key": refused, "times": 1,
        "do": {"answer": {"status": 400, "code": 234_038, "msg": "restricted mode"}},
    }));
    app.deliver(&event::file("om_1", &Media::Pdf.key(1), LESSON)).await;
    app.deliver(&event::audio("om_2", &Media::Voice.key(1))).await;
    app.deliver(&event::media("om_3", &Media::Video.key(1), &Media::Cover.key(1), "演示视频.mp4")).await;
    app.deliver(&event::image("om_4", &refused)).await;
    app.drain().await;

    let Some(window) = Window::signed_in(&app, reader).await else { return };
    assert_eq!(window.value("document.documentElement.lang").await, reader.tag);
    find_by_two_characters(&window).await;
    take_out(&window).await;
    play(&app, &window, &Media::Voice.key(1), "audio").await;
    play(&app, &window, &Media::Video.key(1), "video").await;
    mend(&app, &window, &refused, reader).await;
    sign_out(&window, reader).await;
    window.assert_quiet().await;
}

async fn find_by_two_characters(window: &Window) {
    window.visit("/resources").await;
    window.until("document.querySelectorAll('.tile').length === 5").await;
    window.write("#f-q", "四课").await;
    window.click(".filters .primary").await;
    window.until("location.search.includes('q=%E5%9B%9B%E8%AF%BE')").await;
    window.until("document.querySelectorAll('.tile').length === 1").await;
    window.click(".tile a").await;
    assert_eq!(window.text("h1").await, LESSON);
}

/// The header has the name to the letter; a browser replaces what no file may be called somewhere.
async fn take_out(window: &Window) {
    let link = "document.querySelector('.page-head .primary').href";
    let header = window.run(&format!("return (await fetch({link})).headers.get('content-disposition');")).await;
    let exact = "; filename*=UTF-8''%E7%AC%AC%E5%9B%9B%E8%AF%BE#1%3F.pdf";
    assert!(header.as_str().unwrap().ends_with(exact), "{header}");
    window.click(".page-head .primary").await;
    let (name, bytes) = window.downloaded().await;
    assert_eq!(name, LESSON.replace('?', "_"));
    assert_eq!(sha256(&bytes), Media::Pdf.sample(1).digest().to_string());
}

async fn play(app: &TestApp, window: &Window, key: &str, player: &str) {
    window.visit(&format!("/resources/{}", app.resource(key).await.resource.id)).await;
    let player = format!("document.querySelector('{player}')");
    window.until(&format!("{player}.readyState >= HTMLMediaElement.HAVE_METADATA")).await;
    window.until(&format!("{player}.duration > 1.8 && {player}.duration < 2.5")).await;
    window.run(&format!("await {player}.play();")).await;
    window.until(&format!("{player}.currentTime > 0.1")).await;
    window.run(&format!("{player}.pause(); {player}.currentTime = 1.5;")).await;
    window.until(&format!("!{player}.seeking && {player}.currentTime === 1.5")).await;
    window.run(&format!("await {player}.play();")).await;
    window.until(&format!("{player}.ended")).await;
    assert_eq!(window.value(&format!("{player}.error")).await, "null");
}

async fn mend(app: &TestApp, window: &Window, key: &str, reader: &Reader) {
    window.visit("/failed").await;
    assert!(window.text(".cause-card h3").await.contains(reader.remedy));
    window.visit(&format!("/resources/{}", app.resource(key).await.resource.id)).await;
    assert_eq!(window.text(".sub .state").await, reader.blocked);
    let remedy = window.text(".remedy").await;
    assert!(remedy.contains(reader.remedy) && remedy.contains("restricted_mode"), "{remedy}");
    app.fault(json!({"key": key, "times": 1, "do": {"cut": {"after": 10}}}));
    window.click(".remedy button").await;
    // From here on the reader only watches: the page follows what becomes of it.
    window.until("document.querySelector('.sub .state-pending, .sub .state-running')").await;
    app.drain().await;
    window.until("document.querySelector('.sub .state-pending')").await;
    app.advance(BEYOND_THE_FIRST_PAUSE).await;
    window.until("document.querySelector('.sub .state-stored')").await;
    assert_eq!(window.text(".sub .state").await, reader.stored);
    window.until("document.querySelector('.shown img').naturalWidth > 0").await;
}

async fn sign_out(window: &Window, reader: &Reader) {
    assert_eq!(window.text("form[action='/logout'] button").await, reader.sign_out);
    window.click("form[action='/logout'] button").await;
    window.until("location.pathname === '/login'").await;
    window.visit("/resources").await;
    assert_eq!(window.value("location.pathname").await, "/login");
}

async fn with_many() -> TestApp {
    let app = spawn_app().await;
    for number in 0..MANY {
        app.deliver(&event::sticker(&format!("om_{number}"), &format!("sticker_{number}"))).await;
    }
    app.drain().await;
    app
}

#[tokio::test]
async fn five_hundred_come_by_scrolling() {
    let app = with_many().await;
    let Some(window) = Window::signed_in(&app, &CHINESE).await else { return };
    window.visit("/resources").await;
    let shown = "new Set([...document.querySelectorAll('.tile a')].map(link => link.href)).size";
    while window.value("document.querySelector('[data-more]') !== null").await == "true" {
        let before = window.value(shown).await;
        window.run("scrollTo(0, document.body.scrollHeight);").await;
        // The page loads ahead: the last ones may have come before they were counted.
        window.until(&format!("{shown} > {before} || document.querySelector('[data-more]') === null")).await;
    }
    assert_eq!(window.value(shown).await, MANY.to_string());
    assert!(window.text("[data-pager]").await.starts_with(CHINESE.end));
    window.assert_quiet().await;
}

#[tokio::test]
async fn five_hundred_come_by_links_where_no_script_runs() {
    let app = with_many().await;
    let Some(window) = Window::signed_in(&app, &ENGLISH).await else { return };
    window.command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    let mut seen = BTreeSet::new();
    window.visit("/resources?view=table").await;
    loop {
        let links = window.run("return [...document.querySelectorAll('td.name a')].map(link => link.href);").await;
        seen.extend(links.as_array().unwrap().iter().map(|link| link.as_str().unwrap().to_owned()));
        if window.value("document.querySelector('[data-more]') === null").await == "true" {
            break;
        }
        let here = window.value("location.href").await;
        window.click("[data-more]").await;
        window.until(&format!("location.href !== {} && document.readyState === 'complete'", json!(here))).await;
    }
    assert_eq!(seen.len(), MANY);
    assert!(window.text("[data-pager]").await.starts_with(ENGLISH.end));
    window.assert_quiet().await;
}

/// Curl reads the plain name of the header only.
#[tokio::test]
async fn curl_keeps_what_of_a_name_it_can_read() {
    if !tools::is_there("curl") {
        return tools::is_missing("curl");
    }
    let app = spawn_app().await;
    app.deliver(&event::file("om_1", &Media::Pdf.key(1), LESSON)).await;
    app.drain().await;
    let id = app.resource(&Media::Pdf.key(1)).await.resource.id;
    let directory = tempfile::tempdir().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-sSfOJ", "-H", &format!("Authorization: Bearer {ADMIN_TOKEN}")]);
    curl.arg(format!("http://{}/api/v1/resources/{id}/content", app.admin_address)).current_dir(directory.path());
    assert!(tokio::task::spawn_blocking(move || curl.status().unwrap().success()).await.unwrap());
    let bytes = std::fs::read(directory.path().join(LESSON)).unwrap();
    assert_eq!(sha256(&bytes), Media::Pdf.sample(1).digest().to_string());
}
