//! Many resources: as a gallery or a table, filtered, page by page, several of them re-queued.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::Pages;
use super::failure::Failure;
use super::figures::grouped;
use super::filter_bar::FilterBar;
use super::form::Form;
use super::frame::{Frame, Section, answer, see_other};
use super::item::Item;
use super::language::texts;
use super::local_path::LocalPath;
use super::question::{Question, View, asks_for_failures};
use super::visit::SignedIn;
use crate::catalogue::CatalogueError;
use crate::catalogue::listing::resource::Resource;
use crate::catalogue::listing::{self, Count, ListingError, Page as Listed, PageRequest};
use crate::catalogue::statistics::{Statistics, statistics};
use crate::domain::download::State;

/// Items on a page: whole rows of tiles on most screens.
const PAGE_LIMIT: u32 = 60;
/// How far results are counted: nobody looks through more, and counting costs like listing.
const COUNTED_TO: u32 = 1000;

texts! {
    /// The texts of the list.
    Texts {
        title = "资源", "Resources";
        gallery = "图库", "Gallery";
        table = "列表", "Table";
        view = "显示方式", "View";
        select_all = "全选本页", "Select all shown";
        selected_before = "已选", "";
        selected_after = "项", "selected";
        select = "选择", "Select";
        found_before = "共", "Found";
        found_after = " 项", "";
        retry = "重新下载所选", "Retry selected";
        export = "导出所选", "Export selected";
        export_all = "导出全部结果", "Export all results";
        retry_all = "重新下载全部结果", "Retry all results";
        more = "显示更多", "Show more";
        first_page = "回到第一页", "Back to the first page";
        end = "没有更多了", "That is everything";
        nothing_yet = "还没有资源。有人给机器人发图片或文件后，会显示在这里。",
            "Nothing here yet. Pictures and files appear as soon as somebody sends one to the bot.";
        nothing_found = "没有符合条件的资源。", "Nothing matches these filters.";
        nothing_so_far = "目前还没有找到。", "Nothing so far.";
        stopped_early = "符合条件的很少，查找先停在这里；点“显示更多”继续。",
            "Few of those looked at match, so the search paused here; show more to go on.";
        index_incomplete = "部分文件和消息还在建立索引，暂时搜不到，请稍后再试。",
            "Some files and messages are still being indexed and cannot be found yet; try again in a moment.";
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
    /// How many there are, on the first page.
    found: Option<String>,
    items: Vec<Item>,
    next: Option<String>,
    stopped_early: bool,
    index_incomplete: bool,
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
    let understood = question.troubles.is_empty();
    let listed = if understood { list(&pages, &question).await? } else { Listed::default() };
    let found = match understood && question.cursor.is_none() {
        true => Some(count(&pages, &question, &statistics).await?),
        false => None,
    };
    let page = Page {
        frame: Frame::inside(&visit, Section::Resources),
        texts: Texts::of(language),
        filters: FilterBar::new(&question, &statistics, language),
        found,
        items: listed.items.iter().map(|resource| Item::new(resource, language)).collect(),
        next: listed.next_cursor.map(|cursor| question.page_after(&cursor)),
        stopped_early: listed.stopped_early,
        index_incomplete: listed.index_incomplete,
        question,
    };
    Ok(answer(if understood { StatusCode::OK } else { StatusCode::BAD_REQUEST }, &page))
}

async fn list(pages: &Pages, question: &Question) -> Result<Listed<Resource>, ListingError> {
    let wanted = PageRequest { limit: PAGE_LIMIT, cursor: question.cursor.clone() };
    listing::resources(&pages.catalogue, &question.filter, &wanted, pages.clock.now()).await
}

/// How much a question asks for: everything is counted already, anything else up to a bound.
async fn count(pages: &Pages, question: &Question, statistics: &Statistics) -> Result<String, CatalogueError> {
    if question.filter.is_empty() {
        return Ok(grouped(statistics.resources));
    }
    let Count { seen, more } =
        listing::count_up_to(&pages.catalogue, &question.filter, COUNTED_TO, pages.clock.now()).await?;
    Ok(format!("{seen}{}", if more { "+" } else { "" }))
}

/// `POST /resources/retry`: re-queues what was selected, or what the question in the address asks for,
/// and goes back to the list.
pub(super) async fn retry(
    pages: web::Data<Pages>,
    visit: SignedIn,
    request: HttpRequest,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let back = || form.value("back").parse::<LocalPath>().map_err(|_| Failure::BadRequest);
    let (back, queued) = match form.value("extent") {
        "matching" => {
            let filter = Question::understood(&request)?;
            // The pages offer this for failures only: nobody means the whole archive.
            if !asks_for_failures(&filter) {
                return Err(Failure::BadRequest);
            }
            (back()?, pages.commands(&visit).retry_matching(&filter).await?)
        }
        _ => {
            let selected = form.selected()?;
            (back()?, pages.commands(&visit).retry_these(&selected).await?)
        }
    };
    if queued > 0 {
        (pages.wake)();
    }
    let sign = if back.as_str().contains('?') { '&' } else { '?' };
    Ok(see_other(&format!("{}{sign}queued={queued}", back.as_str())))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use actix_web::test::TestRequest;

    use super::*;
    use crate::domain::zone::Zone;
    use crate::http::admin::language::Language;
    use crate::http::admin::visit::{Transport, Visit};

    #[test]
    fn what_cannot_be_searched_yet_is_said_in_words() {
        let question = || Question::of(&TestRequest::with_uri("/resources?q=a").to_http_request());
        let page = |language, index_incomplete| {
            let visit = Visit {
                language,
                place: LocalPath::home(),
                client: IpAddr::V4(Ipv4Addr::LOCALHOST),
                transport: Transport::Plain,
                zone: Zone::default(),
                session: None,
            };
            let page = Page {
                frame: Frame::outside(&visit),
                texts: Texts::of(language),
                filters: FilterBar::new(&question(), &Statistics::default(), language),
                question: question(),
                found: None,
                items: Vec::new(),
                next: None,
                stopped_early: false,
                index_incomplete,
            };
            page.render().unwrap()
        };
        for (language, words) in [(Language::Chinese, "还在建立索引"), (Language::English, "still being indexed")]
        {
            assert!(page(language, true).contains(words) && !page(language, false).contains(words));
        }
    }
}
