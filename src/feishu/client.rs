//! One app's connection to the platform: every request goes through its budget, carries its token,
//! and is counted. A store app has such a connection for each tenant.
//!
//! Which requests there are is told elsewhere (`fetch`); what an answer means, in `answer`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::redirect;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use url::Url;

use super::answer::{Answer, Refusal, Rejection, Scope, describe};
use super::app_ticket::{TicketBox, Tickets};
use super::code::Class;
use super::grant::{Applicant, Grant};
use super::limit::{Budget, Limiter, Permit, Priority};
use super::outbound::Outbound;
use super::platform_time::PlatformTime;
use super::token::{Token, Tokens};
use crate::domain::app::AppKind;
use crate::domain::download::Upstream;
use crate::domain::id::{AppId, TenantKey};
use crate::domain::reason::ReasonCode;
use crate::domain::secret::Secret;
use crate::domain::source::Source;
use crate::metrics::Metrics;

/// How long no byte may come before a transfer counts as broken; also the wait for an answer's head.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take, name look-up and TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept: shorter than usual gateways do, so that no request goes
/// out on a connection that the other side is about to close.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the API is left alone after a rate limit that names no wait.
const PAUSE_WITHOUT_RESET: Duration = Duration::from_secs(1);
/// How long an answer may take to begin once nothing else is asked any more.
const BEGINS_WITHIN: Duration = Duration::from_secs(1);
/// How long a JSON answer may take as a whole, so that it cannot drip for weeks.
pub(super) const JSON_WITHIN: Duration = Duration::from_secs(2 * 60);
/// What the platform allows for looking people up: less than its usual budget.
const USERS_PER_SECOND: u32 = 5;

/// Authenticates towards a helpdesk, next to the app's own token.
const HELPDESK_AUTHORIZATION: &str = "x-lark-helpdesk-authorization";

/// What a [`Client`] wants to know.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Where the platform is; a path in it is kept.
    pub base_url: Url,
    /// The app.
    pub app_id: AppId,
    /// Its secret.
    pub app_secret: Secret,
    /// Id and token of the helpdesk; only ticket images need them.
    pub helpdesk: Option<(String, Secret)>,
    /// Calls per second and minute, for each API.
    pub budget: Budget,
    /// How long no byte may come; [`IDLE_TIMEOUT`] outside tests.
    pub idle_timeout: Duration,
    /// How its calls leave for the platform.
    pub outbound: Outbound,
}

/// A client for one app. Clones share its token, its budgets and its connections. What it asks for
/// waits in the line of the budget by its priority.
#[derive(Clone)]
pub struct Client(Arc<Inner>, Priority);

struct Inner {
    http: reqwest::Client,
    base_url: Url,
    app_id: AppId,
    /// How it comes by its tokens, which says what it may ask for.
    kind: AppKind,
    helpdesk: Option<HeaderValue>,
    tokens: Tokens,
    /// The clients of single tenants, if this one is a store app's.
    tenants: Option<Tenants>,
    budget: Budget,
    limiters: Limiters,
    line: Arc<Line>,
    idle_timeout: Duration,
    metrics: Metrics,
    time: PlatformTime,
}

/// What ends the waiting of an app's calls, whichever tenant they are for.
#[derive(Default)]
struct Line {
    /// Rung for those that wait just then.
    released: Notify,
    /// Nothing is asked any more.
    closed: CancellationToken,
}

/// A store app's clients, one for each tenant that has shown up. There are as many as companies
/// that have installed the app; each takes a few kilobytes.
struct Tenants {
    applicant: Arc<Applicant>,
    /// The app's own tokens, which buy those of tenants.
    own: Arc<Tokens>,
    clients: Mutex<HashMap<TenantKey, Client>>,
}

/// One budget per API: the platform counts each of them by itself.
struct Limiters {
    resource: Limiter,
    message: Limiter,
    image: Limiter,
    file: Limiter,
    baike: Limiter,
    lingo: Limiter,
    ticket_image: Limiter,
    chat: Limiter,
    user: Limiter,
}

/// An API, as the platform counts calls and the metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// One that hands out bytes.
    Bytes(Source),
    /// Messages by their id.
    Message,
    /// Chats and who is in them.
    Chat,
    /// People.
    User,
}

/// One request, ready to be sent, and sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) url: Url,
    /// The first and the last byte that is asked for; all of them if none.
    pub(super) range: Option<(u64, u64)>,
    /// What is posted; without it, it is a GET.
    pub(super) body: Option<Bytes>,
}

impl Call {
    /// A GET of everything.
    pub(super) fn get(api: Api, url: Url) -> Self {
        Self { api, url, range: None, body: None }
    }

    /// A POST of a JSON text.
    pub(super) fn post(api: Api, url: Url, body: &Value) -> Self {
        Self { body: Some(body.to_string().into()), ..Self::get(api, url) }
    }
}

impl Client {
    /// A custom app's client that has not connected to anything yet. What its answers say of the time, `time` learns.
    ///
    /// # Errors
    /// The base URL is none for HTTP, or the system's root certificates cannot be read.
    pub fn new(settings: ClientSettings, metrics: Metrics, time: PlatformTime) -> anyhow::Result<Self> {
        Self::build(settings, metrics, time, |applicant| (Tokens::new(applicant, Grant::Custom), None))
    }

    /// A store app's client, which needs the tickets that events bring. It can do nothing itself;
    /// see [`Client::for_tenant`].
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn for_store_app(
        settings: ClientSettings,
        tickets: Arc<dyn TicketBox>,
        metrics: Metrics,
        time: PlatformTime,
    ) -> anyhow::Result<Self> {
        Self::build(settings, metrics, time, |applicant| {
            let own = Arc::new(Tokens::new(applicant.clone(), Grant::Store(Tickets::new(tickets))));
            let tenants = Tenants { applicant: applicant.clone(), own, clients: Mutex::default() };
            (Tokens::new(applicant, Grant::WithoutTenant), Some(tenants))
        })
    }

    fn build(
        settings: ClientSettings,
        metrics: Metrics,
        time: PlatformTime,
        tokens: impl FnOnce(Arc<Applicant>) -> (Tokens, Option<Tenants>),
    ) -> anyhow::Result<Self> {
        let ClientSettings { base_url, app_id, app_secret, helpdesk, budget, idle_timeout, outbound } = settings;
        let is_web_address = matches!(base_url.scheme(), "http" | "https") && base_url.has_host();
        ensure!(is_web_address, "the platform's base URL must start with https:// or http:// and name a host");
        let http = http_client(&base_url, &outbound).context("Failed to set up the HTTP client")?;
        let helpdesk = helpdesk.map(|(id, token)| helpdesk_header(&id, &token)).transpose()?;
        let applicant = Applicant {
            http: http.clone(),
            base_url: base_url.clone(),
            app_id: app_id.clone(),
            app_secret,
            metrics: metrics.clone(),
            time: time.clone(),
        };
        let (tokens, tenants) = tokens(Arc::new(applicant));
        let kind = if tenants.is_some() { AppKind::Store } else { AppKind::Custom };
        let limiters = Limiters::new(budget);
        let inner = Inner {
            http,
            base_url,
            app_id,
            kind,
            helpdesk,
            tokens,
            tenants,
            budget,
            limiters,
            line: Arc::default(),
            idle_timeout,
            metrics,
            time,
        };
        Ok(Self(Arc::new(inner), Priority::default()))
    }

    /// The same client, asking for something of this priority.
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self(Arc::clone(&self.0), priority)
    }

    /// The client that asks in a tenant's name: for a store app one with the tenant's own tokens
    /// and budgets, for a custom app, which has one tenant only, this one.
    #[must_use]
    pub fn for_tenant(&self, tenant_key: Option<&TenantKey>) -> Self {
        let (Some(tenants), Some(tenant_key)) = (&self.0.tenants, tenant_key) else { return self.clone() };
        // Nothing panics under this lock; if it did, the map would still be whole.
        let mut clients = tenants.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(tenant_key.clone()).or_insert_with(|| self.within(tenants, tenant_key)).with_priority(self.1)
    }

    /// Sends everybody away who waits for the budget now, in whichever tenant's name: nothing is asked
    /// for them.
    pub fn release_waiting(&self) {
        self.0.line.released.notify_waiters();
    }

    /// Sends everybody away who waits, and whoever comes: nothing is asked any more. What is being
    /// answered goes on; a call whose answer does not begin at once is given up.
    pub fn close(&self) {
        self.0.line.closed.cancel();
    }

    /// Whether this is a store app's client without a tenant: it can ask for nothing.
    #[must_use]
    pub fn lacks_tenant(&self) -> bool {
        self.0.tenants.is_some()
    }

    fn within(&self, tenants: &Tenants, tenant_key: &TenantKey) -> Self {
        let Inner { http, base_url, app_id, helpdesk, budget, line, idle_timeout, metrics, time, .. } = self.0.as_ref();
        let grant = Grant::Tenant(tenants.own.clone(), tenant_key.clone());
        let inner = Inner {
            http: http.clone(),
            base_url: base_url.clone(),
            app_id: app_id.clone(),
            kind: AppKind::Store,
            helpdesk: helpdesk.clone(),
            tokens: Tokens::new(tenants.applicant.clone(), grant),
            tenants: None,
            budget: *budget,
            limiters: Limiters::new(*budget),
            line: line.clone(),
            idle_timeout: *idle_timeout,
            metrics: metrics.clone(),
            time: time.clone(),
        };
        Self(Arc::new(inner), Priority::default())
    }

    /// The address of an API: the base URL and these segments, each encoded.
    pub(super) fn url(&self, segments: &[&str]) -> Url {
        join(&self.0.base_url, segments)
    }

    /// Whether the helpdesk's credentials are known.
    pub(super) fn knows_helpdesk(&self) -> bool {
        self.0.helpdesk.is_some()
    }

    /// Refuses a store app what the platform offers to custom apps only.
    pub(super) fn require_custom_app(&self, source: Source) -> Result<(), Refusal> {
        let may = self.0.kind == AppKind::Custom || !source.is_for_custom_apps();
        if may { Ok(()) } else { Err(Refusal::custom_apps_only()) }
    }

    /// Sends a call whose answer is JSON of at most `max_bytes`; returns its `data`.
    pub(super) async fn ask(&self, call: &Call, max_bytes: usize) -> Result<Value, Rejection> {
        let answer = self.send(call).await?;
        let upstream = answer.upstream.clone();
        let slow = |_| Err(Rejection::broken(&upstream, "the answer is too slow"));
        let mut json = timeout(JSON_WITHIN, answer.json(max_bytes)).await.unwrap_or_else(slow)?;
        json.get_mut("data").map(Value::take).ok_or_else(|| Rejection::not_a_file(&upstream, "the answer has no data"))
    }

    /// Sends a call; once more with a new token if the first one is refused.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Rejection> {
        let token = self.token().await?;
        let first = self.send_once(call, &token).await;
        if !is_token_refused(&first) {
            return first;
        }
        warn!(app.id = %self.0.app_id, api = call.api.name(), "The platform refused the token; fetching a new one");
        self.0.tokens.evict(&token).await;
        let token = self.token().await?;
        let second = self.send_once(call, &token).await;
        if let Err(rejection) = &second
            && is_token_refused(&second)
        {
            let (reason, Upstream { code, log_id, .. }) = (rejection.class.reason(), &rejection.upstream);
            error!(
                app.id = %self.0.app_id, api = call.api.name(), %reason, code, log_id,
                "The platform refused app {} with a fresh token too", self.0.app_id,
            );
        }
        second
    }

    /// A token, unless nothing is asked any more. If there is none, that concerns the whole app, but
    /// for what a person has to mend: then each resource says so.
    async fn token(&self) -> Result<Token, Rejection> {
        let closed = &self.0.line.closed;
        let token = closed.run_until_cancelled(self.0.tokens.get()).await.unwrap_or(Err(Rejection::not_asked()));
        token.map_err(|rejection| match rejection.class {
            Class::Retry(_) | Class::RetryFewTimes(_) if rejection.scope != Scope::NotAsked => {
                rejection.concerning(Scope::App)
            }
            _ => rejection,
        })
    }

    async fn send_once(&self, call: &Call, token: &Token) -> Result<Answer, Rejection> {
        let permit = self.permit(call.api).await?;
        let answer = match self.head(call, token).await {
            Ok(response) => {
                drop(permit);
                Answer::open(response, self.0.idle_timeout).await
            }
            Err(rejection) => Err(rejection),
        };
        let label = match &answer {
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(rejection) => rejection.label(),
        };
        self.0.metrics.count_upstream(call.api.name(), label);
        answer.inspect_err(|rejection| self.heed_rate_limit(call.api, rejection))
    }

    /// Waits for a place in the budget, or learns that the wait is too long for waiting in line, or
    /// is sent away.
    async fn permit(&self, api: Api) -> Result<Permit, Rejection> {
        let permit = tokio::select! {
            biased;
            () = self.0.line.closed.cancelled() => return Err(Rejection::not_asked()),
            () = self.0.line.released.notified() => return Err(Rejection::not_asked()),
            permit = self.0.limiters.of(api).acquire(self.1) => permit,
        };
        let waited = permit.as_ref().map_or_else(|paused| paused.0, |permit| permit.waited);
        self.0.metrics.rate_limit_wait_seconds.inc_by(waited.as_secs_f64());
        permit.map_err(|paused| Rejection {
            wait: Some(paused.0),
            ..Rejection::new(Class::RateLimited, &Upstream::default(), "the platform has asked this app to wait")
        })
    }

    async fn head(&self, call: &Call, token: &Token) -> Result<reqwest::Response, Rejection> {
        let mut request = match &call.body {
            None => self.0.http.get(call.url.clone()),
            Some(body) => self.0.http.post(call.url.clone()).body(body.clone()),
        };
        request = request.header(AUTHORIZATION, token.header());
        // Without a JSON content type some of the platform's APIs leave out Content-Disposition.
        request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").header(ACCEPT_ENCODING, "identity");
        if let (Api::Bytes(Source::TicketImage), Some(helpdesk)) = (call.api, &self.0.helpdesk) {
            request = request.header(HELPDESK_AUTHORIZATION, helpdesk.clone());
        }
        if let Some((first, last)) = call.range {
            request = request.header(RANGE, format!("bytes={first}-{last}"));
        }
        let nothing = Upstream::default();
        let sent = tokio::select! {
            sent = timeout(self.0.idle_timeout, request.send()) => sent,
            () = self.given_up() => return Err(Rejection::not_asked()),
        };
        let Ok(sent) = sent else {
            return Err(Rejection::broken(&nothing, "no answer came in time").concerning(Scope::Unclear));
        };
        sent.inspect(|answer| self.0.time.hear(answer.headers())).map_err(|error| {
            let (reason, scope) = if error.is_connect() {
                (ReasonCode::UpstreamError, Scope::App)
            } else {
                (ReasonCode::TransferBroken, Scope::Unclear)
            };
            Rejection::new(Class::Retry(reason), &nothing, describe(error)).concerning(scope)
        })
    }

    /// Until nothing is asked any more and an answer had a moment to begin.
    async fn given_up(&self) {
        self.0.line.closed.cancelled().await;
        sleep(BEGINS_WITHIN).await;
    }

    fn heed_rate_limit(&self, api: Api, rejection: &Rejection) {
        if rejection.class != Class::RateLimited {
            return;
        }
        let wait = rejection.wait.unwrap_or(PAUSE_WITHOUT_RESET);
        self.0.limiters.of(api).pause(wait);
        self.0.metrics.rate_limit_wait_seconds.inc_by(wait.as_secs_f64());
        let api = api.name();
        warn!(app.id = %self.0.app_id, api, wait_seconds = wait.as_secs(), "The platform limits calls of API {api}");
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} at {})", self.0.app_id, self.0.base_url.host_str().unwrap_or_default())
    }
}

impl Limiters {
    fn new(budget: Budget) -> Self {
        let limiter = || Limiter::new(budget);
        let users = budget.per_second.map_or(USERS_PER_SECOND, |calls| calls.min(USERS_PER_SECOND));
        Self {
            resource: limiter(),
            message: limiter(),
            image: limiter(),
            file: limiter(),
            baike: limiter(),
            lingo: limiter(),
            ticket_image: limiter(),
            chat: limiter(),
            user: Limiter::new(Budget { per_second: Some(users), ..budget }),
        }
    }

    fn of(&self, api: Api) -> &Limiter {
        match api {
            Api::Bytes(Source::Message) => &self.resource,
            Api::Bytes(Source::Image) => &self.image,
            Api::Bytes(Source::File) => &self.file,
            Api::Bytes(Source::Baike) => &self.baike,
            Api::Bytes(Source::Lingo) => &self.lingo,
            Api::Bytes(Source::TicketImage) => &self.ticket_image,
            Api::Message => &self.message,
            Api::Chat => &self.chat,
            Api::User => &self.user,
        }
    }
}

impl Api {
    /// Its name in the metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Bytes(Source::Message) => "resource",
            Self::Bytes(source) => source.as_str(),
            Self::Message => "message",
            Self::Chat => "chat",
            Self::User => "user",
        }
    }
}

fn is_token_refused(answer: &Result<Answer, Rejection>) -> bool {
    matches!(answer, Err(Rejection { class: Class::Refresh(_), .. }))
}

fn http_client(base_url: &Url, outbound: &Outbound) -> anyhow::Result<reqwest::Client> {
    // The first to install a provider wins; whoever it is, TLS works.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("larkive/", env!("CARGO_PKG_VERSION")))
        // A redirect would carry the token to another host.
        .redirect(redirect::Policy::none())
        // What is sent again behind our back is missing in the budget.
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT);
    Ok(outbound.apply(builder, base_url)?.build()?)
}

fn helpdesk_header(id: &str, token: &Secret) -> anyhow::Result<HeaderValue> {
    let encoded = BASE64.encode(format!("{id}:{}", token.reveal()));
    let mut header =
        HeaderValue::from_str(&encoded).context("Failed to write the helpdesk's credentials as a header")?;
    header.set_sensitive(true);
    Ok(header)
}

/// The base URL and these segments, each encoded.
pub(super) fn join(base_url: &Url, segments: &[&str]) -> Url {
    let mut url = base_url.clone();
    // Only an address without a host has no path to add to, and `Client::new` refuses those.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
