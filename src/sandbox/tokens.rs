//! Access tokens: handed out to every app that asks, and forgotten when they expire.

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
    holder: Holder,
    expires_at: Timestamp,
}

/// Whom a token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// A custom app in its tenant.
    Custom { app_id: String },
    /// A store app as such; such a token only buys others.
    Store { app_id: String },
    /// A store app in one tenant.
    Tenant { app_id: String, tenant_key: String },
}

impl Holder {
    pub(super) fn app_id(&self) -> &str {
        match self {
            Self::Custom { app_id } | Self::Store { app_id } | Self::Tenant { app_id, .. } => app_id,
        }
    }

    pub(super) fn tenant_key(&self) -> Option<&str> {
        match self {
            Self::Tenant { tenant_key, .. } => Some(tenant_key),
            Self::Custom { .. } | Self::Store { .. } => None,
        }
    }

    /// What its tokens begin with.
    fn prefix(&self) -> &'static str {
        match self {
            Self::Store { .. } => "a-",
            Self::Custom { .. } | Self::Tenant { .. } => "t-",
        }
    }
}

/// A token and how long it will last.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) token: String,
    pub(super) expire_seconds: u64,
}

impl Tokens {
    /// Hands out a token as the platform does: the old one while it lasts, else a new one.
    pub(super) fn grant(&self, holder: Holder, now: Timestamp) -> Grant {
        let kept = {
            let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lasting = |issued: &Issued| issued.expires_at.since(now) >= RENEWED_BELOW;
            let mut own = tokens.iter().filter(|(_, issued)| issued.holder == holder && lasting(issued));
            own.next().map(|(token, issued)| (token.clone(), issued.expires_at))
        };
        match kept {
            Some((token, expires_at)) => Grant { token, expire_seconds: expires_at.since(now).as_secs() },
            None => self.grant_for(holder, LIFE, now),
        }
    }

    /// Hands out a new token of the given life.
    pub(super) fn grant_for(&self, holder: Holder, life: Duration, now: Timestamp) -> Grant {
        let token = format!("{}{:032x}{:08x}", holder.prefix(), fastrand::u128(..), fastrand::u32(..));
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, issued| issued.expires_at > now);
        tokens.insert(token.clone(), Issued { holder, expires_at: now.after(life) });
        Grant { token, expire_seconds: life.as_secs() }
    }

    /// Whom a token stands for, if it is good.
    pub(super) fn holder_of(&self, token: &str, now: Timestamp) -> Option<Holder> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).filter(|issued| issued.expires_at > now).map(|issued| issued.holder.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_its_last_half_hour_and_expires() {
        let tokens = Tokens::default();
        let minute = |count: u64| Timestamp::EPOCH.after(Duration::from_secs(60 * count));
        let app = |app_id: &str| Holder::Custom { app_id: app_id.to_owned() };
        let first = tokens.grant(app("cli_1"), minute(0));
        let again = tokens.grant(app("cli_1"), minute(90));
        assert_eq!((&first.token, again.expire_seconds), (&again.token, 1800));
        assert_ne!(tokens.grant(app("cli_2"), minute(90)).token, first.token);
        let second = tokens.grant(app("cli_1"), minute(91));
        assert_ne!(second.token, first.token);
        assert_eq!(tokens.holder_of(&first.token, minute(119)), Some(app("cli_1")));
        assert_eq!(tokens.holder_of(&second.token, minute(120)), Some(app("cli_1")));
        assert_eq!(tokens.holder_of(&first.token, minute(120)), None);
    }
}
