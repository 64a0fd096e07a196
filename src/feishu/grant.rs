//! Grants: how each kind of app asks the platform for a token.
//!
//! A custom app shows its secret. A store app shows its secret and the ticket that the platform
//! pushes every hour, gets a token of its own for it, and for that one token per tenant.
//! Pages: `/document/ukTMukTMukTM/ukDNz4SO0MjL5QzM/auth-v3/auth/` and there
//! `tenant_access_token_internal`, `app_access_token`, `tenant_access_token`, `app_ticket_resend`.
//! Tokens are kept elsewhere (`token`).

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use url::Url;

use super::answer::{Answer, MAX_ERROR_BODY_BYTES, Rejection, describe};
use super::app_ticket::Tickets;
use super::client::join;
use super::code::Class;
use super::platform_time::PlatformTime;
use super::token::{Token, Tokens};
use crate::domain::download::Upstream;
use crate::domain::id::{AppId, TenantKey};
use crate::domain::reason::ReasonCode;
use crate::domain::secret::Secret;
use crate::metrics::Metrics;

/// How long a token endpoint may take. Every download waits for it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One app at the platform's token endpoints.
#[derive(Debug)]
pub(super) struct Applicant {
    pub(super) http: reqwest::Client,
    pub(super) base_url: Url,
    pub(super) app_id: AppId,
    pub(super) app_secret: Secret,
    pub(super) metrics: Metrics,
    pub(super) time: PlatformTime,
}

/// A token as it was handed out.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Token,
    /// Its life counts from here: the platform may have begun it at any moment after.
    pub(super) asked_at: Instant,
    pub(super) life: Duration,
}

/// How a token is come by.
#[derive(Debug)]
pub(super) enum Grant {
    /// A custom app's, for its only tenant.
    Custom,
    /// A store app's own, which buys those of tenants.
    Store(Tickets),
    /// A store app's for one tenant.
    Tenant(Arc<Tokens>, TenantKey),
    /// None: a store app does nothing without knowing for which tenant.
    WithoutTenant,
}

impl Grant {
    /// Asks for a token.
    pub(super) async fn ask(&self, applicant: &Applicant) -> Result<Granted, Rejection> {
        match self {
            Self::Custom => applicant.custom_token().await,
            Self::Store(tickets) => tickets.buy_token(applicant).await,
            Self::Tenant(own, tenant_key) => applicant.tenant_token(own, tenant_key).await,
            Self::WithoutTenant => {
                let nothing_asked = "a store app has a token for each tenant, and the tenant is not known here";
                Err(Rejection::new(Class::End(ReasonCode::BadRequest), &Upstream::default(), nothing_asked))
            }
        }
    }
}

impl Applicant {
    async fn custom_token(&self) -> Result<Granted, Rejection> {
        let body = json!({"app_id": self.app_id.as_str(), "app_secret": self.app_secret.reveal()});
        self.token(&["tenant_access_token", "internal"], &body, "tenant_access_token").await.map_err(unrefreshable)
    }

    /// A store app's own token, for its ticket.
    pub(super) async fn store_token(&self, ticket: &Secret) -> Result<Granted, Rejection> {
        let body = json!({"app_id": self.app_id.as_str(), "app_secret": self.app_secret.reveal(),
            "app_ticket": ticket.reveal()});
        self.token(&["app_access_token"], &body, "app_access_token").await.map_err(unrefreshable)
    }

    /// A token for a tenant; the app's own is replaced once if it is refused.
    async fn tenant_token(&self, own: &Tokens, tenant_key: &TenantKey) -> Result<Granted, Rejection> {
        // Boxed, because getting the app's own token is what this is a part of.
        let token = Box::pin(own.get()).await?;
        match self.token_in_tenant(&token, tenant_key).await {
            Err(Rejection { class: Class::Refresh(_), .. }) => {
                own.evict(&token).await;
                let token = Box::pin(own.get()).await?;
                self.token_in_tenant(&token, tenant_key).await.map_err(unrefreshable)
            }
            other => other,
        }
    }

    async fn token_in_tenant(&self, own: &Token, tenant_key: &TenantKey) -> Result<Granted, Rejection> {
        let body = json!({"app_access_token": own.text(), "tenant_key": tenant_key.as_str()});
        self.token(&["tenant_access_token"], &body, "tenant_access_token").await
    }

    /// Asks the platform to push the app's ticket.
    pub(super) async fn ask_for_ticket(&self) -> Result<(), Rejection> {
        let body = json!({"app_id": self.app_id.as_str(), "app_secret": self.app_secret.reveal()});
        self.post(&["app_ticket", "resend"], &body).await.map(drop).map_err(unrefreshable)
    }

    async fn token(&self, endpoint: &[&str], body: &Value, member: &str) -> Result<Granted, Rejection> {
        let asked_at = Instant::now();
        let (answer, upstream) = self.post(endpoint, body).await?;
        let token = answer.get(member).and_then(Value::as_str).and_then(Token::new);
        let life = answer.get("expire").and_then(Value::as_u64).map(Duration::from_secs);
        let (Some(token), Some(life)) = (token, life) else {
            return Err(Rejection::not_a_file(&upstream, "the token endpoint's answer holds no token"));
        };
        Ok(Granted { token, asked_at, life })
    }

    async fn post(&self, endpoint: &[&str], body: &Value) -> Result<(Value, Upstream), Rejection> {
        let answered = timeout(TIMEOUT, self.exchange(endpoint, body)).await.unwrap_or_else(|_| {
            let silence = "the token endpoint did not answer in time";
            Err(Rejection::new(Class::Retry(ReasonCode::UpstreamError), &Upstream::default(), silence))
        });
        let label = answered.as_ref().map_or_else(Rejection::label, |_| "0".to_owned());
        self.metrics.count_upstream("token", label);
        answered
    }

    async fn exchange(&self, endpoint: &[&str], body: &Value) -> Result<(Value, Upstream), Rejection> {
        let url = join(&self.base_url, &[&["open-apis", "auth", "v3"], endpoint].concat());
        let request =
            self.http.post(url).header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.to_string());
        let response = request.send().await.map_err(|error| {
            Rejection::new(Class::Retry(ReasonCode::UpstreamError), &Upstream::default(), describe(error))
        })?;
        self.time.hear(response.headers());
        let answer = Answer::open(response, TIMEOUT).await?;
        let upstream = answer.upstream.clone();
        Ok((answer.json(MAX_ERROR_BODY_BYTES).await?, upstream))
    }
}

/// A request that carries no token which could be refreshed: only the credentials can be wrong.
fn unrefreshable(rejection: Rejection) -> Rejection {
    let class = match rejection.class {
        Class::Refresh(_) => Class::End(ReasonCode::CredentialsRejected),
        other => other,
    };
    Rejection { class, ..rejection }
}
