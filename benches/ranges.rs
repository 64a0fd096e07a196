//! How fast a large file comes in ranges, next to a plain GET of the same file.
//!
//! `cargo bench --bench ranges`; `-- --quick` measures less. Client and stand-in platform share the
//! machine, so the two figures say something about each other, and nothing about a network.

mod rounds;

use std::time::Instant;

use anyhow::{Context, ensure};
use larkive::clock::Clock;
use larkive::domain::resource::ResourceType;
use larkive::domain::secret::Secret;
use larkive::domain::source::Target;
use larkive::feishu::client::{Client, ClientSettings, IDLE_TIMEOUT};
use larkive::feishu::limit::Budget;
use larkive::feishu::outbound::Outbound;
use larkive::feishu::platform_time::PlatformTime;
use larkive::metrics::Metrics;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Action, Hashing, Route, Rule, Sandbox, SandboxOptions};

use crate::rounds::{Extent, Figures};

const MB: f64 = 1_000_000.0;
const MESSAGE_ID: &str = "om_large";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(extent) = Extent::asked_of("ranges") else { return Ok(()) };
    let size_bytes = extent.choose(1_000_000_000, 100_000_000);
    let key = Media::Blob { size_bytes }.key(1);
    let platform = Sandbox::start(SandboxOptions { hashing: Hashing::Off, ..SandboxOptions::default() }).await?;
    let client = client(&platform)?;
    let mut figures = Figures::default();
    for round in 1..=extent.rounds() {
        eprintln!("a file of {} MB, round {round}", size_bytes as f64 / MB);
        platform.clear_faults();
        figures.add("plain GET, MB per second", fetch(&client, &key, size_bytes).await?);
        platform.fault(Rule::on(Route::Resource, Action::RefuseWhole));
        figures.add("ranges, MB per second", fetch(&client, &key, size_bytes).await?);
    }
    println!("{figures}");
    platform.stop().await;
    Ok(())
}

fn client(platform: &Sandbox) -> anyhow::Result<Client> {
    let settings = ClientSettings {
        base_url: platform.base_url().parse()?,
        app_id: "cli_bench".parse()?,
        app_secret: Secret::new("the stand-in takes any"),
        helpdesk: None,
        budget: Budget::OFF,
        idle_timeout: IDLE_TIMEOUT,
        outbound: Outbound::default(),
    };
    Client::new(settings, Metrics::new(), PlatformTime::new(Clock::system()))
}

/// Fetches the file and throws it away; returns how many MB came in a second.
async fn fetch(client: &Client, key: &str, size_bytes: u64) -> anyhow::Result<f64> {
    let target =
        Target::MessageResource { message_id: MESSAGE_ID.parse()?, key: key.parse()?, kind: ResourceType::File };
    let begun = Instant::now();
    let mut download = client.fetch(&target).await.ok().context("the stand-in does not hand out its file")?;
    let mut received = 0;
    while let Some(chunk) = download.chunk().await.ok().context("the transfer broke")? {
        received += chunk.len() as u64;
    }
    ensure!(received == size_bytes, "{received} of {size_bytes} bytes came");
    Ok(received as f64 / MB / begun.elapsed().as_secs_f64())
}
