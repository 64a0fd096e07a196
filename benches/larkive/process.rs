//! Processes: the servers that are measured run outside this one, so that their memory is their own
//! and the load is not part of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use larkive::catalogue::{Catalogue, events, statistics};
use larkive::config::DataLayout;
use larkive::domain::download::State;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::baseline::{self, Baseline};
use crate::requests::{APP_ID, ENCRYPT_KEY, VERIFICATION_TOKEN};

/// How often the log or the catalogue is looked at while something is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(180);
const MIB: f64 = 1024.0;
/// `USER_HZ` is 100 on every architecture that Larkive is built for.
const MICROSECONDS_IN_A_TICK: u64 = 10_000;

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// A line of `/proc/<pid>/status`, such as `VmHWM`, in MiB.
    pub(crate) fn memory_mib(&self, name: &str) -> anyhow::Result<f64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}; memory needs Linux"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).context(path)?;
        Ok(kib / MIB)
    }

    /// Processor time that it took so far, of the user and of the system.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}; it needs Linux"))?;
        // The name of the program may hold anything; the 12th and 13th field after it are the times, in ticks.
        let (_, fields) = stat.rsplit_once(')').context("no name in it")?;
        let mut ticks = 0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>().with_context(|| format!("{path}: {field}"))?;
        }
        Ok(Duration::from_micros(ticks * MICROSECONDS_IN_A_TICK))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; what there is to say about that stands in its log.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An empty directory below `target`, on the file system that the bench is about; it goes when
/// this goes.
pub(crate) fn directory() -> anyhow::Result<TempDir> {
    TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR")).context("cannot create a directory below target")
}

/// One of the servers that Larkive is compared with.
pub(crate) fn baseline(baseline: Baseline, directory: &Path) -> anyhow::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(baseline::WORD).arg(baseline.as_str()).arg(directory).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start the baseline")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    let address = line.trim().parse().context("the baseline did not say where it listens")?;
    Ok(Server { child, address })
}

/// `larkive serve` on a directory of its own.
pub(crate) struct Serve {
    pub(crate) server: Server,
    catalogue: Catalogue,
    runtime: Runtime,
}

impl Serve {
    /// Starts it with the rate budget given, and waits until it listens.
    pub(crate) fn start(directory: &Path, platform: &str, budget: &str) -> anyhow::Result<Self> {
        let log_path = directory.join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_larkive"))
            .arg("serve")
            .current_dir(directory)
            .env_clear()
            .envs([("FEISHU_APP_ID", APP_ID), ("FEISHU_APP_SECRET", "secret"), ("FEISHU_ENCRYPT_KEY", ENCRYPT_KEY)])
            .envs([("FEISHU_VERIFICATION_TOKEN", VERIFICATION_TOKEN), ("FEISHU_BASE_URL", platform)])
            .envs([("LARKIVE_LISTEN", "127.0.0.1:0"), ("LARKIVE_CALL_BUDGET", budget)])
            .stderr(fs::File::create(&log_path)?)
            .spawn()
            .context("cannot start larkive serve")?;
        let address = match address_in(&log_path) {
            Ok(address) => address,
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        };
        let server = Server { child, address };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let catalogue = runtime.block_on(Catalogue::open_read_only(&catalogue_path(directory)))?;
        Ok(Self { server, catalogue, runtime })
    }

    /// Waits until everything in the inbox is expanded.
    pub(crate) fn wait_for_empty_inbox(&self) -> anyhow::Result<()> {
        self.wait("the inbox is not empty", async || Ok(events::backlog(self.catalogue.read()).await?.is_none()))
    }

    /// Waits until so many resources are stored.
    pub(crate) fn wait_for_stored(&self, count: usize) -> anyhow::Result<()> {
        self.wait("not everything is stored", async || {
            let statistics = statistics::statistics(&self.catalogue).await?;
            Ok(statistics.states.get(&State::Stored).is_some_and(|stored| *stored >= count as u64))
        })
    }

    fn wait(&self, otherwise: &str, is_over: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.runtime.block_on(is_over())? {
            if Instant::now() > deadline {
                bail!("{otherwise} after {PATIENCE:?}");
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// Where the catalogue of a data directory inside `directory` lies.
pub(crate) fn catalogue_path(directory: &Path) -> PathBuf {
    DataLayout::within(&directory.join("data")).catalogue
}

/// Waits for the log line that says where the server listens.
fn address_in(log_path: &Path) -> anyhow::Result<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = fs::read_to_string(log_path)?;
        let told = log.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("address")?.as_str()?.parse().ok()
        });
        if let Some(address) = told {
            return Ok(address);
        }
        if log.contains("larkive: ") || Instant::now() > deadline {
            bail!("larkive serve does not listen:\n{log}");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
