//! Reading blobs without trusting them: whether the bytes are those that were archived is known at
//! their end, in the same pass.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest as _, Sha256};

use super::key::relative_path;
use crate::domain::digest::Digest;

/// How much is read at once of a blob that is only checked.
pub const CHECK_BYTES: usize = 64 * 1024;

/// A store for whoever only reads. Creates nothing, and takes a store that is not there for one
/// without blobs. Cloned freely.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: PathBuf,
}

/// What is wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// There is no such file.
    #[error("its bytes are missing from the store")]
    Missing,
    /// There is something else in its place.
    #[error("what lies in its place in the store is no file")]
    NoFile,
    /// The file cannot be read.
    #[error("its bytes cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is shorter or longer than it was.
    #[error("there are {found} bytes in the store instead of {promised}")]
    Size {
        /// How many there should be.
        promised: u64,
        /// How many there are.
        found: u64,
    },
    /// The file is as long as it was, with other bytes in it.
    #[error("the bytes in the store are not those that were archived: their SHA-256 is {found}")]
    Bytes {
        /// The digest of what is there.
        found: Digest,
    },
}

/// A blob that is being read.
#[derive(Debug)]
pub struct CheckedBlob {
    file: File,
    sum: Sum,
    digest: Digest,
    size_bytes: u64,
}

/// Some bytes of a blob. Whether they are right is not known: that takes all of them.
#[derive(Debug)]
pub struct BlobRange {
    file: File,
    position: u64,
    left: u64,
}

/// The digest of bytes that come piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    hasher: Sha256,
    size_bytes: u64,
}

impl Blobs {
    /// The store at `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Whether there is a store at all.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.root.is_dir()
    }

    /// Begins to read a blob.
    ///
    /// # Errors
    /// If it is not there or has another size.
    pub fn open(&self, digest: Digest, size_bytes: u64) -> Result<CheckedBlob, Damage> {
        CheckedBlob::open(&self.root.join(relative_path(&digest)), digest, size_bytes)
    }
}

impl CheckedBlob {
    /// Begins to read a file that should hold these bytes.
    ///
    /// # Errors
    /// If it is not there or has another size.
    pub(super) fn open(path: &Path, digest: Digest, size_bytes: u64) -> Result<Self, Damage> {
        let metadata = fs::metadata(path).map_err(Damage::from)?;
        if !metadata.is_file() {
            return Err(Damage::NoFile);
        }
        if metadata.len() != size_bytes {
            return Err(Damage::Size { promised: size_bytes, found: metadata.len() });
        }
        Ok(Self { file: File::open(path)?, sum: Sum::default(), digest, size_bytes })
    }

    /// Reads the next bytes, at most as many as were promised; 0 only where everything came and was right.
    ///
    /// # Errors
    /// If they cannot be read, or turn out to be wrong.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Damage> {
        let left = self.size_bytes - self.sum.size_bytes;
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let into = buffer.get_mut(..wanted).unwrap_or_default();
        let count = if into.is_empty() { 0 } else { self.file.read(into)? };
        self.sum.add(into.get(..count).unwrap_or_default());
        match (count, left) {
            (0, 0) if self.sum.digest() == self.digest => Ok(0),
            (0, 0) => Err(Damage::Bytes { found: self.sum.digest() }),
            (0, _) => Err(Damage::Size { promised: self.size_bytes, found: self.sum.size_bytes }),
            (count, _) => Ok(count),
        }
    }

    /// Reads everything that is left, for whoever wants to know first whether it is right.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&mut self, buffer: &mut [u8]) -> Result<(), Damage> {
        while self.read(buffer)? > 0 {}
        Ok(())
    }

    /// The bytes from `first` on, at most so many.
    #[must_use]
    pub fn into_range(self, first: u64, length: u64) -> BlobRange {
        BlobRange { file: self.file, position: first, left: length.min(self.size_bytes.saturating_sub(first)) }
    }

    /// All bytes as the input of another process, which may also seek in it.
    ///
    /// # Errors
    /// If there is no way back to the first byte.
    pub fn into_input(mut self) -> io::Result<Stdio> {
        self.file.rewind()?;
        Ok(self.file.into())
    }

    /// The file itself.
    pub(super) fn into_file(self) -> File {
        self.file
    }
}

impl Read for BlobRange {
    /// A blob that has become shorter since it was opened is an error, never an end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let into = buffer.get_mut(..wanted).unwrap_or_default();
        let count = if into.is_empty() { 0 } else { self.file.read_at(into, self.position)? };
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Sum {
    /// Adds the next bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }

    /// The digest of what was added.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.hasher.clone().finalize()))
    }
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path, digest: Digest, size_bytes: u64) -> Result<(), Damage> {
        CheckedBlob::open(path, digest, size_bytes)?.check(&mut [0; 3])
    }

    #[test]
    fn bytes_that_are_not_the_promised_ones_are_told_at_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blob");
        let mut sum = Sum::default();
        sum.add(b"0123456789");
        assert!(matches!(read(&path, sum.digest(), 10), Err(Damage::Missing)));
        fs::write(&path, "0123456789").unwrap();
        assert!(read(&path, sum.digest(), 10).is_ok());
        assert!(matches!(read(&path, sum.digest(), 11), Err(Damage::Size { promised: 11, found: 10 })));
        fs::write(&path, "0123456780").unwrap();
        assert!(matches!(read(&path, sum.digest(), 10), Err(Damage::Bytes { .. })));
        assert!(matches!(read(directory.path(), sum.digest(), 10), Err(Damage::NoFile)));
    }
    #[test]
    fn a_range_ends_with_the_blob_and_breaks_where_that_became_shorter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blob");
        fs::write(&path, "0123456789").unwrap();
        let open = || CheckedBlob::open(&path, Sum::default().digest(), 10).unwrap();
        let text = |mut range: BlobRange| {
            let mut text = String::new();
            range.read_to_string(&mut text).map(|_| text)
        };
        assert_eq!(text(open().into_range(2, 3)).unwrap(), "234");
        assert_eq!(text(open().into_range(8, 30)).unwrap(), "89");
        assert_eq!(text(open().into_range(10, 1)).unwrap(), "");
        let range = open().into_range(2, 8);
        fs::write(&path, "01234").unwrap();
        assert_eq!(text(range).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
