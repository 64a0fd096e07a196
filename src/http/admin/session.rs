//! Sessions: who has signed in, and for how long that counts.
//!
//! They live in memory under the hash of their key: nothing on disk lets anybody in, and a new token,
//! which takes a new start, ends all of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::domain::time::Timestamp;

/// A session that nobody used for this long is over: a working day with its breaks.
const IDLE_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// A session is over after this time, however much it is used.
pub(super) const ABSOLUTE_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most sessions at once; one more ends the one that was used longest ago.
const MAX_SESSIONS: usize = 256;
/// Random bytes in a key: nobody guesses 256 bits.
const KEY_BYTES: usize = 32;

/// The sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Hash, Session>>);

type Hash = [u8; 32];

#[derive(Debug, Clone, Copy)]
struct Session {
    began_at: Timestamp,
    used_at: Timestamp,
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.began_at) >= ABSOLUTE_LIMIT || now.since(self.used_at) >= IDLE_LIMIT
    }
}

impl Sessions {
    /// Opens a session and returns its key, which is nowhere else.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub(super) fn open(&self, now: Timestamp) -> Result<String, getrandom::Error> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key)?;
        let key = BASE64_URL_SAFE_NO_PAD.encode(key);
        let mut sessions = self.sessions();
        sessions.retain(|_, session| !session.is_over(now));
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used_at).map(|(hash, _)| *hash);
            oldest.and_then(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(hash(&key), Session { began_at: now, used_at: now });
        Ok(key)
    }

    /// Whether this is the key of an open session, which counts as using it.
    pub(super) fn is_open(&self, key: &str, now: Timestamp) -> bool {
        match self.sessions().get_mut(&hash(key)) {
            Some(session) if !session.is_over(now) => {
                session.used_at = now;
                true
            }
            _ => false,
        }
    }

    /// Ends a session.
    pub(super) fn close(&self, key: &str) {
        self.sessions().remove(&hash(key));
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        // Nothing panics under this lock; if it did, the map would still hold only what is true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looking up a hash instead of the key leaves nothing to learn from how long the look-up takes.
fn hash(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + hours * 3_600_000).unwrap()
    }

    #[test]
    fn sessions_end_when_unused_when_old_and_when_closed() {
        let sessions = Sessions::default();
        let (left, used, closed) =
            (sessions.open(at(0)).unwrap(), sessions.open(at(0)).unwrap(), sessions.open(at(0)).unwrap());
        sessions.close(&closed);
        assert!(!sessions.is_open(&closed, at(0)));
        for hour in (0..7 * 24).step_by(11) {
            assert!(sessions.is_open(&used, at(hour)), "hour {hour}");
        }
        assert!(!sessions.is_open(&used, at(7 * 24)));
        assert!(!sessions.is_open(&left, at(12)));
        assert!(!sessions.is_open("", at(0)));
    }

    #[test]
    fn one_session_too_many_ends_the_one_unused_for_longest() {
        let sessions = Sessions::default();
        let first = sessions.open(at(0)).unwrap();
        let second = sessions.open(at(0)).unwrap();
        assert!(sessions.is_open(&first, at(1)));
        for _ in 0..MAX_SESSIONS - 1 {
            sessions.open(at(2)).unwrap();
        }
        assert!(sessions.is_open(&first, at(2)));
        assert!(!sessions.is_open(&second, at(2)));
    }
}
