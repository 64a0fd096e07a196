//! An archive to look at: a week of a few chats, with everything that pages have to show.

use std::time::Duration;

use larkive::domain::setting::{ShownSetting, ShownValue};
use larkive::sandbox::event::{self, MessageEvent, Notice, NoticeEvent, P2P_CHAT};
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use crate::support::{Options, TestApp, spawn_app_with};

const DESIGN_CHAT: &str = "oc_3f2a1b0c9d8e7f60514233445566778a";
const FACTORY_CHAT: &str = "oc_9a8b7c6d5e4f30211203f4e5d6c7b8a9";
/// Another person than the usual one, whom the platform knows by name.
const COLLEAGUE: &str = "ou_0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5";
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTES: Duration = Duration::from_secs(7 * 60);
const DAYS: u64 = 7;
/// A filter that nobody can understand.
pub const BAD_FILTER: &str = "from=yesterday";
/// Where there is nothing.
pub const NOWHERE: &str = "/nowhere";
/// The day on which things go wrong.
const BAD_DAY: u64 = 6;

/// A page to look at.
pub struct Place {
    /// What pictures of it are called.
    pub name: &'static str,
    pub path: String,
}

impl Place {
    pub fn new(name: &'static str, path: impl Into<String>) -> Self {
        Self { name, path: path.into() }
    }
}

/// The archive after its week.
pub async fn a_week() -> TestApp {
    let app = spawn_app_with(Options { shown_settings: settings(), ..Options::default() }).await;
    hear_of_chats(&app, memberships()).await;
    for day in 1..=DAYS {
        for message in messages(day) {
            app.deliver(&message).await;
            app.clock.set(app.clock.now().after(MINUTES));
        }
        if day == BAD_DAY {
            go_wrong(&app).await;
        }
        app.drain().await;
        if day < DAYS {
            app.advance(DAY).await;
        }
    }
    hear_of_chats(&app, names()).await;
    app
}

/// What is sent on a usual day; some days are busier than others.
fn messages(day: u64) -> Vec<MessageEvent> {
    let id = |name: &str| format!("om_{name}_{day}");
    let text = |name, text: &str| MessageEvent::new(&id(name), "text", json!({"text": text}).to_string());
    let report = format!("生产日报 2026-01-{day:02}.pdf");
    let mut messages = vec![
        text("good", "早上好，今天的日报和现场照片在这里"),
        event::file(&id("report"), &Media::Pdf.key(day), &report),
        in_chat(FACTORY_CHAT, COLLEAGUE, event::image(&id("photo"), &Media::Jpeg.key(day))),
        in_chat(DESIGN_CHAT, COLLEAGUE, event::image(&id("sketch"), &Media::Png.key(day))),
        in_chat(DESIGN_CHAT, event::SENDER, event::image(&id("variant"), &Media::Webp.key(day))),
        text("thanks", "收到，谢谢！下午三点评审。"),
    ];
    if day.is_multiple_of(2) {
        messages.extend([
            in_chat(
                FACTORY_CHAT,
                COLLEAGUE,
                event::media(&id("film"), &Media::Video.key(day), &Media::Cover.key(day), "line-3 test run.mp4"),
            ),
            event::audio(&id("voice"), &Media::Voice.key(day)),
            in_chat(DESIGN_CHAT, COLLEAGUE, event::image(&id("moving"), &Media::Gif.key(day))),
            event::file(&id("sources"), &Media::Zip.key(day), "项目资料.zip"),
        ]);
    }
    if day.is_multiple_of(3) {
        let long = Media::Text.sample(day).file_name.unwrap_or_default();
        let alone = event::file(&id("note"), &Media::Text.key(day), &long);
        messages.push(MessageEvent { chat_id: P2P_CHAT.to_owned(), chat_type: "p2p", ..alone });
        messages.push(event::file(&id("log"), &Media::Json.key(day), "gateway-log.json"));
        messages.push(event::sticker(&id("smile"), &format!("sticker_{day}")));
    }
    messages
}

async fn hear_of_chats<const N: usize>(app: &TestApp, notices: [Notice; N]) {
    for notice in notices {
        let event = NoticeEvent { event_id: format!("{notice:?}"), notice };
        app.deliver_payload(&event.payload(app.sender.app(), app.clock.now())).await;
    }
    app.drain().await;
}

fn memberships() -> [Notice; 3] {
    [
        Notice::BotAdded { chat_id: event::GROUP_CHAT.to_owned() },
        Notice::BotAdded { chat_id: DESIGN_CHAT.to_owned() },
        Notice::BotDeleted { chat_id: FACTORY_CHAT.to_owned() },
    ]
}

fn names() -> [Notice; 2] {
    let renamed = |chat: &str, name: &str| Notice::ChatRenamed { chat_id: chat.to_owned(), name: name.to_owned() };
    [renamed(DESIGN_CHAT, "设计评审"), renamed(FACTORY_CHAT, "Factory handover")]
}

fn in_chat(chat_id: &str, sender: &str, message: MessageEvent) -> MessageEvent {
    MessageEvent { chat_id: chat_id.to_owned(), sender_open_id: sender.to_owned(), ..message }
}

/// What the platform refuses, what fails for a while, and an event that nobody can read.
async fn go_wrong(app: &TestApp) {
    let refusals = [
        (101..=103, 234_038, "Do not allow downloading of message resources in restricted mode."),
        (104..=104, 99_991_672, "Access denied. One of the following scopes is required: [im:resource]."),
        (105..=105, 230_110, "Action unavailable as the message has been deleted."),
    ];
    for (seeds, code, msg) in refusals {
        for seed in seeds {
            let key = Media::Png.key(seed);
            app.fault(json!({"key": key, "do": {"answer": {"status": 400, "code": code, "msg": msg}}}));
            app.deliver(&in_chat(DESIGN_CHAT, COLLEAGUE, event::image(&format!("om_{key}"), &key))).await;
        }
    }
    let late = late_key();
    app.fault(json!({"key": late, "do": {"page": {"status": 502}}}));
    app.deliver(&event::file("om_late", &late, "合同扫描件（双方盖章）.pdf")).await;
    app.deliver(&event::folder("om_folder", "folder_1", "展会照片")).await;
    let mut payload = event::image("om_unread", &Media::Png.key(1)).payload(app.sender.app(), app.clock.now());
    payload["event"]["message"]["message_id"] = json!(12);
    app.deliver_payload(&payload).await;
}

fn late_key() -> String {
    Media::Pdf.key(100)
}

fn settings() -> Vec<ShownSetting> {
    let given = |text: &str, place: &str| ShownValue::Given { text: text.to_owned(), place: place.to_owned() };
    let settings = [
        ("FEISHU_APP_ID", given("cli_test", "environment")),
        ("FEISHU_APP_SECRET", given("***", "/run/secrets/feishu_app_secret")),
        ("LARKIVE_ADMIN_TOKEN", given("***", ".env line 7")),
        ("LARKIVE_CALL_BUDGET", ShownValue::Default("50/s 1000/min".to_owned())),
        ("LARKIVE_DOWNLOAD_CONCURRENCY", ShownValue::Default("16".to_owned())),
        ("LARKIVE_TRUSTED_PROXIES", ShownValue::Unset("no proxy is trusted")),
    ];
    settings.map(|(key, value)| ShownSetting { key: key.to_owned(), value }).into()
}

/// The pages of an archive that nothing was sent to.
pub fn bare_places() -> [Place; 5] {
    [
        Place::new("bare-overview", "/"),
        Place::new("bare-gallery", "/resources"),
        Place::new("bare-failed", "/failed"),
        Place::new("bare-chats", "/chats"),
        Place::new("bare-deliveries", "/deliveries"),
    ]
}

/// Every page that there is, and what it looks like when things are otherwise.
pub async fn places(app: &TestApp) -> Vec<Place> {
    let unread: Value = app.json("/api/v1/events?result=unparsed").await["items"][0]["id"].take();
    let chat = event::GROUP_CHAT;
    let mut places = vec![
        Place::new("overview", "/"),
        Place::new("gallery", "/resources"),
        Place::new("table", "/resources?view=table"),
        Place::new("search", "/resources?q=%E6%97%A5%E6%8A%A5&state=stored"),
        Place::new("filters", format!("/resources?chat_id={chat}&{BAD_FILTER}&mime=image/*")),
        Place::new("nothing-found", "/resources?q=nonsense"),
        Place::new("failed", "/failed"),
        Place::new("failed-group", "/failed/restricted_mode?app_id=cli_test"),
        Place::new("chats", "/chats"),
        Place::new("deliveries", "/deliveries"),
        Place::new("delivery", format!("/deliveries/{}", unread.as_str().unwrap())),
        Place::new("settings", "/settings"),
        Place::new("api", "/api/docs"),
        Place::new("nowhere", NOWHERE),
    ];
    let shown = [
        ("resource-image", Media::Jpeg.key(6)),
        ("resource-audio", Media::Voice.key(6)),
        ("resource-video", Media::Video.key(6)),
        ("resource-pdf", Media::Pdf.key(6)),
        ("resource-text", Media::Text.key(6)),
        ("resource-archive", Media::Zip.key(6)),
        ("resource-blocked", Media::Png.key(101)),
        ("resource-gone", Media::Png.key(105)),
        ("resource-waiting", late_key()),
        ("resource-impossible", "sticker_6".to_owned()),
    ];
    for (name, key) in shown {
        places.push(Place::new(name, format!("/resources/{}", app.resource(&key).await.resource.id)));
    }
    places
}
