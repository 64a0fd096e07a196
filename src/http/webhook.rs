//! The webhook: deliveries of the platform in, one short answer out.
//!
//! Every refusal of what does not authenticate is the same line, so that a stranger learns nothing
//! of what was inside. The log and the counters name the cause.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;

use super::client;
use super::exchange::BodyFault;
use crate::archive::ingest::{Durable, Inbox};
use crate::clock::Clock;
use crate::domain::proxies::TrustedProxies;
use crate::feishu::platform_time::PlatformTime;
use crate::feishu::verified::{Inbound, VerifiedEvent, from_webhook};
use crate::feishu::webhook::{AppKeys, Rejected, SignatureHeaders};
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;

/// The largest body. Real ones have a few kilobytes; a rich-text message may have 30 times that.
const MAX_BODY_BYTES: usize = 1 << 20;
const REFUSED: &str = "{\"msg\":\"refused\"}";
const SUCCESS: &str = "{\"msg\":\"success\"}";

/// What the webhook works with. Cloned freely.
#[derive(Debug, Clone)]
pub struct Gate {
    apps: Arc<[AppKeys]>,
    inbox: Inbox,
    metrics: Metrics,
    clock: Clock,
    time: PlatformTime,
    proxies: Arc<TrustedProxies>,
}

impl Gate {
    /// A gate for these apps, behind these proxies.
    #[must_use]
    pub fn new(
        apps: Vec<AppKeys>,
        proxies: TrustedProxies,
        inbox: Inbox,
        metrics: Metrics,
        (clock, time): (Clock, PlatformTime),
    ) -> Self {
        Self { apps: apps.into(), inbox, metrics, clock, time, proxies: Arc::new(proxies) }
    }

    /// Where a request came from, for the log.
    fn client(&self, request: &HttpRequest) -> IpAddr {
        client::address(request.head(), &self.proxies)
    }
}

/// Why a request was turned away before its body was looked at.
enum TurnedAway {
    Body(BodyFault),
    WrongType,
}

impl TurnedAway {
    /// The `result` label of `larkive_events_total`.
    fn label(&self) -> &'static str {
        match self {
            Self::Body(BodyFault::TooBusy) => "failed",
            Self::Body(_) | Self::WrongType => "malformed",
        }
    }

    fn tell(&self, client: IpAddr) {
        static LINES: LogLimit = LogLimit::new();
        if let Some(left_out) = LINES.pass(self.label()) {
            tracing::warn!(%client, cause = self.label(), status = %self.status(), left_out, "Turned a delivery away");
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Body(fault) => fault.status(),
            Self::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Adds the webhook's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/webhook/event").route(web::post().to(shared_path)))
        .service(web::resource("/webhook/event/{app_id}").route(web::post().to(own_path)));
}

async fn shared_path(gate: web::Data<Gate>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    deliver(&gate, &gate.apps, &request, payload).await
}

async fn own_path(
    gate: web::Data<Gate>,
    app_id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    match gate.apps.iter().find(|keys| keys.app_id.as_str() == *app_id) {
        Some(keys) => deliver(&gate, std::slice::from_ref(keys), &request, payload).await,
        None => refuse(&gate, StatusCode::NOT_FOUND, "app"),
    }
}

/// Takes a delivery for one of these apps.
async fn deliver(gate: &Gate, apps: &[AppKeys], request: &HttpRequest, payload: web::Payload) -> HttpResponse {
    let begun = Instant::now();
    let answer = match receive(request, payload).await {
        Ok(body) => match from_webhook(apps, signature_headers(request.headers()), &body, &gate.time) {
            Ok(inbound) => take(gate, inbound).await,
            Err(rejected) => reject(gate, apps, request, rejected),
        },
        Err(turned_away) => {
            turned_away.tell(gate.client(request));
            refuse(gate, turned_away.status(), turned_away.label())
        }
    };
    gate.metrics.webhook_duration_seconds.observe(begun.elapsed().as_secs_f64());
    answer
}

/// Reads the body within its limits: those of every body, and its size.
async fn receive(request: &HttpRequest, payload: web::Payload) -> Result<web::BytesMut, TurnedAway> {
    if declared_length(request.headers()).is_some_and(|bytes| bytes > MAX_BODY_BYTES) {
        return Err(TurnedAway::Body(BodyFault::TooLarge));
    }
    let body = read_body(payload).await.map_err(TurnedAway::Body)?;
    if !is_json(request.headers()) {
        return Err(TurnedAway::WrongType);
    }
    Ok(body)
}

async fn read_body(mut payload: web::Payload) -> Result<web::BytesMut, BodyFault> {
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| BodyFault::of(&error))?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(BodyFault::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The signature headers, if the delivery claims to be signed. One that is no text fits nothing.
fn signature_headers(headers: &HeaderMap) -> Option<SignatureHeaders<'_>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    headers.contains_key("X-Lark-Signature").then(|| SignatureHeaders {
        timestamp: text("X-Lark-Request-Timestamp"),
        nonce: text("X-Lark-Request-Nonce"),
        signature: text("X-Lark-Signature"),
    })
}

async fn take(gate: &Gate, inbound: Inbound) -> HttpResponse {
    match inbound {
        Inbound::Challenge(challenge) => {
            static LINES: LogLimit = LogLimit::new();
            gate.metrics.count_event("challenge");
            if let Some(left_out) = LINES.pass("challenge") {
                tracing::info!(left_out, "Answered the platform's check of the address");
            }
            HttpResponse::Ok().json(serde_json::json!({ "challenge": challenge }))
        }
        Inbound::Event(event) => take_event(gate, &event).await,
    }
}

async fn take_event(gate: &Gate, event: &VerifiedEvent) -> HttpResponse {
    static FAILURES: LogLimit = LogLimit::new();
    let identity = event.identity();
    let (app_id, event_id) = (event.app_id(), identity.event_id.as_deref().unwrap_or_default());
    let event_type = identity.event_type.as_deref().unwrap_or_default();
    match gate.inbox.submit(event).await {
        Ok(Durable::Now) => {
            gate.metrics.count_event("accepted");
            gate.metrics.last_event_timestamp_seconds.set(gate.clock.now().unix_ms() as f64 / 1000.0);
            tracing::debug!(app.id = %app_id, event.id = event_id, event.kind = event_type, "Accepted an event");
            plain(StatusCode::OK, SUCCESS)
        }
        Ok(Durable::Already) => {
            gate.metrics.count_event("duplicate");
            tracing::debug!(app.id = %app_id, event.id = event_id, event.kind = event_type, "Knew an event already");
            plain(StatusCode::OK, SUCCESS)
        }
        Err(error) => {
            if let Some(left_out) = FAILURES.pass("failed") {
                tracing::error!(app.id = %app_id, event.id = event_id, %error, left_out, "Cannot take an event");
            }
            refuse(gate, StatusCode::SERVICE_UNAVAILABLE, "failed")
        }
    }
}

/// With an Encrypt Key every refusal is 401; without one there is nothing to learn from telling a
/// body that cannot be read from one that does not authenticate.
fn reject(gate: &Gate, apps: &[AppKeys], request: &HttpRequest, rejected: Rejected) -> HttpResponse {
    static LINES: LogLimit = LogLimit::new();
    let cause = rejected.label();
    if let Some(left_out) = LINES.pass(cause) {
        tracing::warn!(client = %gate.client(request), cause, left_out, "Refused a delivery: {rejected}");
    }
    let encrypted = apps.iter().any(|keys| keys.encrypt_key.is_some());
    let status = match rejected {
        Rejected::NotAnObject | Rejected::OnlyEncrypted if !encrypted => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNAUTHORIZED,
    };
    refuse(gate, status, rejected.label())
}

fn refuse(gate: &Gate, status: StatusCode, result: &'static str) -> HttpResponse {
    gate.metrics.count_event(result);
    plain(status, REFUSED)
}

fn plain(status: StatusCode, body: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type("application/json").body(body)
}
