//! Blobs under their digests.

use std::io;
use std::path::PathBuf;

use crate::domain::digest::Digest;

/// The blob store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A store below `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where the bytes with this digest are.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join("sha256").join(&name[..2]).join(&name[2..4]).join(name)
    }

    /// Opens the bytes with this digest for reading.
    ///
    /// # Errors
    /// If they are not there or cannot be read.
    pub async fn open(&self, digest: &Digest) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.path(digest)).await
    }
}
