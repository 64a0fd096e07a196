//! The store: complete blobs under their digests, on a local file system.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::checked::{Blobs, CHECK_BYTES, CheckedBlob, Damage};
use super::key::relative_path;
use super::partial::{self, Kept, Partial};
use super::spool::{self, Staged, Staging};
use crate::blocking::BlockingShare;
use crate::domain::digest::Digest;

/// How much is written to see whether anything can be: a block of most file systems.
const PROBE_BYTES: usize = 4096;
/// The name that moving a file is tried out under when a store is opened.
const PROBE: &str = ".probe";

/// Publishers at once: enough for a file system to commit much together, and few enough to leave threads to others
/// on a disk that takes a second for each sync.
static PUBLISHERS: BlockingShare = BlockingShare::of(64);
/// Files that are read again at once, to go on with them.
static RESUMERS: BlockingShare = BlockingShare::of(16);

/// A local store. Cloned freely.
#[derive(Debug, Clone)]
pub struct Store {
    places: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    root: PathBuf,
    spool: PathBuf,
    /// Directories (relative to the root) whose own entry in their parent is known to be durable.
    /// At most 65,793 of them, because the layout has no more.
    durable: Mutex<HashSet<PathBuf>>,
    /// The files of which a part is kept in the spool.
    kept: Kept,
}

impl Store {
    /// Opens the store at `root` with its spool at `spool` on the same file system, creating both,
    /// and removes what dead processes have left in the spool.
    ///
    /// # Errors
    /// If a directory cannot be created or written, or the two cannot share a file.
    pub fn open(root: &Path, spool: &Path) -> io::Result<Self> {
        make_private_directory(root)?;
        make_private_directory(spool)?;
        try_placing(root, spool)?;
        sweep(spool)?;
        let kept = Kept::find(spool)?;
        let places = Places { root: root.to_owned(), spool: spool.to_owned(), durable: Mutex::default(), kept };
        Ok(Self { places: Arc::new(places) })
    }

    /// Removes what dead processes have left in the spool, and parts of files that nobody has gone
    /// on with for long.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub async fn sweep(&self) -> io::Result<()> {
        let spool = self.places.spool.clone();
        tokio::task::spawn_blocking(move || sweep(&spool)).await.map_err(io::Error::other)?
    }

    /// Begins to receive a file. `prefix` begins its name in the spool and is the program's own, never a
    /// user's words; at most `limit_bytes` are taken.
    ///
    /// # Errors
    /// If the spool file cannot be created.
    pub fn stage(&self, prefix: &str, limit_bytes: u64) -> io::Result<Staging> {
        Staging::begin(&self.places.spool, prefix, limit_bytes)
    }

    /// Begins to receive a file of `total_bytes` of which much may be kept if it does not come
    /// whole. `identity` says which file it is, in whatever words.
    ///
    /// # Errors
    /// If the spool file cannot be created.
    pub fn stage_partial(
        &self,
        prefix: &str,
        (identity, total_bytes): (&str, u64),
        limit_bytes: u64,
    ) -> io::Result<Staging> {
        let staging = self.stage(prefix, limit_bytes)?;
        Ok(Staging { partial: Some(Partial::new(identity, total_bytes, &self.places.kept)), ..staging })
    }

    /// Goes on with what is kept of a file, if anything is and its bytes are what they were.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub async fn resume(&self, identity: &str, limit_bytes: u64) -> io::Result<Option<Staging>> {
        if !self.places.kept.may_have(identity) {
            return Ok(None);
        }
        let (places, identity) = (self.places.clone(), identity.to_owned());
        let resuming = move || partial::resume(&places.spool, &places.kept, &identity, limit_bytes);
        RESUMERS.run(resuming).await?
    }

    /// Removes what is kept of a file that nobody will go on with, unless somebody does.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub fn forget(&self, identity: &str) -> io::Result<()> {
        if !self.places.kept.may_have(identity) {
            return Ok(());
        }
        partial::forget(&self.places.spool, identity)
    }

    /// Makes a received file durable and visible under its digest. When this returns, a power cut
    /// cannot take it back. Bytes that are there already are kept if they are the same, else replaced.
    ///
    /// # Errors
    /// If the file system fails; then nothing is promised, and doing it again is safe.
    pub async fn publish(&self, staged: Staged) -> io::Result<Digest> {
        let places = self.places.clone();
        PUBLISHERS.run(move || places.publish(staged)).await?
    }

    /// Whether a blob is there as it should be, whoever put it there. Then it is as durable as one that was
    /// published.
    ///
    /// # Errors
    /// If the file system fails.
    pub async fn confirm(&self, digest: Digest, size_bytes: u64) -> io::Result<bool> {
        let places = self.places.clone();
        PUBLISHERS.run(move || places.confirm(&digest, size_bytes)).await?
    }

    /// Where people find a blob, in words.
    #[must_use]
    pub fn location(&self, digest: &Digest) -> String {
        self.places.root.join(relative_path(digest)).display().to_string()
    }

    /// The store for whoever checks what is read.
    #[must_use]
    pub fn checked(&self) -> Blobs {
        Blobs::at(&self.places.root)
    }

    /// Whether a file can be written in the spool.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check_writable(&self) -> io::Result<()> {
        tempfile::tempfile_in(&self.places.spool)?.write_all(&[0; PROBE_BYTES])
    }
}

impl Places {
    /// Syncs the staged file, moves it into place, and syncs what that changed.
    ///
    /// Publishers do this side by side: a file system commits what is asked of it at the same time
    /// together, while one thread that syncs for all of them asks for one thing after the other.
    fn publish(&self, mut staged: Staged) -> io::Result<Digest> {
        staged.file.sync_data()?;
        let relative = relative_path(&staged.digest);
        let target = self.root.join(&relative);
        match self.place(&staged.path.path, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace_if_damaged(&staged, &target)?,
            Err(error) => return Err(error),
            Ok(Placed::Moved) => staged.path.kept = true,
            Ok(Placed::Linked) => {}
        }
        self.sync_above(&relative)?;
        Ok(staged.digest)
    }

    fn confirm(&self, digest: &Digest, size_bytes: u64) -> io::Result<bool> {
        let relative = relative_path(digest);
        let Ok(file) = whole(&self.root.join(&relative), *digest, size_bytes) else { return Ok(false) };
        file.sync_all()?;
        self.sync_above(&relative)?;
        Ok(true)
    }

    /// Puts a file in its place; mostly the directory is there already.
    fn place(&self, file: &Path, target: &Path) -> io::Result<Placed> {
        match move_or_link(file, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_private(target.parent().unwrap_or(&self.root))?;
                move_or_link(file, target)
            }
            other => other,
        }
    }

    /// Syncs the directory of a blob, and above it each directory whose child is not known to be
    /// durable: another publisher may have created the child a moment ago.
    fn sync_above(&self, blob: &Path) -> io::Result<()> {
        let mut synced = Vec::new();
        for directory in blob.ancestors().skip(1) {
            File::open(self.root.join(directory))?.sync_all()?;
            if self.durable().contains(directory) {
                break;
            }
            synced.push(directory.to_owned());
        }
        self.durable().extend(synced);
        Ok(())
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        // Nothing panics under this lock; if it did, the set would still hold only what is true.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(spool: &Path) -> io::Result<()> {
    let swept = spool::sweep(spool)?;
    if swept > 0 {
        tracing::info!(swept, "Removed spool files that nobody will go on with");
    }
    Ok(())
}

/// What lies under the digest already is kept if it is what it should be. If something damaged it
/// since it was put there, or it cannot be read, the good bytes take its place.
fn replace_if_damaged(staged: &Staged, target: &Path) -> io::Result<()> {
    let Err(damage) = whole(target, staged.digest, staged.size_bytes) else { return Ok(()) };
    tracing::error!(blob.path = %target.display(), %damage, "Replaced a damaged blob");
    fs::rename(&staged.path.path, target)
}

/// A file that holds these bytes.
fn whole(path: &Path, digest: Digest, size_bytes: u64) -> Result<File, Damage> {
    let mut blob = CheckedBlob::open(path, digest, size_bytes)?;
    blob.check(&mut vec![0; CHECK_BYTES])?;
    Ok(blob.into_file())
}

/// Creates a directory for its owner alone, with everything above it, and makes their entries durable. One
/// that is there already stays as its owner wants it.
///
/// # Errors
/// If it cannot be created or synced.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> =
        path.ancestors().take_while(|ancestor| !ancestor.exists()).map(Path::to_owned).collect();
    create_private(path)?;
    for created in missing {
        if let Some(parent) = created.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

/// Creates a directory for its owner alone, and what is missing above it.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How a file came to its place.
enum Placed {
    /// It is no longer where it was.
    Moved,
    /// It is in both places.
    Linked,
}

/// Puts a file in another place without overwriting what is there. Where the file system cannot move a file
/// like that, it is linked.
fn move_or_link(file: &Path, target: &Path) -> io::Result<Placed> {
    match renameat_with(CWD, file, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Placed::Moved),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::hard_link(file, target).map(|()| Placed::Linked),
        Err(error) => Err(error.into()),
    }
}

/// Publishing moves a file from the spool into the store: whether that works is better known before the
/// first download than after it.
fn try_placing(root: &Path, spool: &Path) -> io::Result<()> {
    let mut probe = Staging::begin(spool, "probe", 0)?.finish();
    let target = root.join(PROBE);
    // Somebody who opens the store at this moment may make, find and remove the probe as well.
    let removed = || match fs::remove_file(&target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    removed()?;
    match move_or_link(&probe.path.path, &target) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let (from, to) = (spool.display(), root.display());
            let message = format!("files in {from} can be neither moved nor linked into {to}: {error}");
            return Err(io::Error::new(error.kind(), message));
        }
        Ok(Placed::Moved) => probe.path.kept = true,
        _ => {}
    }
    removed()
}
