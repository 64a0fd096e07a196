//! Attempts to sign in: how many there may be, from one address and altogether.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::time::Timestamp;

/// How long an attempt counts, from the first of its kind on.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Attempts from one address: enough for a person with several wrong tokens at hand.
const FROM_ONE: u32 = 10;
/// Attempts altogether. A token of 16 characters outlasts many times as many; the limit is for the
/// machine's sake, and high enough that a stranger does not easily lock out everyone.
const FROM_ALL: u32 = 600;
/// Above this many addresses those are forgotten whose attempts count no longer. The others are at
/// most as many as there may be attempts.
const MANY_ADDRESSES: usize = FROM_ALL as usize;

/// The attempts of late.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: Count,
    by_address: HashMap<IpAddr, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    attempts: u32,
}

impl Default for Count {
    fn default() -> Self {
        Self { since: Timestamp::EPOCH, attempts: 0 }
    }
}

/// There were too many: the next attempt is looked at after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany(pub(super) Duration);

impl Count {
    /// Counts one more, unless there were as many as there may be.
    fn add(&mut self, most: u32, now: Timestamp) -> Result<(), TooMany> {
        if now.since(self.since) >= WINDOW {
            *self = Self { since: now, attempts: 0 };
        }
        if self.attempts >= most {
            return Err(TooMany(WINDOW.saturating_sub(now.since(self.since))));
        }
        self.attempts += 1;
        Ok(())
    }
}

impl Attempts {
    /// Counts an attempt before anybody looks whether it is right, so that many at once are no way
    /// around the limit.
    ///
    /// # Errors
    /// If there were too many.
    pub(super) fn count(&self, client: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        let mut counts = self.counts();
        let Counts { all, by_address } = &mut *counts;
        if by_address.len() >= MANY_ADDRESSES {
            by_address.retain(|_, count| now.since(count.since) < WINDOW);
        }
        let neighbourhood = neighbourhood(client);
        let mut own = by_address.get(&neighbourhood).copied().unwrap_or_default();
        // In this order: who is stopped already uses up nothing of the others' attempts, and nobody
        // new is remembered while everyone is stopped.
        own.add(FROM_ONE, now)?;
        all.add(FROM_ALL, now)?;
        by_address.insert(neighbourhood, own);
        Ok(())
    }

    /// Forgets the attempts of an address from which the right token came.
    pub(super) fn forgive(&self, client: IpAddr) {
        self.counts().by_address.remove(&neighbourhood(client));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics under this lock; if it did, the counts would still be counts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One household or machine: an IPv4 address, or the 64 bits of an IPv6 address that are not its own
/// to choose.
fn neighbourhood(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + minutes * 60_000).unwrap()
    }

    #[test]
    fn one_address_is_stopped_others_are_not() {
        let attempts = Attempts::default();
        let guesser: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..FROM_ONE {
            assert_eq!(attempts.count(guesser, at(0)), Ok(()));
        }
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        assert_eq!(attempts.count(neighbour, at(5)), Err(TooMany(Duration::from_secs(600))));
        assert_eq!(attempts.count("192.0.2.1".parse().unwrap(), at(5)), Ok(()));
        assert_eq!(attempts.count(guesser, at(15)), Ok(()));
        attempts.forgive(guesser);
        for _ in 0..FROM_ONE {
            assert_eq!(attempts.count(guesser, at(15)), Ok(()));
        }
    }

    #[test]
    fn many_addresses_are_stopped_together_and_little_is_remembered() {
        let attempts = Attempts::default();
        let stopped =
            (0..10_000_u32).filter(|guesser| attempts.count(IpAddr::V4((*guesser).into()), at(0)).is_err()).count();
        assert_eq!(stopped, 10_000 - FROM_ALL as usize);
        assert_eq!(attempts.counts().by_address.len(), FROM_ALL as usize);
    }
}
