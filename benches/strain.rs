//! Under strain: what is new beside a backlog, a platform that fails whatever is asked, and a stop
//! while downloads wait.
//!
//! `cargo bench --bench strain`; `-- --quick` measures less. The server is the program as people run
//! it, with the platform's call budget; the stand-in platform and the load share its machine.

#[path = "larkive/load.rs"]
#[allow(dead_code)]
mod load;
#[path = "larkive/requests.rs"]
#[allow(dead_code)]
mod requests;
mod rounds;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use larkive::catalogue::Catalogue;
use larkive::clock::Clock;
use larkive::config::DataLayout;
use larkive::sandbox::event::hex_id;
use larkive::sandbox::{Action, Hashing, Route, Rule, Sandbox, SandboxOptions};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::load::fire;
use crate::requests::{APP_ID, ENCRYPT_KEY, VERIFICATION_TOKEN};
use crate::rounds::{Extent, Figures};

/// What the official hosts allow, and what Larkive assumes.
const PLATFORM: &str = "50/s 1000/min";
/// All but none: whatever is due waits.
const ONE_A_MINUTE: &str = "1/min";
/// Older downloads in front of which something new arrives.
const BACKLOG: usize = 2500;
/// What is due while the platform fails.
const DUE: usize = 30_000;
const FILE_BYTES: u64 = 10 << 10;
const SENDERS: usize = 16;
/// Between two new messages.
const NEW_EVERY: Duration = Duration::from_millis(600);
/// So much has been answered when a platform is back: more than a probe brings.
const BACK_AT_WORK: i64 = 50;
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Ticks of `/proc/<pid>/stat` in a second, on every Linux.
const TICKS: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("strain") else { return Ok(()) };
    let mut figures = Figures::default();
    for round in 1..=extent.rounds() {
        eprintln!("strain, round {round}");
        backlog(extent, &mut figures)?;
        let platform = Platform::start()?;
        let mut undisturbed = undisturbed(&platform, extent)?;
        for fault in &FAULTS {
            failing(extent, fault, &undisturbed, &mut figures)?;
        }
        undisturbed.stop()?;
        stop(&mut figures)?;
    }
    println!("{figures}");
    Ok(())
}

/// New files beside a backlog: how long each took from its answer until it was stored.
fn backlog(extent: Extent, figures: &mut Figures) -> anyhow::Result<()> {
    let platform = Platform::start()?;
    let mut server = Server::start(&platform.url(), PLATFORM)?;
    let older = requests::files("older", extent.choose(BACKLOG, BACKLOG / 5), FILE_BYTES);
    let begun_at = Clock::system().now().unix_ms();
    fire(server.address, &older, SENDERS, PATIENCE)?;
    let mut acked = Vec::new();
    for number in 0..extent.choose(180, 20) {
        std::thread::sleep(NEW_EVERY);
        let series = format!("new {number}");
        fire(server.address, &requests::files(&series, 1, FILE_BYTES), 1, PATIENCE)?;
        acked.push((format!("om_{}", hex_id(&[&series, "0"])), Clock::system().now().unix_ms()));
    }
    let mut took = Vec::new();
    for (message_id, acked_at) in acked {
        let stored_at = format!(
            "SELECT COALESCE(MAX(stored_at), 0) FROM resources JOIN messages USING (message_row_id)
             WHERE messages.message_id = '{message_id}'"
        );
        server.until("a new file is stored", async |server: &Server| Ok(server.number(&stored_at).await? > 0))?;
        let stored_at = server.runtime.block_on(server.number(&stored_at))?;
        took.push((stored_at - acked_at).max(0) as f64);
    }
    took.sort_by(f64::total_cmp);
    let percentile = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    figures.add("new file beside 2,500 older ones, answer to stored, p50, ms", percentile(0.5));
    figures.add("the same, p99, ms", percentile(0.99));
    figures.add("the same, longest, ms", percentile(0.9999));
    let until = begun_at + extent.choose(120_000, 10_000);
    let stored = format!("SELECT COUNT(*) FROM resources WHERE stored_at < {until}");
    let stored = server.runtime.block_on(server.number(&stored))? as f64;
    figures.add("stored in the first two minutes, of 2,000 calls", stored);
    server.stop()?;
    Ok(())
}

/// A way for the platform to fail, and the names of what is measured meanwhile.
struct Fault {
    begin: fn(&mut Platform) -> anyhow::Result<()>,
    cpu: &'static str,
    lines: &'static str,
    acks: &'static str,
    back: &'static str,
}

const FAULTS: [Fault; 3] = [
    Fault {
        begin: Platform::refuse,
        cpu: "connections refused: % of a core",
        lines: "connections refused: log lines a second",
        acks: "connections refused: acks at C=1, share of undisturbed",
        back: "connections refused: seconds from return to full speed",
    },
    Fault {
        begin: Platform::fall_silent,
        cpu: "no answers: % of a core",
        lines: "no answers: log lines a second",
        acks: "no answers: acks at C=1, share of undisturbed",
        back: "no answers: seconds from return to full speed",
    },
    Fault {
        begin: Platform::fail,
        cpu: "502 to everything: % of a core",
        lines: "502 to everything: log lines a second",
        acks: "502 to everything: acks at C=1, share of undisturbed",
        back: "502 to everything: seconds from return to full speed",
    },
];

fn failing(extent: Extent, fault: &Fault, undisturbed: &Server, figures: &mut Figures) -> anyhow::Result<()> {
    let mut platform = Platform::start()?;
    let mut server = Server::start(&platform.url(), PLATFORM)?;
    (fault.begin)(&mut platform)?;
    fire(server.address, &requests::files("due", extent.choose(DUE, DUE / 10), FILE_BYTES), SENDERS, PATIENCE)?;
    server.until("the inbox is empty", async |server: &Server| server.has_expanded().await)?;
    server.until("the app is paused", async |server: &Server| {
        Ok(server.metrics().await?.contains("larkive_app_paused{app=\"cli_a1b2c3d4e5f60708\"} 1"))
    })?;
    // What runs at first is over soon after.
    std::thread::sleep(Duration::from_secs(2));
    let (span, ticks, lines) = (extent.choose(30, 10), server.ticks()?, server.log_lines()?);
    std::thread::sleep(Duration::from_secs(span));
    figures.add(fault.cpu, (server.ticks()? - ticks) / TICKS / span as f64 * 100.0);
    figures.add(fault.lines, (server.log_lines()? - lines) as f64 / span as f64);
    figures.add(fault.acks, acks_beside(&server, undisturbed, extent)?);
    platform.recover()?;
    let back = Instant::now();
    // The newest go first, and those of the acks end as unknown to the platform.
    let ended = "SELECT COUNT(*) FROM resources WHERE state NOT IN ('pending', 'running')";
    server.until("it is at work again", async |server: &Server| Ok(server.number(ended).await? >= BACK_AT_WORK))?;
    figures.add(fault.back, back.elapsed().as_secs_f64());
    server.stop()?;
    Ok(())
}

/// A server with as much in its queue, whose budget is used up.
fn undisturbed(platform: &Platform, extent: Extent) -> anyhow::Result<Server> {
    let server = Server::start(&platform.url(), ONE_A_MINUTE)?;
    fire(server.address, &requests::files("due", extent.choose(DUE, DUE / 10), FILE_BYTES), SENDERS, PATIENCE)?;
    server.until("the inbox is empty", async |server: &Server| server.has_expanded().await)?;
    Ok(server)
}

/// How many acks a second a server gives, as a share of what an undisturbed one gives. Both are asked
/// in turn, because the speed of a machine changes from second to second.
fn acks_beside(server: &Server, undisturbed: &Server, extent: Extent) -> anyhow::Result<f64> {
    let (mut with, mut without) = (0.0, 0.0);
    for _ in 0..extent.choose(5, 3) {
        with += acks(server)?;
        without += acks(undisturbed)?;
    }
    Ok(with / without)
}

fn acks(server: &Server) -> anyhow::Result<f64> {
    let series = format!("acks {} {:?}", server.address, Instant::now());
    let acks = fire(server.address, &requests::documents(&series, 8000), 1, Duration::from_secs(1))?.per_second();
    server.until("the inbox is empty", async |server: &Server| server.has_expanded().await)?;
    Ok(acks)
}

/// How long a stop takes while downloads wait for the budget.
fn stop(figures: &mut Figures) -> anyhow::Result<()> {
    let platform = Platform::start()?;
    let mut server = Server::start(&platform.url(), ONE_A_MINUTE)?;
    fire(server.address, &requests::files("waiting", 100, FILE_BYTES), SENDERS, PATIENCE)?;
    let waiting = "SELECT COUNT(*) FROM resources WHERE state = 'running'";
    server.until("downloads wait", async |server: &Server| Ok(server.number(waiting).await? >= 15))?;
    figures.add("graceful stop while 15 downloads wait, seconds", server.stop()?.as_secs_f64());
    Ok(())
}

/// The stand-in platform, in this process, at an address that it keeps.
struct Platform {
    runtime: Runtime,
    address: SocketAddr,
    sandbox: Option<Sandbox>,
}

impl Platform {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let sandbox = runtime.block_on(Sandbox::start(options("127.0.0.1:0".parse()?)))?;
        let address = sandbox.base_url().trim_start_matches("http://").parse()?;
        Ok(Self { runtime, address, sandbox: Some(sandbox) })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn refuse(&mut self) -> anyhow::Result<()> {
        let sandbox = self.sandbox.take().context("it refuses already")?;
        self.runtime.block_on(sandbox.stop());
        Ok(())
    }

    fn fall_silent(&mut self) -> anyhow::Result<()> {
        self.play(|route| Rule::on(route, Action::Hang))
    }

    fn fail(&mut self) -> anyhow::Result<()> {
        self.play(|route| Rule::on(route, Action::Page { status: 502 }))
    }

    fn play(&mut self, rule: fn(Route) -> Rule) -> anyhow::Result<()> {
        let sandbox = self.sandbox.as_ref().context("it does not listen")?;
        for route in [Route::Resource, Route::Message, Route::Chat, Route::Users] {
            sandbox.fault(rule(route));
        }
        Ok(())
    }

    fn recover(&mut self) -> anyhow::Result<()> {
        match &self.sandbox {
            Some(sandbox) => sandbox.clear_faults(),
            None => self.sandbox = Some(self.runtime.block_on(Sandbox::start(options(self.address)))?),
        }
        Ok(())
    }
}

fn options(listen: SocketAddr) -> SandboxOptions {
    SandboxOptions { listen, hashing: Hashing::Off, ..SandboxOptions::default() }
}

/// `larkive serve` on a directory of its own. It is killed when this is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    catalogue: Catalogue,
    runtime: Runtime,
    http: reqwest::Client,
    _directory: TempDir,
}

impl Server {
    fn start(platform: &str, budget: &str) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?;
        let log = directory.path().join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_larkive"))
            .arg("serve")
            .current_dir(directory.path())
            .env_clear()
            .envs([("FEISHU_APP_ID", APP_ID), ("FEISHU_APP_SECRET", "secret"), ("FEISHU_ENCRYPT_KEY", ENCRYPT_KEY)])
            .envs([("FEISHU_VERIFICATION_TOKEN", VERIFICATION_TOKEN), ("FEISHU_BASE_URL", platform)])
            .envs([("LARKIVE_LISTEN", "127.0.0.1:0"), ("LARKIVE_CALL_BUDGET", budget)])
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("cannot start larkive serve")?;
        let address = address_in(&log)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let layout = DataLayout::within(&directory.path().join("data"));
        let catalogue = runtime.block_on(Catalogue::open_read_only(&layout.catalogue))?;
        // The first to install it wins; it is the same for all.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
        Ok(Self { child, address, log, catalogue, runtime, http, _directory: directory })
    }

    /// Waits until something is so.
    fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.runtime.block_on(is_so(self))? {
            ensure!(Instant::now() < deadline, "after {PATIENCE:?} still not: {what}");
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(self.catalogue.read()).await?)
    }

    async fn has_expanded(&self) -> anyhow::Result<bool> {
        Ok(larkive::catalogue::events::backlog(self.catalogue.read()).await?.is_none())
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.http.get(format!("http://{}/metrics", self.address)).send().await?.text().await?)
    }

    /// Processor time so far, of the program and of the system for it.
    fn ticks(&self) -> anyhow::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("/proc/<pid>/stat is odd")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let [user, system] = [11, 12].map(|place| fields.get(place).and_then(|field| field.parse::<f64>().ok()));
        Ok(user.context("no user time")? + system.context("no system time")?)
    }

    fn log_lines(&self) -> anyhow::Result<usize> {
        Ok(fs::read_to_string(&self.log)?.lines().count())
    }

    /// Stops it as a service manager does, and returns how long that took.
    fn stop(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(begun.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; what there is to say about that stands in its log.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the log line that says where the server listens.
fn address_in(log: &std::path::Path) -> anyhow::Result<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(log)?;
        let told = text.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("address")?.as_str()?.parse().ok()
        });
        if let Some(address) = told {
            return Ok(address);
        }
        if text.contains("larkive: ") || Instant::now() > deadline {
            bail!("larkive serve does not listen:\n{text}");
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
