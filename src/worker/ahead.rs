//! Claims taken ahead: while places become free so fast that each claim would be for a few rows only, some more
//! are claimed than there are places, because a claim is a commit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::in_flight::Flight;
use crate::catalogue::resources::Claim;

/// Claims that follow each other faster than this are for more rows, slower ones for fewer.
const CLAIM_EVERY: Duration = Duration::from_millis(25);
/// The most that is claimed ahead.
const LARGEST_SURPLUS: usize = 128;

/// Rows that are claimed and wait for a place.
#[derive(Debug)]
pub(super) struct Ahead {
    claims: VecDeque<(Claim, Flight)>,
    /// How many more are claimed than there are places.
    surplus: usize,
    claimed_at: Instant,
    /// Whether something may have become due since.
    is_stale: bool,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { claims: VecDeque::new(), surplus: 0, claimed_at: Instant::now(), is_stale: false }
    }

    /// Says that something newer than what waits may have become due.
    pub(super) fn expect_news(&mut self) {
        self.is_stale = true;
    }

    /// How many rows to claim for so many places: those that what waits does not fill; all of them, if
    /// there may be something newer, which then goes first.
    pub(super) fn wanted(&mut self, places: usize) -> Option<usize> {
        let is_fast = self.claimed_at.elapsed() < CLAIM_EVERY;
        if places > 0 && self.is_stale && !is_fast && !self.claims.is_empty() {
            self.note_claim();
            return Some(places);
        }
        let missing = places.checked_sub(self.claims.len()).filter(|missing| *missing > 0)?;
        self.note_claim();
        self.surplus = if is_fast { (self.surplus * 2 + 1).min(LARGEST_SURPLUS) } else { self.surplus / 2 };
        Some(missing + self.surplus)
    }

    fn note_claim(&mut self) {
        self.claimed_at = Instant::now();
        self.is_stale = false;
    }

    /// Adds what was claimed, before whatever waits already: it is newer, or the share of what failed.
    pub(super) fn add(&mut self, claims: Vec<(Claim, Flight)>) {
        for claim in claims.into_iter().rev() {
            self.claims.push_front(claim);
        }
    }

    /// The first of what waits, at most so many.
    pub(super) fn take(&mut self, places: usize) -> impl ExactSizeIterator<Item = (Claim, Flight)> {
        self.claims.drain(..places.min(self.claims.len()))
    }
}
