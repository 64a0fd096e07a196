//! Attempts to guess the token: how many there may be, and from where.
//!
//! Whoever guesses is stopped, and nobody else. There is no limit on all addresses together: a token of
//! sixteen characters outlasts every guess that this machine can answer, while a common limit would let
//! anybody with many addresses lock out its owner. For the same reason the limit of a network binds only
//! those of its addresses that have failed several times themselves.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Attempts that an address has whatever its network does: enough for a person who mistypes.
const OWN: u32 = 3;
/// Addresses, and networks, whose attempts are remembered. Beyond that those are forgotten that made the
/// fewest: whoever could use that has as many fresh addresses, too.
const MAX_KNOWN: usize = 4096;

/// How many attempts there may be.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// How long an attempt counts, from the first of its kind on.
    pub window: Duration,
    /// Attempts from one address.
    pub from_one: u32,
    /// Attempts from one network, for addresses that have used up `OWN`.
    pub from_network: u32,
}

/// The attempts of late.
#[derive(Debug)]
pub struct Attempts {
    allowance: Allowance,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_address: HashMap<IpAddr, Count>,
    by_network: HashMap<IpAddr, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    attempts: u32,
}

/// There were too many: the next attempt is looked at after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(pub Duration);

impl Count {
    /// Whether it still counts. A clock that was set back starts a new window.
    fn counts(&self, window: Duration, now: Timestamp) -> bool {
        self.since <= now && now.since(self.since) < window
    }

    fn check(&self, most: u32, window: Duration, now: Timestamp) -> Result<(), TooMany> {
        if self.attempts < most { Ok(()) } else { Err(TooMany(window.saturating_sub(now.since(self.since)))) }
    }
}

impl Attempts {
    /// Attempts of which none was made yet.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, counts: Mutex::default() }
    }

    /// Whether another attempt would be looked at; counts nothing.
    ///
    /// # Errors
    /// If there were too many.
    pub fn check(&self, client: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        self.verdict(&self.counts(), client, now)
    }

    /// Counts an attempt. Who does so before looking whether it is right leaves no way around the limit to
    /// many attempts at once.
    ///
    /// # Errors
    /// If there were too many; then this one is not counted.
    pub fn count(&self, client: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        let mut counts = self.counts();
        self.verdict(&counts, client, now)?;
        add(&mut counts.by_address, household(client), self.allowance.window, now);
        add(&mut counts.by_network, network(client), self.allowance.window, now);
        Ok(())
    }

    /// Forgets the attempts of an address from which the right token came.
    pub fn forgive(&self, client: IpAddr) {
        let mut counts = self.counts();
        let Some(own) = counts.by_address.remove(&household(client)) else { return };
        if let Some(all) = counts.by_network.get_mut(&network(client)) {
            all.attempts = all.attempts.saturating_sub(own.attempts);
        }
    }

    fn verdict(&self, counts: &Counts, client: IpAddr, now: Timestamp) -> Result<(), TooMany> {
        let Allowance { window, from_one, from_network } = self.allowance;
        let counted = |count: &&Count| count.counts(window, now);
        let Some(own) = counts.by_address.get(&household(client)).filter(counted) else { return Ok(()) };
        own.check(from_one, window, now)?;
        match counts.by_network.get(&network(client)).filter(counted) {
            Some(all) if own.attempts >= OWN => all.check(from_network, window, now),
            _ => Ok(()),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics under this lock; if it did, the counts would still be counts.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counts: &mut HashMap<IpAddr, Count>, source: IpAddr, window: Duration, now: Timestamp) {
    if counts.len() >= MAX_KNOWN && !counts.contains_key(&source) {
        make_room(counts, window, now);
    }
    let count = counts.entry(source).or_insert(Count { since: now, attempts: 0 });
    if !count.counts(window, now) {
        *count = Count { since: now, attempts: 0 };
    }
    count.attempts = count.attempts.saturating_add(1);
}

/// Forgets what counts no longer; if that is little, the half that made the fewest attempts.
fn make_room(counts: &mut HashMap<IpAddr, Count>, window: Duration, now: Timestamp) {
    counts.retain(|_, count| count.counts(window, now));
    if counts.len() > MAX_KNOWN / 2 {
        let mut attempts: Vec<u32> = counts.values().map(|count| count.attempts).collect();
        let middle = attempts.len() / 2;
        let (_, few, _) = attempts.select_nth_unstable(middle);
        let few = *few;
        counts.retain(|_, count| count.attempts > few);
    }
}

/// One household or machine: an IPv4 address, or the 64 bits of an IPv6 address that are not its own
/// to choose.
fn household(client: IpAddr) -> IpAddr {
    leading_bits(client, 32, 64)
}

/// What a provider gives to one customer at most, or nearly so.
fn network(client: IpAddr) -> IpAddr {
    leading_bits(client, 24, 48)
}

fn leading_bits(client: IpAddr, of_v4: u32, of_v6: u32) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - of_v4))).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - of_v6))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(15 * 60);

    fn attempts() -> Attempts {
        Attempts::new(Allowance { window: WINDOW, from_one: 10, from_network: 60 })
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_000_000_000 + minutes * 60_000).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_is_stopped_others_are_not() {
        let attempts = attempts();
        let guesser = address("2001:db8::1");
        for _ in 0..10 {
            assert_eq!(attempts.count(guesser, at(0)), Ok(()));
        }
        assert_eq!(attempts.count(address("2001:db8::ffff:1"), at(5)), Err(TooMany(Duration::from_secs(600))));
        assert_eq!(attempts.count(address("192.0.2.1"), at(5)), Ok(()));
        assert_eq!(attempts.count(guesser, at(15)), Ok(()));
        attempts.forgive(guesser);
        for _ in 0..10 {
            assert_eq!(attempts.count(guesser, at(15)), Ok(()));
        }
        assert_eq!(attempts.check(guesser, at(15)), Err(TooMany(WINDOW)));
        assert_eq!(attempts.check(guesser, at(14)), Ok(()), "a clock that was set back stops nobody");
    }

    #[test]
    fn a_network_is_stopped_but_for_its_addresses_that_have_hardly_failed() {
        let attempts = attempts();
        let neighbour = |number: u32| address(&format!("2001:db8:0:{number:x}::1"));
        let looked_at =
            (0..100).map(|number| (0..10).filter(|_| attempts.count(neighbour(number), at(0)).is_ok()).count());
        let looked_at: Vec<usize> = looked_at.collect();
        assert_eq!((looked_at[0], looked_at[5]), (10, 10));
        assert!(looked_at[6..].iter().all(|count| *count == OWN as usize), "{looked_at:?}");
        assert_eq!(attempts.count(address("2001:db8:1::1"), at(0)), Ok(()), "another network");
    }

    #[test]
    fn a_crowd_takes_bounded_memory_and_stops_nobody_else() {
        let attempts = attempts();
        let guesser = address("192.0.2.1");
        while attempts.count(guesser, at(0)).is_ok() {}
        for crowd in 0..10 * MAX_KNOWN as u32 {
            assert_eq!(attempts.count(Ipv4Addr::from_bits(crowd << 8).into(), at(0)), Ok(()));
        }
        let counts = attempts.counts();
        assert!(counts.by_address.len() <= MAX_KNOWN && counts.by_network.len() <= MAX_KNOWN);
        drop(counts);
        assert!(attempts.check(guesser, at(0)).is_err(), "who guessed most is remembered longest");
    }
}
