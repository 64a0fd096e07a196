//! Acks: how many deliveries are durable and answered in a second, and how late the late ones are.

use std::path::Path;
use std::time::Duration;

use larkive::sandbox::{Hashing, Sandbox, SandboxOptions};
use tokio::runtime::Runtime;

use crate::baseline::Baseline;
use crate::load::{Load, fire};
use crate::process::{self, Serve};
use crate::requests::{self, Requests};
use crate::samples::Samples;
use crate::{Extent, disk, idle, older};

/// Connections, and the most requests that one measurement sends over them: enough for the
/// fastest server to be busy for the better part of a second.
const LOADS: [(usize, usize); 3] = [(1, 15_000), (16, 40_000), (64, 60_000)];
const MOST: usize = 64;
/// What a server gets before it is measured: as much as makes the catalogue's log as long as it will be. On a file that
/// becomes longer, each commit takes the disk about twice as long.
const BEFOREHAND: usize = 60_000;
const MICROSECONDS: f64 = 1e6;
/// Downloads would share the processor with what is measured: one call a minute all but stops them.
const BUDGET: &str = "1/min";

/// Measures acks in rounds: the disk, both baselines, Larkive with an empty catalogue and with a full one.
pub(crate) fn run(extent: Extent, samples: &mut Samples) -> anyhow::Result<()> {
    let platform = Platform::start()?;
    let full = process::directory()?;
    older::fill(full.path(), extent.choose(1_000_000, 20_000))?;
    for round in 1..=extent.rounds() {
        eprintln!("acks, round {round}");
        let loads = LOADS.map(|(connections, count)| {
            let count = extent.choose(count, count / 5);
            (connections, requests::images(&format!("acks {round} {connections}"), count))
        });
        measure_disk(extent, samples)?;
        for baseline in [Baseline::StoringNothing, Baseline::CommittingEach] {
            measure_baseline(extent, baseline, &loads, samples)?;
        }
        measure_larkive(extent, &platform.url, &loads, samples)?;
        measure_full(extent, &platform.url, full.path(), &loads, samples)?;
    }
    Ok(())
}

/// The platform that downloads ask; it lives in this process.
pub(crate) struct Platform {
    pub(crate) url: String,
    _sandbox: Sandbox,
    _runtime: Runtime,
}

impl Platform {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let options = SandboxOptions { hashing: Hashing::Off, ..SandboxOptions::default() };
        let sandbox = runtime.block_on(Sandbox::start(options))?;
        Ok(Self { url: sandbox.base_url(), _sandbox: sandbox, _runtime: runtime })
    }
}

/// How long one load may go on.
fn within(extent: Extent) -> Duration {
    extent.choose(Duration::from_secs(3), Duration::from_millis(700))
}

fn measure_disk(extent: Extent, samples: &mut Samples) -> anyhow::Result<()> {
    let directory = process::directory()?;
    let span = extent.choose(Duration::from_secs(2), Duration::from_millis(500));
    samples.add("append 4 KiB + fdatasync, per second", disk::synced_pages_per_second(directory.path(), span)?);
    Ok(())
}

fn measure_baseline(
    extent: Extent,
    baseline: Baseline,
    loads: &[(usize, Requests)],
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let directory = process::directory()?;
    let server = process::baseline(baseline, directory.path())?;
    for (connections, requests) in loads {
        let load = fire(server.address, requests, *connections, within(extent))?;
        add(samples, baseline.as_str(), *connections, &load);
    }
    Ok(())
}

fn measure_larkive(
    extent: Extent,
    platform: &str,
    loads: &[(usize, Requests)],
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let directory = process::directory()?;
    let serve = Serve::start(directory.path(), platform, BUDGET)?;
    let beforehand = requests::images("acks beforehand", extent.choose(BEFOREHAND, BEFOREHAND / 5));
    fire(serve.server.address, &beforehand, MOST, within(extent))?;
    serve.wait_for_empty_inbox()?;
    for (connections, requests) in loads {
        let before = serve.server.processor_time()?;
        let load = fire(serve.server.address, requests, *connections, within(extent))?;
        add(samples, "larkive", *connections, &load);
        serve.wait_for_empty_inbox()?;
        let took = serve.server.processor_time()?.saturating_sub(before);
        let each = took.as_secs_f64() * MICROSECONDS / load.answered() as f64;
        samples.add(&format!("larkive, C={connections}, processor time for each event, µs"), each);
        if *connections == MOST {
            add_sustained(samples, "larkive", &load);
        }
    }
    idle::add(samples, "idle after the load, MiB", &serve.server)
}

fn measure_full(
    extent: Extent,
    platform: &str,
    directory: &Path,
    loads: &[(usize, Requests)],
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let serve = Serve::start(directory, platform, BUDGET)?;
    for (connections, requests) in loads {
        let load = fire(serve.server.address, requests, *connections, within(extent))?;
        serve.wait_for_empty_inbox()?;
        // The smaller loads come first as they do to the empty catalogue, so that both are warm.
        if *connections == MOST {
            add(samples, "larkive with older events", *connections, &load);
            add_sustained(samples, "larkive with older events", &load);
        }
    }
    Ok(())
}

fn add(samples: &mut Samples, server: &str, connections: usize, load: &Load) {
    samples.add(&format!("{server}, C={connections}, per second"), load.per_second());
    samples.add(&format!("{server}, C={connections}, p50, ms"), load.percentile_ms(0.50));
    samples.add(&format!("{server}, C={connections}, p99, ms"), load.percentile_ms(0.99));
}

/// All answers by the time until the last of them was expanded into all tables, which is now.
fn add_sustained(samples: &mut Samples, server: &str, load: &Load) {
    let per_second = load.answered() as f64 / load.begun.elapsed().as_secs_f64();
    samples.add(&format!("{server}, until the inbox is empty, per second"), per_second);
}
