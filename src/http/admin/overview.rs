//! The overview: what came in, what is stored, what needs a person, and whether all is well.
//!
//! Every number is kept, not counted, so that the page costs the same at every size.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::Pages;
use super::cause::{Call, CauseCard};
use super::chart::HEIGHT;
use super::day_charts::{self, DayChart};
use super::failure::Failure;
use super::figures::grouped;
use super::frame::{Frame, Section, answer};
use super::item::Named;
use super::language::{Language, texts};
use super::query::Query;
use super::visit::SignedIn;
use super::vocabulary::{self, Time};
use crate::catalogue::days;
use crate::catalogue::listing::attention::{self, Group};
use crate::catalogue::listing::delivery::count_unparsed;
use crate::catalogue::listing::quoted::count_failed;
use crate::catalogue::statistics::{Breakdown, LargeChat, Statistics, breakdown};
use crate::domain::download::State;
use crate::domain::readable::{human_bytes, visible};
use crate::domain::resource::Role;
use crate::http::health::{Check, Vitals};

/// Groups of failures that are shown here; all of them have a page of their own.
const GROUPS_SHOWN: usize = 4;
/// Spans of the charts in days; the first is what is shown if nobody asks.
const SPANS: [u32; 2] = [30, 90];

texts! {
    /// The texts of this page.
    Texts {
        title = "总览", "Overview";
        ready = "运行正常", "Everything works";
        not_ready = "有故障", "Something is wrong";
        figures = "数字", "Figures";
        stored = "已归档", "Stored";
        in_progress = "处理中", "In progress";
        oldest = "最早一条：", "oldest: ";
        none_waits = "没有等待的内容", "nothing waits";
        needs_person = "需要处理", "Needs a person";
        saved = "去重节省", "Saved";
        saved_note = "相同内容只保存一份", "duplicates are kept once";
        free = "剩余空间", "Free space";
        unknown = "未知", "Not known";
        messages = "消息", "Messages";
        last_event = "最近事件", "Last event";
        no_event = "暂无", "None yet";
        attention = "需要人工处理", "What needs a person";
        all_attention = "查看全部", "See all";
        all_is_well = "没有需要处理的内容。", "Nothing needs a person.";
        unread = "无法解析的事件：", "Events that could not be read: ";
        quoted = "未能取得的被回复消息：", "Quoted messages that could not be had: ";
        zone = "日期所用时区：", "Days are those of ";
        span = "时间范围", "Span";
        days = "天", "days";
        as_table = "以表格显示", "As a table";
        by_role = "按类型", "By kind";
        largest_chats = "占用最多的会话", "Largest chats";
        no_chats = "还没有已归档的内容。", "Nothing is stored yet.";
        readiness = "运行状态", "Readiness";
        good = "正常", "Good";
        bad = "异常", "Failed";
    }
}

/// The page.
#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    figures: Figures,
    attention: Vec<CauseCard>,
    unread: Option<String>,
    /// How many quoted messages could not be had, if any.
    quoted: Option<String>,
    spans: Vec<Span>,
    charts: [DayChart; 2],
    chart_texts: &'static day_charts::Texts,
    roles: Vec<RoleCount>,
    largest_chats: Vec<Chat>,
    checks: Vec<Shown>,
    is_ready: bool,
}

/// The numbers at the top.
struct Figures {
    stored: String,
    bytes: String,
    in_progress: String,
    oldest_pending_at: Option<Time>,
    blocked: String,
    needs_person: bool,
    out_of_reach: String,
    saved: String,
    free: Option<String>,
    space_is_short: bool,
    /// What is not given away, if anything.
    reserve: Option<String>,
    messages: String,
    chats: String,
    last_event_at: Option<Time>,
}

impl Figures {
    fn new(statistics: &Statistics, (free, reserve): (Option<u64>, u64), language: Language) -> Self {
        let count = |state| statistics.states.get(&state).copied().unwrap_or(0);
        Self {
            stored: grouped(count(State::Stored)),
            bytes: in_all(&human_bytes(statistics.bytes), language),
            in_progress: grouped(count(State::Pending) + count(State::Running)),
            oldest_pending_at: statistics.oldest_pending_at.map(Time::from),
            blocked: grouped(count(State::Blocked)),
            needs_person: count(State::Blocked) > 0,
            out_of_reach: out_of_reach(&grouped(count(State::Gone) + count(State::Impossible)), language),
            saved: human_bytes(statistics.saved_bytes),
            free: free.map(human_bytes),
            space_is_short: free.is_some_and(|free| free < reserve),
            reserve: (reserve > 0).then(|| pausing_below(&human_bytes(reserve), language)),
            messages: grouped(statistics.messages),
            chats: in_chats(statistics.chats, language),
            last_event_at: statistics.last_event_at.map(Time::from),
        }
    }
}

fn in_all(bytes: &str, language: Language) -> String {
    language.pick(format!("共 {bytes}"), format!("{bytes} in all"))
}

fn out_of_reach(count: &str, language: Language) -> String {
    language.pick(format!("另有 {count} 项无法获取"), format!("{count} more out of reach"))
}

fn pausing_below(reserve: &str, language: Language) -> String {
    language.pick(format!("低于 {reserve} 时暂停下载"), format!("downloads pause below {reserve}"))
}

fn in_chats(count: u64, language: Language) -> String {
    let chats = if count == 1 { "chat" } else { "chats" };
    language.pick(format!("来自 {} 个会话", grouped(count)), format!("in {} {chats}", grouped(count)))
}

/// A span of the charts to choose.
struct Span {
    days: u32,
    is_here: bool,
}

/// How many there are of a kind.
struct RoleCount {
    role: Role,
    name: &'static str,
    count: String,
}

/// A chat that fills the store.
struct Chat {
    named: Named,
    stored: String,
    bytes: String,
}

/// A check of readiness as it is shown.
struct Shown {
    name: &'static str,
    ok: bool,
    /// What is wrong, in the program's own words.
    detail: Option<String>,
}

/// `GET /`
pub(super) async fn show(
    pages: web::Data<Pages>,
    vitals: web::Data<Vitals>,
    visit: SignedIn,
    request: HttpRequest,
) -> Result<HttpResponse, Failure> {
    let language = visit.0.language;
    let asked: Option<u32> = Query::of(&request).parsed("days")?;
    let span = asked.filter(|days| SPANS.contains(days)).unwrap_or(SPANS[0]);
    let Breakdown { statistics, largest_chats, .. } = breakdown(&pages.catalogue).await?;
    let days = days::up_to(&pages.catalogue, pages.catalogue.zone().day_of(pages.clock.now()), span).await?;
    let groups = attention::groups(&pages.catalogue).await?;
    let unread = count_unparsed(&pages.catalogue).await?;
    let quoted = count_failed(&pages.catalogue).await?;
    let checks = vitals.readiness().await;
    let page = Page {
        figures: Figures::new(&statistics, vitals.space(), language),
        attention: urgent(&groups, language),
        unread: (!unread.is_zero()).then(|| unread.to_string()),
        quoted: (!quoted.is_zero()).then(|| quoted.to_string()),
        spans: SPANS.map(|days| Span { days, is_here: days == span }).into(),
        charts: [day_charts::received(&days, language), day_charts::bytes(&days, language)],
        chart_texts: day_charts::Texts::of(language),
        roles: roles(&statistics, language),
        largest_chats: largest_chats.iter().map(|chat| Chat::new(chat, language)).collect(),
        is_ready: checks.values().all(|check| check.ok),
        checks: checks.into_iter().map(|(name, check)| Shown::new(name, check, language)).collect(),
        texts: Texts::of(language),
        frame: Frame::inside(&visit, Section::Overview),
    };
    Ok(answer(StatusCode::OK, &page))
}

/// The largest groups that a person has to look at.
fn urgent(groups: &[Group], language: Language) -> Vec<CauseCard> {
    let mut urgent: Vec<&Group> = groups.iter().filter(|group| Call::of(&group.cause) == Call::Act).collect();
    urgent.retain(|group| !group.resources.is_zero());
    urgent.sort_by_key(|group| std::cmp::Reverse(group.resources));
    urgent.into_iter().take(GROUPS_SHOWN).map(|group| CauseCard::new(group, language)).collect()
}

/// The kinds that there are any of.
fn roles(statistics: &Statistics, language: Language) -> Vec<RoleCount> {
    let some = statistics.roles.iter().filter(|(_, count)| **count > 0);
    some.map(|(role, count)| RoleCount { role: *role, name: vocabulary::role(*role, language), count: grouped(*count) })
        .collect()
}

impl Chat {
    fn new(chat: &LargeChat, language: Language) -> Self {
        Self {
            named: Named::chat(&chat.chat_id, chat.title(), language),
            stored: grouped(chat.stored),
            bytes: human_bytes(chat.bytes),
        }
    }
}

impl Shown {
    fn new(name: &'static str, Check { ok, detail }: Check, language: Language) -> Self {
        let name = match name {
            "catalogue" => language.pick("目录库可写", "Catalogue writable"),
            "store" => language.pick("存储可写", "Store writable"),
            "space" => language.pick("空间充足", "Space left"),
            "queue" => language.pick("事件及时解析", "Events read in time"),
            other => other,
        };
        Self { name, ok, detail: (!ok).then(|| visible(&detail)) }
    }
}
