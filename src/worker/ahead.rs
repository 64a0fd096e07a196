//! Claims taken ahead: while places become free so fast that each claim would be for a few rows only, some more
//! are claimed than there are places, because a claim is a commit.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::in_flight::Flight;
use crate::catalogue::resources::Claim;

/// Claims that follow each other faster than this are for more rows, slower ones for fewer.
const CLAIM_EVERY: Duration = Duration::from_millis(25);
/// The most that is claimed ahead: what is newer waits behind it.
const LARGEST_SURPLUS: usize = 128;

/// Rows that are claimed and wait for a place.
#[derive(Debug)]
pub(super) struct Ahead {
    claims: VecDeque<(Claim, Flight)>,
    /// How many more are claimed than there are places.
    surplus: usize,
    claimed_at: Instant,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self { claims: VecDeque::new(), surplus: 0, claimed_at: Instant::now() }
    }

    /// How many rows to claim for so many places, if what waits does not fill them.
    pub(super) fn wanted(&mut self, places: usize) -> Option<usize> {
        let missing = places.checked_sub(self.claims.len()).filter(|missing| *missing > 0)?;
        let is_fast = self.claimed_at.elapsed() < CLAIM_EVERY;
        self.claimed_at = Instant::now();
        self.surplus = if is_fast { (self.surplus * 2 + 1).min(LARGEST_SURPLUS) } else { self.surplus / 2 };
        Some(missing + self.surplus)
    }

    pub(super) fn add(&mut self, claims: Vec<(Claim, Flight)>) {
        self.claims.extend(claims);
    }

    /// The first of what waits, at most so many.
    pub(super) fn take(&mut self, places: usize) -> impl ExactSizeIterator<Item = (Claim, Flight)> {
        self.claims.drain(..places.min(self.claims.len()))
    }
}
