//! What strangers do to deliveries: connections that stall, that send what nobody reads, that fetch no answer.
//!
//! `cargo bench --bench strangers`; `-- --quick` measures less. The load is bounded in number and
//! time and goes to this machine only. Beside each attack genuine deliveries come from the same
//! address, each on a connection of its own, as behind a proxy that keeps none.

mod rounds;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event::{self, App};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::{Sealing, seal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::rounds::{Extent, Figures};

const APP_ID: &str = "cli_bench";
const KEY: &str = "key-of-the-bench";
const TOKEN: &str = "verification-token-of-the-bench";
/// Between two genuine deliveries.
const DELIVER_EVERY: Duration = Duration::from_millis(20);
/// Between two looks at the server.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the platform waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// What strangers do.
#[derive(Debug, Clone, Copy)]
enum Attack {
    Nothing,
    /// They announce 1 MiB, every other one without a length, and fall silent.
    Stall,
    /// They send a chunk to what reads no body.
    Unread,
    /// They ask and fetch no answer.
    Deaf(&'static str),
}

/// Each attack with the number of its connections; whoever is cut off begins anew.
const ATTACKS: [(&str, Attack, usize); 6] = [
    ("no strangers", Attack::Nothing, 0),
    ("64 silent senders", Attack::Stall, 64),
    ("1,000 silent senders", Attack::Stall, 1_000),
    ("1,000 bodies that are not read", Attack::Unread, 1_000),
    ("60 who fetch no answer of /healthz", Attack::Deaf("/healthz"), 60),
    ("60 who fetch no answer of /login", Attack::Deaf("/login"), 60),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("strangers") else { return Ok(()) };
    let mut tables = Vec::new();
    for (name, attack, strangers) in ATTACKS {
        let mut figures = Figures::default();
        for round in 1..=extent.rounds() {
            eprintln!("{name}, round {round}");
            measure(attack, strangers, extent.choose(Duration::from_secs(12), Duration::from_secs(4)), &mut figures)
                .await?;
        }
        tables.push(format!("{name}\n\n{figures}"));
    }
    println!("{}", tables.join("\n"));
    Ok(())
}

/// Delivers beside an attack for so long.
async fn measure(attack: Attack, strangers: usize, within: Duration, figures: &mut Figures) -> anyhow::Result<()> {
    let directory = TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?;
    let server = Server::start(directory.path())?;
    let mut attackers = JoinSet::new();
    for number in 0..strangers {
        attackers.spawn(attack_for_ever(server.address, attack, number));
    }
    let mut deliveries = JoinSet::new();
    let (begun, mut next) = (Instant::now(), tokio::time::interval(DELIVER_EVERY));
    let (mut looked_at, mut most_files) = (begun, 0);
    let mut number = 0;
    while begun.elapsed() < within {
        next.tick().await;
        number += 1;
        deliveries.spawn(deliver(server.address, delivery(number)));
        if looked_at.elapsed() > LOOK_EVERY {
            looked_at = Instant::now();
            most_files = most_files.max(server.open_files()?);
        }
    }
    let (mut latencies, mut unanswered) = (Vec::new(), 0);
    while let Some(delivered) = deliveries.join_next().await {
        match delivered? {
            Some(latency) => latencies.push(latency.as_secs_f64() * 1000.0),
            None => unanswered += 1,
        }
    }
    attackers.abort_all();
    latencies.sort_by(f64::total_cmp);
    let percentile = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied();
    figures.add("genuine deliveries", latencies.len() as f64 + f64::from(unanswered));
    figures.add("of them not answered 200 within 3 s", f64::from(unanswered));
    figures.add("p50, ms", percentile(0.50).unwrap_or(f64::INFINITY));
    figures.add("p99, ms", percentile(0.99).unwrap_or(f64::INFINITY));
    figures.add("most files open", most_files as f64);
    figures.add("peak memory, MiB", server.peak_memory_mib()?);
    Ok(())
}

/// Attacks until it is aborted; what is cut off begins anew.
async fn attack_for_ever(address: SocketAddr, attack: Attack, number: usize) {
    let follows = ["Content-Length: 1048576", "Transfer-Encoding: chunked"][number % 2];
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        // Whatever comes of it, the next connection follows.
        let _ = match attack {
            Attack::Nothing => return,
            Attack::Stall => {
                let head = format!(
                    "POST /webhook/event HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{follows}\r\n\r\n"
                );
                stall(&mut stream, &head).await
            }
            Attack::Unread => {
                let path = ["/healthz", "/nothing", "/webhook/event"][number % 3];
                stall(
                    &mut stream,
                    &format!("PUT {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
                )
                .await
            }
            Attack::Deaf(path) => {
                let many = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(1_000);
                pipeline(&mut stream, many.as_bytes()).await
            }
        };
    }
}

/// Sends something, and reads until it is cut off.
async fn stall(stream: &mut TcpStream, request: &str) -> std::io::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 1024];
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}

/// Sends as long as anything is taken.
async fn pipeline(stream: &mut TcpStream, requests: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(requests).await?;
    }
}

/// How long it took until a delivery was answered 200, if it was.
async fn deliver(address: SocketAddr, request: Vec<u8>) -> Option<Duration> {
    let begun = Instant::now();
    let answered = tokio::time::timeout(ANSWER_WITHIN, async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(&request).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        answer.starts_with(b"HTTP/1.1 200 ").then_some(())
    });
    answered.await.ok()?.map(|()| begun.elapsed())
}

/// A delivery as the platform sends it, on a connection that is not kept.
fn delivery(number: u64) -> Vec<u8> {
    let app = App { app_id: APP_ID.to_owned(), verification_token: Secret::new(TOKEN) };
    let key = EncryptKey::new(Secret::new(KEY));
    let now = Clock::system().now();
    let message = event::image(&format!("om_{:032x}", fastrand::u128(..)), &Media::Png.key(number));
    let sealed = seal(&message.payload(&app, now), Some(&key), Sealing::Proper, now);
    let mut request =
        "POST /webhook/event HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n".to_owned();
    for (name, value) in &sealed.headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{}", sealed.body.len(), sealed.body);
    request.into_bytes()
}

/// `larkive serve`, with a platform that nobody reaches. It is killed when this is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(directory: &Path) -> anyhow::Result<Self> {
        let log_path = directory.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_larkive"))
            .arg("serve")
            .current_dir(directory)
            .env_clear()
            .envs([("FEISHU_APP_ID", APP_ID), ("FEISHU_APP_SECRET", "secret"), ("FEISHU_ENCRYPT_KEY", KEY)])
            .envs([("FEISHU_VERIFICATION_TOKEN", TOKEN), ("FEISHU_BASE_URL", "http://127.0.0.1:9")])
            .envs([("LARKIVE_LISTEN", "127.0.0.1:0"), ("LARKIVE_CALL_BUDGET", "1/min")])
            .env("LARKIVE_ADMIN_TOKEN", "admin-token-of-the-bench")
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log_path)?)
            .spawn()
            .context("cannot start larkive serve")?;
        // It is killed even if it never says where it listens.
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into() };
        server.address = address_in(&log_path)?;
        Ok(server)
    }

    fn open_files(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    fn peak_memory_mib(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.context("no peak; memory needs Linux")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the log line that says where the server listens.
fn address_in(log_path: &Path) -> anyhow::Result<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let log = fs::read_to_string(log_path)?;
        let told = log.lines().find_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).ok()?.get("address")?.as_str()?.parse().ok()
        });
        if let Some(address) = told {
            return Ok(address);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    bail!("larkive serve does not listen:\n{}", fs::read_to_string(log_path)?)
}
