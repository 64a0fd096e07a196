//! The token desk: hands out tokens to custom apps, to store apps and to store apps in a tenant.
//!
//! It takes any secret and any ticket, as long as there is one. A new ticket is promised and not
//! sent, because nobody has told the stand-in where: `trigger app_ticket` does that.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Refusal};
use super::api::bearer;
use super::call::Route;
use super::faults::Action;
use super::tokens::{Holder, Tokens};
use super::wire::Request;
use crate::domain::time::Timestamp;

/// What apps come to with a request for a token.
pub(super) struct Desk<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) now: Timestamp,
}

/// What any request for a token may carry; what is missing is empty.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Form {
    app_id: String,
    app_secret: String,
    app_ticket: String,
    app_access_token: String,
    tenant_key: String,
}

impl Desk<'_> {
    /// Answers a request for a token or a ticket.
    pub(super) fn answer(&self, request: &Request, route: Route, action: &Action) -> Result<Answer, Refusal> {
        let form = Form::of(request);
        match route {
            Route::TenantToken => self.grant(self.tenant_of(form)?, "tenant_access_token", action),
            _ if form.app_id.is_empty() || form.app_secret.is_empty() => Err(Refusal::new(400, 10003, "invalid param")),
            Route::TicketResend => Ok(Answer::json(200, &json!({"code": 0, "msg": "ok"}))),
            Route::AppToken if form.app_ticket.is_empty() => Err(Refusal::new(200, 10012, "app_ticket is invalid")),
            Route::AppToken => self.grant(Holder::Store { app_id: form.app_id }, "app_access_token", action),
            _ => self.grant(Holder::Custom { app_id: form.app_id }, "tenant_access_token", action),
        }
    }

    /// Who calls: whoever holds the token, or whoever a request for one names.
    pub(super) fn caller(&self, request: &Request) -> Option<Holder> {
        if let Some(token) = bearer(request) {
            return self.tokens.holder_of(token, self.now);
        }
        let form = Form::of(request);
        if !form.app_access_token.is_empty() {
            return self.tenant_of(form).ok();
        }
        Some(Holder::Custom { app_id: form.app_id }).filter(|holder| !holder.app_id().is_empty())
    }

    fn tenant_of(&self, form: Form) -> Result<Holder, Refusal> {
        let app_id = match self.tokens.holder_of(&form.app_access_token, self.now) {
            Some(Holder::Store { app_id }) => app_id,
            _ => return Err(Refusal::new(400, 99991664, "app access token invalid")),
        };
        if form.tenant_key.is_empty() {
            return Err(Refusal::new(400, 10003, "invalid param"));
        }
        Ok(Holder::Tenant { app_id, tenant_key: form.tenant_key })
    }

    fn grant(&self, holder: Holder, member: &str, action: &Action) -> Result<Answer, Refusal> {
        let grant = match action {
            Action::TokenLife { seconds } => self.tokens.grant_for(holder, Duration::from_secs(*seconds), self.now),
            _ => self.tokens.grant(holder, self.now),
        };
        let body = json!({"code": 0, "msg": "ok", member: grant.token, "expire": grant.expire_seconds});
        Ok(Answer::json(200, &body))
    }
}

impl Form {
    fn of(request: &Request) -> Self {
        serde_json::from_slice(&request.body).unwrap_or_default()
    }
}
