//! Tokens: each fetched once for everybody, kept while it is good, dropped when refused.
//!
//! How a token is asked for is told in `grant`. What it is used for, and what a refusal of it means
//! for a download, is decided elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::answer::Rejection;
use super::code::Class;
use super::grant::{Applicant, Grant, Granted};
use crate::domain::download::Upstream;
use crate::domain::reason::ReasonCode;

/// How long before its end a token is replaced. The platform hands out a new one in the last
/// 30 minutes of the old one's life and keeps both valid, so any moment in them is safe; this one
/// leaves time for a queue of waiting calls and for clocks that run apart.
const REFRESH_BEFORE_END: Duration = Duration::from_secs(7 * 60);
/// The longest life that is believed; real tokens live two hours.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a rejection of the credentials is remembered, so that a thousand waiting resources do
/// not ask a thousand times.
const REMEMBER_REJECTION: Duration = Duration::from_secs(5);

/// What stands before a token in the `Authorization` header.
const BEARER: &str = "Bearer ";

/// A token, as the `Authorization` header carries it. Two tokens are the same only if they come
/// from the same fetch: the platform hands out equal texts until shortly before the end.
#[derive(Clone)]
pub(super) struct Token(Arc<HeaderValue>);

impl Token {
    /// A token from its text, unless it can stand in no header.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut header = HeaderValue::from_str(&format!("{BEARER}{text}")).ok().filter(|_| !text.is_empty())?;
        header.set_sensitive(true);
        Some(Self(Arc::new(header)))
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.as_ref().clone()
    }

    /// The token itself, for the one request that carries it in its body.
    pub(super) fn text(&self) -> &str {
        self.0.to_str().ok().and_then(|text| text.strip_prefix(BEARER)).unwrap_or_default()
    }

    fn is(&self, other: &Token) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The tokens that come by one grant, one after the other.
#[derive(Debug)]
pub(super) struct Tokens {
    applicant: Arc<Applicant>,
    grant: Grant,
    /// Held during a fetch: whoever else wants a token waits for that one.
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    token: Option<Current>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Current {
    token: Token,
    fetched_at: Instant,
    refresh_at: Instant,
    ends_at: Instant,
}

#[derive(Debug)]
struct Failure {
    rejection: Rejection,
    failed_at: Instant,
    remembered_until: Instant,
}

impl Tokens {
    pub(super) fn new(applicant: Arc<Applicant>, grant: Grant) -> Self {
        Self { applicant, grant, known: Mutex::default() }
    }

    /// A token that is good for a while. What another call has learnt while this one waited, good
    /// or bad, counts for both.
    pub(super) async fn get(&self) -> Result<Token, Rejection> {
        let asked_at = Instant::now();
        let mut known = self.known.lock().await;
        if let Some(token) = known.usable(asked_at) {
            return Ok(token);
        }
        if !known.failed_since(asked_at) {
            known.remember(self.fetch().await);
        }
        known.last_resort()
    }

    /// Drops a token that was refused, unless a newer one has taken its place.
    pub(super) async fn evict(&self, refused: &Token) {
        let mut known = self.known.lock().await;
        if known.token.as_ref().is_some_and(|current| current.token.is(refused)) {
            known.token = None;
        }
    }

    async fn fetch(&self) -> Result<Current, Rejection> {
        let granted = self.grant.ask(&self.applicant).await;
        match &granted {
            Ok(_) => {
                let app_id = &self.applicant.app_id;
                self.applicant.metrics.token_refreshes.inc();
                info!(app.id = %app_id, "Fetched an access token for app {app_id}");
            }
            Err(rejection) => self.report(rejection),
        }
        granted.map(Current::new)
    }

    fn report(&self, rejection: &Rejection) {
        let Upstream { code, msg, log_id, .. } = &rejection.upstream;
        let (msg, log_id) = (msg.as_deref().unwrap_or_default(), log_id.as_deref().unwrap_or_default());
        let app_id = &self.applicant.app_id;
        match rejection.class {
            // It comes by itself, and there may be a thousand who ask for it meanwhile.
            Class::End(ReasonCode::AppTicketMissing) => debug!(app.id = %app_id, code, log_id, "{msg}"),
            Class::End(reason) => error!(app.id = %app_id, %reason, code, log_id, "No token for app {app_id}: {msg}"),
            _ => warn!(app.id = %app_id, code, log_id, "No token for app {app_id} yet: {msg}"),
        }
    }
}

impl Current {
    fn new(Granted { token, asked_at, life }: Granted) -> Self {
        let life = life.min(LONGEST_LIFE);
        // A life that is shorter than the margin leaves nothing to keep: such a token serves those
        // who waited for it.
        let refresh_at = asked_at + life.saturating_sub(REFRESH_BEFORE_END);
        Self { token, fetched_at: Instant::now(), refresh_at, ends_at: asked_at + life }
    }
}

impl Known {
    /// The token, if it is far from its end or was fetched while the caller waited.
    fn usable(&self, asked_at: Instant) -> Option<Token> {
        let now = Instant::now();
        let current = self.token.as_ref()?;
        let fetched_for_us = current.fetched_at > asked_at && now < current.ends_at;
        (now < current.refresh_at || fetched_for_us).then(|| current.token.clone())
    }

    fn failed_since(&self, asked_at: Instant) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| failure.failed_at > asked_at || Instant::now() < failure.remembered_until)
    }

    fn remember(&mut self, fetched: Result<Current, Rejection>) {
        match fetched {
            Ok(current) => *self = Self { token: Some(current), failure: None },
            Err(rejection) => {
                let failed_at = Instant::now();
                let memory = match rejection.class {
                    // Whoever asks next may find that the ticket has come.
                    Class::End(ReasonCode::AppTicketMissing) => Duration::ZERO,
                    Class::End(_) => REMEMBER_REJECTION,
                    _ => rejection.wait.unwrap_or_default(),
                };
                self.failure = Some(Failure { rejection, failed_at, remembered_until: failed_at + memory });
            }
        }
    }

    /// After a fetch: the new token; or the old one while it lives, when there is no new one; or
    /// why there is none.
    fn last_resort(&self) -> Result<Token, Rejection> {
        match (&self.token, &self.failure) {
            (Some(current), None) => Ok(current.token.clone()),
            (Some(current), Some(_)) if Instant::now() < current.ends_at => Ok(current.token.clone()),
            (_, Some(failure)) => Err(failure.rejection.clone()),
            (None, None) => {
                let class = Class::Retry(ReasonCode::UpstreamError);
                Err(Rejection::new(class, &Upstream::default(), "no token was fetched"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use crate::domain::download::Verdict;
    use crate::domain::reason::ReasonCode;
    use crate::domain::source::Target;
    use crate::feishu::client::Client;
    use crate::feishu::scripted::{IsToken, Platform, Reply, answer, json};

    async fn fetch(client: &Client) -> Result<(), Verdict> {
        let target = Target::Image { key: "img_1".parse().unwrap() };
        client.fetch(&target).await.map(drop).map_err(|refusal| refusal.verdict)
    }

    /// A platform that hands out a file for any token, and tokens as `script` says.
    async fn platform(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Platform {
        Platform::start(move |request, nth| {
            Some(if request.starts_with("GET") { answer(200, &[], "file") } else { script(nth) })
        })
        .await
    }

    #[tokio::test]
    async fn a_token_is_fetched_once_and_kept_unless_it_is_about_to_end() {
        for (expire, calls) in [(7200, 1), (600, 1), (420, 3), (0, 3)] {
            let token = move |_| json(200, format!(r#"{{"code":0,"tenant_access_token":"t","expire":{expire}}}"#));
            let platform = platform(token).await;
            let (client, _) = platform.client();
            for _ in 0..3 {
                fetch(&client).await.unwrap();
            }
            assert_eq!(platform.requests(IsToken::Yes).len(), calls, "tokens of {expire} s");
        }
    }

    #[tokio::test]
    async fn rejected_credentials_are_not_tried_by_everybody() {
        let platform = platform(|_| json(200, r#"{"code":10015,"msg":"app secret invalid"}"#)).await;
        let (client, metrics) = platform.client();
        let rejected = Err(Verdict::End(ReasonCode::CredentialsRejected));
        let verdicts = join_all((0..100).map(|_| fetch(&client))).await;
        assert!(verdicts.iter().all(|verdict| *verdict == rejected), "{verdicts:?}");
        assert_eq!(fetch(&client).await, rejected);
        assert_eq!(platform.requests(IsToken::Yes).len(), 1);
        assert!(metrics.render().contains(r#"{api="token",code="10015"} 1"#));
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_those_who_waited_and_then_forgotten() {
        let platform = platform(|nth| match nth {
            0 => answer(503, &[], ""),
            _ => json(200, r#"{"code":0,"tenant_access_token":"t","expire":7200}"#),
        })
        .await;
        let (client, _) = platform.client();
        let verdicts = join_all((0..10).map(|_| fetch(&client))).await;
        assert!(
            verdicts.iter().all(|verdict| *verdict == Err(Verdict::Retry(ReasonCode::UpstreamError))),
            "{verdicts:?}"
        );
        assert_eq!(fetch(&client).await, Ok(()));
        assert_eq!(platform.requests(IsToken::Yes).len(), 2);
    }

    #[tokio::test]
    async fn an_old_token_serves_while_no_new_one_is_to_be_had() {
        let platform = platform(|nth| match nth {
            0 => json(200, r#"{"code":0,"tenant_access_token":"t-old","expire":60}"#),
            _ => answer(503, &[], ""),
        })
        .await;
        let (client, _) = platform.client();
        assert_eq!(fetch(&client).await, Ok(()));
        assert_eq!(fetch(&client).await, Ok(()));
        assert_eq!(platform.requests(IsToken::Yes).len(), 2);
    }

    #[tokio::test]
    async fn an_answer_without_a_token_is_none() {
        let check = async |reply: fn() -> Reply, verdict| {
            let platform = platform(move |_| reply()).await;
            assert_eq!(fetch(&platform.client().0).await, Err(verdict));
        };
        let not_a_file = Verdict::Retry(ReasonCode::NotAFile);
        check(|| answer(200, &["Content-Type: text/html"], "<html>log in"), not_a_file).await;
        check(|| json(200, r#"{"code":0,"expire":7200}"#), not_a_file).await;
        check(|| json(200, r#"{"code":0,"tenant_access_token":"t\r\nX: y","expire":7200}"#), not_a_file).await;
        check(|| json(401, "{}"), Verdict::End(ReasonCode::CredentialsRejected)).await;
        check(|| json(400, r#"{"code":99991401,"msg":"ip"}"#), Verdict::End(ReasonCode::IpNotAllowed)).await;
        check(|| json(429, "{}"), Verdict::RateLimited { wait: None }).await;
    }
}
