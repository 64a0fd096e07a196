//! Known deliveries: what was written down within a day, as far as memory for it goes.
//!
//! A delivery that somebody has recorded stays authentic for a day. Sent again and again it would fill the disk, if
//! each copy were written down. What is forgotten here is written again, and found to be a duplicate later.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::ingest::Inbox;
use crate::catalogue::CatalogueError;
use crate::catalogue::events::{self, PastEvent};
use crate::domain::error::chain;
use crate::domain::id::{AppId, EventRowId};
use crate::domain::time::Timestamp;

/// Generations that are remembered. The oldest is forgotten as a whole when a new one begins.
const GENERATIONS: usize = 4;
/// Deliveries in a generation: as many as a table of 2^18 places takes before it grows. All of them take 17 MiB.
const GENERATION: usize = (1 << 18) / 8 * 7;
/// For how long deliveries are remembered over a restart: as long as their signatures are good, which may be dated
/// an hour ahead.
const REMEMBERED_FOR: Duration = Duration::from_secs(25 * 60 * 60);
/// Deliveries that are read at once after a start.
const PORTION: u32 = 1024;
/// The pause after the catalogue failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What makes two deliveries the same: their app, their event id and what they say, to the letter. Half of a SHA-256:
/// nobody can make two that agree in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a delivery.
    pub(super) fn of(app_id: &AppId, event_id: Option<&str>, payload: &str) -> Self {
        // Each part with its length in front, so that nothing can move from one to the other.
        let part = |text: &str| (text.len() as u64).to_le_bytes();
        let (app_id, event_id) = (app_id.as_str(), event_id.unwrap_or_default());
        let hash: [u8; 32] = Sha256::new()
            .chain_update(part(app_id))
            .chain_update(app_id)
            .chain_update(part(event_id))
            .chain_update(event_id)
            .chain_update(payload)
            .finalize()
            .into();
        let mut half = [0; 16];
        half.copy_from_slice(hash.first_chunk::<16>().unwrap_or(&[0; 16]));
        Self(half)
    }
}

/// The fingerprints of deliveries that are durable, newest generation first. Grows with what it holds.
#[derive(Debug)]
pub(super) struct Known {
    generations: VecDeque<HashSet<Fingerprint>>,
    generation: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self::with_generations_of(GENERATION)
    }
}

impl Known {
    fn with_generations_of(generation: usize) -> Self {
        Self { generations: VecDeque::from([HashSet::new()]), generation }
    }

    /// Whether a delivery is known to be durable.
    pub(super) fn contains(&self, delivery: &Fingerprint) -> bool {
        self.generations.iter().any(|generation| generation.contains(delivery))
    }

    /// Remembers a delivery that has just become durable.
    pub(super) fn add(&mut self, delivery: Fingerprint) {
        if self.generations.front().is_none_or(|newest| newest.len() >= self.generation) {
            self.generations.truncate(GENERATIONS - 1);
            self.generations.push_front(HashSet::new());
        }
        if let Some(newest) = self.generations.front_mut() {
            newest.insert(delivery);
        }
    }

    /// Remembers a delivery that is older than all that are known, if there is room for it.
    fn add_older(&mut self, delivery: Fingerprint) -> Room {
        if self.generations.back().is_none_or(|oldest| oldest.len() >= self.generation) {
            if self.generations.len() >= GENERATIONS {
                return Room::None;
            }
            self.generations.push_back(HashSet::new());
        }
        if let Some(oldest) = self.generations.back_mut() {
            oldest.insert(delivery);
        }
        Room::Left
    }

    /// Remembers deliveries that are older than all that are known, newest first, as far as there is room for them.
    pub(super) fn add_all_older(&mut self, deliveries: Vec<Fingerprint>) -> Room {
        for delivery in deliveries {
            if self.add_older(delivery) == Room::None {
                return Room::None;
            }
        }
        Room::Left
    }
}

/// Whether older deliveries can be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    None,
}

/// Remembers, after a start, what earlier processes wrote down within a day: the newest first.
#[derive(Debug)]
pub struct Refill {
    inbox: Inbox,
    since: Timestamp,
    next: Next,
}

/// What is to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Newest,
    Before(EventRowId),
    Nothing,
}

impl Refill {
    /// Remembers the newest deliveries; the others are for [`Refill::run`].
    ///
    /// # Errors
    /// If the catalogue fails.
    pub async fn begin(inbox: &Inbox, now: Timestamp) -> Result<Self, CatalogueError> {
        let mut refill = Self { inbox: inbox.clone(), since: now.before(REMEMBERED_FOR), next: Next::Newest };
        refill.step().await?;
        Ok(refill)
    }

    /// Remembers the others, a portion at a time; then only waits for `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while self.next != Next::Nothing && !shutdown.is_cancelled() {
            if let Err(error) = self.step().await {
                tracing::error!(error = %chain(&error), "Cannot read which deliveries are known");
                tokio::select! {
                    () = tokio::time::sleep(AFTER_FAILURE) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
        shutdown.cancelled().await;
    }

    async fn step(&mut self) -> Result<(), CatalogueError> {
        let before = match self.next {
            Next::Newest => EventRowId(i64::MAX),
            Next::Before(row) => row,
            Next::Nothing => return Ok(()),
        };
        let portion = events::before(self.inbox.catalogue().read(), before, PORTION).await?;
        let Some((oldest, came_at)) = portion.last().map(|event| (event.id, event.received_at)) else {
            self.next = Next::Nothing;
            return Ok(());
        };
        // Hashing some megabytes is no work for a thread that answers.
        let hashing = tokio::task::spawn_blocking(move || portion.iter().map(fingerprint).collect());
        let room = self.inbox.remember_older(hashing.await.map_err(|_| CatalogueError::Interrupted)?);
        let is_enough = room == Room::None || came_at < self.since;
        self.next = if is_enough { Next::Nothing } else { Next::Before(oldest) };
        Ok(())
    }
}

fn fingerprint(event: &PastEvent) -> Fingerprint {
    Fingerprint::of(&event.app_id, event.event_id.as_deref(), &event.payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(number: u64) -> Fingerprint {
        Fingerprint::of(&"cli_a".parse().unwrap(), None, &number.to_string())
    }

    #[test]
    fn app_id_event_id_and_content_make_a_delivery() {
        let of = |app_id: &str, event_id, payload| Fingerprint::of(&app_id.parse().unwrap(), event_id, payload);
        let all = [
            of("cli_a", Some("e"), "p"),
            of("cli_b", Some("e"), "p"),
            of("cli_a", Some("f"), "p"),
            of("cli_a", Some("e"), "q"),
            of("cli_a", None, "ep"),
            of("cli_a", Some("ep"), ""),
            of("cli_ae", None, "p"),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(all[0], of("cli_a", Some("e"), "p"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest() {
        let mut known = Known::with_generations_of(10);
        for number in 0..1000 {
            known.add(delivery(number));
            assert!(known.contains(&delivery(number)));
            assert!(known.generations.iter().map(HashSet::len).sum::<usize>() <= 40);
        }
        assert!((970..1000).all(|number| known.contains(&delivery(number))));
        assert!(!known.contains(&delivery(900)));
    }

    #[test]
    fn older_deliveries_take_the_room_that_is_left_and_no_more() {
        let mut known = Known::with_generations_of(10);
        known.add(delivery(1000));
        let older = |numbers: std::ops::Range<u64>| numbers.rev().map(delivery).collect();
        assert_eq!(known.add_all_older(older(990..1000)), Room::Left);
        assert_eq!(known.add_all_older(older(900..990)), Room::None);
        assert!((961..=1000).all(|number| known.contains(&delivery(number))));
        assert!(!known.contains(&delivery(960)));
        known.add(delivery(1001));
        assert!(known.contains(&delivery(1001)) && known.contains(&delivery(1000)));
    }

    #[test]
    fn an_empty_memory_takes_none() {
        assert_eq!(Known::default().generations.iter().map(HashSet::capacity).sum::<usize>(), 0);
        let mut full = HashSet::<Fingerprint>::with_capacity(GENERATION);
        let places = full.capacity();
        full.extend((0..GENERATION as u64).map(delivery));
        assert_eq!(full.capacity(), places, "a full generation fits its table");
        assert!(places * 8 / 7 * (size_of::<Fingerprint>() + 1) * GENERATIONS < 18 << 20);
    }
}
