//! Signing in and out, and the switch between the languages.

use std::time::Duration;

use actix_web::cookie::{Cookie, CookieBuilder, SameSite, time};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::Pages;
use super::failure::Failure;
use super::form::{self, Unread};
use super::frame::{Frame, answer, see_other};
use super::language::{Language, texts};
use super::local_path::LocalPath;
use super::session::ABSOLUTE_LIMIT;
use super::visit::{LANGUAGE_COOKIE, SESSION_COOKIE, Transport, Visit};
use crate::feishu::crypto::same_secret;
use crate::http::attempts::TooMany;
use crate::log_limit::LogLimit;

/// How long a browser remembers the language.
const REMEMBERED_FOR: Duration = Duration::from_secs(365 * 24 * 3600);

texts! {
    /// The texts of the sign-in page.
    Texts {
        title = "登录", "Sign in";
        lead = "飞书机器人收到的图片、文件、语音和视频，都在这里。",
            "Every picture, file, voice and video that people sent to your Feishu bot.";
        token = "管理口令", "Administrator token";
        hint = "即 LARKIVE_ADMIN_TOKEN 的值。", "The value of LARKIVE_ADMIN_TOKEN.";
        wrong = "口令不正确。", "That is not the token.";
        too_many_before = "尝试次数过多，请在", "Too many attempts. Try again in";
        too_many_after = "分钟后再试。", "min.";
    }
}

/// The sign-in page.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    next: LocalPath,
    trouble: Option<Trouble>,
}

/// Why somebody is not signed in.
enum Trouble {
    WrongToken,
    TooMany { minutes: u64 },
}

impl Page {
    fn new(visit: &Visit, next: LocalPath, trouble: Option<Trouble>) -> Self {
        Self { frame: Frame::outside(visit), texts: Texts::of(visit.language), next, trouble }
    }
}

/// `GET /login`
pub(super) async fn show(visit: Visit, query: web::Query<Vec<(String, String)>>) -> HttpResponse {
    let next = query.iter().find(|(name, _)| name == "next").map(|(_, value)| value.as_str());
    let next = destination(next.unwrap_or_default());
    if visit.session.is_some() {
        return see_other(next.as_str());
    }
    answer(StatusCode::OK, &Page::new(&visit, next, None))
}

/// Attempts that are refused; whoever makes them need not be anybody.
static LINES: LogLimit = LogLimit::new();

/// `POST /login`
///
/// An attempt counts before anything of it is read: who has made too many costs no more than the answer.
pub(super) async fn sign_in(pages: web::Data<Pages>, visit: Visit, form: Unread) -> Result<HttpResponse, Failure> {
    let token = pages.admin_token.as_ref().ok_or(Failure::NoPages)?;
    let now = pages.clock.now();
    if let Err(TooMany(wait)) = pages.attempts.count(visit.client, now) {
        if let Some(left_out) = LINES.pass("too many") {
            tracing::warn!(client = %visit.client, left_out, "Refused an attempt to sign in: there were too many");
        }
        return Ok(try_later(&visit, wait));
    }
    let form = form.read(form::MAX_SMALL_BYTES).await?;
    let next = destination(form.value("next"));
    if !same_secret(form.value("token").as_bytes(), token.reveal().as_bytes()) {
        if let Some(left_out) = LINES.pass("wrong token") {
            tracing::warn!(client = %visit.client, left_out, "Somebody tried to sign in with a wrong token");
        }
        return Ok(answer(StatusCode::FORBIDDEN, &Page::new(&visit, next, Some(Trouble::WrongToken))));
    }
    pages.attempts.forgive(visit.client);
    let key = pages.sessions.open(now).map_err(|error| {
        tracing::error!(%error, "Cannot open a session without random bytes");
        Failure::Internal
    })?;
    tracing::info!(client = %visit.client, "An administrator signed in");
    let cookie = cookie(SESSION_COOKIE, &key, ABSOLUTE_LIMIT, visit.transport).same_site(SameSite::Strict);
    with_cookie(see_other(next.as_str()), cookie)
}

/// `POST /logout`
pub(super) async fn sign_out(pages: web::Data<Pages>, visit: Visit) -> Result<HttpResponse, Failure> {
    if let Some(key) = &visit.session {
        pages.sessions.close(key);
    }
    let cookie = cookie(SESSION_COOKIE, "", Duration::ZERO, visit.transport).same_site(SameSite::Strict);
    with_cookie(see_other("/login"), cookie)
}

/// `POST /language`
pub(super) async fn switch_language(visit: Visit, form: Unread) -> Result<HttpResponse, Failure> {
    let form = form.read(form::MAX_SMALL_BYTES).await?;
    let language = Language::of_tag(form.value("language")).ok_or(Failure::BadRequest)?;
    // Nothing secret: a link from a chat may well open in the language that was chosen before.
    let cookie = cookie(LANGUAGE_COOKIE, language.tag(), REMEMBERED_FOR, visit.transport).same_site(SameSite::Lax);
    with_cookie(see_other(destination(form.value("next")).as_str()), cookie)
}

fn try_later(visit: &Visit, wait: Duration) -> HttpResponse {
    let minutes = wait.as_secs().div_ceil(60);
    let page = Page::new(visit, LocalPath::home(), Some(Trouble::TooMany { minutes }));
    let mut response = answer(StatusCode::TOO_MANY_REQUESTS, &page);
    response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
    response
}

/// Where it goes on; what leads elsewhere leads to the first page instead.
fn destination(next: &str) -> LocalPath {
    next.parse().unwrap_or_else(|_| LocalPath::home())
}

/// A cookie for all of this site, which no script can read.
fn cookie<'a>(name: &'a str, value: &'a str, max_age: Duration, transport: Transport) -> CookieBuilder<'a> {
    Cookie::build(name, value)
        .path("/")
        .max_age(time::Duration::seconds(max_age.as_secs() as i64))
        .http_only(true)
        .secure(transport == Transport::Https)
}

fn with_cookie(mut response: HttpResponse, cookie: CookieBuilder<'_>) -> Result<HttpResponse, Failure> {
    response.add_cookie(&cookie.finish()).map_err(|error| {
        tracing::error!(%error, "Cannot set a cookie");
        Failure::Internal
    })?;
    Ok(response)
}
