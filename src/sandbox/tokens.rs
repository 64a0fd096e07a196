//! Tenant access tokens: handed out to every app that asks, and forgotten when they expire.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::Timestamp;

/// How long a token lives.
const LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// An app that asks while its token lives longer than this gets the same one again.
const RENEWED_BELOW: Duration = Duration::from_secs(30 * 60);

/// The tokens that are good at present.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Issued>>);

#[derive(Debug)]
struct Issued {
    app_id: String,
    expires_at: Timestamp,
}

/// A token and how long it will last.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) token: String,
    pub(super) expire_seconds: u64,
}

impl Tokens {
    /// Hands out the app's token as the platform does: the old one while it lasts, else a new one.
    pub(super) fn grant(&self, app_id: &str, now: Timestamp) -> Grant {
        let kept = {
            let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lasting = |issued: &Issued| issued.expires_at.since(now) >= RENEWED_BELOW;
            let mut own = tokens.iter().filter(|(_, issued)| issued.app_id == app_id && lasting(issued));
            own.next().map(|(token, issued)| (token.clone(), issued.expires_at))
        };
        match kept {
            Some((token, expires_at)) => Grant { token, expire_seconds: expires_at.since(now).as_secs() },
            None => self.grant_for(app_id, LIFE, now),
        }
    }

    /// Hands out a new token of the given life.
    pub(super) fn grant_for(&self, app_id: &str, life: Duration, now: Timestamp) -> Grant {
        let token = format!("t-{:032x}{:08x}", fastrand::u128(..), fastrand::u32(..));
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, issued| issued.expires_at > now);
        tokens.insert(token.clone(), Issued { app_id: app_id.to_owned(), expires_at: now.after(life) });
        Grant { token, expire_seconds: life.as_secs() }
    }

    /// Whether a token is good.
    pub(super) fn knows(&self, token: &str, now: Timestamp) -> bool {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).is_some_and(|issued| issued.expires_at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_its_last_half_hour_and_expires() {
        let tokens = Tokens::default();
        let minute = |count: u64| Timestamp::EPOCH.after(Duration::from_secs(60 * count));
        let first = tokens.grant("cli_1", minute(0));
        let again = tokens.grant("cli_1", minute(90));
        assert_eq!((&first.token, again.expire_seconds), (&again.token, 1800));
        assert_ne!(tokens.grant("cli_2", minute(90)).token, first.token);
        let second = tokens.grant("cli_1", minute(91));
        assert_ne!(second.token, first.token);
        assert!(tokens.knows(&first.token, minute(119)) && tokens.knows(&second.token, minute(119)));
        assert!(!tokens.knows(&first.token, minute(120)));
    }
}
