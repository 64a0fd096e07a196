//! Answers of the platform: telling what was asked for from a refusal.
//!
//! A success may be a refusal in disguise: an error inside a 200, a proxy's login page. So the
//! first bytes are looked at before an answer counts, and handed out again afterwards. What is
//! never looked at is a body that comes with `Content-Disposition`: that is somebody's file, even
//! when it is a web page or looks like an error.

use std::collections::VecDeque;
use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::code::{Class, classify};
use super::file_name::mime_of;
use super::json;
use crate::domain::download::{Upstream, Verdict};
use crate::domain::reason::ReasonCode;

/// The longest body that is read for an error. The platform's own have under 4 KiB.
pub(super) const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;
/// How long the rest of an error's body may take; the status alone is enough to go on with.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long looking inside a success may take, so that a short body cannot drip for weeks.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2 * 60);
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

/// The platform did not hand out what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What that means for the resource.
    pub verdict: Verdict,
    /// What the platform said.
    pub upstream: Upstream,
}

impl Refusal {
    /// The platform offers this to custom apps only, so a store app need not ask.
    #[must_use]
    pub fn custom_apps_only() -> Self {
        let msg = Some("this API is for custom apps only; nothing was asked".to_owned());
        Self { verdict: Verdict::End(ReasonCode::CustomAppsOnly), upstream: Upstream { msg, ..Upstream::default() } }
    }

    /// It failed on our side of the wire, so the platform has said nothing. What failed belongs in
    /// the log.
    #[must_use]
    pub fn failed_here() -> Self {
        Self { verdict: Verdict::Retry(ReasonCode::LocalFailure), upstream: Upstream::default() }
    }

    /// The reason that goes with its verdict.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        self.verdict.reason()
    }
}

/// A refusal whose immediate remedies (another token, asking in parts) are still to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) class: Class,
    pub(super) upstream: Upstream,
    /// How long the platform asked to wait.
    pub(super) wait: Option<Duration>,
}

impl Rejection {
    /// A refusal that is not the platform's own word but follows from what happened.
    pub(super) fn new(class: Class, upstream: &Upstream, what_happened: impl Into<String>) -> Self {
        let upstream = Upstream { msg: Some(what_happened.into()), ..upstream.clone() };
        Self { class, upstream, wait: None }
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
        Self { verdict: rejection.class.verdict(rejection.wait), upstream: rejection.upstream }
    }
}

/// An answer that holds what was asked for: its head, and its body from the first byte on.
#[derive(Debug)]
pub(super) struct Answer {
    response: Response,
    /// Bytes that were looked at and are still to be handed out.
    ahead: VecDeque<Bytes>,
    idle_timeout: Duration,
    declared_bytes: Option<u64>,
    received: u64,
    /// Status and trace id, for refusals that come out of the body.
    pub(super) upstream: Upstream,
}

impl Answer {
    /// Takes an answer, unless it is a refusal. No wait for a byte is longer than `idle_timeout`.
    pub(super) async fn open(response: Response, idle_timeout: Duration) -> Result<Self, Rejection> {
        let status = response.status();
        let upstream = Upstream {
            http_status: Some(status.as_u16()),
            log_id: log_id_in(response.headers(), None),
            ..Upstream::default()
        };
        let declared = response.headers().get(CONTENT_LENGTH);
        let declared_bytes = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        let mut answer = Self { response, ahead: VecDeque::new(), idle_timeout, declared_bytes, received: 0, upstream };
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                let looked = timeout(LOOK_TIMEOUT, answer.look_inside()).await;
                looked.unwrap_or_else(|_| Err(Rejection::broken(&answer.upstream, "the answer is too slow")))?;
            }
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => {
                return Err(Rejection::broken(&answer.upstream, "the answer has no body"));
            }
            other if other.is_success() => {
                return Err(Rejection::not_a_file(&answer.upstream, format!("unexpected success {other}")));
            }
            _ => return Err(answer.read_error().await),
        }
        Ok(answer)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// How long the body is, if the head says so.
    pub(super) fn declared_bytes(&self) -> Option<u64> {
        self.declared_bytes
    }

    /// The next bytes; none when the body is complete.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        if let Some(bytes) = self.ahead.pop_front() {
            return Ok(Some(bytes));
        }
        self.receive().await
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

    async fn receive(&mut self) -> Result<Option<Bytes>, Rejection> {
        let next = timeout(self.idle_timeout, self.response.chunk()).await;
        let Ok(next) = next else {
            let seconds = self.idle_timeout.as_secs_f32();
            return Err(Rejection::broken(&self.upstream, format!("no byte came for {seconds} s")));
        };
        let bytes = next.map_err(|error| Rejection::broken(&self.upstream, describe(error)))?;
        self.received += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        match self.declared_bytes {
            Some(declared) if bytes.is_none() && declared != self.received => {
                let received = self.received;
                Err(Rejection::broken(&self.upstream, format!("{received} of {declared} bytes came")))
            }
            _ => Ok(bytes),
        }
    }

    /// Refuses what is no file although the status says success.
    async fn look_inside(&mut self) -> Result<(), Rejection> {
        // An encoded body was asked for by nobody: something on the way has changed the bytes.
        let encoding = self.headers().get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Rejection::not_a_file(&self.upstream, "the body is encoded although nobody asked for that"));
        }
        if self.headers().contains_key(CONTENT_DISPOSITION) {
            return Ok(());
        }
        let content_type = self.headers().get(CONTENT_TYPE).and_then(|value| mime_of(value.to_str().ok()?));
        if content_type.as_deref() == Some("text/html") {
            return Err(Rejection::not_a_file(&self.upstream, "a web page came instead of a file"));
        }
        let Some(body) = self.read_ahead_if_json().await? else { return Ok(()) };
        self.error_in(&body).map_or(Ok(()), Err)
    }

    /// Reads the whole body ahead, if it is short and starts like a JSON object.
    async fn read_ahead_if_json(&mut self) -> Result<Option<Vec<u8>>, Rejection> {
        let limit = MAX_ERROR_BODY_BYTES as u64;
        if self.declared_bytes.is_some_and(|declared| declared > limit) {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(bytes) = self.receive().await? {
            body.extend_from_slice(&bytes);
            self.ahead.push_back(bytes);
            let starts_otherwise = body.trim_ascii_start().first().is_some_and(|first| *first != b'{');
            if starts_otherwise || body.len() > MAX_ERROR_BODY_BYTES {
                return Ok(None);
            }
        }
        Ok(Some(body))
    }

    /// The error inside a success: an object with a `code` other than 0 and a `msg`.
    fn error_in(&self, body: &[u8]) -> Option<Rejection> {
        let error: Value = serde_json::from_slice(body).ok()?;
        let code = error.get("code")?.as_i64().filter(|code| *code != 0)?;
        error.get("msg")?.as_str()?;
        Some(self.rejection(Some(code), &error))
    }

    /// Reads the body of an answer that is a refusal by its status.
    async fn read_error(mut self) -> Rejection {
        let body = timeout(ERROR_BODY_TIMEOUT, self.read_error_body()).await.unwrap_or_default();
        let error: Value = serde_json::from_slice(&body).unwrap_or_default();
        let code = error.get("code").and_then(Value::as_i64);
        self.rejection(code, &error)
    }

    async fn read_error_body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() <= MAX_ERROR_BODY_BYTES {
            // What broke off is no JSON; then the status decides.
            let Ok(Some(bytes)) = self.receive().await else { break };
            body.extend_from_slice(&bytes);
        }
        body
    }

    fn rejection(&self, code: Option<i64>, error: &Value) -> Rejection {
        let msg = error.get("msg").and_then(Value::as_str).filter(|msg| !msg.is_empty());
        let log_id_in_body = error.pointer("/error/log_id").and_then(Value::as_str);
        let upstream = Upstream {
            http_status: self.upstream.http_status,
            code,
            msg: msg.map(|msg| msg.chars().take(MAX_MSG_CHARS).collect::<String>().replace('\0', "\u{fffd}")),
            log_id: log_id_in(self.headers(), log_id_in_body),
        };
        let class = classify(code, self.status().as_u16());
        let wait = (class == Class::RateLimited).then(|| wait_in(self.headers())).flatten();
        Rejection { class, upstream, wait }
    }
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
