//! All connections of one port: how many there may be, how much memory their bodies may take, and
//! who goes when room runs short.
//!
//! As long as less than half is in use, nobody is told apart. Beyond that, whoever has kept us
//! waiting for the longest time goes first, and one network gets no more than half, however many
//! connections it opens.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::progress::{Follows, Next, Progress};
use crate::domain::network::Network;
use crate::domain::proxies::TrustedProxies;

/// As many connections as there may be however many files may be open: each takes some 10 KiB while
/// nothing happens, and up to 50 KiB while its request's head is coming.
const MAX_CONNECTIONS: usize = 4096;
/// Files that are left for everything else: catalogue, downloads, exports, pictures.
const OTHER_FILES: usize = 256;
/// Bodies in memory at once, in bytes.
const MAX_BODIES_BYTES: usize = 64 << 20;
/// A body of this size takes no more than its connection may take for a head, and is not counted.
/// Nearly all deliveries are smaller.
const SMALL_BODY_BYTES: usize = 16 << 10;
/// Whoever was silent for so long has stalled: packets that were lost come again sooner.
const STALLED_AFTER: Duration = Duration::from_millis(500);
/// How often the table is looked through.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How soon after a look in vain bytes that come have the table looked through again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(25);
/// How often the log tells who had to go.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Where there is no room at all, one connection in so many makes some, so that a flood of them
/// does not have the table looked through for each.
const ONE_IN: usize = 64;

/// As many connections as may be open when so many files may be.
#[must_use]
pub fn capacity(open_files: u64) -> usize {
    let files = usize::try_from(open_files).unwrap_or(usize::MAX);
    files.saturating_sub(OTHER_FILES).max(files / 2).clamp(1, MAX_CONNECTIONS)
}

/// What the connections of a port may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Bytes of bodies that have come and are not answered.
    pub bytes: usize,
}

impl Limits {
    /// The limits of the only port.
    #[must_use]
    pub fn of_one(connections: usize) -> Self {
        Self { connections, bytes: MAX_BODIES_BYTES }
    }

    /// The limits of the port that strangers reach, and of the one that they do not. They share
    /// nothing, so that a flood on the first does not lock administrators out.
    #[must_use]
    pub fn of_two(connections: usize) -> (Self, Self) {
        let Self { bytes, .. } = Self::of_one(connections);
        let inside = Self { connections: (connections / 4).max(1), bytes: bytes / 4 };
        let outside = Self { connections: (connections - inside.connections).max(1), bytes: bytes - inside.bytes };
        (outside, inside)
    }
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much is coming in at once")]
pub struct Refused;

/// The connections of one port. Cloned freely.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    proxies: TrustedProxies,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next_id: u64,
    open: HashMap<u64, Entry>,
    by_network: HashMap<Network, Usage>,
    bytes: usize,
    /// When somebody was last looked for who holds bytes and has stalled.
    looked_at: Option<Instant>,
    is_closing: bool,
    ended: usize,
    refused: usize,
}

#[derive(Debug)]
struct Entry {
    network: Option<Network>,
    progress: Arc<Progress>,
    bytes: usize,
}

/// What a network has in use.
#[derive(Debug, Default, PartialEq, Eq)]
struct Usage {
    connections: usize,
    bytes: usize,
}

/// A connection's place in the table, which it leaves when it is dropped.
#[derive(Debug)]
pub struct Member {
    id: u64,
    progress: Arc<Progress>,
    connections: Connections,
}

impl Connections {
    /// A table in which nobody is. Trusted proxies are not told apart by their networks.
    #[must_use]
    pub fn new(limits: Limits, proxies: TrustedProxies) -> Self {
        Self(Arc::new(Shared { limits, proxies, table: Mutex::default() }))
    }

    /// What they may take.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Lets a connection in, if need be in place of another one.
    ///
    /// # Errors
    /// If everybody else is being answered.
    pub fn admit(&self, peer: IpAddr, now: Instant) -> Result<Member, Refused> {
        let network = if self.0.proxies.contains(peer) { None } else { Network::of(peer) };
        let progress = Arc::new(Progress::new(now));
        let mut table = self.lock();
        let admitted = table.admit(self.0.limits, network, &progress, now);
        table.refused += usize::from(admitted.is_err());
        Ok(Member { id: admitted?, progress, connections: self.clone() })
    }

    /// Looks after the connections until the shutdown, then lets each finish what it is doing.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut told_at = Instant::now();
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let now = Instant::now();
            let mut table = self.lock();
            table.look_through(self.0.limits, now);
            if now.saturating_duration_since(told_at) >= TELL_EVERY {
                told_at = now;
                table.tell();
            }
        }
        self.lock().finish();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Counters that a panic left half written are still counters.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn admit(
        &mut self,
        limits: Limits,
        network: Option<Network>,
        progress: &Arc<Progress>,
        now: Instant,
    ) -> Result<u64, Refused> {
        if self.is_closing {
            return Err(Refused);
        }
        let half = limits.connections / 2;
        let taken = network.and_then(|network| self.by_network.get(&network)).map_or(0, |usage| usage.connections);
        if taken >= half.max(1) {
            self.make_room(now, |entry| entry.network == network)?;
        }
        if self.open.len() >= limits.connections {
            self.make_room(now, |_| true)?;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.open.insert(id, Entry { network, progress: progress.clone(), bytes: 0 });
        if let Some(network) = network {
            self.by_network.entry(network).or_default().connections += 1;
        }
        Ok(id)
    }

    /// Counts bytes of a body.
    fn charge(&mut self, limits: Limits, id: u64, bytes: usize, now: Instant) -> Result<(), Refused> {
        let network = self.open.get(&id).ok_or(Refused)?.network;
        if self.bytes + bytes > limits.bytes / 2 {
            if self.looked_at.is_none_or(|looked_at| now.saturating_duration_since(looked_at) >= LOOK_AGAIN_AFTER) {
                self.shed_bytes(limits.bytes / 2, bytes, now);
            }
            let taken = network.and_then(|network| self.by_network.get(&network)).map_or(0, |usage| usage.bytes);
            if self.bytes + bytes > limits.bytes || taken + bytes > limits.bytes / 2 {
                return Err(Refused);
            }
        }
        // It may itself have been what had stalled.
        let entry = self.open.get_mut(&id).ok_or(Refused)?;
        entry.bytes += bytes;
        self.bytes += bytes;
        if let Some(usage) = network.and_then(|network| self.by_network.get_mut(&network)) {
            usage.bytes += bytes;
        }
        Ok(())
    }

    fn release(&mut self, id: u64) {
        let Some(entry) = self.open.get_mut(&id) else { return };
        let bytes = std::mem::take(&mut entry.bytes);
        self.bytes -= bytes;
        if let Some(usage) = entry.network.and_then(|network| self.by_network.get_mut(&network)) {
            usage.bytes -= bytes;
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        self.release(id);
        let entry = self.open.remove(&id)?;
        if let Some(network) = entry.network
            && let Some(usage) = self.by_network.get_mut(&network)
        {
            usage.connections -= 1;
            if usage.connections == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(entry)
    }

    /// Ends what nobody needs to wait for any longer, and, where more than half is in use, what has
    /// stalled.
    fn look_through(&mut self, limits: Limits, now: Instant) {
        let overdue = self.open.iter().filter(|(_, entry)| entry.progress.is_overdue(now)).map(|(id, _)| *id);
        for id in overdue.collect::<Vec<_>>() {
            self.end(id);
        }
        let too_many = self.open.len().saturating_sub(limits.connections / 2);
        if too_many > 0 {
            let mut stalled = self.stalled(now, STALLED_AFTER, |_| true);
            stalled.truncate(too_many);
            self.end_all(&stalled);
        }
        self.shed_bytes(limits.bytes / 2, 0, now);
    }

    /// Ends what holds bytes and has stalled, until so many more fit in.
    fn shed_bytes(&mut self, at_most: usize, more: usize, now: Instant) {
        if self.bytes + more <= at_most {
            return;
        }
        self.looked_at = Some(now);
        for id in self.stalled(now, STALLED_AFTER, |entry| entry.bytes > 0) {
            if self.bytes + more <= at_most {
                break;
            }
            self.end(id);
            self.ended += 1;
        }
    }

    /// Ends some of these connections, those first that have kept us waiting for the longest time.
    fn make_room(&mut self, now: Instant, among: impl Fn(&Entry) -> bool) -> Result<(), Refused> {
        let mut waiting = self.stalled(now, Duration::ZERO, among);
        waiting.truncate((waiting.len() / ONE_IN).max(1));
        self.end_all(&waiting);
        if waiting.is_empty() { Err(Refused) } else { Ok(()) }
    }

    /// Who of these has kept us waiting for so long, the longest first.
    fn stalled(&self, now: Instant, so_long: Duration, among: impl Fn(&Entry) -> bool) -> Vec<u64> {
        let waiting = self.open.iter().filter(|(_, entry)| among(entry)).filter_map(|(id, entry)| {
            let waited = now.saturating_duration_since(entry.progress.stalled_since()?);
            (waited >= so_long).then_some((Reverse(waited), *id))
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, id)| id).collect()
    }

    fn end_all(&mut self, ids: &[u64]) {
        ids.iter().for_each(|id| self.end(*id));
        self.ended += ids.len();
    }

    fn end(&mut self, id: u64) {
        if let Some(entry) = self.remove(id) {
            entry.progress.end();
        }
    }

    /// Tells how many had to go since this was told last.
    fn tell(&mut self) {
        let (ended, refused) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.refused));
        if ended + refused > 0 {
            tracing::warn!(
                ended,
                refused,
                open = self.open.len(),
                bytes = self.bytes,
                "Too much comes in at once: ended connections that had stalled, and refused others"
            );
        }
    }

    fn finish(&mut self) {
        self.is_closing = true;
        self.open.values().for_each(|entry| entry.progress.finish());
    }
}

impl Member {
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A request has begun.
    pub fn request_began(&self) {
        self.progress.request_began();
    }

    /// Somebody reads the body of the request, which is this.
    pub fn body_is_wanted(&self, follows: Follows) {
        self.progress.body_is_wanted(follows);
    }

    /// So many bytes of the body were there, and so many more have come.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn body_came(&self, before: usize, more: usize) -> Result<(), Refused> {
        let counted = |bytes: usize| if bytes > SMALL_BODY_BYTES { bytes } else { 0 };
        match counted(before + more) - counted(before) {
            0 => Ok(()),
            bytes => self.connections.lock().charge(self.connections.0.limits, self.id, bytes, Instant::now()),
        }
    }

    /// The body has come whole.
    pub fn body_ended(&self) {
        self.progress.body_ended();
    }

    /// The request is answered, and its body, of so many bytes, forgotten.
    pub fn answered(&self, body_bytes: usize, next: Next) {
        if body_bytes > SMALL_BODY_BYTES {
            self.connections.lock().release(self.id);
        }
        self.progress.answered(next);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { connections: 8, bytes: 1 << 20 };
    const A_BODY: usize = 200 << 10;
    const NOBODY: [usize; 0] = [];

    fn table() -> Connections {
        Connections::new(LIMITS, "192.0.2.0/24".parse().unwrap())
    }

    fn admit(table: &Connections, peer: &str, now: Instant) -> Result<Member, Refused> {
        table.admit(peer.parse().unwrap(), now)
    }

    fn gone(members: &[Member]) -> Vec<usize> {
        members.iter().enumerate().filter(|(_, member)| member.progress().is_gone()).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_network_gets_no_more_than_half_and_everybody_else_the_rest() {
        let (table, now) = (table(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        let one_network: Vec<_> = (0..6).map(|n| admit(&table, &format!("203.0.113.{n}"), later(n)).unwrap()).collect();
        assert_eq!(gone(&one_network), [0, 1], "those that have waited for the longest time give way");
        let others: Vec<_> = (0..4).map(|n| admit(&table, &format!("198.51.{n}.1"), later(6)).unwrap()).collect();
        assert_eq!((gone(&one_network), gone(&others)), (vec![0, 1], vec![]));
        drop(admit(&table, "198.51.9.1", later(7)).unwrap());
        assert_eq!(gone(&one_network), [0, 1, 2], "there is no room at all: who waits longest makes some");
    }

    #[test]
    fn addresses_behind_which_many_stand_are_not_held_to_half() {
        for peer in ["127.0.0.1", "10.0.0.7", "fd00::7", "192.0.2.1", "::ffff:192.0.2.1"] {
            let (table, now) = (table(), Instant::now());
            let members: Vec<_> = (0..8).map(|_| admit(&table, peer, now).unwrap()).collect();
            assert_eq!(gone(&members), NOBODY, "{peer}");
        }
    }

    #[test]
    fn who_is_being_answered_stays() {
        let (table, now) = (table(), Instant::now());
        let answered: Vec<_> = (0..8).map(|n| admit(&table, &format!("198.51.{n}.1"), now).unwrap()).collect();
        answered.iter().for_each(|member| member.request_began());
        assert_eq!(admit(&table, "203.0.113.1", now).err(), Some(Refused));
        table.lock().look_through(LIMITS, now + Duration::from_secs(3600));
        assert_eq!(gone(&answered), NOBODY);
        answered[3].answered(0, Next::Request);
        let newcomer = admit(&table, "203.0.113.1", now + Duration::from_secs(1)).unwrap();
        assert_eq!(gone(&answered), [3]);
        drop((answered, newcomer));
        let table = table.lock();
        assert!(table.open.is_empty() && table.by_network.is_empty());
    }

    #[test]
    fn what_has_stalled_goes_where_more_than_half_is_in_use_and_stays_otherwise() {
        let (table, now) = (table(), Instant::now());
        let stalled: Vec<_> = (0..4).map(|_| admit(&table, "127.0.0.1", now).unwrap()).collect();
        stalled.iter().for_each(|member| member.body_is_wanted(Follows::Chunks));
        let soon = now + 2 * STALLED_AFTER;
        table.lock().look_through(LIMITS, soon);
        assert_eq!(gone(&stalled), NOBODY);
        let fresh: Vec<_> = (0..2).map(|_| admit(&table, "127.0.0.1", soon).unwrap()).collect();
        table.lock().look_through(LIMITS, soon);
        assert_eq!((gone(&stalled).len(), gone(&fresh).len()), (2, 0));
    }

    #[test]
    fn a_connection_that_says_nothing_for_too_long_is_ended() {
        let (table, now) = (table(), Instant::now());
        let idle = admit(&table, "127.0.0.1", now).unwrap();
        let dripping = admit(&table, "127.0.0.1", now).unwrap();
        let read = admit(&table, "127.0.0.1", now).unwrap();
        dripping.progress().head_came(now);
        read.body_is_wanted(Follows::Bytes(10));
        for (seconds, ended) in [(5, [false, false]), (7, [false, true]), (11, [true, true])] {
            let then = now + Duration::from_secs(seconds);
            dripping.progress().head_came(then);
            table.lock().look_through(LIMITS, then);
            assert_eq!([idle.progress().is_gone(), dripping.progress().is_gone()], ended, "after {seconds} s");
        }
        assert!(!read.progress().is_gone(), "whoever reads the body sees to it");
    }

    #[test]
    fn bytes_are_refused_where_there_is_no_room_and_a_network_gets_no_more_than_half() {
        let (table, now) = (table(), Instant::now());
        let stranger = |n: u8| admit(&table, &format!("203.0.113.{n}"), now).unwrap();
        let strangers: Vec<_> = (0..3).map(stranger).collect();
        let taken: Vec<_> = strangers.iter().map(|member| member.body_came(0, A_BODY).is_ok()).collect();
        assert_eq!(taken, [true, true, false], "half of it is in use, all of it by one network");
        let inside: Vec<_> = (0..4).map(|_| admit(&table, "127.0.0.1", now).unwrap()).collect();
        let taken: Vec<_> = inside.iter().map(|member| member.body_came(0, A_BODY).is_ok()).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert_eq!(inside[3].body_came(0, SMALL_BODY_BYTES), Ok(()), "small bodies always fit in");
        inside[0].answered(A_BODY, Next::Request);
        assert_eq!(inside[3].body_came(0, A_BODY), Ok(()));
        drop((strangers, inside));
        let table = table.lock();
        assert_eq!((table.bytes, table.by_network.len()), (0, 0));
    }

    #[test]
    fn bytes_that_stalled_make_room() {
        let (table, now) = (table(), Instant::now());
        let stalled: Vec<_> = (0..4).map(|_| admit(&table, "127.0.0.1", now).unwrap()).collect();
        for member in &stalled {
            member.body_is_wanted(Follows::Chunks);
            let _ = member.body_came(0, A_BODY);
        }
        table.lock().look_through(LIMITS, now + 2 * STALLED_AFTER);
        assert_eq!(gone(&stalled).len(), 2, "so many that less than half is in use");
    }

    #[test]
    fn the_number_of_connections_follows_from_the_number_of_files() {
        for (open_files, connections) in [(1024, 768), (512, 256), (100, 50), (0, 1), (u64::MAX, MAX_CONNECTIONS)] {
            assert_eq!(capacity(open_files), connections, "{open_files}");
        }
        let (outside, inside) = Limits::of_two(capacity(1024));
        assert_eq!((outside.connections, inside.connections), (576, 192));
    }
}
