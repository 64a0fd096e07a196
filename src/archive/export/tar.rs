//! An export as a tar: written from the first byte to the last, for files and pipes.

use std::io::{self, Write};

use tar::{Builder, Header};

use super::package::{Entry, Package, Put, Source, buffer, fill, pass};

/// Everything in a tar is a multiple of this.
const BLOCK_BYTES: usize = 512;
/// The longest path that the oldest form of a header takes.
const PLAIN_PATH_BYTES: usize = 100;
/// Anybody may read what is unpacked.
const MODE: u32 = 0o644;

/// A tar that is being written. Paths that are not plain ASCII are said in PAX headers, whose
/// encoding no system has to guess.
pub struct Tar<W: Write> {
    builder: Builder<W>,
    buffer: Vec<u8>,
    entries: u64,
}

impl<W: Write> Tar<W> {
    /// An empty tar.
    pub fn new(out: W) -> Self {
        Self { builder: Builder::new(out), buffer: buffer(), entries: 0 }
    }

    fn begin(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.entries += 1;
        let mut header = Header::new_ustar();
        if entry.path.is_ascii() && entry.path.len() <= PLAIN_PATH_BYTES {
            header.set_path(entry.path)?;
        } else {
            self.builder.append_pax_extensions([("path", entry.path.as_bytes())])?;
            // What a program that knows no PAX would unpack.
            header.set_path(format!("files/{:012}", self.entries))?;
        }
        header.set_size(entry.size_bytes);
        header.set_mode(MODE);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(entry.modified.unix_ms() / 1000).unwrap_or(0));
        header.set_cksum();
        self.builder.get_mut().write_all(header.as_bytes())
    }
}

impl<W: Write + Send + 'static> Package for Tar<W> {
    fn put(&mut self, entry: &Entry<'_>, source: &mut dyn Source) -> io::Result<Put> {
        let filled = match fill(source, &mut self.buffer) {
            Ok(filled) => filled,
            Err(damage) => return Ok(Put::Omitted(damage)),
        };
        self.begin(entry)?;
        let mut out = Counted { out: self.builder.get_mut(), bytes: 0 };
        out.write_all(self.buffer.get(..filled).unwrap_or_default())?;
        let passed =
            if filled < self.buffer.len() { Ok(()) } else { pass(source, &mut out, &mut self.buffer, |_| ())? };
        let missing = entry.size_bytes.saturating_sub(out.bytes);
        let padding = (BLOCK_BYTES as u64 - entry.size_bytes % BLOCK_BYTES as u64) % BLOCK_BYTES as u64;
        io::copy(&mut io::Read::take(io::repeat(0), missing + padding), self.builder.get_mut())?;
        Ok(passed.map_or_else(Put::Spoilt, |()| Put::Whole))
    }

    fn close(&mut self) -> io::Result<()> {
        self.builder.finish()?;
        self.builder.get_mut().flush()
    }
}

/// A writer that knows how much went through it.
pub(super) struct Counted<W> {
    pub(super) out: W,
    pub(super) bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
