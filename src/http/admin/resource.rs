//! One resource: what it shows, why it is not here, where its bytes are, and what was said around it.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::Pages;
use super::conversation::{self, Turn};
use super::facts::{Fact, Value, facts};
use super::failure::Failure;
use super::frame::{Frame, Section, answer, see_other};
use super::item::Item;
use super::language::{Language, texts};
use super::pictured::Piece;
use super::preview::{Extent, Form, Preview};
use super::visit::SignedIn;
use super::vocabulary::{self, Time, visible_lines};
use crate::archive::damage::Finding;
use crate::catalogue::CatalogueError;
use crate::catalogue::listing::resource::{Detail, Resource, Try, with_tries};
use crate::domain::download::{State, Upstream};
use crate::domain::readable::visible;
use crate::domain::reason::{Owner, ReasonCode};
use crate::domain::time::Timestamp;

/// A page that waits for a try looks again by itself, if the try is not further away than this.
const SOON: Duration = Duration::from_secs(60);

texts! {
    /// The texts of the page.
    Texts {
        back = "资源", "Resources";
        download = "下载原文件", "Download";
        open_pdf = "在新标签页打开 PDF", "Open the PDF in a new tab";
        open_text = "打开全文", "Open all of the text";
        text_cut = "这里只显示开头部分。", "Only the beginning is shown here.";
        no_preview = "这种文件只提供下载，不在网页中打开。", "Files of this type are only downloaded, never opened in a page.";
        unreadable = "记录为已归档，但读不到文件内容，原因见日志。",
            "Recorded as stored, but the bytes cannot be read; the log says why.";
        waiting = "还没有下载到内容。", "The bytes are not here yet.";
        nothing = "没有内容可显示，原因见上方。", "There is nothing to show; the reason stands above.";
        what_to_do = "如何处理", "What to do";
        who = "处理人：", "Who can do it: ";
        reason_code = "原因代码：", "Reason code: ";
        retry = "重新下载", "Retry";
        details = "详情", "Details";
        tries = "下载记录", "Tries";
        conversation = "会话上下文", "In the conversation";
        own_message = "当前消息", "This message";
        recalled = "已撤回", "Recalled";
        picture = "图片", "Picture";
        unreadable_message = "消息内容无法解析", "The message could not be read";
        will_retry = "稍后重试", "Tried again later";
    }
}

/// The page of one resource.
#[derive(Template)]
#[template(path = "resource.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    item: Item,
    /// What stands where the picture would be.
    shown: Shown,
    trouble: Option<Trouble>,
    can_retry: bool,
    /// Whether it will look different soon, without the reader doing anything.
    is_unsettled: bool,
    attempts: u64,
    facts: Vec<Fact>,
    tries: Vec<Attempt>,
    turns: Vec<Turn>,
    /// The still picture of a video.
    poster: Option<String>,
}

/// What stands where the picture would be.
enum Shown {
    Preview(Form),
    OnlyDownload,
    Unreadable,
    Damaged,
    Waiting,
    /// It ended without bytes.
    Nothing,
}

/// Why it is not stored, and what to do about it.
struct Trouble {
    code: ReasonCode,
    cause: &'static str,
    remedy: &'static str,
    /// Who has to act, if anybody.
    owner: Option<&'static str>,
    /// Whether it stays so until a person has acted.
    needs_person: bool,
}

/// One try.
struct Attempt {
    started_at: Time,
    took: String,
    result: String,
    code: Option<ReasonCode>,
    answered: Option<String>,
}

/// `GET /resources/{id}`
pub(super) async fn show(
    pages: web::Data<Pages>,
    visit: SignedIn,
    id: web::Path<String>,
) -> Result<HttpResponse, Failure> {
    let language = visit.0.language;
    let resource = pages.resource(&id).await?;
    let shown = shown(&pages, &resource).await?;
    // It may just have turned out that there are no bytes.
    let resource = if matches!(shown, Shown::Damaged) { pages.resource(&id).await? } else { resource };
    let Detail { resource, tries } = with_tries(&pages.catalogue, resource).await?;
    let turns = conversation::around(&pages.catalogue, &resource, &pages.clock, language).await?;
    let page = Page {
        frame: Frame::inside(&visit, Section::Resources),
        texts: Texts::of(language),
        item: Item::new(&resource, language),
        shown,
        trouble: resource.reason_code.map(|code| Trouble::new(code, language)),
        can_retry: can_retry(&resource),
        is_unsettled: is_unsettled(&resource, pages.clock.now()),
        attempts: resource.attempts,
        facts: facts(&resource, &pages.store, language),
        tries: tries.iter().map(|one| Attempt::new(one, language)).collect(),
        poster: poster(&turns, &resource),
        turns,
    };
    Ok(answer(StatusCode::OK, &page))
}

/// `POST /resources/{id}/retry`
pub(super) async fn retry(
    pages: web::Data<Pages>,
    visit: SignedIn,
    id: web::Path<String>,
) -> Result<HttpResponse, Failure> {
    let id = id.parse().map_err(|_| Failure::NotFound)?;
    if pages.commands(&visit).retry_one(id).await?.ok_or(Failure::NotFound)? > 0 {
        (pages.wake)();
    }
    Ok(see_other(&format!("/resources/{id}")))
}

async fn shown(pages: &Pages, resource: &Resource) -> Result<Shown, CatalogueError> {
    match resource.state {
        State::Stored => shown_of_stored(pages, resource).await,
        State::Pending | State::Running => Ok(Shown::Waiting),
        State::Blocked | State::Gone | State::Impossible => Ok(Shown::Nothing),
    }
}

async fn shown_of_stored(pages: &Pages, resource: &Resource) -> Result<Shown, CatalogueError> {
    Ok(match Preview::of(pages.examiner.blobs(), resource).await {
        Ok(Some(Preview { form: Form::Text { start, extent }, .. })) => {
            Shown::Preview(Form::Text { start: visible_lines(&start), extent })
        }
        Ok(Some(preview)) => Shown::Preview(preview.form),
        Ok(None) => Shown::OnlyDownload,
        Err(_) => shown_of_damaged(pages, resource).await?,
    })
}

async fn shown_of_damaged(pages: &Pages, resource: &Resource) -> Result<Shown, CatalogueError> {
    let (Some(digest), Some(size_bytes)) = (resource.sha256, resource.size_bytes) else { return Ok(Shown::Waiting) };
    Ok(match pages.examiner.examine(digest, size_bytes).await? {
        Finding::Damaged => Shown::Damaged,
        Finding::Sound | Finding::Unreadable => Shown::Unreadable,
    })
}

/// What `retry` moves: what ended without bytes, and what waits for its next attempt.
fn can_retry(resource: &Resource) -> bool {
    match resource.state {
        State::Blocked | State::Gone | State::Impossible => true,
        State::Pending => resource.next_attempt_at.is_some(),
        State::Running | State::Stored => false,
    }
}

fn is_unsettled(resource: &Resource, now: Timestamp) -> bool {
    match resource.state {
        State::Running => true,
        State::Pending => resource.next_attempt_at.is_none_or(|next| next <= now.after(SOON)),
        State::Stored | State::Blocked | State::Gone | State::Impossible => false,
    }
}

/// The cover that came with a video, in the same message.
fn poster(turns: &[Turn], resource: &Resource) -> Option<String> {
    let key = resource.cover_key.as_ref()?;
    let own = turns.iter().find(|turn| turn.is_own)?;
    let cover = own.items.iter().find(|item| item.key == *key && item.state == State::Stored)?;
    Some(format!("/resources/{}/preview", cover.id))
}

impl Trouble {
    fn new(code: ReasonCode, language: Language) -> Self {
        let (cause, remedy, owner) = (code.cause(), code.remedy(), code.owner());
        Self {
            code,
            cause: language.pick(cause.zh, cause.en),
            remedy: language.pick(remedy.zh, remedy.en),
            owner: (owner != Owner::Nobody).then(|| language.pick(owner.zh(), owner.en())),
            needs_person: code.ends_in() == State::Blocked,
        }
    }
}

impl Attempt {
    fn new(one: &Try, language: Language) -> Self {
        let took = one.ended_at.since(one.started_at);
        let result = match one.result.parse::<State>() {
            Ok(state) => vocabulary::state(state, language).to_owned(),
            Err(_) => Texts::of(language).will_retry.to_owned(),
        };
        Self {
            started_at: one.started_at.into(),
            took: format!("{:.1} s", took.as_secs_f64()),
            result,
            code: one.reason_code,
            answered: one.upstream.as_ref().map(|upstream: &Upstream| visible(&upstream.to_string())),
        }
    }
}
