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
use crate::catalogue::{Catalogue, CatalogueError, damaged};
use crate::domain::digest::Digest;
use crate::domain::reason::ReasonCode;

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
    pub fn new(catalogue: Catalogue, blobs: Blobs, due: watch::Sender<()>) -> Self {
        Self { catalogue: Writable::Open(catalogue), blobs, due }
    }

    /// One for whoever only reads: it opens the catalogue at `path` for writing when there is damage to write
    /// down. Who serves the catalogue finds what is due there.
    #[must_use]
    pub fn beside(path: PathBuf, blobs: Blobs) -> Self {
        Self { catalogue: Writable::At(path), blobs, due: watch::Sender::new(()) }
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
        let Err(damage) = looked else { return Ok(Finding::Sound) };
        let Some(reason) = self.reason(&damage) else {
            tracing::error!(blob.sha256 = %digest, %damage, "Cannot read a blob");
            return Ok(Finding::Unreadable);
        };
        let resources = self.catalogue.requeue(&digest, reason).await?;
        if resources > 0 {
            tracing::error!(blob.sha256 = %digest, resources, %damage, "A blob is damaged and will be fetched again");
            self.due.send_replace(());
        }
        Ok(Finding::Damaged)
    }

    /// What is wrong with a blob, if it is the blob that something is wrong with.
    fn reason(&self, damage: &Damage) -> Option<ReasonCode> {
        match damage {
            // Without the store itself nothing can be said about what is in it.
            Damage::Missing => self.blobs.is_there().then_some(ReasonCode::BlobMissing),
            Damage::Size { .. } | Damage::Bytes { .. } | Damage::NoFile => Some(ReasonCode::BlobCorrupt),
            Damage::Unreadable(error) => is_lost(error).then_some(ReasonCode::BlobCorrupt),
        }
    }
}

impl Writable {
    async fn requeue(&self, digest: &Digest, reason: ReasonCode) -> Result<u64, CatalogueError> {
        match self {
            Self::Open(catalogue) => damaged::requeue(catalogue, digest, reason).await,
            Self::At(path) => {
                let catalogue = Catalogue::open_existing(path).await?;
                let requeued = damaged::requeue(&catalogue, digest, reason).await;
                catalogue.close().await;
                requeued
            }
        }
    }
}

/// Whether the medium no longer gives the bytes, as opposed to a limit or a permission that is in the way.
fn is_lost(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}
