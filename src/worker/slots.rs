//! Slots: how many downloads a lane may have in flight, and how many tries under way.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Tries under way for each download in flight. A try lasts longer than its transfer: its bytes are
/// made durable and its end is recorded, many at a time, while others transfer.
const TRIES_FOR_EACH_TRANSFER: usize = 16;

/// The downloads that a lane may have in flight: some that are its own, and some that it shares
/// with every other lane. Its tries are some more, dealt out in the same way, so that a slow disk piles up
/// no open files and all lanes together have no more tries than one lane alone would.
#[derive(Debug, Clone)]
pub struct Slots {
    own: Places,
    common: Places,
}

#[derive(Debug, Clone)]
struct Places {
    transfers: Arc<Semaphore>,
    tries: Arc<Semaphore>,
}

/// The place of one try. That of its transfer is given up first.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) transfer: OwnedSemaphorePermit,
    pub(super) whole: OwnedSemaphorePermit,
}

impl Places {
    fn of(transfers: usize) -> Self {
        let tries = transfers.saturating_mul(TRIES_FOR_EACH_TRANSFER);
        Self { transfers: Arc::new(Semaphore::new(transfers)), tries: Arc::new(Semaphore::new(tries)) }
    }
}

impl Slots {
    /// Deals out `total` downloads in flight among so many lanes. Where there are fewer than lanes,
    /// they wait in line for all of them.
    #[must_use]
    pub fn deal(total: usize, lanes: usize) -> Vec<Self> {
        let fair = total / lanes.max(1);
        let own = fair.div_ceil(2);
        let common = Places::of(total - own * lanes);
        (0..lanes).map(|_| Self { own: Places::of(own), common: common.clone() }).collect()
    }

    /// So many, for one lane alone.
    pub(super) fn only(total: usize) -> Self {
        Self { own: Places::of(total), common: Places::of(0) }
    }

    /// Waits for a free slot and takes every further one that is free as well.
    pub(super) async fn take_free(&self) -> Option<Vec<Slot>> {
        let whole = either(&self.own.tries, &self.common.tries).await?;
        let transfer = either(&self.own.transfers, &self.common.transfers).await?;
        let more = std::iter::from_fn(|| self.try_take());
        Some(std::iter::once(Slot { transfer, whole }).chain(more).collect())
    }

    fn try_take(&self) -> Option<Slot> {
        let free = |place: &Arc<Semaphore>| place.clone().try_acquire_owned().ok();
        let whole = free(&self.own.tries).or_else(|| free(&self.common.tries))?;
        let transfer = free(&self.own.transfers).or_else(|| free(&self.common.transfers))?;
        Some(Slot { transfer, whole })
    }
}

/// A place of the lane's own, else one that all share; whichever is free first.
async fn either(own: &Arc<Semaphore>, common: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        biased;
        permit = own.clone().acquire_owned() => permit.ok(),
        permit = common.clone().acquire_owned() => permit.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_lane_keeps_slots_whatever_the_others_hold() {
        for (total, lanes, first, others) in [(16, 1, 16, 0), (16, 3, 10, 3), (2, 2, 1, 1), (256, 5, 152, 26)] {
            let slots = Slots::deal(total, lanes);
            let mut held = vec![slots[0].take_free().await.unwrap()];
            assert_eq!(held[0].len(), first, "{total} among {lanes}");
            for other in &slots[1..] {
                held.push(other.take_free().await.unwrap());
                assert_eq!(held[held.len() - 1].len(), others, "{total} among {lanes}");
            }
            assert_eq!(held.iter().map(Vec::len).sum::<usize>(), total);
        }
    }

    #[tokio::test]
    async fn several_lanes_have_no_more_tries_than_one_and_each_keeps_its_share() {
        for (total, lanes, first, others) in [(16, 1, 16, 0), (16, 2, 12, 4), (16, 3, 10, 3)] {
            let slots = Slots::deal(total, lanes);
            let mut held = Vec::new();
            let mut tries = |slots: &Slots| {
                // A try whose bytes are here gives up the place of its transfer only.
                let more: Vec<_> = std::iter::from_fn(|| slots.try_take().map(|slot| slot.whole)).collect();
                let count = more.len();
                held.extend(more);
                count
            };
            assert_eq!(tries(&slots[0]), first * TRIES_FOR_EACH_TRANSFER, "{total} among {lanes}");
            for other in &slots[1..] {
                assert_eq!(tries(other), others * TRIES_FOR_EACH_TRANSFER, "{total} among {lanes}");
            }
        }
    }

    #[tokio::test]
    async fn lanes_that_outnumber_the_slots_take_turns() {
        let slots = Slots::deal(1, 2);
        let held = slots[0].take_free().await.unwrap();
        let waiting = tokio::spawn({
            let other = slots[1].clone();
            async move { other.take_free().await.unwrap().len() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap(), 1);
    }
}
