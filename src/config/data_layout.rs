//! Where everything lies on disk.

use std::path::{Path, PathBuf};

use crate::catalogue;

/// The files and directories of one archive. Nothing is created here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLayout {
    /// The data directory.
    pub directory: PathBuf,
    /// The catalogue's file.
    pub catalogue: PathBuf,
    /// The blobs.
    pub store: PathBuf,
    /// Downloads under way; always on the store's file system, because publishing is a link.
    pub spool: PathBuf,
    /// Thumbnails: a cache, which may be deleted at any time.
    pub thumbnails: PathBuf,
}

impl DataLayout {
    /// The layout with the store inside the data directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            catalogue: directory.join(catalogue::FILE_NAME),
            store: directory.join("blobs"),
            spool: directory.join("spool"),
            thumbnails: directory.join("thumbnails"),
        }
    }

    /// The same with the store at `store`. Named explicitly, the usual place is still the usual
    /// layout; a store elsewhere has the spool inside it.
    #[must_use]
    pub fn with_store(self, store: PathBuf) -> Self {
        if store == self.store {
            return self;
        }
        Self { spool: store.join(".spool"), store, ..self }
    }
}
