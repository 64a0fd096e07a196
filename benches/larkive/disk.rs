//! The disk: what the machine can do with nothing of Larkive in between.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use larkive::blob::store::Store;
use larkive::sandbox::noise::Noise;
use sha2::{Digest as _, Sha256};

/// What one durable answer costs a disk, roughly: a page at the end of a log.
const PAGE_BYTES: usize = 4096;
/// Threads that write files: as many as Larkive has downloads in flight.
const WRITERS: usize = 16;
/// How much a writer hands over at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Pages appended to a file and synced by `fdatasync`, one by one, in a second.
pub(crate) fn synced_pages_per_second(directory: &Path, within: Duration) -> anyhow::Result<f64> {
    let mut file = File::create(directory.join("pages"))?;
    let page = [0xa5; PAGE_BYTES];
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < within {
        file.write_all(&page)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Has the machine give out as much memory as that many written bytes fill. On a virtual machine the first touch of
/// a page costs several times what the next one does, and whoever is measured first would pay for all.
pub(crate) fn touch_memory(directory: &Path, bytes: u64) -> anyhow::Result<()> {
    let path = directory.join("touched");
    let mut file = File::create(&path)?;
    each_piece(&vec![0x5a; CHUNK_BYTES], bytes, |piece| Ok(file.write_all(piece)?))?;
    Ok(fs::remove_file(path)?)
}

/// How long 16 threads take that write, hash and sync so many files of this size, all different.
pub(crate) fn time_to_keep(directory: &Path, files: usize, size_bytes: u64) -> anyhow::Result<Duration> {
    time_to_make(files, size_bytes, |number, chunk| keep(&directory.join(number.to_string()), chunk, size_bytes))
}

/// The same for threads that put their files into a store: staged, hashed, and published under their digest. This
/// is what an archive can reach that has nothing to receive and nothing to record.
pub(crate) fn time_to_publish(directory: &Path, files: usize, size_bytes: u64) -> anyhow::Result<Duration> {
    let store = Store::open(&directory.join("blobs"), &directory.join("spool"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    time_to_make(files, size_bytes, |number, chunk| {
        let mut staging = store.stage(&number.to_string(), size_bytes)?;
        each_piece(chunk, size_bytes, |piece| Ok(staging.write(piece)?))?;
        runtime.block_on(store.publish(staging.finish()))?;
        Ok(())
    })
}

/// How long 16 threads take to make so many files of this size. `make` gets a file's number, and bytes that are
/// to fill it and are no other file's.
fn time_to_make(
    files: usize,
    size_bytes: u64,
    make: impl Fn(usize, &[u8]) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Duration> {
    let next = AtomicUsize::new(0);
    let make_some = || -> anyhow::Result<()> {
        let mut chunk = Vec::new();
        Noise { seed: size_bytes, size_bytes }.append(0..CHUNK_BYTES as u64, &mut chunk);
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= files {
                return Ok(());
            }
            chunk.splice(..8, (number as u64).to_le_bytes());
            make(number, &chunk)?;
        }
    };
    let begun = Instant::now();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(make_some)).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    Ok(begun.elapsed())
}

/// Hands over `size_bytes`, in pieces as long as the chunk.
fn each_piece(chunk: &[u8], size_bytes: u64, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut left_bytes = size_bytes;
    while left_bytes > 0 {
        let piece = chunk.get(..usize::try_from(left_bytes)?.min(chunk.len())).unwrap_or(chunk);
        take(piece)?;
        left_bytes -= piece.len() as u64;
    }
    Ok(())
}

fn keep(path: &Path, chunk: &[u8], size_bytes: u64) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let mut hasher = Sha256::new();
    each_piece(chunk, size_bytes, |piece| {
        hasher.update(piece);
        Ok(file.write_all(piece)?)
    })?;
    file.sync_all()?;
    std::hint::black_box(hasher.finalize());
    Ok(())
}
