//! An export as a directory. It can be broken off at any time and begun again: what is there with the
//! right bytes is kept, everything else is written beside its place and then moved into it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustix::io::Errno;

use super::package::{Entry, Package, Put, Source, buffer, pass};
use crate::blob::checked::Sum;
use crate::domain::digest::Digest;
use crate::domain::time::Timestamp;

/// The file that says that a directory is an export, and of what.
const MARKER: &str = ".larkive-export.json";
/// What a file is called until it is complete.
const PART: &str = ".larkive-part";
/// Where the folders are, one for each day.
const FOLDERS: &str = "files";

/// A directory that is being filled.
pub struct Directory {
    root: PathBuf,
    /// The folders that belong to this export.
    folders: BTreeSet<String>,
    buffer: Vec<u8>,
}

impl Directory {
    /// Opens the directory at `root`, creating it if there is none. `asked` says what is exported: a
    /// directory that holds something else is refused, because in the end it will hold this alone.
    ///
    /// # Errors
    /// If it holds something else, or cannot be created.
    pub fn open(root: &Path, asked: &str) -> anyhow::Result<Self> {
        let place = root.display();
        fs::create_dir_all(root).with_context(|| format!("cannot create the directory {place}"))?;
        let marker = root.join(MARKER);
        match fs::read_to_string(&marker) {
            Ok(begun) if begun == asked => {}
            Ok(_) => anyhow::bail!("{place} holds an export with other filters; name another directory"),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut contents = fs::read_dir(root).with_context(|| format!("cannot look into {place}"))?;
                anyhow::ensure!(
                    contents.next().is_none(),
                    "{place} is not empty and no export; name another directory"
                );
                fs::write(&marker, asked).with_context(|| format!("cannot write into {place}"))?;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", marker.display())),
        }
        Ok(Self { root: root.to_owned(), folders: BTreeSet::new(), buffer: buffer() })
    }

    fn is_there(&mut self, target: &Path, entry: &Entry<'_>) -> bool {
        let digest = entry.digest.filter(|_| has_size(target, entry.size_bytes));
        digest.is_some_and(|digest| digest_of(target, &mut self.buffer).is_ok_and(|found| found == digest))
    }

    fn write(&mut self, part: &Path, entry: &Entry<'_>, source: &mut dyn Source) -> io::Result<Put> {
        let mut file = File::create(part)?;
        if let Err(damage) = pass(source, &mut file, &mut self.buffer, |_| ())? {
            return Ok(Put::Omitted(damage));
        }
        file.set_modified(system_time(entry.modified))?;
        Ok(Put::Whole)
    }

    /// Removes the files of a folder that do not belong there.
    fn sweep(&self, folder: &Path, belongs: &dyn Fn(&str) -> bool) -> io::Result<()> {
        for file in fs::read_dir(folder)? {
            let file = file?;
            let belongs = file.file_name().to_str().is_some_and(belongs);
            if !belongs && !file.file_type()?.is_dir() {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

impl Package for Directory {
    fn put(&mut self, entry: &Entry<'_>, source: &mut dyn Source) -> io::Result<Put> {
        let target = self.root.join(entry.path);
        if self.is_there(&target, entry) {
            return Ok(Put::Kept);
        }
        let folder = target.parent().unwrap_or(&self.root).to_owned();
        let part = folder.join(PART);
        let put = match self.write(&part, entry, source) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&folder)?;
                self.write(&part, entry, source)?
            }
            other => other?,
        };
        match put {
            // The bytes are written, under a name that is taken everywhere: what fails now is about this one's.
            Put::Whole => match fs::rename(&part, &target) {
                Err(error) if !is_about_the_target(&error) => {
                    remove_if_there(&part)?;
                    return Ok(Put::Refused(error));
                }
                other => other?,
            },
            // Nor does a file stay that was right when it was exported, and is not any more.
            _ => [part, target].iter().try_for_each(|path| remove_if_there(path))?,
        }
        Ok(put)
    }

    fn complete(&mut self, folder: &str, belongs: &dyn Fn(&str) -> bool) -> io::Result<()> {
        self.folders.insert(folder.to_owned());
        match self.sweep(&self.root.join(folder), belongs) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Days that are no longer asked for go as a whole.
    fn close(&mut self) -> io::Result<()> {
        let folders = match fs::read_dir(self.root.join(FOLDERS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for folder in folders {
            let folder = folder?;
            let name = folder.file_name();
            let is_ours =
                name.to_str().is_some_and(|name| is_day(name) && !self.folders.contains(&format!("{FOLDERS}/{name}")));
            if is_ours && folder.file_type()?.is_dir() {
                self.sweep(&folder.path(), &|_| false)?;
                fs::remove_dir(folder.path())?;
            }
        }
        Ok(())
    }
}

/// Whether there is a file of this size: mostly that tells whether it has to be read.
fn has_size(path: &Path, size_bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size_bytes)
}

fn digest_of(path: &Path, buffer: &mut [u8]) -> io::Result<Digest> {
    let (mut file, mut sum) = (File::open(path)?, Sum::default());
    loop {
        match file.read(buffer)? {
            0 => return Ok(sum.digest()),
            count => sum.add(buffer.get(..count).unwrap_or_default()),
        }
    }
}

fn is_day(name: &str) -> bool {
    name.len() == 10 && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Whether a file system that does not take one name will not take another either. Each says in a word of its
/// own what it has against a name (too long, invalid, no permission, a directory is there), so what is told
/// apart is what else can go wrong.
fn is_about_the_target(error: &io::Error) -> bool {
    use ErrorKind::{
        NetworkDown, NotConnected, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle, StorageFull,
    };
    let kinds = [NetworkDown, NotConnected, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle, StorageFull];
    let codes = [Errno::IO, Errno::NXIO, Errno::NODEV].map(Errno::raw_os_error);
    kinds.contains(&error.kind()) || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(time.unix_ms()).unwrap_or(0))
}
