//! How long a test waits for something: as long as anything happens, but not for ever.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long nothing may change before a test gives up. Never waited for when all is well.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How long what does change may take: going round in circles is no progress.
const AT_MOST: Duration = Duration::from_secs(900);

/// What was seen while something was waited for. A busy machine makes everything slow; only what stands still has failed.
pub struct Patience<T> {
    begun: Instant,
    changed: Instant,
    seen: Option<T>,
}

impl<T: PartialEq + Debug> Patience<T> {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { begun: now, changed: now, seen: None }
    }

    /// Notes how things stand, which is not yet how they should; gives up when that has been so for too long.
    pub fn note(&mut self, what: &str, state: T) {
        if self.seen.as_ref() != Some(&state) {
            self.changed = Instant::now();
            self.seen = Some(state);
        }
        let (unchanged, waited) = (self.changed.elapsed(), self.begun.elapsed());
        assert!(
            unchanged < PATIENCE && waited < AT_MOST,
            "still waiting for: {what}; {:?} is what was seen last, {unchanged:?} unchanged, {waited:?} waited",
            self.seen
        );
    }
}
