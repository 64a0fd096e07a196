//! Chats: how much came from where, and whether the bot is still there.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::Pages;
use super::failure::Failure;
use super::figures::grouped;
use super::frame::{Frame, Section, answer};
use super::item::Named;
use super::language::{Language, texts};
use super::query::{Query, link};
use super::visit::SignedIn;
use super::vocabulary::Time;
use crate::catalogue::listing::PageRequest;
use crate::catalogue::listing::chat::{self, Chat};
use crate::domain::chat::{Downloads, Title};
use crate::domain::readable::human_bytes;

/// Where the list is.
const PATH: &str = "/chats";
/// Rows on a page.
const PAGE_LIMIT: u32 = 50;

texts! {
    /// The texts of this page.
    Texts {
        title = "会话", "Chats";
        chat = "会话", "Chat";
        app = "应用", "App";
        group = "群聊", "Group";
        bot = "机器人", "Bot";
        bot_in = "在会话中", "In the chat";
        bot_out = "已离开", "Has left";
        bot_unknown = "未知", "Not known";
        disbanded = "已解散", "Disbanded";
        no_downloads = "禁止下载", "Downloads forbidden";
        messages = "消息", "Messages";
        resources = "资源", "Resources";
        stored = "已归档", "Stored";
        pending = "处理中", "In progress";
        failed = "未归档", "Not stored";
        bytes = "大小", "Bytes";
        last = "最近消息", "Last message";
        more = "下一页", "Next page";
        first_page = "回到第一页", "Back to the first page";
        nothing = "还没有会话。机器人收到消息后会显示在这里。",
            "No chats yet. They appear as soon as the bot is sent a message.";
    }
}

/// The list.
#[derive(Template)]
#[template(path = "chats.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    rows: Vec<Row>,
    /// Whether rows differ in their app.
    shows_apps: bool,
    /// The first page, unless it is this one.
    first: Option<&'static str>,
    next: Option<String>,
}

/// A chat as it is shown.
struct Row {
    named: Named,
    app_id: String,
    kind: Option<&'static str>,
    /// In a direct chat it always is.
    bot: Option<Presence>,
    notes: Vec<&'static str>,
    messages: String,
    resources: String,
    stored: String,
    pending: Option<String>,
    failed: Option<String>,
    bytes: String,
    last_message_at: Option<Time>,
}

/// Whether the bot is in a chat, as a state with its name.
struct Presence {
    class: &'static str,
    name: &'static str,
}

impl Row {
    fn new(chat: &Chat, language: Language) -> Self {
        let texts = Texts::of(language);
        let (class, name) = match chat.bot_in_chat {
            Some(true) => ("stored", texts.bot_in),
            Some(false) => ("blocked", texts.bot_out),
            None => ("gone", texts.bot_unknown),
        };
        let is_direct = matches!(chat.title(), Title::Direct { .. });
        // The title of a direct chat says that it is one.
        let kind = chat.chat_type.as_deref().filter(|_| !is_direct).map(|_| texts.group);
        let disbanded = chat.disbanded_at.map(|_| texts.disbanded);
        let forbidden = (chat.downloads == Some(Downloads::Forbidden)).then_some(texts.no_downloads);
        let unless_none = |count: u64| (count > 0).then(|| grouped(count));
        Self {
            named: Named::chat(&chat.chat_id, chat.title(), language),
            app_id: chat.app_id.to_string(),
            kind,
            bot: (!is_direct).then_some(Presence { class, name }),
            notes: disbanded.into_iter().chain(forbidden).collect(),
            messages: grouped(chat.messages),
            resources: grouped(chat.resources),
            stored: grouped(chat.stored),
            pending: unless_none(chat.pending),
            failed: unless_none(chat.failed),
            bytes: human_bytes(chat.bytes),
            last_message_at: chat.last_message_at.map(Time::from),
        }
    }
}

/// `GET /chats`
pub(super) async fn list(
    pages: web::Data<Pages>,
    visit: SignedIn,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let language = visit.0.language;
    let cursor = Query::of(&request).value("cursor").map(str::to_owned);
    let first = cursor.is_some().then_some(PATH);
    let wanted = PageRequest { limit: PAGE_LIMIT, cursor };
    let page = chat::chats(&pages.catalogue, &wanted, pages.clock.now()).await?;
    let shows_apps = page.items.windows(2).any(|pair| matches!(pair, [one, next] if one.app_id != next.app_id));
    let page = Page {
        rows: page.items.iter().map(|chat| Row::new(chat, language)).collect(),
        shows_apps,
        first,
        next: page.next_cursor.as_deref().map(|cursor| link(PATH, &[("cursor", Some(cursor))])),
        texts: Texts::of(language),
        frame: Frame::inside(&visit, Section::Chats),
    };
    Ok(answer(StatusCode::OK, &page))
}
