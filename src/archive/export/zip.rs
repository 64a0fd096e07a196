//! An export as a ZIP: stored, not deflated, because media are deflated already; ZIP64 where the old
//! form has no room. The list of what is in it stands at its end, and waits in a file until then,
//! so that memory stays the same however many files there are.
//!
//! The form is that of PKWARE's APPNOTE 6.3.10.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::Path;

use crc32fast::Hasher;
use jiff::tz::Offset;

use super::package::{Entry, Package, Put, Source, buffer, fill, pass};
use super::tar::Counted;
use crate::domain::time::Timestamp;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

/// Names are UTF-8.
const UTF8: u16 = 1 << 11;
/// Checksum and sizes stand behind the bytes.
const DESCRIBED_AFTER: u16 = 1 << 3;
/// What a reader has to know: version 2.0, or 4.5 where there is ZIP64.
const PLAIN_VERSION: u16 = 20;
const ZIP64_VERSION: u16 = 45;
/// The method without compression.
const STORED: u16 = 0;
/// Made on Unix, so that the mode below means something.
const MADE_BY: u16 = (3 << 8) | ZIP64_VERSION;
/// An ordinary file that anybody may read.
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// What says "look into the ZIP64 field" where the old form has no room.
const SEE_ZIP64: u32 = u32::MAX;
const ZIP64_FIELD: u16 = 0x0001;
const UNIX_TIME_FIELD: u16 = 0x5455;
/// The first moment that the old form can tell.
const DOS_EPOCH: (u16, u16) = (0, (1 << 5) | 1);

/// A ZIP that is being written, from its first byte to its last.
pub struct Zip<W: Write> {
    out: Counted<W>,
    /// The list of what is in it.
    central: Counted<BufWriter<File>>,
    entries: u64,
    buffer: Vec<u8>,
}

/// What is told of an entry twice: before its bytes and in the list.
struct Told<'a> {
    entry: &'a Entry<'a>,
    flags: u16,
    crc: u32,
    offset: u64,
}

impl<W: Write> Zip<W> {
    /// An empty ZIP, whose list waits in a temporary file in `spool`.
    ///
    /// # Errors
    /// If there can be no such file.
    pub fn new(out: W, spool: &Path) -> io::Result<Self> {
        let central = Counted { out: BufWriter::new(tempfile::tempfile_in(spool)?), bytes: 0 };
        Ok(Self { out: Counted { out, bytes: 0 }, central, entries: 0, buffer: buffer() })
    }

    /// Everything is in the buffer, and right: it can be told before the bytes.
    fn put_small(&mut self, entry: &Entry<'_>, filled: usize) -> io::Result<Put> {
        let bytes = self.buffer.get(..filled).unwrap_or_default();
        let told = Told { entry, flags: UTF8, crc: crc32fast::hash(bytes), offset: self.out.bytes };
        self.out.write_all(&told.local_header())?;
        self.out.write_all(bytes)?;
        self.list(&told)
    }

    /// What is in the buffer is only the beginning: what it is, is told behind the bytes.
    fn put_large(&mut self, entry: &Entry<'_>, source: &mut dyn Source) -> io::Result<Put> {
        let mut told = Told { entry, flags: UTF8 | DESCRIBED_AFTER, crc: 0, offset: self.out.bytes };
        self.out.write_all(&told.local_header())?;
        let mut crc = Hasher::new();
        crc.update(&self.buffer);
        self.out.write_all(&self.buffer)?;
        if let Err(damage) = pass(source, &mut self.out, &mut self.buffer, |bytes| crc.update(bytes))? {
            // What is not in the list is not in the package, whatever lies in between.
            return Ok(Put::Omitted(damage));
        }
        told.crc = crc.finalize();
        self.out.write_all(&told.descriptor())?;
        self.list(&told)
    }

    fn list(&mut self, told: &Told<'_>) -> io::Result<Put> {
        self.entries += 1;
        self.central.write_all(&told.central_header())?;
        Ok(Put::Whole)
    }
}

impl<W: Write + Send + 'static> Package for Zip<W> {
    fn put(&mut self, entry: &Entry<'_>, source: &mut dyn Source) -> io::Result<Put> {
        match fill(source, &mut self.buffer) {
            Err(damage) => Ok(Put::Omitted(damage)),
            Ok(filled) if filled < self.buffer.len() => self.put_small(entry, filled),
            Ok(_) => self.put_large(entry, source),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        let (offset, size) = (self.out.bytes, self.central.bytes);
        self.central.flush()?;
        let mut central = self.central.out.get_ref();
        central.rewind()?;
        io::copy(&mut central, &mut self.out)?;
        let end = end(self.entries, size, offset, self.out.bytes);
        self.out.write_all(&end)?;
        self.out.flush()
    }
}

impl Told<'_> {
    fn is_described_after(&self) -> bool {
        self.flags & DESCRIBED_AFTER != 0
    }

    fn is_large(&self) -> bool {
        self.entry.size_bytes >= u64::from(SEE_ZIP64)
    }

    fn local_header(&self) -> Vec<u8> {
        let size = if self.is_described_after() { 0 } else { self.entry.size_bytes };
        let mut zip64 = Vec::new();
        if self.is_large() {
            zip64 = field(ZIP64_FIELD, &[size.to_le_bytes(), size.to_le_bytes()].concat());
        }
        let extra = [zip64, self.unix_time()].concat();
        let mut header = Vec::new();
        put32(&mut header, [LOCAL_HEADER]);
        self.put_common(&mut header, if self.is_large() { SEE_ZIP64 } else { narrow(size) }, extra.len());
        header.extend(self.entry.path.as_bytes());
        header.extend(extra);
        header
    }

    fn descriptor(&self) -> Vec<u8> {
        let mut descriptor = Vec::new();
        put32(&mut descriptor, [DESCRIPTOR, self.crc]);
        // The size as it lies here, and the size of the file.
        if self.is_large() {
            put64(&mut descriptor, [self.entry.size_bytes; 2]);
        } else {
            put32(&mut descriptor, [narrow(self.entry.size_bytes); 2]);
        }
        descriptor
    }

    fn central_header(&self) -> Vec<u8> {
        let mut wide = Vec::new();
        if self.is_large() {
            put64(&mut wide, [self.entry.size_bytes; 2]);
        }
        if narrow(self.offset) == SEE_ZIP64 {
            put64(&mut wide, [self.offset]);
        }
        let zip64 = if wide.is_empty() { wide } else { field(ZIP64_FIELD, &wide) };
        let extra = [zip64, self.unix_time()].concat();
        let mut header = Vec::new();
        put32(&mut header, [CENTRAL_HEADER]);
        put16(&mut header, [MADE_BY]);
        self.put_common(&mut header, narrow(self.entry.size_bytes), extra.len());
        // No comment, the first disk, no attributes of a text.
        put16(&mut header, [0, 0, 0]);
        put32(&mut header, [ATTRIBUTES, narrow(self.offset)]);
        header.extend(self.entry.path.as_bytes());
        header.extend(extra);
        header
    }

    fn put_common(&self, header: &mut Vec<u8>, size: u32, extra_bytes: usize) {
        let is_wide = self.is_large() || narrow(self.offset) == SEE_ZIP64;
        let (time, date) = dos_time(self.entry.modified);
        let version = if is_wide { ZIP64_VERSION } else { PLAIN_VERSION };
        put16(header, [version, self.flags, STORED, time, date]);
        put32(header, [self.crc, size, size]);
        put16(header, [self.entry.path.len(), extra_bytes].map(|length| u16::try_from(length).unwrap_or(u16::MAX)));
    }

    /// The time to the second and in UTC, which the old form cannot tell.
    fn unix_time(&self) -> Vec<u8> {
        const MODIFIED: u8 = 1;
        let seconds = i32::try_from(self.entry.modified.unix_ms().div_euclid(1000));
        seconds.map_or_else(
            |_| Vec::new(),
            |seconds| field(UNIX_TIME_FIELD, &[&[MODIFIED], &seconds.to_le_bytes()[..]].concat()),
        )
    }
}

/// What stands behind the list of `entries` files, which has `size` bytes and begins at `offset`.
fn end(entries: u64, size: u64, offset: u64, here: u64) -> Vec<u8> {
    const ZIP64_END_BYTES: u64 = 44;
    let few = u16::try_from(entries).unwrap_or(u16::MAX);
    let mut end = Vec::new();
    if few == u16::MAX || narrow(size) == SEE_ZIP64 || narrow(offset) == SEE_ZIP64 {
        put32(&mut end, [ZIP64_END]);
        put64(&mut end, [ZIP64_END_BYTES]);
        put16(&mut end, [MADE_BY, ZIP64_VERSION]);
        put32(&mut end, [0, 0]);
        put64(&mut end, [entries, entries, size, offset]);
        put32(&mut end, [ZIP64_LOCATOR, 0]);
        put64(&mut end, [here]);
        put32(&mut end, [1]);
    }
    put32(&mut end, [END]);
    put16(&mut end, [0, 0, few, few]);
    put32(&mut end, [narrow(size), narrow(offset)]);
    put16(&mut end, [0]);
    end
}

/// A number for the old form, or the sign that it has no room.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(SEE_ZIP64)
}

fn field(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    put16(&mut field, [kind]);
    put16(&mut field, [u16::try_from(content.len()).unwrap_or(u16::MAX)]);
    field.extend(content);
    field
}

/// Time and date in the old form, to two seconds, in the years 1980 to 2107.
fn dos_time(time: Timestamp) -> (u16, u16) {
    let told = || {
        let civil = Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(time.unix_ms()).ok()?);
        let part = |number: i8| u16::try_from(number).ok();
        let year = u16::try_from(civil.year()).ok()?.checked_sub(1980).filter(|year| *year < 128)?;
        let time = (part(civil.hour())? << 11) | (part(civil.minute())? << 5) | (part(civil.second())? / 2);
        Some((time, (year << 9) | (part(civil.month())? << 5) | part(civil.day())?))
    };
    told().unwrap_or(DOS_EPOCH)
}

fn put16<const N: usize>(bytes: &mut Vec<u8>, numbers: [u16; N]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put32<const N: usize>(bytes: &mut Vec<u8>, numbers: [u32; N]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put64<const N: usize>(bytes: &mut Vec<u8>, numbers: [u64; N]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, SeekFrom};

    use zip::ZipArchive;

    use super::*;
    use crate::archive::export::package::Made;

    /// A file that stays short, because nothing is written where there are only zeros.
    struct Sparse(File);

    impl Write for Sparse {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > 1 << 16 {
                self.0.seek(SeekFrom::Current(bytes.len() as i64))?;
                return Ok(bytes.len());
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_lies_in_and_behind_more_than_four_gigabytes_is_found() {
        const LARGE: u64 = (4 << 30) + 5;
        let spool = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut zip = Zip::new(Sparse(file.try_clone().unwrap()), spool.path()).unwrap();
        let modified = Timestamp::from_unix_ms(1_772_366_401_000).unwrap();
        let entry = |path, size_bytes| Entry { path, size_bytes, digest: None, modified };
        let zeros = io::repeat(0).take(LARGE);
        assert!(matches!(zip.put(&entry("大.bin", LARGE), &mut Made(zeros)).unwrap(), Put::Whole));
        assert!(matches!(zip.put(&entry("behind.txt", 6), &mut Made(&b"behind"[..])).unwrap(), Put::Whole));
        zip.close().unwrap();

        let mut read = ZipArchive::new(file).unwrap();
        assert_eq!(read.by_name("大.bin").unwrap().size(), LARGE);
        let mut behind = read.by_name("behind.txt").unwrap();
        let written = behind.last_modified().unwrap();
        assert_eq!((written.year(), written.month(), written.day(), written.hour()), (2026, 3, 1, 12));
        let mut text = String::new();
        behind.read_to_string(&mut text).unwrap();
        assert_eq!(text, "behind");
    }

    #[test]
    fn more_files_than_the_old_form_can_count_are_all_there() {
        const FILES: u64 = 65_540;
        let spool = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut zip = Zip::new(file.try_clone().unwrap(), spool.path()).unwrap();
        for number in 0..FILES {
            let entry = Entry { path: &number.to_string(), size_bytes: 1, digest: None, modified: Timestamp::EPOCH };
            zip.put(&entry, &mut Made(&b"x"[..])).unwrap();
        }
        zip.close().unwrap();
        assert_eq!(ZipArchive::new(file).unwrap().len() as u64, FILES);
    }
}
