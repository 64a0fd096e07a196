//! Archiving: from the delivery to the stored file, next to threads that only write, hash and sync.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::acks::Platform;
use crate::load::fire;
use crate::process::{self, Serve};
use crate::samples::Samples;
use crate::{Extent, disk, requests};

/// Connections that deliver what is to be archived.
const SENDERS: usize = 16;
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);
/// Few enough for their directory to be deleted at once.
const FEW_FILES: usize = 100;
const MB: f64 = 1_000_000.0;
const MILLISECONDS: f64 = 1e3;
/// The budget is the platform's, not Larkive's; without it the program itself is measured.
const BUDGET: &str = "off";

/// Files of one size, and how they are called in the report.
struct Batch {
    name: &'static str,
    files: usize,
    size_bytes: u64,
}

/// Many files of 100 KiB.
pub(crate) fn run_small(extent: Extent, samples: &mut Samples) -> anyhow::Result<()> {
    run(extent, samples, &Batch { name: "100 KiB", files: extent.choose(5000, 500), size_bytes: 100 << 10 })
}

/// 16 large files at once.
pub(crate) fn run_large(extent: Extent, samples: &mut Samples) -> anyhow::Result<()> {
    run(extent, samples, &Batch { name: "16 large", files: 16, size_bytes: extent.choose(200_000_000, 20_000_000) })
}

fn run(extent: Extent, samples: &mut Samples, batch: &Batch) -> anyhow::Result<()> {
    let platform = Platform::start()?;
    let mut kept = Vec::new();
    for round in 1..=extent.rounds() {
        eprintln!("archive of {} files, round {round}", batch.name);
        kept.push(measure_threads(batch, "16 writing threads", disk::time_to_keep, samples)?);
        kept.push(measure_threads(batch, "16 publishing threads", disk::time_to_publish, samples)?);
        kept.push(measure_larkive(&platform, round, batch, samples)?);
        // Many files stay until all rounds are over: for some minutes ext4 passes over the places of
        // files that were just deleted, which slows down whoever creates files next.
        if batch.files <= FEW_FILES {
            kept.clear();
        }
    }
    Ok(())
}

/// What threads of this process do, without a platform and a catalogue.
type Threads = fn(&Path, usize, u64) -> anyhow::Result<Duration>;

fn measure_threads(batch: &Batch, who: &str, threads: Threads, samples: &mut Samples) -> anyhow::Result<TempDir> {
    let directory = batch.directory()?;
    let took = threads(directory.path(), batch.files, batch.size_bytes)?;
    batch.add(samples, who, took);
    Ok(directory)
}

fn measure_larkive(platform: &Platform, round: u32, batch: &Batch, samples: &mut Samples) -> anyhow::Result<TempDir> {
    let Batch { name, files, size_bytes } = *batch;
    let requests = requests::files(&format!("archive {name} {round}"), files, size_bytes);
    let directory = batch.directory()?;
    let serve = Serve::start(directory.path(), &platform.url, BUDGET)?;
    let (begun, before) = (Instant::now(), serve.server.processor_time()?);
    fire(serve.server.address, &requests, SENDERS, DELIVERED_WITHIN)?;
    serve.wait_for_stored(files)?;
    batch.add(samples, "larkive", begun.elapsed());
    let took = serve.server.processor_time()?.saturating_sub(before);
    let each = took.as_secs_f64() * MILLISECONDS / files as f64;
    samples.add(&format!("larkive, {name}, processor time for each file, ms"), each);
    samples.add(&format!("larkive, {name}, peak memory, MiB"), serve.server.memory_mib("VmHWM")?);
    Ok(directory)
}

impl Batch {
    /// Where the files go, with memory for them at hand.
    fn directory(&self) -> anyhow::Result<TempDir> {
        let directory = process::directory()?;
        disk::touch_memory(directory.path(), self.files as u64 * self.size_bytes)?;
        Ok(directory)
    }

    fn add(&self, samples: &mut Samples, who: &str, took: Duration) {
        let seconds = took.as_secs_f64();
        samples.add(&format!("{who}, {}, files per second", self.name), self.files as f64 / seconds);
        let bytes = self.files as f64 * self.size_bytes as f64;
        samples.add(&format!("{who}, {}, MB per second", self.name), bytes / MB / seconds);
    }
}
