//! The only place that reads the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use crate::domain::time::Timestamp;

/// Tells the time. Cloned freely; tests hand down one that stands still until it is moved.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that shows `start` until [`Clock::set`] moves it.
    #[must_use]
    pub fn fixed(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.unix_ms()))))
    }

    /// Moves a fixed clock; the system's clock cannot be moved and ignores it.
    pub fn set(&self, now: Timestamp) {
        if let Self(Some(shown)) = self {
            shown.store(now.unix_ms(), Ordering::SeqCst);
        }
    }

    /// The time now. A system clock outside the years that can be written counts as the epoch.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ms = match self {
            Self(Some(shown)) => shown.load(Ordering::SeqCst),
            Self(None) => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(0)),
        };
        Timestamp::from_unix_ms(ms).unwrap_or(Timestamp::EPOCH)
    }
}
