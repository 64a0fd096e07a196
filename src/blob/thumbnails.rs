//! Thumbnails on disk: small pictures under the digest of what they were made of.
//!
//! A cache beside the store and no part of its promise: nothing is synced, and whoever deletes the
//! directory loses nothing but the time to make them again. What cannot be made has a mark in its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::NamedTempFile;

use super::key::thumbnail_path;
use super::store::{create_private, make_private_directory};
use crate::domain::digest::Digest;

/// Where thumbnails are while they are being made; emptied when the cache is opened.
const DRAFTS: &str = "drafts";
/// Which blobs were seen to.
const PROGRESS: &str = "progress";
/// What the name of a mark ends in.
const MARK: &str = "none";

/// The cache. Cloned freely.
#[derive(Debug, Clone)]
pub struct Thumbnails {
    root: PathBuf,
}

/// A thumbnail that is being made. Dropping it removes it.
#[derive(Debug)]
pub struct Draft(NamedTempFile);

impl Draft {
    /// Its file as the output of the process that makes it.
    ///
    /// # Errors
    /// If the system has no more files to give.
    pub fn output(&self) -> io::Result<Stdio> {
        Ok(self.0.as_file().try_clone()?.into())
    }
}

impl Thumbnails {
    /// Opens the cache in this directory, creates it if there is none, and removes the drafts that a
    /// dead process has left.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn open(root: &Path) -> io::Result<Self> {
        make_private_directory(root)?;
        match fs::remove_dir_all(root.join(DRAFTS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The thumbnail of a blob, if it is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        found(fs::read(self.path(digest)))
    }

    /// Whether the thumbnail of a blob is there.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// What [`Self::mark`] wrote about a blob, if it did.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn marked(&self, digest: &Digest) -> io::Result<Option<String>> {
        found(fs::read_to_string(self.path(digest).with_extension(MARK)))
    }

    /// Begins a thumbnail.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn draft(&self) -> io::Result<Draft> {
        let directory = self.root.join(DRAFTS);
        create_private(&directory)?;
        NamedTempFile::new_in(directory).map(Draft)
    }

    /// Puts a finished thumbnail in its place.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn keep(&self, digest: &Digest, draft: Draft) -> io::Result<()> {
        self.put(&self.path(digest), draft)
    }

    /// Writes down about a blob why it has no thumbnail.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn mark(&self, digest: &Digest, why: &str) -> io::Result<()> {
        self.put_text(&self.path(digest).with_extension(MARK), why)
    }

    /// What was last said by [`Self::set_progress`] in this directory.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn progress(&self) -> io::Result<Option<String>> {
        found(fs::read_to_string(self.root.join(PROGRESS)))
    }

    /// Writes down which blobs were seen to. It lies in the directory, so that it goes with it.
    ///
    /// # Errors
    /// If the file system fails.
    pub fn set_progress(&self, progress: &str) -> io::Result<()> {
        self.put_text(&self.root.join(PROGRESS), progress)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(thumbnail_path(digest))
    }

    fn put_text(&self, path: &Path, text: &str) -> io::Result<()> {
        let draft = self.draft()?;
        fs::write(draft.0.path(), text)?;
        self.put(path, draft)
    }

    fn put(&self, path: &Path, draft: Draft) -> io::Result<()> {
        create_private(path.parent().unwrap_or(&self.root))?;
        draft.0.persist(path)?;
        Ok(())
    }
}

/// What is not there is no error.
fn found<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
