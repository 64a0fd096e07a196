//! Space: what is left on the disks for new bytes, above a reserve that is never touched.
//!
//! The reserve keeps the catalogue writable, so that events are still taken when downloads pause.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long downloads pause after one found no room.
const PAUSE: Duration = Duration::from_secs(5);

/// The space for new bytes. Clones share what is promised.
#[derive(Debug, Clone)]
pub struct Space(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Vec<PathBuf>,
    reserve_bytes: u64,
    promised_bytes: AtomicU64,
    last_refusal: Mutex<Option<Instant>>,
}

/// Room that is kept for one download until this goes.
#[derive(Debug)]
pub struct Room {
    space: Space,
    bytes: u64,
}

impl Room {
    /// Bytes that are on the disk now need no promise any more.
    pub fn use_up(&mut self, bytes: u64) {
        let used = bytes.min(self.bytes);
        self.bytes -= used;
        self.space.0.promised_bytes.fetch_sub(used, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.space.0.promised_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Space {
    /// The space on the file systems of these places, less a reserve on each.
    #[must_use]
    pub fn new(places: &[&Path], reserve_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            places: places.iter().map(|place| (*place).to_owned()).collect(),
            reserve_bytes,
            promised_bytes: AtomicU64::new(0),
            last_refusal: Mutex::new(None),
        }))
    }

    /// The reserve in bytes.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        self.0.reserve_bytes
    }

    /// Free bytes where they are fewest, as far as this user may use them.
    ///
    /// # Errors
    /// If a file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let mut fewest = u64::MAX;
        for place in &self.0.places {
            let statistics = rustix::fs::statvfs(place)?;
            fewest = fewest.min(statistics.f_bavail.saturating_mul(statistics.f_frsize));
        }
        Ok(fewest)
    }

    /// Keeps room for a download of this many bytes; none if that would touch the reserve.
    ///
    /// # Errors
    /// If a file system does not say how much is free.
    pub fn keep_room(&self, bytes: u64) -> io::Result<Option<Room>> {
        let promised = self.0.promised_bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { space: self.clone(), bytes };
        if self.free_bytes()? >= self.0.reserve_bytes.saturating_add(promised).saturating_add(bytes) {
            return Ok(Some(room));
        }
        *self.0.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(None)
    }

    /// Whether there is no use in starting a download now: the reserve is reached, or somebody has
    /// just found no room.
    ///
    /// # Errors
    /// If a file system does not say how much is free.
    pub fn is_short(&self) -> io::Result<bool> {
        let refused = *self.0.last_refusal.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(refused.is_some_and(|at| at.elapsed() < PAUSE) || self.free_bytes()? < self.0.reserve_bytes)
    }
}
