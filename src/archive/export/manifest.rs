//! What an export says of itself: a line for every resource as JSON and as CSV, and the digests of
//! every file. It is written to temporary files until its length is known.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::path::Path;

use serde::Serialize;

use super::package::{Entry, Made, Package, Source};
use crate::blob::checked::{Damage, Sum};
use crate::catalogue::listing::columns;
use crate::catalogue::listing::resource::Resource;
use crate::domain::cell::Cell;
use crate::domain::digest::Digest;
use crate::domain::time::Timestamp;

/// The reports of an export that is being made.
pub(super) struct Manifest {
    lines: BufWriter<File>,
    table: csv::Writer<File>,
    sums: BufWriter<File>,
    finished_at: Timestamp,
}

/// What became of a resource in the export.
#[derive(Debug)]
pub(super) struct Fate {
    /// Where its bytes are in the export.
    pub(super) path: Option<String>,
    /// Why they are not there, or wrong.
    pub(super) problem: Option<Problem>,
}

/// Why the bytes of a stored resource are not in an export, or wrong in it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The store has none, or others.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Where the export goes there can be no file of this name.
    #[error("its target refuses the name {name:?}: {error}")]
    Refused {
        /// The name.
        name: String,
        /// What the file system says.
        error: io::Error,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    path: Option<&'a str>,
    problem: Option<&'a str>,
    #[serde(flatten)]
    resource: &'a Resource,
}

impl Manifest {
    /// Empty reports, with their temporary files in `spool`.
    pub(super) fn begin(spool: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let mut table = csv::Writer::from_writer(tempfile::tempfile_in(spool)?);
        table.write_record(["path", "problem"].iter().chain(columns::COLUMNS))?;
        Ok(Self {
            lines: BufWriter::new(tempfile::tempfile_in(spool)?),
            table,
            sums: BufWriter::new(tempfile::tempfile_in(spool)?),
            finished_at: now,
        })
    }

    /// Adds a resource.
    pub(super) fn add(&mut self, resource: &Resource, fate: &Fate) -> anyhow::Result<()> {
        let problem = fate.problem.as_ref().map(Problem::to_string);
        let (path, problem) = (fate.path.as_deref(), problem.as_deref());
        serde_json::to_writer(&mut self.lines, &Line { path, problem, resource })?;
        self.lines.write_all(b"\n")?;
        let values = [path, problem].map(Cell::text);
        self.table.write_record(values.into_iter().chain(columns::values(resource)).map(Cell::in_csv))?;
        Ok(())
    }

    /// Adds a file to the digests. Its path has no sign that `sha256sum` would have to escape.
    pub(super) fn add_sum(&mut self, digest: Digest, path: &str) -> io::Result<()> {
        writeln!(self.sums, "{digest}  {path}")
    }

    /// Puts a report into the package that was made elsewhere.
    pub(super) fn put_made(&mut self, package: &mut impl Package, path: &str, report: &[u8]) -> anyhow::Result<()> {
        let size_bytes = report.len() as u64;
        let digest = put(package, &self.entry(path, size_bytes), Made(report))?;
        Ok(self.add_sum(digest, path)?)
    }

    /// Puts the reports into the package, the digests last, because they cover the others.
    pub(super) fn close(mut self, package: &mut impl Package) -> anyhow::Result<()> {
        self.lines.flush()?;
        self.table.flush()?;
        for (path, file) in
            [("manifest.jsonl", self.lines.get_ref().try_clone()?), ("manifest.csv", self.table.get_ref().try_clone()?)]
        {
            let digest = put_file(package, &self.entry(path, file.metadata()?.len()), file)?;
            self.add_sum(digest, path)?;
        }
        self.sums.flush()?;
        let sums = self.sums.get_ref().try_clone()?;
        put_file(package, &self.entry("SHA256SUMS", sums.metadata()?.len()), sums)?;
        Ok(())
    }

    fn entry<'a>(&self, path: &'a str, size_bytes: u64) -> Entry<'a> {
        Entry { path, size_bytes, digest: None, modified: self.finished_at }
    }
}

fn put_file(package: &mut impl Package, entry: &Entry<'_>, mut file: File) -> anyhow::Result<Digest> {
    file.rewind()?;
    put(package, entry, Made(file))
}

fn put(package: &mut impl Package, entry: &Entry<'_>, source: impl Source) -> anyhow::Result<Digest> {
    let mut summed = Summed { source, sum: Sum::default() };
    use super::package::Put::{Kept, Omitted, Refused, Spoilt, Whole};
    match package.put(entry, &mut summed)? {
        Whole | Kept => Ok(summed.sum.digest()),
        Omitted(damage) | Spoilt(damage) => anyhow::bail!("cannot write {}: {damage}", entry.path),
        Refused(error) => anyhow::bail!("cannot write {}: {error}", entry.path),
    }
}

/// A source whose digest is known once it was read.
struct Summed<S> {
    source: S,
    sum: Sum,
}

impl<S: Source> Source for Summed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Damage> {
        let count = self.source.read(buffer)?;
        self.sum.add(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
