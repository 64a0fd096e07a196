//! Damage: bytes that somebody finds missing or wrong are promised no longer, and fetched again.
//!
//! Whoever reads a blob may come upon it: a download, a page, a thumbnail, an export. Before the catalogue is
//! changed the blob is read once more as a whole, so that no passing fault, and nothing that was mended
//! meanwhile, is taken for damage.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use tokio::sync::watch;

use crate::blob::checked::{Blobs, CHECK_BYTES, Damage};
use crate::blocking::BlockingShare;
use crate::catalogue::custody::{self, Loss};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::digest::Digest;
use crate::domain::time::Timestamp;

/// Blobs that are looked at at once: each is read as a whole, and there may be many in a store that was harmed.
static EXAMINERS: BlockingShare = BlockingShare::of(4);

/// What a closer look at a blob has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Sound,
    /// It is missing or wrong: what promised its bytes is due.
    Damaged,
    /// It cannot be said, because nothing can be read: the store is away, or closed to this program.
    Unreadable,
}

/// Looks closer at blobs and writes down what is wrong with them. Cloned freely.
#[derive(Debug, Clone)]
pub struct Examiner {
    catalogue: Writable,
    blobs: Blobs,
    clock: Clock,
    /// Told when something has become due.
    due: watch::Sender<()>,
}

/// A catalogue that can be written, now or when it is needed.
#[derive(Debug, Clone)]
enum Writable {
    Open(Catalogue),
    At(PathBuf),
}

impl Examiner {
    /// One that looks at these blobs and tells `due` what has become due.
    #[must_use]
    pub fn new(catalogue: Catalogue, blobs: Blobs, clock: Clock, due: watch::Sender<()>) -> Self {
        Self { catalogue: Writable::Open(catalogue), blobs, clock, due }
    }

    /// One for whoever only reads: it opens the catalogue at `path` for writing when there is damage to write
    /// down. Who serves the catalogue finds what is due there.
    #[must_use]
    pub fn beside(path: PathBuf, blobs: Blobs) -> Self {
        Self { catalogue: Writable::At(path), blobs, clock: Clock::system(), due: watch::Sender::new(()) }
    }

    /// The blobs that it looks at.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Looks closer at a blob that somebody could not read, or not whole. If it is damaged, every resource that
    /// points to it is due when this returns.
    ///
    /// # Errors
    /// If the catalogue cannot be written.
    pub async fn examine(&self, digest: Digest, size_bytes: u64) -> Result<Finding, CatalogueError> {
        let blobs = self.blobs.clone();
        let look = move || blobs.open(digest, size_bytes)?.check(&mut vec![0; CHECK_BYTES]);
        let looked = EXAMINERS.run(look).await.map_err(|_| CatalogueError::Interrupted)?;
        let now = self.clock.now();
        let Err(damage) = looked else {
            self.catalogue.note_verified(&digest, now).await?;
            return Ok(Finding::Sound);
        };
        let Some(loss) = self.loss(&damage) else {
            tracing::error!(blob.sha256 = %digest, %damage, "Cannot read a blob");
            return Ok(Finding::Unreadable);
        };
        let resources = self.catalogue.lose(&digest, loss, now).await?;
        if resources > 0 {
            tracing::error!(blob.sha256 = %digest, resources, %damage, "A blob is damaged and will be fetched again");
            self.due.send_replace(());
        }
        Ok(Finding::Damaged)
    }

    /// What is wrong with a blob, if it is the blob that something is wrong with.
    fn loss(&self, damage: &Damage) -> Option<Loss> {
        match damage {
            // Without the store itself nothing can be said about what is in it.
            Damage::Missing => self.blobs.is_there().then_some(Loss::Missing),
            Damage::Size { .. } | Damage::Bytes { .. } | Damage::NoFile => Some(Loss::Corrupt),
            Damage::Unreadable(error) => is_lost(error).then_some(Loss::Corrupt),
        }
    }
}

impl Writable {
    async fn lose(&self, digest: &Digest, loss: Loss, now: Timestamp) -> Result<u64, CatalogueError> {
        match self {
            Self::Open(catalogue) => custody::lose(catalogue, digest, loss, now).await,
            Self::At(path) => {
                let catalogue = Catalogue::open_existing(path).await?;
                let lost = custody::lose(&catalogue, digest, loss, now).await;
                catalogue.close().await;
                lost
            }
        }
    }

    /// Only where the catalogue is open for writing: it is opened for damage alone.
    async fn note_verified(&self, digest: &Digest, now: Timestamp) -> Result<(), CatalogueError> {
        match self {
            Self::Open(catalogue) => custody::note_verified(catalogue, digest, now).await,
            Self::At(_) => Ok(()),
        }
    }
}

/// Whether the medium no longer gives the bytes, as opposed to a limit or a permission that is in the way.
fn is_lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}
