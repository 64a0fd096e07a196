//! Many resources: as a gallery or a table, filtered, page by page, several of them re-queued.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::Pages;
use super::failure::Failure;
use super::filter_bar::FilterBar;
use super::form::Form;
use super::frame::{Frame, Section, answer, see_other};
use super::item::Item;
use super::language::texts;
use super::local_path::LocalPath;
use super::question::{Question, View};
use super::visit::SignedIn;
use crate::archive::retry;
use crate::catalogue::listing::{self, PageRequest};
use crate::catalogue::statistics::statistics;
use crate::domain::download::State;
use crate::domain::id::ResourceId;

/// Items on a page: whole rows of tiles on most screens.
const PAGE_LIMIT: u32 = 60;

texts! {
    /// The texts of the list.
    Texts {
        title = "资源", "Resources";
        gallery = "图库", "Gallery";
        table = "列表", "Table";
        view = "显示方式", "View";
        select_all = "全选本页", "Select all shown";
        selected = "已选", "selected";
        select = "选择", "Select";
        retry = "重新下载所选", "Retry selected";
        more = "显示更多", "Show more";
        first_page = "回到第一页", "Back to the first page";
        end = "没有更多了", "That is everything";
        nothing_yet = "还没有资源。有人给机器人发图片或文件后，会显示在这里。",
            "Nothing here yet. Pictures and files appear as soon as somebody sends one to the bot.";
        nothing_found = "没有符合条件的资源。", "Nothing matches these filters.";
        queued_before = "已重新排队：", "Queued again: ";
        queued_none = "所选资源都无需重新下载：已归档、正在下载或已在排队。",
            "Nothing to queue: what you selected is stored, running or due already.";
        name = "名称", "Name";
        kind = "类型", "Kind";
        size = "大小", "Size";
        chat = "会话", "Chat";
        sender = "发送者", "Sender";
        sent = "发送时间", "Sent";
        state = "状态", "State";
    }
}

/// The list.
#[derive(Template)]
#[template(path = "gallery.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    question: Question,
    filters: FilterBar,
    items: Vec<Item>,
    next: Option<String>,
}

/// `GET /resources`
pub(super) async fn show(
    pages: web::Data<Pages>,
    visit: SignedIn,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let language = visit.0.language;
    let question = Question::of(&request);
    let statistics = statistics(&pages.catalogue).await?;
    let filters = FilterBar::new(&question, &statistics, language);
    let understood = question.troubles.is_empty();
    let (items, next) = if understood {
        let wanted = PageRequest { limit: PAGE_LIMIT, cursor: question.cursor.clone() };
        let page = listing::resources(&pages.catalogue, &question.filter, &wanted, pages.clock.now()).await?;
        let items = page.items.iter().map(|resource| Item::new(resource, language)).collect();
        (items, page.next_cursor.map(|cursor| question.page_after(&cursor)))
    } else {
        (Vec::new(), None)
    };
    let status = if understood { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let frame = Frame::inside(&visit, Section::Resources);
    Ok(answer(status, &Page { frame, texts: Texts::of(language), question, filters, items, next }))
}

/// `POST /resources/retry`: re-queues what was selected and goes back to the list.
pub(super) async fn retry(pages: web::Data<Pages>, _: SignedIn, form: Form) -> Result<HttpResponse, Failure> {
    let ids: Vec<ResourceId> =
        form.values("id").map(str::parse).collect::<Result<_, _>>().map_err(|_| Failure::BadRequest)?;
    let queued = retry::these(&pages.catalogue, &ids).await?;
    if queued > 0 {
        (pages.wake)();
    }
    let back: LocalPath = form.value("back").parse().map_err(|_| Failure::BadRequest)?;
    let sign = if back.as_str().contains('?') { '&' } else { '?' };
    Ok(see_other(&format!("{}{sign}queued={queued}", back.as_str())))
}
