//! Answers of the platform: telling what was asked for from a refusal.
//!
//! A success may be a refusal in disguise: an error inside a 200, a proxy's login page. So the
//! first bytes are looked at before an answer counts, and handed out again afterwards. What is
//! never looked at is a body that comes with `Content-Disposition`: that is somebody's file, even
//! when it is a web page or looks like an error.

use std::collections::VecDeque;
use std::error::Error as _;
use std::time::Duration;
use std::{fmt, mem};

use bytes::Bytes;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::body::Body;
use super::code::{Class, classify};
use super::file_name::mime_of;
use super::json;
use super::page::{self, Beginning};
use crate::domain::download::{Upstream, Verdict};
use crate::domain::reason::ReasonCode;

/// The longest body that is read for an error. The platform's own have under 4 KiB.
pub(super) const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;
/// How long the rest of an error's body may take; the status alone is enough to go on with.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long looking inside a success may take, so that a short body cannot drip for weeks.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// What is said of an answer that takes longer than that.
const TOO_SLOW: &str = "the answer is too slow";
/// How much of the platform's message is kept; enough for the list of missing scopes.
const MAX_MSG_CHARS: usize = 500;
/// The longest trace id that is kept. Real ones have 34 characters.
const MAX_LOG_ID_CHARS: usize = 200;
/// The shortest and the longest wait that is taken from a header, against a header of nonsense.
const WAIT_RANGE_SECONDS: (f64, f64) = (1.0, 3600.0);

/// How many seconds to wait after a rate limit.
const RATE_LIMIT_RESET: &str = "x-ogw-ratelimit-reset";
/// Where the platform puts its trace id.
const LOG_ID: &str = "x-tt-logid";
/// What stands in for it when a gateway answered instead.
const REQUEST_IDS: [&str; 2] = ["x-request-id", "request-id"];

/// Whom it concerns that something was not handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What was asked for.
    Subject,
    /// It, or everything: no answer came, or 5xx.
    Unclear,
    /// Whatever the app may ask for: there is no connection, or no token.
    App,
    /// Nobody: nothing was asked, because the archive stops or the app is paused.
    NotAsked,
}

/// The platform did not hand out what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What that means for the resource.
    pub verdict: Verdict,
    /// What the platform said.
    pub upstream: Upstream,
    /// Whom it concerns.
    pub scope: Scope,
}

impl Refusal {
    /// The platform offers this to custom apps only, so a store app need not ask.
    #[must_use]
    pub fn custom_apps_only() -> Self {
        let msg = Some("this API is for custom apps only; nothing was asked".to_owned());
        Self::new(Verdict::End(ReasonCode::CustomAppsOnly), Upstream { msg, ..Upstream::default() })
    }

    /// It failed on our side of the wire, so the platform has said nothing. What failed belongs in
    /// the log.
    #[must_use]
    pub fn failed_here() -> Self {
        Self::new(Verdict::Retry(ReasonCode::LocalFailure), Upstream::default())
    }

    /// A refusal of what was asked for.
    #[must_use]
    pub fn new(verdict: Verdict, upstream: Upstream) -> Self {
        Self { verdict, upstream, scope: Scope::Subject }
    }

    /// The reason that goes with its verdict.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        self.verdict.reason()
    }
}

/// A refusal whose immediate remedies (another token, asking in parts) are still to be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{upstream}")]
pub(super) struct Rejection {
    pub(super) class: Class,
    pub(super) upstream: Upstream,
    /// How long the platform asked to wait.
    pub(super) wait: Option<Duration>,
    /// Whom it concerns.
    pub(super) scope: Scope,
}

impl Rejection {
    /// A refusal that is not the platform's own word but follows from what happened.
    pub(super) fn new(class: Class, upstream: &Upstream, what_happened: impl Into<String>) -> Self {
        let upstream = Upstream { msg: Some(what_happened.into()), ..upstream.clone() };
        Self { class, upstream, wait: None, scope: Scope::Subject }
    }

    /// Nothing was asked, and whoever wanted to ask gives it back.
    pub(super) fn not_asked() -> Self {
        let class = Class::Retry(ReasonCode::UpstreamError);
        Self { scope: Scope::NotAsked, ..Self::new(class, &Upstream::default(), "nothing was asked") }
    }

    /// The same, concerning others.
    pub(super) fn concerning(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// The transfer did not bring the bytes it promised.
    pub(super) fn broken(upstream: &Upstream, what_happened: impl Into<String>) -> Self {
        Self::new(Class::Retry(ReasonCode::TransferBroken), upstream, what_happened)
    }

    /// Something else than a file came back.
    pub(super) fn not_a_file(upstream: &Upstream, what_came: impl Into<String>) -> Self {
        Self::new(Class::Retry(ReasonCode::NotAFile), upstream, what_came)
    }

    /// The answer as metrics count it: the JSON code, else the HTTP status.
    pub(super) fn label(&self) -> String {
        let Upstream { code, http_status, .. } = self.upstream;
        let code = code.or(http_status.map(i64::from));
        code.map_or_else(|| "none".to_owned(), |code| code.to_string())
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let Rejection { class, upstream, wait, scope } = rejection;
        Self { verdict: class.verdict(wait), upstream, scope }
    }
}

/// An answer that holds what was asked for: its head, and its body from the first byte on.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    /// Bytes that were looked at and are still to be handed out.
    ahead: VecDeque<Bytes>,
    /// Status and trace id, for refusals that come out of the body.
    pub(super) upstream: Upstream,
}

/// How much of a body was looked at.
enum Seen {
    Start,
    Everything,
}

impl Answer {
    /// Takes an answer, unless it is a refusal. No wait for a byte is longer than `idle_timeout`.
    pub(super) async fn open(mut response: Response, idle_timeout: Duration) -> Result<Self, Rejection> {
        let (status, headers) = (response.status(), mem::take(response.headers_mut()));
        let upstream =
            Upstream { http_status: Some(status.as_u16()), log_id: log_id_in(&headers, None), ..Upstream::default() };
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                let body = Body::open(response, &headers, idle_timeout, &upstream).await?;
                let mut answer = Self { status, headers, body, ahead: VecDeque::new(), upstream };
                let looked = timeout(LOOK_TIMEOUT, answer.look_inside()).await;
                looked.unwrap_or_else(|_| Err(Rejection::broken(&answer.upstream, TOO_SLOW)))?;
                Ok(answer)
            }
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => {
                Err(Rejection::broken(&upstream, "the answer has no body"))
            }
            other if other.is_success() => Err(Rejection::not_a_file(&upstream, format!("unexpected success {other}"))),
            _ => {
                let reading = read_error_body(response, &headers, idle_timeout, &upstream);
                // What cannot be read in time is no JSON; then the status decides.
                let body = timeout(ERROR_BODY_TIMEOUT, reading).await.unwrap_or_default();
                let error: Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = error.get("code").and_then(Value::as_i64);
                Err(rejection(&headers, &upstream, code, &error))
            }
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How long the body is, if the head says so.
    pub(super) fn declared_bytes(&self) -> Option<u64> {
        self.body.declared_bytes()
    }

    /// The next bytes; none when the body is complete.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        if let Some(bytes) = self.ahead.pop_front() {
            return Ok(Some(bytes));
        }
        self.body.chunk().await
    }

    /// The whole body as JSON, if it is no longer than `max_bytes`.
    pub(super) async fn json(self, max_bytes: usize) -> Result<Value, Rejection> {
        let upstream = self.upstream.clone();
        let too_long = || Rejection::not_a_file(&upstream, "the answer is too long for what was asked");
        let text = self.text(max_bytes).await?.ok_or_else(too_long)?;
        json::read(&text).map_err(|reason| Rejection::not_a_file(&upstream, format!("the answer {reason}")))
    }

    /// The whole body as text; none if it is longer than `max_bytes`.
    pub(super) async fn text(mut self, max_bytes: usize) -> Result<Option<String>, Rejection> {
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if body.len() + bytes.len() > max_bytes {
                return Ok(None);
            }
            body.extend_from_slice(&bytes);
        }
        let lossy = |error: std::string::FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
        Ok(Some(String::from_utf8(body).unwrap_or_else(lossy)))
    }

    /// Refuses what is no file although the status says success.
    async fn look_inside(&mut self) -> Result<(), Rejection> {
        if self.is_somebodys_file() {
            return Ok(());
        }
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| mime_of(value.to_str().ok()?));
        if content_type.as_deref() == Some("text/html") {
            return Err(Rejection::not_a_file(&self.upstream, "a web page came instead of a file"));
        }
        if self.declared_bytes().is_some_and(|declared| declared > MAX_ERROR_BODY_BYTES as u64) {
            return Ok(());
        }
        let may_be_error = |body: &[u8]| body.trim_ascii_start().first().is_none_or(|first| *first == b'{');
        match self.look_ahead(may_be_error).await? {
            (body, Seen::Everything) => self.error_in(&body).map_or(Ok(()), Err),
            (_, Seen::Start) => Ok(()),
        }
    }

    /// Refuses a page of text that came where an image was asked for, whatever it is declared as.
    pub(super) async fn refuse_page(&mut self) -> Result<(), Rejection> {
        if self.is_somebodys_file() {
            return Ok(());
        }
        let undecided = |start: &[u8]| page::begins(start).is_none();
        let looked = timeout(LOOK_TIMEOUT, self.look_ahead(undecided)).await;
        let (start, _) = looked.unwrap_or_else(|_| Err(Rejection::broken(&self.upstream, TOO_SLOW)))?;
        match page::begins(&start) {
            Some(Beginning::Page(what)) => {
                Err(Rejection::not_a_file(&self.upstream, format!("{what} came instead of the image")))
            }
            _ => Ok(()),
        }
    }

    /// What comes with a name of its own is what somebody sent, whatever it looks like.
    fn is_somebodys_file(&self) -> bool {
        self.headers.contains_key(CONTENT_DISPOSITION)
    }

    /// Reads ahead while `wants_more` of what has come, up to [`MAX_ERROR_BODY_BYTES`].
    async fn look_ahead(&mut self, wants_more: impl Fn(&[u8]) -> bool) -> Result<(Vec<u8>, Seen), Rejection> {
        let mut start = self.ahead.iter().flatten().copied().collect::<Vec<u8>>();
        while wants_more(&start) && start.len() <= MAX_ERROR_BODY_BYTES {
            let Some(bytes) = self.body.chunk().await? else { return Ok((start, Seen::Everything)) };
            start.extend_from_slice(&bytes);
            self.ahead.push_back(bytes);
        }
        Ok((start, Seen::Start))
    }

    /// The error inside a success: an object with a `code` other than 0 and a `msg`.
    fn error_in(&self, body: &[u8]) -> Option<Rejection> {
        let error: Value = serde_json::from_slice(body).ok()?;
        let code = error.get("code")?.as_i64().filter(|code| *code != 0)?;
        error.get("msg")?.as_str()?;
        Some(rejection(&self.headers, &self.upstream, Some(code), &error))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.upstream)
    }
}

/// Reads the body of an answer that is a refusal by its status, as far as it comes.
async fn read_error_body(
    response: Response,
    headers: &HeaderMap,
    idle_timeout: Duration,
    upstream: &Upstream,
) -> Vec<u8> {
    let mut read = Vec::new();
    let Ok(mut body) = Body::open(response, headers, idle_timeout, upstream).await else { return read };
    while read.len() <= MAX_ERROR_BODY_BYTES {
        let Ok(Some(bytes)) = body.chunk().await else { break };
        read.extend_from_slice(&bytes);
    }
    read
}

/// What a refusal says, by its code and by what stands in its body.
fn rejection(headers: &HeaderMap, upstream: &Upstream, code: Option<i64>, error: &Value) -> Rejection {
    let msg = error.get("msg").and_then(Value::as_str).filter(|msg| !msg.is_empty());
    let log_id_in_body = error.pointer("/error/log_id").and_then(Value::as_str);
    let upstream = Upstream {
        http_status: upstream.http_status,
        code,
        msg: msg.map(|msg| msg.chars().take(MAX_MSG_CHARS).collect::<String>().replace('\0', "\u{fffd}")),
        log_id: log_id_in(headers, log_id_in_body),
    };
    let status = upstream.http_status.unwrap_or_default();
    let class = classify(code, status);
    let wait = (class == Class::RateLimited).then(|| wait_in(headers)).flatten();
    let is_fault = status >= 500 && class == Class::Retry(ReasonCode::UpstreamError);
    let scope = if is_fault { Scope::Unclear } else { Scope::Subject };
    Rejection { class, upstream, wait, scope }
}

/// What went wrong with a request, down to its first cause, without the URL.
pub(super) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.chars().take(MAX_MSG_CHARS).collect()
}

fn wait_in(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RATE_LIMIT_RESET)?.to_str().ok()?.trim().parse().ok()?;
    let (shortest, longest) = WAIT_RANGE_SECONDS;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.clamp(shortest, longest)))
}

/// The trace id of an answer: from its own header, else from the body, else a gateway's.
fn log_id_in(headers: &HeaderMap, in_body: Option<&str>) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let gateway = REQUEST_IDS.into_iter().find_map(header);
    let log_id = header(LOG_ID).or(in_body).or(gateway).filter(|text| !text.is_empty())?;
    Some(log_id.chars().filter(|c| !c.is_control()).take(MAX_LOG_ID_CHARS).collect())
}
