//! `larkive health`: the probe of the container's health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use url::Url;

use super::{Exit, Outcome, address};
use crate::config::Settings;
use crate::domain::error::chain;

/// How long the server may take to answer; a health check every half minute can wait that long.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Ask a running archive whether it is alive
///
/// Prints nothing on stdout. Without --url the address comes from LARKIVE_LISTEN.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larkive health\n  larkive health --url http://127.0.0.1:8080\n\nExit codes: 0 /healthz answered 200, 1 it did not."
)]
pub struct Options {
    /// Where the archive listens
    #[arg(long, value_name = "URL", value_parser = address::web)]
    pub url: Option<Url>,
}

/// Probes `/healthz`.
///
/// # Errors
/// If the address makes no URL or the probe cannot be set up.
pub async fn run(options: Options, settings: Option<&Settings>) -> Outcome {
    let base = match (options.url, settings) {
        (Some(url), _) => url,
        (None, Some(settings)) => local_url(settings.listen)?,
        (None, None) => anyhow::bail!("neither --url nor LARKIVE_LISTEN says where to look"),
    };
    let url = base.join("/healthz").context("the address makes no URL")?;
    let client = reqwest::Client::builder()
        .timeout(ANSWER_WITHIN)
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .context("cannot set up the probe")?;
    match client.get(url.clone()).send().await {
        Ok(answer) if answer.status() == StatusCode::OK => Ok(Exit::Done),
        Ok(answer) => {
            eprintln!("larkive: {url} answered {}", answer.status());
            Ok(Exit::Problems)
        }
        Err(error) => {
            eprintln!("larkive: {url} does not answer: {}", chain(&error.without_url()));
            Ok(Exit::Problems)
        }
    }
}

/// Where to reach a server that listens here; "every address" is reached by the loopback one.
fn local_url(listen: SocketAddr) -> anyhow::Result<Url> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    Url::parse(&format!("http://{address}")).context("the address makes no URL")
}
