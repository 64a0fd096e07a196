//! What needs attention: failures in groups with their remedies, each group page by page, quoted
//! messages that could not be had, and deliveries that could not be read.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::Pages;
use super::cause::{Call, CauseCard, Sample};
use super::delivery::Unread;
use super::failure::Failure;
use super::form::Form;
use super::frame::{Frame, Section, answer, see_other};
use super::language::texts;
use super::query::{Query, link};
use super::quoted::{self, QuotedCard};
use super::visit::SignedIn;
use crate::catalogue::listing::PageRequest;
use crate::catalogue::listing::attention::{self, Cause, Group};
use crate::catalogue::listing::delivery::{DeliveryResult, count_unparsed, deliveries};
use crate::catalogue::listing::quoted as quotes;
use crate::domain::download::State;
use crate::domain::filter::Filter;
use crate::domain::id::AppId;
use crate::domain::reason::ReasonCode;

/// Rows on the page of one group.
const PAGE_LIMIT: u32 = 50;
/// Unread deliveries that are shown with their payload.
const UNREAD_SHOWN: u32 = 5;

texts! {
    /// The texts of both pages.
    Texts {
        title = "待处理", "Needs attention";
        act = "需要人工处理", "Needs a person";
        act_lead = "先按说明排除原因，再点“全部重试”。部分原因消除后会自动重试。",
            "Do what the card says, then retry. Some causes clear by themselves once they are mended.";
        wait = "会自动重试", "Tried again by itself";
        wait_lead = "平台或网络暂时出错，无需处理。", "The platform or the network failed for now. Nothing to do.";
        accept = "无法获取", "Out of reach";
        accept_lead = "平台已没有或不提供这些内容。仍可重试，但通常没有结果。",
            "The platform no longer has these, or hands them out to nobody. A retry rarely helps.";
        unread = "无法解析的事件", "Events that could not be read";
        unread_lead = "事件已完整保存。升级 Larkive 后可以重新解析。",
            "They are kept as they came. A newer Larkive may understand them: replay them then.";
        all_unread = "查看全部", "See all";
        nothing = "一切正常，没有需要处理的内容。", "All is well: nothing needs attention.";
        retry_all = "重试以下所有", "Retry all of these";
        queued = "已重新排队：", "Queued again: ";
        name = "名称", "Name";
        chat = "会话", "Chat";
        sent = "发送时间", "Sent";
        answer = "平台返回", "The platform's answer";
        attempts = "尝试次数", "Tries";
        more = "下一页", "Next page";
        first_page = "回到第一页", "Back to the first page";
        empty_group = "这里已没有内容。", "There is nothing here any more.";
    }
}

/// Everything that needs attention.
#[derive(Template)]
#[template(path = "failed.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    sections: Vec<Causes>,
    quoted: QuotedPart,
    unread: Vec<Unread>,
    unread_count: String,
    queued: Option<u64>,
}

/// Quoted messages that could not be had.
struct QuotedPart {
    texts: &'static quoted::Texts,
    count: String,
    cards: Vec<QuotedCard>,
}

/// Groups that ask the same of the reader.
struct Causes {
    title: &'static str,
    lead: &'static str,
    /// What the form calls all of them.
    extent: &'static str,
    cards: Vec<CauseCard>,
}

/// One group.
#[derive(Template)]
#[template(path = "failed_group.html")]
struct GroupPage {
    frame: Frame,
    texts: &'static Texts,
    card: CauseCard,
    rows: Vec<Sample>,
    /// This very page, to come back to.
    here: String,
    /// The first page of the group, unless it is this one.
    first: Option<String>,
    next: Option<String>,
    queued: Option<u64>,
}

/// `GET /failed`
pub(super) async fn show(
    pages: web::Data<Pages>,
    visit: SignedIn,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let texts = Texts::of(visit.0.language);
    let groups = attention::groups(&pages.catalogue).await?;
    let mut sections = Vec::new();
    for (call, title, lead, extent) in [
        (Call::Act, texts.act, texts.act_lead, "blocked"),
        (Call::Wait, texts.wait, texts.wait_lead, "waiting"),
        (Call::Accept, texts.accept, texts.accept_lead, "ended"),
    ] {
        let cards = cards(&pages, &visit, &groups, call).await?;
        if !cards.is_empty() {
            sections.push(Causes { title, lead, extent, cards });
        }
    }
    let page = Page {
        sections,
        texts,
        quoted: quoted_part(&pages, &visit).await?,
        unread: unread(&pages, &visit).await?,
        unread_count: count_unparsed(&pages.catalogue).await?.to_string(),
        queued: Query::of(&request).parsed("queued")?,
        frame: Frame::inside(&visit, Section::Attention),
    };
    Ok(answer(StatusCode::OK, &page))
}

/// The groups that ask this of the reader, the largest first.
async fn cards(pages: &Pages, visit: &SignedIn, groups: &[Group], call: Call) -> Result<Vec<CauseCard>, Failure> {
    let mut called: Vec<&Group> = groups.iter().filter(|group| Call::of(&group.cause) == call).collect();
    called.sort_by_key(|group| std::cmp::Reverse(group.resources));
    let mut cards = Vec::with_capacity(called.len());
    for group in called {
        let now = pages.clock.now();
        cards.push(CauseCard::with_samples(&pages.catalogue, group, visit.0.language, now).await?);
    }
    Ok(cards)
}

async fn quoted_part(pages: &Pages, visit: &SignedIn) -> Result<QuotedPart, Failure> {
    let language = visit.0.language;
    let failed = quotes::failed(&pages.catalogue).await?;
    let cards = failed.groups.iter().map(|group| QuotedCard::new(group, language)).collect();
    Ok(QuotedPart { texts: quoted::Texts::of(language), count: failed.count.to_string(), cards })
}

async fn unread(pages: &Pages, visit: &SignedIn) -> Result<Vec<Unread>, Failure> {
    let request = PageRequest { limit: UNREAD_SHOWN, cursor: None };
    let newest = deliveries(&pages.catalogue, &[DeliveryResult::Unparsed], &request, pages.clock.now()).await?;
    let mut unread = Vec::with_capacity(newest.items.len());
    for delivery in newest.items {
        unread.push(Unread::load(&pages.catalogue, delivery, visit.0.language).await?);
    }
    Ok(unread)
}

/// `GET /failed/{reason}?app_id=…`
pub(super) async fn show_group(
    pages: web::Data<Pages>,
    visit: SignedIn,
    reason: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let query = Query::of(&request);
    let cause = cause(&reason, query.value("app_id").unwrap_or_default())?;
    let cursor = query.value("cursor").map(str::to_owned);
    let wanted = PageRequest { limit: PAGE_LIMIT, cursor: cursor.clone() };
    let page = attention::failed(&pages.catalogue, &cause, &wanted, pages.clock.now()).await?;
    let group = attention::group(&pages.catalogue, cause).await?;
    let card = CauseCard::new(&group, visit.0.language);
    let at = |cursor: Option<&str>| {
        link(&format!("/failed/{}", card.reason), &[("app_id", Some(&card.app_id)), ("cursor", cursor)])
    };
    let page = GroupPage {
        rows: page.items.iter().map(|resource| Sample::new(resource, visit.0.language)).collect(),
        here: at(cursor.as_deref()),
        first: cursor.is_some().then(|| at(None)),
        next: page.next_cursor.as_deref().map(|cursor| at(Some(cursor))),
        queued: query.parsed("queued")?,
        texts: Texts::of(visit.0.language),
        frame: Frame::inside(&visit, Section::Attention),
        card,
    };
    Ok(answer(StatusCode::OK, &page))
}

/// `POST /failed/retry`: re-queues a group, or everything that asks the same of the reader.
pub(super) async fn retry(pages: web::Data<Pages>, visit: SignedIn, form: Form) -> Result<HttpResponse, Failure> {
    let everything_in = |state: &[State]| Filter { state: state.to_vec(), ..Filter::default() };
    let commands = pages.commands(&visit);
    let matching = async |filter| commands.retry_matching(&filter).await;
    let queued = match form.value("extent") {
        "group" => commands.retry_failed(&cause(form.value("reason"), form.value("app_id"))?).await?,
        "quoted" => {
            let cause = cause(form.value("reason"), form.value("app_id"))?;
            commands.retry_quoted(&cause).await?
        }
        "blocked" => matching(everything_in(&[State::Blocked])).await?,
        "waiting" => matching(everything_in(&[State::Pending])).await?,
        "ended" => matching(everything_in(&[State::Gone, State::Impossible])).await?,
        _ => return Err(Failure::BadRequest),
    };
    if queued > 0 {
        (pages.wake)();
    }
    Ok(see_other(&link("/failed", &[("queued", Some(&queued.to_string()))])))
}

/// The cause that a link or a form names.
fn cause(reason: &str, app_id: &str) -> Result<Cause, Failure> {
    let reason: ReasonCode = reason.parse().map_err(|_| Failure::NotFound)?;
    let app_id: AppId = app_id.parse().map_err(|_| Failure::NotFound)?;
    Ok(Cause { app_id, reason })
}
