//! The lock of a data directory: one process serves it, and only who holds the lock creates or migrates its catalogue.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::blob::store::make_private_directory;
use crate::catalogue::Catalogue;
use crate::config::DataLayout;

/// The file whose lock says that a process serves this data directory.
const LOCK_FILE: &str = "serve.lock";
/// How long whoever else holds the lock may take to create a catalogue or to migrate it.
const MIGRATED_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for who served the directory before, who may just be ending; a process that is being started
/// has the descriptors of the one that starts it for a moment, too.
const LOCKED_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The catalogue for a command that works alone or beside a `serve`. It is created and brought to this program's
/// version only where none runs, which is kept from starting meanwhile: nobody changes it under another's hands.
///
/// # Errors
/// In one sentence, if it cannot be opened, or a `serve` of another version has it.
pub async fn open_alone_or_beside(layout: &DataLayout) -> anyhow::Result<Catalogue> {
    make_private_directory(&layout.directory)
        .with_context(|| format!("cannot create the data directory {}", layout.directory.display()))?;
    let deadline = Instant::now() + MIGRATED_WITHIN;
    loop {
        let error = match Catalogue::open_existing(&layout.catalogue).await {
            Ok(catalogue) => return Ok(catalogue),
            Err(error) if error.is_mended_by_migration() => error,
            Err(error) => return Err(error.into()),
        };
        if let Some(_lock) = try_lock(&layout.directory)? {
            return Ok(Catalogue::open(&layout.catalogue).await?);
        }
        // Whoever holds the lock may be about to create it.
        if Instant::now() >= deadline {
            let why = "a larkive of another version serves this directory; restart it with this one, or use that one";
            return Err(anyhow::Error::new(error).context(why));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The lock of a data directory, which belongs to the process that serves it.
pub(super) async fn lock(data_dir: &Path) -> anyhow::Result<File> {
    let give_up_at = Instant::now() + LOCKED_WITHIN;
    loop {
        match try_lock(data_dir)? {
            Some(lock) => return Ok(lock),
            None if Instant::now() >= give_up_at => anyhow::bail!(
                "another larkive serves {}; stop it, or give this one another LARKIVE_DATA_DIR",
                data_dir.display()
            ),
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// The same; none if another process has it.
fn try_lock(data_dir: &Path) -> anyhow::Result<Option<File>> {
    let path = data_dir.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_starts_while_another_one_ends_waits_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let ending = try_lock(directory.path()).unwrap().unwrap();
        let (locked, ()) = tokio::join!(lock(directory.path()), async { drop(ending) });
        assert!(locked.is_ok(), "{locked:?}");
        let refused = lock(directory.path()).await.unwrap_err();
        assert!(refused.to_string().starts_with("another larkive serves"), "{refused}");
    }
}
