//! Deliveries under attack and beside a slow disk: one that is sent again and again, and new ones while a store takes
//! a second for each sync.
//!
//! `cargo bench --bench deliveries`; `-- --quick` measures less. The server is the program as people run it. The disk
//! is made slow by `slow_sync.c`, which lets the store's syncs wait, and no others; a C compiler makes it.

#[path = "../rounds/mod.rs"]
mod rounds;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event::{self, App as SampleApp};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::{Sealing, Sender};
use larkive::sandbox::{Hashing, Sandbox, SandboxOptions};
use tempfile::TempDir;

use crate::rounds::{Extent, Figures};

const APPS: [&str; 2] = ["cli_first", "cli_second"];
const KEY: &str = "key-of-the-bench";
/// Connections of whoever floods.
const CONNECTIONS: usize = 64;
/// New deliveries a second beside flood or slow disk.
const RATE: u32 = 50;
/// How long a sync of the slow store takes.
const SLOW_SYNC_MS: &str = "1000";
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("deliveries") else { return Ok(()) };
    // The first to install it wins; it is the same for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = SandboxOptions { hashing: Hashing::Off, ..SandboxOptions::default() };
    let platform = Sandbox::start(options).await?;
    let mut figures = Figures::default();
    for round in 1..=extent.rounds() {
        eprintln!("replays, round {round}");
        replays(&platform, extent, &mut figures).await?;
        eprintln!("slow disk, round {round}");
        slow_disk(&platform, extent, &mut figures).await?;
    }
    println!("{figures}");
    platform.stop().await;
    Ok(())
}

/// One recorded delivery over and over, with new deliveries beside it.
async fn replays(platform: &Sandbox, extent: Extent, figures: &mut Figures) -> anyhow::Result<()> {
    let copies = extent.choose(200_000, 20_000);
    let server = Server::start(platform, &Disk::AsItIs).await?;
    let sender = server.sender(APPS[0])?;
    let recorded = sender.sealed(&message(&sender, "om_recorded", 0), Sealing::Proper);
    sender.post(&recorded).await?;
    let before = server.bytes_on_disk()?;
    let begun = Instant::now();
    let flood = stream::iter(0..copies).map(|_| sender.post(&recorded)).buffer_unordered(CONNECTIONS);
    let flood = flood.try_fold(0_u64, async |taken, reply| Ok(taken + u64::from(reply.status == 200)));
    let (taken, beside) = tokio::join!(flood, deliver(&server, "om_beside", 200));
    let (taken, beside) = (taken?, beside?);
    ensure!(taken == copies, "{taken} of {copies} copies were answered 200");
    figures.add("copies of one delivery answered a second", copies as f64 / begun.elapsed().as_secs_f64());
    figures.add("new deliveries beside them answered 200, %", beside.answered_percent());
    figures.add("new deliveries beside them, p99 ms", beside.p99_ms());
    figures.add("rows written for the copies", server.metric("accepted").await? - 1.0 - beside.sent as f64);
    figures.add("bytes on disk for each copy", (server.bytes_on_disk()? - before) as f64 / copies as f64);
    Ok(())
}

/// Two apps with a backlog of downloads whose bytes go to a slow store, with new deliveries beside it.
async fn slow_disk(platform: &Sandbox, extent: Extent, figures: &mut Figures) -> anyhow::Result<()> {
    let (backlog, deliveries) = extent.choose((2000, 1500), (1000, 250));
    let shim = Shim::compile()?;
    let server = Server::start(platform, &Disk::Slow(&shim.path())).await?;
    for app_id in APPS {
        let sender = server.sender(app_id)?;
        let sender = &sender;
        let sent = stream::iter(0..backlog)
            .map(|number| async move { sender.deliver(&message(sender, &format!("om_{number}"), number)).await })
            .buffer_unordered(CONNECTIONS);
        sent.try_for_each(async |reply| {
            assert_eq!(reply.status, 200, "{}", reply.body);
            Ok(())
        })
        .await?;
    }
    let beside = deliver(&server, "om_new", deliveries).await?;
    figures.add("deliveries beside a slow store answered 200, %", beside.answered_percent());
    figures.add("deliveries beside a slow store, p99 ms", beside.p99_ms());
    Ok(())
}

/// How deliveries were answered.
struct Answers {
    sent: usize,
    taken: usize,
    times: Vec<Duration>,
}

impl Answers {
    fn answered_percent(&self) -> f64 {
        self.taken as f64 * 100.0 / self.sent as f64
    }

    fn p99_ms(&self) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort();
        sorted.get(sorted.len() * 99 / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }
}

/// Delivers so many new messages, one after the other has had its turn, whether that was answered or not.
async fn deliver(server: &Server, prefix: &str, count: usize) -> anyhow::Result<Answers> {
    let sender = server.sender(APPS[0])?;
    let mut turns = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut under_way = tokio::task::JoinSet::new();
    for number in 0..count {
        turns.tick().await;
        let (sender, payload) = (sender.clone(), message(&sender, &format!("{prefix}_{number}"), number as u64 + 1));
        under_way.spawn(async move {
            let begun = Instant::now();
            (sender.deliver(&payload).await.is_ok_and(|reply| reply.status == 200), begun.elapsed())
        });
    }
    let answers = under_way.join_all().await;
    let taken = answers.iter().filter(|(is_taken, _)| *is_taken).count();
    Ok(Answers { sent: count, taken, times: answers.into_iter().map(|(_, time)| time).collect() })
}

fn message(sender: &Sender, id: &str, number: u64) -> serde_json::Value {
    event::image(id, &Media::Png.key(number)).payload(sender.app(), Clock::system().now())
}

/// What the store lies on.
enum Disk<'a> {
    AsItIs,
    /// One whose syncs this library makes slow.
    Slow(&'a Path),
}

/// The compiled `slow_sync.c`.
struct Shim(TempDir);

impl Shim {
    fn compile() -> anyhow::Result<Self> {
        let shim = Self(TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/deliveries/slow_sync.c");
        let compiled =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(shim.path()).arg(&source).status();
        ensure!(compiled.context("there is no C compiler")?.success(), "slow_sync.c cannot be compiled");
        Ok(shim)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("slow_sync.so")
    }
}

/// `larkive serve` for two apps, in a directory of its own; it ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(platform: &Sandbox, disk: &Disk<'_>) -> anyhow::Result<Self> {
        let directory = TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let store = directory.path().join("store");
        fs::write(directory.path().join("larkive.toml"), configuration(platform))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_larkive"));
        command
            .args(["serve", "--config", "larkive.toml"])
            .current_dir(directory.path())
            .env_clear()
            .envs([("LARKIVE_LISTEN", address.to_string()), ("LARKIVE_CALL_BUDGET", "off".to_owned())])
            .env("LARKIVE_STORE_URL", format!("file://{}", store.display()))
            .env("LARKIVE_MIN_FREE_BYTES", "0")
            .stderr(Stdio::null());
        if let Disk::Slow(library) = disk {
            command.env("LD_PRELOAD", library).env("SLOW_SYNC_UNDER", &store).env("SLOW_SYNC_MS", SLOW_SYNC_MS);
        }
        let server = Self { child: command.spawn()?, address, directory };
        let deadline = Instant::now() + PATIENCE;
        while server.metrics().await.is_err() {
            ensure!(Instant::now() < deadline, "the server does not answer within {PATIENCE:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(server)
    }

    fn sender(&self, app_id: &str) -> anyhow::Result<Sender> {
        let app = SampleApp { app_id: app_id.to_owned(), verification_token: Secret::new(KEY) };
        let url = format!("http://{}/webhook/event/{app_id}", self.address);
        Sender::new(&url, app, Some(EncryptKey::new(Secret::new(KEY))))
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("http://{}/metrics", self.address)).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }

    /// How many deliveries had this result.
    async fn metric(&self, result: &str) -> anyhow::Result<f64> {
        let name = format!("larkive_events_total{{result=\"{result}\"}} ");
        let metrics = self.metrics().await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }

    /// What the catalogue and its log take.
    fn bytes_on_disk(&self) -> anyhow::Result<u64> {
        let files = ["larkive.db", "larkive.db-wal"].map(|name| self.directory.path().join("data").join(name));
        Ok(files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.blocks() * 512).sum())
    }
}

fn configuration(platform: &Sandbox) -> String {
    let app = |app_id: &str| {
        format!(
            "[[apps]]\napp_id = \"{app_id}\"\napp_secret = \"secret\"\nencrypt_key = \"{KEY}\"\n\
             verification_token = \"{KEY}\"\nbase_url = \"{}\"\n",
            platform.base_url()
        )
    };
    APPS.map(app).concat()
}
