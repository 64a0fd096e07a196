//! A store app's ticket: the platform pushes one about every hour, and no token is to be had
//! without it.
//!
//! Where tickets are kept is somebody else's business ([`TicketBox`]). Here they are turned into
//! tokens, and a new one is asked for when there is none or the platform refuses it.
//! Page: `/document/uAjLw4CM/ukTMukTMukTM/application-v6/event/app_ticket-events`.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::answer::Rejection;
use super::code::Class;
use super::grant::{Applicant, Granted};
use crate::domain::download::Upstream;
use crate::domain::reason::ReasonCode;
use crate::domain::secret::Secret;

/// How long the platform may take to push a ticket before it is asked again, and how long a ticket
/// that it refused is not shown again: however many resources wait for it.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Keeps the tickets that events bring.
pub trait TicketBox: fmt::Debug + Send + Sync {
    /// The app's newest ticket, if one has come yet.
    fn newest(&self) -> BoxFuture<'_, anyhow::Result<Option<Secret>>>;
}

/// The tickets of one app, and what is known of them.
#[derive(Debug)]
pub(super) struct Tickets {
    kept: Arc<dyn TicketBox>,
    standing: std::sync::Mutex<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    refused: Option<(Secret, Instant)>,
    /// When the platform was last asked for a ticket, and with which words it refused.
    asked: Option<(Instant, Option<Rejection>)>,
}

impl Tickets {
    pub(super) fn new(kept: Arc<dyn TicketBox>) -> Self {
        Self { kept, standing: std::sync::Mutex::default() }
    }

    /// The app's own token. The caller sees to it that nobody else asks at the same time.
    pub(super) async fn buy_token(&self, applicant: &Applicant) -> Result<Granted, Rejection> {
        let newest = self.kept.newest().await.map_err(|error| {
            let what = format!("the app ticket cannot be read: {error:#}");
            Rejection::new(Class::Retry(ReasonCode::UpstreamError), &Upstream::default(), what)
        })?;
        let Some(ticket) = newest.filter(|ticket| !self.is_refused(ticket)) else {
            return Err(self.ask_for_another(applicant).await);
        };
        let granted = applicant.store_token(&ticket).await;
        if let Err(rejection) = &granted
            && rejection.class == Class::End(ReasonCode::AppTicketMissing)
        {
            self.standing().refused = Some((ticket, Instant::now()));
            self.ask_for_another(applicant).await;
        }
        granted
    }

    fn is_refused(&self, ticket: &Secret) -> bool {
        let standing = self.standing();
        let refused = standing.refused.as_ref();
        refused.is_some_and(|(refused, at)| refused == ticket && at.elapsed() < ASK_AGAIN_AFTER)
    }

    /// Asks the platform for a ticket, unless that was done just now, and says what is missing.
    async fn ask_for_another(&self, applicant: &Applicant) -> Rejection {
        let asked = self.standing().asked.clone().filter(|(at, _)| at.elapsed() < ASK_AGAIN_AFTER);
        let refusal = match asked {
            Some((_, refusal)) => refusal,
            None => {
                tracing::warn!(app.id = %applicant.app_id, "Asking the platform for the ticket of app {}", applicant.app_id);
                let refusal = applicant.ask_for_ticket().await.err();
                self.standing().asked = Some((Instant::now(), refusal.clone()));
                refusal
            }
        };
        refusal.unwrap_or_else(|| {
            let awaited = "no usable app ticket has come yet; the platform was asked to push one";
            Rejection::new(Class::End(ReasonCode::AppTicketMissing), &Upstream::default(), awaited)
        })
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        // Nothing panics under this lock; if it did, what it holds would still be whole.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
