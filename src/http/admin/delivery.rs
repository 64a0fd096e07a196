//! Deliveries: what the platform sent and what became of it, one of them with its payload, and
//! reading one again.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::Pages;
use super::failure::Failure;
use super::form::Form;
use super::frame::{Frame, Section, answer, see_other};
use super::language::{Language, texts};
use super::payload::{SHOWN_CHARS, ShownPayload};
use super::query::{Query, link};
use super::visit::SignedIn;
use super::vocabulary::Time;
use crate::catalogue::listing::PageRequest;
use crate::catalogue::listing::delivery::{self, Delivery, DeliveryResult};
use crate::catalogue::replay::Replay;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::id::EventRowId;
use crate::domain::readable::visible;

/// Rows on a page.
const PAGE_LIMIT: u32 = 50;

texts! {
    /// The texts of these pages.
    Texts {
        title = "事件", "Deliveries";
        one = "事件", "Delivery";
        filter = "按结果筛选", "Filter by result";
        all = "全部", "All";
        received = "收到时间", "Received";
        kind = "类型", "Type";
        result = "结果", "Result";
        message = "消息", "Message";
        app = "应用", "App";
        event_id = "事件 ID", "Event id";
        id = "编号", "Id";
        error = "原因", "Why";
        payload = "内容", "Payload";
        payload_note = "令牌以 *** 代替。", "Tokens are shown as ***.";
        hidden = "消息已撤回，按设置不再显示。", "The message was recalled, and is not shown as the settings say.";
        cut = "仅显示开头部分。", "Only the beginning is shown.";
        no_type = "（无类型）", "(no type)";
        replay = "重新解析", "Replay";
        replay_hint = "重新解析不会产生重复内容。", "A replay never adds a thing twice.";
        replayed = "已安排重新解析。", "It will be read again in a moment.";
        more = "下一页", "Next page";
        first_page = "回到第一页", "Back to the first page";
        nothing = "没有事件。", "There are no deliveries.";
    }
}

/// What a result is called.
fn result_name(result: DeliveryResult, language: Language) -> &'static str {
    match result {
        DeliveryResult::Pending => language.pick("等待解析", "Waiting"),
        DeliveryResult::Expanded => language.pick("已解析", "Read"),
        DeliveryResult::Duplicate => language.pick("重复", "Duplicate"),
        DeliveryResult::Ignored => language.pick("已忽略", "Ignored"),
        DeliveryResult::Unparsed => language.pick("无法解析", "Unreadable"),
    }
}

/// A delivery as a page shows it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) app_id: String,
    pub(super) event_id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) message_id: Option<String>,
    pub(super) received_at: Time,
    pub(super) result: &'static str,
    pub(super) result_name: &'static str,
    pub(super) error: Option<String>,
}

impl Row {
    fn new(delivery: &Delivery, language: Language) -> Self {
        Self {
            id: delivery.id.to_string(),
            app_id: delivery.app_id.to_string(),
            event_id: delivery.event_id.as_deref().map(visible),
            kind: delivery.event_type.as_deref().map(visible),
            message_id: delivery.message_id.as_deref().map(visible),
            received_at: delivery.received_at.into(),
            result: delivery.result.as_str(),
            result_name: result_name(delivery.result, language),
            error: delivery.error.as_deref().map(visible),
        }
    }
}

/// A delivery that could not be read, with what it says.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) texts: &'static Texts,
    pub(super) row: Row,
    pub(super) payload: Option<ShownPayload>,
}

impl Unread {
    pub(super) async fn load(
        catalogue: &Catalogue,
        delivery: Delivery,
        language: Language,
    ) -> Result<Self, CatalogueError> {
        let payload = payload(catalogue, delivery.id).await?;
        Ok(Self { texts: Texts::of(language), row: Row::new(&delivery, language), payload })
    }
}

async fn payload(catalogue: &Catalogue, id: EventRowId) -> Result<Option<ShownPayload>, CatalogueError> {
    Ok(delivery::payload(catalogue, id, SHOWN_CHARS).await?.map(ShownPayload::from))
}

/// The list.
#[derive(Template)]
#[template(path = "deliveries.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    choices: Vec<Choice>,
    rows: Vec<Row>,
    /// The first page, unless it is this one.
    first: Option<String>,
    next: Option<String>,
}

/// A result to filter by.
struct Choice {
    name: &'static str,
    link: String,
    is_here: bool,
}

/// One delivery.
#[derive(Template)]
#[template(path = "delivery.html")]
struct OnePage {
    frame: Frame,
    texts: &'static Texts,
    row: Row,
    payload: Option<ShownPayload>,
    was_replayed: bool,
}

/// `GET /deliveries`
pub(super) async fn list(
    pages: web::Data<Pages>,
    visit: SignedIn,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let language = visit.0.language;
    let query = Query::of(&request);
    let chosen: Option<DeliveryResult> = query.parsed("result")?;
    let cursor = query.value("cursor").map(str::to_owned);
    let is_further = cursor.is_some();
    let wanted = PageRequest { limit: PAGE_LIMIT, cursor };
    let results: Vec<DeliveryResult> = chosen.into_iter().collect();
    let page = delivery::deliveries(&pages.catalogue, &results, &wanted, pages.clock.now()).await?;
    let at = |result: Option<DeliveryResult>, cursor: Option<&str>| {
        link("/deliveries", &[("result", result.map(DeliveryResult::as_str)), ("cursor", cursor)])
    };
    let texts = Texts::of(language);
    let choices = std::iter::once(None).chain(DeliveryResult::ALL.iter().copied().map(Some)).map(|result| Choice {
        name: result.map_or(texts.all, |result| result_name(result, language)),
        link: at(result, None),
        is_here: result == chosen,
    });
    let page = Page {
        choices: choices.collect(),
        rows: page.items.iter().map(|delivery| Row::new(delivery, language)).collect(),
        first: is_further.then(|| at(chosen, None)),
        next: page.next_cursor.as_deref().map(|cursor| at(chosen, Some(cursor))),
        texts,
        frame: Frame::inside(&visit, Section::Deliveries),
    };
    Ok(answer(StatusCode::OK, &page))
}

/// `GET /deliveries/{id}`
pub(super) async fn show(
    pages: web::Data<Pages>,
    visit: SignedIn,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let id: EventRowId = id.parse().map_err(|_| Failure::NotFound)?;
    let delivery = delivery::find(&pages.catalogue, id).await?.ok_or(Failure::NotFound)?;
    let page = OnePage {
        row: Row::new(&delivery, visit.0.language),
        payload: payload(&pages.catalogue, id).await?,
        was_replayed: Query::of(&request).value("replayed").is_some(),
        texts: Texts::of(visit.0.language),
        frame: Frame::inside(&visit, Section::Deliveries),
    };
    Ok(answer(StatusCode::OK, &page))
}

/// `POST /deliveries/{id}/replay`: has a delivery read again and shows it.
pub(super) async fn replay(
    pages: web::Data<Pages>,
    visit: SignedIn,
    id: web::Path<String>,
    _: Form,
) -> Result<HttpResponse, Failure> {
    let id: EventRowId = id.parse().map_err(|_| Failure::NotFound)?;
    match pages.commands(&visit).replay(id).await? {
        Replay::Unknown => Err(Failure::NotFound),
        Replay::Marked => {
            (pages.wake)();
            Ok(see_other(&format!("/deliveries/{id}?replayed=1")))
        }
    }
}
