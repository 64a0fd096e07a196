//! What an export can be put into, and the bytes that go in.

use std::io::{self, Write};

use crate::blob::checked::{CheckedBlob, Damage};
use crate::domain::digest::Digest;
use crate::domain::time::Timestamp;

/// How much is read at once. What is smaller is known to be right before any of it is written.
pub(super) const BUFFER_BYTES: usize = 1 << 20;

/// A file of an export.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its path, with `/` between names that every system takes.
    pub path: &'a str,
    /// How long it is.
    pub size_bytes: u64,
    /// Its digest, where that is known before.
    pub digest: Option<Digest>,
    /// When it was last changed.
    pub modified: Timestamp,
}

/// Where the bytes of an entry come from.
pub trait Source {
    /// Puts the next bytes into the buffer; 0 only where everything came and was right.
    ///
    /// # Errors
    /// If they cannot be had, or turn out to be wrong.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Damage>;
}

/// What became of an entry.
#[derive(Debug)]
pub enum Put {
    /// It is in the package.
    Whole,
    /// It was there already, with the right bytes.
    Kept,
    /// It is not in the package, because its bytes are damaged.
    Omitted(Damage),
    /// It is not in the package, because there can be no file of its name.
    Refused(io::Error),
    /// It had been begun when its bytes turned out to be damaged, and what was sent cannot be
    /// taken back: an entry of the right length with wrong bytes.
    Spoilt(Damage),
}

/// Something that files are put into, one after the other.
pub trait Package: Send + 'static {
    /// Puts a file in.
    ///
    /// # Errors
    /// If nothing can be written. That the source is damaged or the name refused is no error.
    fn put(&mut self, entry: &Entry<'_>, source: &mut dyn Source) -> io::Result<Put>;

    /// Takes note that a folder is complete. Of what lies there, `belongs` tells what was put there.
    ///
    /// # Errors
    /// If the folder cannot be read or changed.
    fn complete(&mut self, _folder: &str, _belongs: &dyn Fn(&str) -> bool) -> io::Result<()> {
        Ok(())
    }

    /// Writes what belongs behind the last file.
    ///
    /// # Errors
    /// If it cannot be written.
    fn close(&mut self) -> io::Result<()>;
}

impl Source for CheckedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Damage> {
        CheckedBlob::read(self, buffer)
    }
}

/// Bytes that are made here.
pub(super) struct Made<R>(pub(super) R);

impl<R: io::Read> Source for Made<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Damage> {
        Ok(self.0.read(buffer)?)
    }
}

/// A buffer of the usual size.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; BUFFER_BYTES]
}

/// Fills the buffer as far as there are bytes. Less than a buffer full is everything, and right.
pub(super) fn fill(source: &mut dyn Source, buffer: &mut [u8]) -> Result<usize, Damage> {
    let mut filled = 0;
    loop {
        match source.read(buffer.get_mut(filled..).unwrap_or_default())? {
            0 => return Ok(filled),
            count => filled += count,
        }
        if filled == buffer.len() {
            return Ok(filled);
        }
    }
}

/// Passes on what is left of a source. What is told in the end is what is wrong with it.
pub(super) fn pass(
    source: &mut dyn Source,
    out: &mut dyn Write,
    buffer: &mut [u8],
    mut seen: impl FnMut(&[u8]),
) -> io::Result<Result<(), Damage>> {
    loop {
        match source.read(buffer) {
            Ok(0) => return Ok(Ok(())),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                seen(bytes);
                out.write_all(bytes)?;
            }
            Err(damage) => return Ok(Err(damage)),
        }
    }
}
