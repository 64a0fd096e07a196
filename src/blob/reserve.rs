//! The inbox's reserve: room on the disk that is taken, so that there is some for deliveries when it is full.
//!
//! Downloads stop long before, but the disk may be full of somebody else's files. Then the reserve is given up for
//! deliveries alone, whose bytes the platform will not hand out for ever, and taken again when there is room.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

/// The file's name inside the data directory.
const FILE_NAME: &str = "reserve";
/// How large it is: some three thousand deliveries that come one by one, and more of those that come together.
const BYTES: u64 = 16 << 20;
/// How much must be free before it is taken again, so that it is not given up again at once.
const AGAIN_FROM: u64 = 2 * BYTES;
/// How often it is looked whether there is room again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The reserve of a data directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Reserve(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    is_given_up: AtomicBool,
}

impl Reserve {
    /// Takes the reserve, unless it is there already. On a disk that is full it counts as given up; where a file
    /// system knows no such thing there is none.
    #[must_use]
    pub fn take(directory: &Path) -> Self {
        let reserve = Self(Arc::new(Inner { path: directory.join(FILE_NAME), is_given_up: AtomicBool::new(false) }));
        if let Err(error) = make(&reserve.0.path) {
            let is_full = is_out_of_space(&error);
            reserve.0.is_given_up.store(is_full, Ordering::Relaxed);
            tracing::warn!(%error, is_full, "Cannot keep room on the disk for deliveries");
        }
        reserve
    }

    /// Whether the disk is so full that what was kept is being used.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.0.is_given_up.load(Ordering::Relaxed)
    }

    /// How large it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        BYTES
    }

    /// Gives the room free, and returns whether there was any. Blocks.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn give_up(&self) -> io::Result<bool> {
        self.0.is_given_up.store(true, Ordering::Relaxed);
        match fs::remove_file(&self.0.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes it again whenever it was given up and there is room, until `shutdown`.
    pub async fn keep(self, shutdown: CancellationToken) {
        let look = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                if self.is_given_up() {
                    let reserve = self.clone();
                    match tokio::task::spawn_blocking(move || reserve.take_again()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::warn!(%error, "Cannot keep room on the disk for deliveries again"),
                        Err(error) => tracing::error!(%error, "Taking the reserve again crashed"),
                    }
                }
            }
        };
        shutdown.run_until_cancelled(look).await;
    }

    fn take_again(&self) -> io::Result<()> {
        let statistics = statvfs(self.0.path.parent().unwrap_or(&self.0.path))?;
        if statistics.f_bavail.saturating_mul(statistics.f_frsize) >= AGAIN_FROM {
            make(&self.0.path)?;
            self.0.is_given_up.store(false, Ordering::Relaxed);
            tracing::info!("There is room on the disk again, some of which is kept for deliveries");
        }
        Ok(())
    }
}

fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes the file, with room on the disk for all of it. What there is of it after a failure is removed.
fn make(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    // Files are counted in blocks of 512 bytes, whatever those of the file system are.
    if metadata.len() == BYTES && metadata.blocks() * 512 >= BYTES {
        return Ok(());
    }
    let made = match fallocate(&file, FallocateFlags::empty(), 0, BYTES) {
        Err(Errno::NOTSUP | Errno::NOSYS) => fill(&file),
        other => other.map_err(io::Error::from),
    };
    made.or_else(|error| {
        fs::remove_file(path)?;
        Err(error)
    })
}

/// Takes room where a file system can only be asked for it by writing.
fn fill(mut file: &File) -> io::Result<()> {
    let zeros = [0; 64 << 10];
    for _ in 0..BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(directory: &Path) -> Option<u64> {
        Some(directory.join(FILE_NAME).metadata().ok()?.blocks() * 512)
    }

    #[test]
    fn room_is_kept_given_up_once_and_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::take(directory.path());
        assert!(!reserve.is_given_up());
        assert!(kept(directory.path()).unwrap() >= BYTES, "the room is taken, not only promised");
        assert!(!Reserve::take(directory.path()).is_given_up(), "it is there already");
        assert!(reserve.give_up().unwrap() && reserve.is_given_up());
        assert_eq!(kept(directory.path()), None);
        assert!(!reserve.give_up().unwrap(), "there is nothing left to give up");
        reserve.take_again().unwrap();
        assert!(!reserve.is_given_up());
        assert!(kept(directory.path()).unwrap() >= BYTES);
    }

    #[test]
    fn a_reserve_that_was_cut_short_is_made_whole() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE_NAME), "half").unwrap();
        assert!(!Reserve::take(directory.path()).is_given_up());
        assert!(kept(directory.path()).unwrap() >= BYTES);
    }

    #[test]
    fn room_is_taken_by_writing_where_there_is_no_other_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fill(&File::create(&path).unwrap()).unwrap();
        assert_eq!(path.metadata().unwrap().len(), BYTES);
    }
}
