//! The spool: bytes on their way in, hashed as they arrive, not yet visible to anyone.
//!
//! It lies on the store's file system, so that publishing is a move and never a copy. Whoever writes
//! a spool file holds a lock on it, which the system takes back when the process dies: what nobody
//! locks is nobody's and goes, whichever process left it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::partial::{self, Partial};
use crate::domain::digest::Digest;

/// How much of a file's beginning is kept to recognise its type: office documents show theirs
/// only a few kilobytes into their archive.
pub(super) const HEAD_BYTES: usize = 8 * 1024;

/// Why bytes could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// More bytes came than the limit allows.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The file system said no.
    #[error("cannot write to the spool")]
    Io(#[from] io::Error),
}

/// A file that is being received. Dropping it removes it, unless enough has come to go on with later.
#[derive(Debug)]
pub struct Staging {
    pub(super) file: File,
    pub(super) path: SpoolPath,
    pub(super) hasher: Sha256,
    pub(super) head: Vec<u8>,
    pub(super) size_bytes: u64,
    pub(super) limit_bytes: u64,
    /// What is to be kept of it if it does not come whole.
    pub(super) partial: Option<Partial>,
}

/// A file that was received whole, with what was learnt on the way.
#[derive(Debug)]
pub struct Staged {
    pub(super) file: File,
    pub(super) path: SpoolPath,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub size_bytes: u64,
    /// The type its first bytes tell, if they tell one.
    pub mime: Option<&'static str>,
}

impl Staging {
    /// Begins a spool file of its own, whoever else writes to this spool.
    pub(super) fn begin(spool: &Path, prefix: &str, limit_bytes: u64) -> io::Result<Self> {
        let (file, path) = loop {
            let path = spool.join(format!("{prefix}-{:016x}", fastrand::u64(..)));
            let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            let path = SpoolPath { path, kept: false };
            file.lock()?;
            // Before it was locked it was nobody's, and may have been swept.
            if file.metadata()?.nlink() > 0 {
                break (file, path);
            }
        };
        let (hasher, head) = (Sha256::new(), Vec::new());
        Ok(Self { file, path, hasher, head, size_bytes: 0, limit_bytes, partial: None })
    }

    /// How many bytes have come.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Takes the next bytes. The write goes to the page cache and is short; callers keep chunks moderate.
    ///
    /// # Errors
    /// If the limit is passed, or the file system fails.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), StageError> {
        self.size_bytes += chunk.len() as u64;
        if self.size_bytes > self.limit_bytes {
            return Err(StageError::TooLarge { limit: self.limit_bytes });
        }
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend(chunk.iter().take(missing));
        self.hasher.update(chunk);
        self.file.write_all(chunk)?;
        self.mark_if_due()?;
        Ok(())
    }

    /// Ends the file: its digest and length are known now, nothing is durable yet.
    #[must_use]
    pub fn finish(mut self) -> Staged {
        self.path.kept = false;
        self.partial.iter().for_each(Partial::end);
        let digest: [u8; 32] = self.hasher.finalize().into();
        Staged {
            file: self.file,
            path: self.path,
            digest: digest.into(),
            size_bytes: self.size_bytes,
            mime: infer::get(&self.head).map(|kind| kind.mime_type()),
        }
    }
}

/// Removes what dead processes have left in a spool and nobody will go on with. Returns how many
/// files that were.
pub(super) fn sweep(spool: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(spool)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && !partial::is_worth_keeping(&entry) && remove_abandoned(&entry.path()) {
            swept += 1;
        }
    }
    Ok(swept)
}

/// Removes a spool file unless somebody works on it; returns whether it did. One that cannot be opened
/// has gone meanwhile or is another user's.
pub(super) fn remove_abandoned(path: &Path) -> bool {
    // The lock is held until the file is gone, so that nobody takes it up meanwhile.
    let Some(_lock) = File::open(path).ok().filter(|file| file.try_lock().is_ok()) else { return false };
    remove(path);
    true
}

/// A spool file's path; the file goes when this goes, unless it is kept.
#[derive(Debug)]
pub(super) struct SpoolPath {
    pub(super) path: PathBuf,
    pub(super) kept: bool,
}

impl Drop for SpoolPath {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.path);
        }
    }
}

/// Removes a spool file that may be gone already.
pub(super) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "Cannot remove a spool file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_have_left_goes_and_what_is_being_written_stays() {
        let spool = tempfile::tempdir().unwrap();
        let mut staging = Staging::begin(spool.path(), "r1", 10).unwrap();
        fs::write(spool.path().join("r2-left"), "some").unwrap();
        assert_eq!(sweep(spool.path()).unwrap(), 1);
        assert_eq!(sweep(spool.path()).unwrap(), 0);
        staging.write(b"whole").unwrap();
        assert_eq!(fs::read(&staging.path.path).unwrap(), b"whole");
        drop(staging);
        assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
    }
}
