//! Partial files: what is kept of a file that did not come whole, so that another try, or another
//! process, can go on with it.
//!
//! The name of such a file says which file it is a part of, how many bytes of how many are in it,
//! and their digest. A name is changed at once or not at all, and what a crash or a power cut made of
//! the bytes shows when they are hashed again: wrong bytes are never gone on with. No other record
//! could disagree.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::spool::{HEAD_BYTES, SpoolPath, Staging, remove, remove_abandoned};
use crate::domain::digest::Digest;

/// How many bytes come between two marks: what a killed process loses at most of each file.
const MARK_EVERY_BYTES: u64 = 4 << 20;
/// What the names of partial files begin with.
const PREFIX: &str = "partial";
/// How long a partial file is kept that nobody forgets, because its resource is not tried any more:
/// longer than a failing one is, unless told otherwise.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The files of which a part lies in a spool, so that for all others nobody has to look. What another process
/// keeps is seen by whoever opens the store next.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<HashSet<Digest>>>);

impl Kept {
    /// Looks through a spool.
    pub(super) fn find(spool: &Path) -> io::Result<Self> {
        let kept = Self::default();
        for entry in fs::read_dir(spool)? {
            let mark = Mark::read(&entry?.file_name().to_string_lossy());
            kept.lock().extend(mark.map(|(file, _)| file));
        }
        Ok(kept)
    }

    /// Whether there may be a part of the file that is known by `identity`.
    pub(super) fn may_have(&self, identity: &str) -> bool {
        let kept = self.lock();
        !kept.is_empty() && kept.contains(&digest_of(identity))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Digest>> {
        // Nothing panics under this lock; if it did, the set would at worst send somebody to look.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be kept of a file that is being received.
#[derive(Debug)]
pub(super) struct Partial {
    file: Digest,
    total_bytes: u64,
    next_mark_at: u64,
    /// Tells apart what was begun twice.
    nonce: u64,
    kept: Kept,
}

/// What the name of a partial file says.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    total_bytes: u64,
    received_bytes: u64,
    digest: Digest,
    nonce: u64,
}

impl Partial {
    /// For a file that is known by `identity` and has `total_bytes`.
    pub(super) fn new(identity: &str, total_bytes: u64, kept: &Kept) -> Self {
        let (file, nonce) = (digest_of(identity), fastrand::u64(..));
        Self { file, total_bytes, next_mark_at: MARK_EVERY_BYTES, nonce, kept: kept.clone() }
    }

    /// Nobody will go on with it: it is whole, or not wanted.
    pub(super) fn end(&self) {
        self.kept.lock().remove(&self.file);
    }

    fn name(&self, received_bytes: u64, digest: Digest) -> String {
        let Self { file, total_bytes, nonce, .. } = self;
        format!("{PREFIX}-{file}-{total_bytes}-{received_bytes}-{digest}-{nonce:016x}")
    }
}

impl Mark {
    /// Reads a name: which file it is of, and what is said of it.
    fn read(name: &str) -> Option<(Digest, Self)> {
        let mut words = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let file = words.next()?.parse().ok()?;
        let mark = Self {
            total_bytes: words.next()?.parse().ok()?,
            received_bytes: words.next()?.parse().ok()?,
            digest: words.next()?.parse().ok()?,
            nonce: u64::from_str_radix(words.next()?, 16).ok()?,
        };
        (words.next().is_none() && mark.received_bytes < mark.total_bytes).then_some((file, mark))
    }
}

impl Staging {
    /// How many bytes the file will have, where that is known.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.partial.as_ref().map(|partial| partial.total_bytes)
    }

    /// Removes the file, although it could be gone on with.
    pub fn discard(mut self) {
        self.path.kept = false;
        self.partial.iter().for_each(Partial::end);
    }

    /// Says in the file's name what is in it, if enough has come since that was said last.
    pub(super) fn mark_if_due(&mut self) -> io::Result<()> {
        let Some(partial) = &mut self.partial else { return Ok(()) };
        if self.size_bytes < partial.next_mark_at || self.size_bytes >= partial.total_bytes {
            return Ok(());
        }
        let digest: [u8; 32] = self.hasher.clone().finalize().into();
        let marked = self.path.path.with_file_name(partial.name(self.size_bytes, digest.into()));
        partial.kept.lock().insert(partial.file);
        fs::rename(&self.path.path, &marked)?;
        (self.path.path, self.path.kept) = (marked, true);
        partial.next_mark_at = self.size_bytes + MARK_EVERY_BYTES;
        Ok(())
    }
}

/// Opens what is kept of a file, with its bytes hashed and compared. What is not as its name says is removed.
pub(super) fn resume(spool: &Path, of: &Kept, identity: &str, limit_bytes: u64) -> io::Result<Option<Staging>> {
    let file_id = digest_of(identity);
    for (path, mark) in parts(spool, file_id)? {
        // It may be gone since the directory was read.
        let Ok(file) = File::options().read(true).write(true).open(&path) else { continue };
        // Somebody works on it, or somebody has just removed it.
        if file.try_lock().is_err() || file.metadata()?.nlink() == 0 {
            continue;
        }
        match take_up(file, &mark)? {
            Some((file, hasher, head)) => {
                let next_mark_at = mark.received_bytes + MARK_EVERY_BYTES;
                let (total_bytes, nonce, kept) = (mark.total_bytes, mark.nonce, of.clone());
                let partial = Partial { file: file_id, total_bytes, next_mark_at, nonce, kept };
                let path = SpoolPath { path, kept: true };
                let size_bytes = mark.received_bytes;
                return Ok(Some(Staging { file, path, hasher, head, size_bytes, limit_bytes, partial: Some(partial) }));
            }
            None => {
                tracing::warn!(path = %path.display(), "Removed a partial file whose bytes are not what they were");
                remove(&path);
            }
        }
    }
    of.lock().remove(&file_id);
    Ok(None)
}

/// Whether somebody may still go on with a file of the spool, although nobody works on it now.
pub(super) fn is_worth_keeping(entry: &fs::DirEntry) -> bool {
    let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
    entry.file_name().to_string_lossy().starts_with(PREFIX) && age().is_none_or(|age| age < KEPT_FOR)
}

/// Removes what is kept of a file, but for what somebody works on.
pub(super) fn forget(spool: &Path, identity: &str) -> io::Result<()> {
    for (path, _) in parts(spool, digest_of(identity))? {
        remove_abandoned(&path);
    }
    Ok(())
}

/// The partial files of one file; usually none or one.
fn parts(spool: &Path, wanted: Digest) -> io::Result<Vec<(PathBuf, Mark)>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(spool)? {
        let entry = entry?;
        match Mark::read(&entry.file_name().to_string_lossy()) {
            Some((file, mark)) if file == wanted => parts.push((entry.path(), mark)),
            _ => {}
        }
    }
    Ok(parts)
}

/// Hashes the bytes that a mark speaks of; what came after it is cut off. None if they are others.
fn take_up(mut file: File, mark: &Mark) -> io::Result<Option<(File, Sha256, Vec<u8>)>> {
    let (mut hasher, mut head) = (Sha256::new(), Vec::new());
    let mut chunk = vec![0; READ_BYTES];
    let mut left = mark.received_bytes;
    while left > 0 {
        let wanted = left.min(READ_BYTES as u64) as usize;
        let count = file.read(chunk.get_mut(..wanted).unwrap_or_default())?;
        if count == 0 {
            return Ok(None);
        }
        let bytes = chunk.get(..count).unwrap_or_default();
        head.extend(bytes.iter().take(HEAD_BYTES.saturating_sub(head.len())));
        hasher.update(bytes);
        left -= count as u64;
    }
    let digest: [u8; 32] = hasher.clone().finalize().into();
    if Digest::from(digest) != mark.digest {
        return Ok(None);
    }
    file.set_len(mark.received_bytes)?;
    file.seek(io::SeekFrom::End(0))?;
    Ok(Some((file, hasher, head)))
}

/// What stands for a file in the names of its parts: an identity may be long and hold anything.
fn digest_of(identity: &str) -> Digest {
    let hash: [u8; 32] = Sha256::digest(identity).into();
    hash.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::store::Store;

    #[test]
    fn what_somebody_works_on_is_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let spool = directory.path().join("spool");
        let store = Store::open(&directory.path().join("blobs"), &spool).unwrap();
        let files = || fs::read_dir(&spool).unwrap().count();
        let total_bytes = MARK_EVERY_BYTES + 2;
        let mut staging = store.stage_partial("r1", ("a file", total_bytes), total_bytes).unwrap();
        staging.write(&vec![7; MARK_EVERY_BYTES as usize + 1]).unwrap();
        store.forget("a file").unwrap();
        assert_eq!(files(), 1, "its bytes are still coming");
        drop(staging);
        store.forget("another file").unwrap();
        assert_eq!(files(), 1);
        store.forget("a file").unwrap();
        assert_eq!(files(), 0);
    }
}
