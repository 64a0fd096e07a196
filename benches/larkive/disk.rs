//! The disk: what the machine can do with nothing of Larkive in between.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
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

/// How long 16 threads take that write, hash and sync so many files of this size, all different.
pub(crate) fn time_to_keep(directory: &Path, files: usize, size_bytes: u64) -> anyhow::Result<Duration> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|_| scope.spawn(|| keep_some(directory, &next, files, size_bytes))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    Ok(begun.elapsed())
}

fn keep_some(directory: &Path, next: &AtomicUsize, files: usize, size_bytes: u64) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    Noise { seed: 1, size_bytes: CHUNK_BYTES as u64 }.fill(0, &mut chunk);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= files {
            return Ok(());
        }
        // The number makes the bytes of this file others than those of the rest.
        chunk.splice(..8, (number as u64).to_le_bytes());
        keep(&directory.join(number.to_string()), &chunk, size_bytes)?;
    }
}

fn keep(path: &Path, chunk: &[u8], size_bytes: u64) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let mut hasher = Sha256::new();
    let mut left_bytes = size_bytes;
    while left_bytes > 0 {
        let piece = chunk.get(..usize::try_from(left_bytes)?.min(chunk.len())).unwrap_or(chunk);
        hasher.update(piece);
        file.write_all(piece)?;
        left_bytes -= piece.len() as u64;
    }
    file.sync_all()?;
    std::hint::black_box(hasher.finalize());
    Ok(())
}
