//! The store: complete blobs under their digests, on a local file system.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::key::relative_path;
use super::spool::{Staged, Staging};
use crate::domain::digest::Digest;

/// How many published files may wait for their directories to be synced. Downloads in flight are
/// far fewer; a full queue only makes a publisher wait.
const SYNC_QUEUE: usize = 1024;

/// A local store. Cloned freely.
#[derive(Debug, Clone)]
pub struct Store {
    places: Arc<Places>,
    sync: mpsc::Sender<SyncRequest>,
}

#[derive(Debug)]
struct Places {
    root: PathBuf,
    spool: PathBuf,
}

#[derive(Debug)]
struct SyncRequest {
    digest: Digest,
    done: oneshot::Sender<io::Result<()>>,
}

impl Store {
    /// Opens the store at `root` with its spool at `spool` on the same file system, creating both.
    /// Starts a thread that syncs directories and ends when the last clone goes.
    ///
    /// # Errors
    /// If a directory cannot be created or written.
    pub fn open(root: &Path, spool: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        fs::create_dir_all(spool)?;
        for directory in root.ancestors().take(2).filter(|path| !path.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        let (sync, requests) = mpsc::channel(SYNC_QUEUE);
        let syncer = Syncer { root: root.to_owned(), durable: BTreeSet::new() };
        std::thread::Builder::new().name("store-sync".into()).spawn(move || syncer.run(requests))?;
        let places = Places { root: root.to_owned(), spool: spool.to_owned() };
        Ok(Self { places: Arc::new(places), sync })
    }

    /// Removes the spool files whose names begin with `prefix`: for a process that knows that
    /// their writer is dead.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub fn sweep_spool(&self, prefix: &str) -> io::Result<usize> {
        let mut swept = 0;
        for entry in fs::read_dir(&self.places.spool)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Begins to receive a file. `name` is the program's own (an id), never a user's; at most
    /// `limit_bytes` are taken.
    ///
    /// # Errors
    /// If the spool file cannot be created.
    pub fn stage(&self, name: &str, limit_bytes: u64) -> io::Result<Staging> {
        Staging::begin(&self.places.spool, name, limit_bytes)
    }

    /// Makes a received file durable and visible under its digest. When this returns, a power cut
    /// cannot take it back. Bytes that are there already are kept, not replaced.
    ///
    /// # Errors
    /// If the file system fails; then nothing is promised, and doing it again is safe.
    pub async fn publish(&self, staged: Staged) -> io::Result<Digest> {
        let digest = staged.digest;
        let root = self.places.root.clone();
        tokio::task::spawn_blocking(move || link(&root, &staged)).await.map_err(io::Error::other)??;
        let (done, synced) = oneshot::channel();
        self.sync.send(SyncRequest { digest, done }).await.map_err(io::Error::other)?;
        synced.await.map_err(io::Error::other)??;
        Ok(digest)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub async fn read(&self, digest: &Digest) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.path(digest)).await
    }

    /// Where a blob lies, whether it is there or not.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.places.root.join(relative_path(digest))
    }

    /// Free bytes on the store's file system, as far as this user may use them.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(&self.places.root)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }

    /// Whether a file can be created in the spool.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_writable(&self) -> io::Result<()> {
        tempfile::tempfile_in(&self.places.spool).map(drop)
    }
}

/// Syncs the staged file and links it into place.
fn link(root: &Path, staged: &Staged) -> io::Result<()> {
    staged.file.sync_data()?;
    let target = root.join(relative_path(&staged.digest));
    fs::create_dir_all(target.parent().unwrap_or(root))?;
    match fs::hard_link(&staged.path.0, &target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace_if_damaged(staged, &target),
        other => other,
    }
}

/// What lies under the digest already has been synced when it was put there. A length that does
/// not fit shows that something damaged it since; then the good bytes take its place.
fn replace_if_damaged(staged: &Staged, target: &Path) -> io::Result<()> {
    if fs::metadata(target)?.len() == staged.size_bytes {
        return Ok(());
    }
    tracing::error!(blob.path = %target.display(), "Replaced a damaged blob");
    fs::rename(&staged.path.0, target)
}

/// Syncs directories, each once for everything that waits.
struct Syncer {
    root: PathBuf,
    /// Directories (relative to the root) whose own entry in their parent is known to be durable.
    /// At most 65,793 of them, because the layout has no more.
    durable: BTreeSet<PathBuf>,
}

impl Syncer {
    fn run(mut self, mut requests: mpsc::Receiver<SyncRequest>) {
        while let Some(first) = requests.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(next) = requests.try_recv() {
                batch.push(next);
            }
            let result = self.sync(&batch);
            for request in batch {
                let answer = result.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()));
                // A publisher that is gone has lost interest in the answer.
                let _ = request.done.send(answer.copied());
            }
        }
    }

    /// Syncs the directory of every blob in the batch, and above it each directory whose child is
    /// not known to be durable: another publisher may have created the child a moment ago.
    fn sync(&mut self, batch: &[SyncRequest]) -> io::Result<()> {
        let mut changed = BTreeSet::new();
        let mut fresh = BTreeSet::new();
        for request in batch {
            let mut child = relative_path(&request.digest);
            while let Some(parent) = child.parent().map(Path::to_owned) {
                changed.insert(parent.clone());
                if parent.as_os_str().is_empty() || self.durable.contains(&parent) {
                    break;
                }
                fresh.insert(parent.clone());
                child = parent;
            }
        }
        changed.iter().rev().try_for_each(|path| File::open(self.root.join(path))?.sync_all())?;
        self.durable.append(&mut fresh);
        Ok(())
    }
}
