//! The journal: which calls came, and what was really sent in answer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use super::call::Route;
use crate::domain::digest::Digest;
use crate::domain::time::Timestamp;

/// One call. It is entered when it arrives; the last three members follow when its answer ends.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// When it came.
    pub time: Timestamp,
    /// The HTTP method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query as sent.
    pub query: Option<String>,
    /// The API it belongs to.
    pub route: Route,
    /// The message it asked.
    pub message_id: Option<String>,
    /// The key it asked for; of a ticket image `<ticket_id>/<msg_id>/<index or 0>`.
    pub key: Option<String>,
    /// The `Range` it asked for.
    pub range: Option<String>,
    /// The app that called, by its token or, where it asked for one, by its own word.
    pub app_id: Option<String>,
    /// The tenant that its token was for; only store apps have one for each.
    pub tenant_key: Option<String>,
    /// The first characters of the token it carried.
    pub token: Option<String>,
    /// The status that was sent; none if the answer never began, or has not yet ended.
    pub status: Option<u16>,
    /// How many bytes of body were sent.
    pub bytes: u64,
    /// The SHA-256 of those bytes; none while the answer has not ended, or if nobody hashes.
    pub sha256: Option<Digest>,
}

/// The latest calls, oldest first.
#[derive(Debug)]
pub(super) struct Journal {
    pages: Mutex<Pages>,
    limit: usize,
    arrivals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Entry>,
    /// How many entries were dropped at the front, so that a ticket stays a position.
    dropped: u64,
}

impl Journal {
    /// A journal that keeps the last `limit` calls.
    pub(super) fn new(limit: usize) -> Self {
        Self { pages: Mutex::default(), limit, arrivals: watch::Sender::new(0) }
    }

    /// Enters a call; the ticket finds it again.
    pub(super) fn arrive(&self, entry: Entry) -> u64 {
        let ticket = {
            let mut pages = self.pages();
            pages.entries.push_back(entry);
            if pages.entries.len() > self.limit {
                pages.entries.pop_front();
                pages.dropped += 1;
            }
            pages.dropped + pages.entries.len() as u64 - 1
        };
        self.arrivals.send_modify(|count| *count += 1);
        ticket
    }

    /// Completes an entry, unless it has been dropped meanwhile.
    pub(super) fn complete(&self, ticket: u64, status: Option<u16>, bytes: u64, sha256: Option<Digest>) {
        let mut pages = self.pages();
        let place = ticket.checked_sub(pages.dropped).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| pages.entries.get_mut(place)) {
            entry.status = status;
            entry.bytes = bytes;
            entry.sha256 = sha256;
        }
    }

    /// A copy of everything.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.pages().entries.iter().cloned().collect()
    }

    /// How many calls fit.
    pub(super) fn count(&self, fits: impl Fn(&Entry) -> bool) -> usize {
        self.pages().entries.iter().filter(|entry| fits(entry)).count()
    }

    /// Waits until so many calls that fit have arrived.
    pub(super) async fn until(&self, calls: usize, fits: impl Fn(&Entry) -> bool) {
        let mut arrivals = self.arrivals.subscribe();
        while self.count(&fits) < calls {
            if arrivals.changed().await.is_err() {
                return;
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
