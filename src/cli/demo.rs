//! `larkive demo`: the whole thing on one machine, without an account.
//!
//! A stand-in platform, a serving archive beside it, sample messages through the real webhook, and
//! what became of each of them.

mod by_hand;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::output::{self, Format, FormatOption, Printer, Record, forgive_closed_pipe, human_bytes, value};
use super::{Exit, Outcome, address, open_files, signals};
use crate::app::{App, AppSetup, Ended, Setup};
use crate::archive::download::Limits;
use crate::catalogue::Catalogue;
use crate::catalogue::listing;
use crate::catalogue::listing::resource::Resource;
use crate::clock::Clock;
use crate::config::DataLayout;
use crate::domain::app::AppKind;
use crate::domain::cell::Cell;
use crate::domain::digest::Digest;
use crate::domain::download::State;
use crate::domain::filter::Filter;
use crate::domain::id::{AppId, MessageId};
use crate::domain::message::OnRecall;
use crate::domain::proxies::TrustedProxies;
use crate::domain::reason::{Bilingual, ReasonCode};
use crate::domain::secret::Secret;
use crate::domain::zone::Zone;
use crate::feishu::client::{ClientSettings, IDLE_TIMEOUT};
use crate::feishu::crypto::EncryptKey;
use crate::feishu::limit::Budget;
use crate::feishu::outbound::Outbound;
use crate::feishu::webhook::AppKeys;
use crate::http::connection::capacity;
use crate::picture::apart::this_program;
use crate::sandbox::event::App as SampleApp;
use crate::sandbox::kind::{Expected, Kind, sample_events};
use crate::sandbox::sender::Sender;
use crate::sandbox::{Action, Route, Rule, Sandbox, SandboxOptions};

/// How long the samples may take to settle.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);
/// How often the demo looks whether they have.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Downloads in flight: enough to show that they overlap.
const CONCURRENCY: usize = 8;
/// The address that a demo takes if it is free.
const USUAL_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The largest resource of a demo; its samples have 40 MiB at most.
const MAX_RESOURCE_BYTES: u64 = 1 << 30;
/// The demo needs this much space and no reserve beyond.
const MIN_FREE_BYTES: u64 = 100 << 20;
/// The seed of every sample: each demo shows the same.
const SEED: u64 = 1;
const APP_ID: &str = "cli_larkive_demo";

/// See it work: everything on this machine, without an account
///
/// Starts a stand-in platform and an archive beside it, sends sample messages with real media
/// through the real webhook, and prints what was archived. Stays up afterwards, so that you can look
/// around; settings of the environment and of .env play no part in it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larkive demo\n  larkive demo --once\n  larkive demo --data-dir /tmp/archive --listen 127.0.0.1:9000\n\nExit codes: 0 every sample ended as expected, 1 some did not (or not within 120 s), 2 could not run."
)]
pub struct Options {
    /// Exit when every sample has settled
    #[arg(long)]
    once: bool,
    /// Where to listen [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, value_name = "ADDR", value_parser = address::listening)]
    listen: Option<SocketAddr>,
    /// Where to keep the archive [default: a temporary directory that goes afterwards]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    format: FormatOption,
}

/// What the platform does wrong with a sample.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    /// It refuses for good, with this code.
    Refuses { code: i64, msg: &'static str, reason: ReasonCode },
    /// It fails once.
    FailsOnce,
    /// It breaks the transfer once.
    BreaksOnce,
}

/// A sample and what goes wrong with it.
struct Sample {
    name: &'static str,
    kind: Kind,
    seed: u64,
    mishap: Option<Mishap>,
}

/// The samples: every kind of media, then what nobody hands out, then what goes wrong.
fn samples() -> Vec<Sample> {
    let kinds = [
        Kind::Image,
        Kind::Jpeg,
        Kind::Webp,
        Kind::Gif,
        Kind::File,
        Kind::Pdf,
        Kind::Json,
        Kind::TextFile,
        Kind::Audio,
        Kind::Media,
        Kind::Post,
        Kind::Big,
        Kind::MergeForward,
        Kind::Quote,
        Kind::UnknownType,
        Kind::Duplicate,
        Kind::Sticker,
        Kind::Folder,
        Kind::TicketImage,
        Kind::TicketPost,
    ];
    let smooth = kinds.into_iter().map(|kind| Sample { name: kind.as_str(), kind, seed: SEED, mishap: None });
    let refused = |name, seed, code, msg, reason| Sample {
        name,
        kind: Kind::Image,
        seed,
        mishap: Some(Mishap::Refuses { code, msg, reason }),
    };
    let troubled = [
        Sample { name: "gateway_error", kind: Kind::Pdf, seed: SEED + 1, mishap: Some(Mishap::FailsOnce) },
        Sample { name: "broken_transfer", kind: Kind::File, seed: SEED + 2, mishap: Some(Mishap::BreaksOnce) },
        Sample {
            name: "recalled",
            kind: Kind::Recalled,
            seed: SEED + 3,
            mishap: Some(Mishap::Refuses {
                code: 230_110,
                msg: "Action unavailable as the message has been deleted.",
                reason: ReasonCode::MessageDeleted,
            }),
        },
        refused(
            "restricted_chat",
            SEED + 4,
            234_038,
            "Do not allow downloading of message resources in restricted mode.",
            ReasonCode::RestrictedMode,
        ),
    ];
    smooth.chain(troubled).collect()
}

impl Mishap {
    fn action(self) -> Action {
        match self {
            Self::Refuses { code, msg, .. } => {
                Action::Answer { status: 400, code, msg: msg.to_owned(), headers: BTreeMap::new() }
            }
            Self::FailsOnce => Action::Page { status: 502 },
            Self::BreaksOnce => Action::Cut { after: Some(10) },
        }
    }

    /// Where a sample ought to end that this happens to.
    fn expect(self, expected: &mut Expected) {
        if let Self::Refuses { reason, .. } = self {
            expected.state = reason.state();
            expected.reason_code = Some(reason);
            expected.sha256 = None;
        }
    }

    /// What the platform does to this key, instead of what it would do.
    fn rule(self, key: &str) -> Rule {
        let times = match self {
            Self::Refuses { .. } => None,
            Self::FailsOnce | Self::BreaksOnce => Some(1),
        };
        Rule {
            route: Some(Route::Resource),
            key: Some(key.to_owned()),
            message: None,
            app: None,
            after: 0,
            times,
            delay_ms: 0,
            action: self.action(),
        }
    }
}

/// One line of the result: a resource, as it was expected and as it is.
#[derive(Debug, Serialize)]
struct Line {
    sample: &'static str,
    expected_state: State,
    state: Option<State>,
    reason_code: Option<ReasonCode>,
    message_id: Option<String>,
    key: String,
    file_name: Option<String>,
    size_bytes: Option<u64>,
    sha256: Option<Digest>,
    remedy: Option<Bilingual>,
    #[serde(skip)]
    as_expected: bool,
}

impl Record for Line {
    const COLUMNS: &'static [&'static str] = &[
        "sample",
        "expected_state",
        "state",
        "reason_code",
        "message_id",
        "key",
        "file_name",
        "size_bytes",
        "sha256",
        "remedy_zh",
        "remedy_en",
    ];
    const HEADINGS: &'static [&'static str] = &["SAMPLE", "STATE", "SIZE", "NAME", "WHAT TO DO"];

    fn values(&self) -> Vec<Cell> {
        vec![
            Cell::text(Some(self.sample)),
            Cell::text(Some(self.expected_state)),
            Cell::text(self.state),
            Cell::text(self.reason_code),
            Cell::text(self.message_id.as_ref()),
            Cell::text(Some(&self.key)),
            Cell::text(self.file_name.as_ref()),
            Cell::number(self.size_bytes),
            Cell::text(self.sha256),
            Cell::text(self.remedy.map(|remedy| remedy.zh)),
            Cell::text(self.remedy.map(|remedy| remedy.en)),
        ]
    }

    fn cells(&self, _: &Zone) -> Vec<String> {
        let state = match (self.as_expected, self.state) {
            (true, Some(state)) => state.to_string(),
            (_, state) => format!("{} (expected {})", value(state), self.expected_state),
        };
        vec![
            self.sample.to_owned(),
            state,
            self.size_bytes.map_or_else(String::new, human_bytes),
            value(self.file_name.as_ref()),
            value(self.remedy.map(|remedy| remedy.en)),
        ]
    }
}

/// A resource that a delivered sample ought to bring, and where it ought to end.
struct Awaited {
    sample: &'static str,
    message_id: Option<String>,
    expected: Expected,
}

/// Runs the demo.
///
/// # Errors
/// If something cannot be started.
pub async fn run(options: Options) -> Outcome {
    let shutdown = signals::shutdown()?;
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    let (layout, _temporary) = data_layout(options.data_dir.as_deref())?;
    let access = Access::invent();
    let app = open(options.listen, access.setup(layout, &sandbox)?).await?;
    let (address, catalogue, wake) = (app.address()?, app.catalogue.clone(), app.wake.clone());
    let serving = tokio::spawn(app.serve(shutdown.clone()));

    let sender = Sender::new(&format!("http://{address}/webhook/event"), access.app, Some(access.encrypt_key))?;
    let mut awaited = deliver(&sandbox, &sender).await?;
    awaited.extend(by_hand::order(&catalogue, APP_ID.parse()?, &wake).await?);
    let lines = settle(&catalogue, awaited, &shutdown).await?;
    let format = options.format.choose();
    let stays = !options.once && !shutdown.is_cancelled();
    let shown = show(&lines, format, stays.then(|| invitation(format, address, &access.admin_token)));
    if stays && shown.is_ok() {
        shutdown.cancelled().await;
    }
    shutdown.cancel();
    let served = serving.await.context("the archive crashed")??;
    sandbox.stop().await;
    let as_expected = lines.iter().all(|line| line.as_expected) && served == Ended::OnRequest;
    forgive_closed_pipe(shown.map(|()| if as_expected { Exit::Done } else { Exit::Problems }))
}

/// Prints what became of the samples, and where to look at them if the archive stays up.
fn show(lines: &[Line], format: Format, invitation: Option<String>) -> anyhow::Result<()> {
    let mut printer = Printer::new(output::stdout(), format);
    printer.print(lines)?;
    printer.finish::<Line>()?;
    if let Some(invitation) = invitation {
        writeln!(io::stdout(), "{invitation}")?;
    }
    Ok(())
}

/// What the demo's app and administrators authenticate with.
struct Access {
    app: SampleApp,
    encrypt_key: EncryptKey,
    admin_token: Secret,
}

impl Access {
    /// New secrets for each demo: whoever can reach the port must not know them.
    fn invent() -> Self {
        let secret = || Secret::new(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)));
        Self {
            app: SampleApp { app_id: APP_ID.to_owned(), verification_token: secret() },
            encrypt_key: EncryptKey::new(secret()),
            admin_token: secret(),
        }
    }

    fn setup(&self, layout: DataLayout, sandbox: &Sandbox) -> anyhow::Result<Setup> {
        let app_id: AppId = APP_ID.parse()?;
        let keys = AppKeys {
            app_id: app_id.clone(),
            verification_token: self.app.verification_token.clone(),
            encrypt_key: Some(self.encrypt_key.clone()),
        };
        let client = ClientSettings {
            base_url: sandbox.base_url().parse().context("the stand-in has no usable address")?,
            app_id,
            app_secret: Secret::new("the stand-in takes any"),
            helpdesk: Some(("7000000000000000001".to_owned(), Secret::new("the stand-in takes any"))),
            budget: Budget::PLATFORM,
            idle_timeout: IDLE_TIMEOUT,
            outbound: Outbound::default(),
        };
        Ok(Setup {
            layout,
            apps: vec![AppSetup { keys, client, kind: AppKind::Custom }],
            listen: USUAL_ADDRESS,
            admin_listen: None,
            trusted_proxies: TrustedProxies::default(),
            max_connections: capacity(open_files::raise()),
            admin_token: Some(self.admin_token.clone()),
            download_concurrency: CONCURRENCY,
            limits: Limits { max_resource_bytes: MAX_RESOURCE_BYTES, retry_for: SETTLE_WITHIN },
            on_recall: OnRecall::Keep,
            min_free_bytes: MIN_FREE_BYTES,
            time_zone: Zone::default(),
            shown_settings: Vec::new(),
            program: this_program()?,
        })
    }
}

/// The directory that was asked for, or a temporary one that goes when its guard is dropped.
fn data_layout(wanted: Option<&Path>) -> anyhow::Result<(DataLayout, Option<Temporary>)> {
    if let Some(directory) = wanted {
        return Ok((DataLayout::within(&std::path::absolute(directory)?), None));
    }
    let name = format!("larkive-demo-{:016x}", fastrand::u64(..));
    let directory = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    Ok((DataLayout::within(&directory), Some(Temporary(directory))))
}

/// A directory that goes when this goes.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "Cannot remove the demo's directory");
        }
    }
}

/// Opens the archive at the address that was asked for; else at the usual one, or at a free port
/// if somebody has that.
async fn open(wanted: Option<SocketAddr>, setup: Setup) -> anyhow::Result<App> {
    let listen = match wanted {
        Some(address) => address,
        None if TcpListener::bind(USUAL_ADDRESS).is_ok() => USUAL_ADDRESS,
        None => SocketAddr::new(USUAL_ADDRESS.ip(), 0),
    };
    App::open(Setup { listen, ..setup }, Clock::system()).await
}

/// Sends every sample, after telling the stand-in what goes wrong with it.
async fn deliver(sandbox: &Sandbox, sender: &Sender) -> anyhow::Result<Vec<Awaited>> {
    let mut awaited = Vec::new();
    for sample in samples() {
        let deliveries = sample_events(sample.kind, sample.seed, sender.app(), Clock::system().now());
        let resources = deliveries.first().map(|first| first.resources.clone()).unwrap_or_default();
        let message_id = deliveries.first().and_then(|first| first.message_id.clone());
        for mut expected in resources {
            if let Some(mishap) = sample.mishap {
                sandbox.fault(mishap.rule(&expected.key));
                mishap.expect(&mut expected);
            }
            let message_id = expected.owner.clone().or_else(|| message_id.clone());
            awaited.push(Awaited { sample: sample.name, message_id, expected });
        }
        for delivery in deliveries {
            let sent = sender.send(delivery).await?;
            anyhow::ensure!(
                sent.status == Some(200),
                "the webhook answered {:?} to sample {}",
                sent.status,
                sample.name
            );
        }
    }
    Ok(awaited)
}

/// Waits until every awaited resource has come to rest, for a while, and tells where they are.
async fn settle(
    catalogue: &Catalogue,
    awaited: Vec<Awaited>,
    shutdown: &CancellationToken,
) -> anyhow::Result<Vec<Line>> {
    let deadline = Instant::now() + SETTLE_WITHIN;
    loop {
        let resources = archived(catalogue).await?;
        let found: Vec<Option<&Resource>> = awaited.iter().map(|awaited| awaited.find(&resources)).collect();
        let at_rest = |resource: &&Resource| !matches!(resource.state, State::Pending | State::Running);
        let settled = found.iter().all(|found| found.as_ref().is_some_and(at_rest));
        if settled || Instant::now() >= deadline || shutdown.is_cancelled() {
            return Ok(awaited.iter().zip(found).map(|(awaited, found)| awaited.line(found)).collect());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Everything in the demo's archive, which is small.
async fn archived(catalogue: &Catalogue) -> anyhow::Result<Vec<Resource>> {
    let everything = Filter { app_id: vec![APP_ID.parse()?], ..Filter::default() };
    let mut walk = listing::Walk::new(catalogue, everything, Clock::system().now());
    let mut resources = Vec::new();
    loop {
        let more = walk.next().await?;
        if more.is_empty() {
            return Ok(resources);
        }
        resources.extend(more);
    }
}

impl Awaited {
    fn find<'a>(&self, resources: &'a [Resource]) -> Option<&'a Resource> {
        resources.iter().find(|resource| {
            resource.key.as_str() == self.expected.key
                && resource.message_id.as_ref().map(MessageId::as_str) == self.message_id.as_deref()
        })
    }

    fn line(&self, found: Option<&Resource>) -> Line {
        let expected = &self.expected;
        let as_expected = found.is_some_and(|found| {
            let ended = (found.state, found.reason_code) == (expected.state, expected.reason_code);
            ended && (found.state != State::Stored || found.sha256 == expected.sha256)
        });
        Line {
            sample: self.sample,
            expected_state: expected.state,
            state: found.map(|found| found.state),
            reason_code: found.and_then(|found| found.reason_code),
            message_id: self.message_id.clone(),
            key: expected.key.clone(),
            file_name: found.and_then(|found| found.file_name.clone()),
            size_bytes: found.and_then(|found| found.size_bytes),
            sha256: found.and_then(|found| found.sha256),
            remedy: found.and_then(|found| found.remedy),
            as_expected,
        }
    }
}

/// Where to look around, and with what token: words for people, an object for programs.
fn invitation(format: Format, address: SocketAddr, admin_token: &Secret) -> String {
    let token = admin_token.reveal();
    if format != Format::Table {
        return serde_json::json!({ "address": format!("http://{address}"), "admin_token": token }).to_string();
    }
    format!(
        "\nThe archive stays up until Ctrl-C. Its pages, and the token to sign in with:\n  http://{address}/\n  {token}\n\n\
         The same token opens its API:\n  curl -H 'Authorization: Bearer {token}' 'http://{address}/api/v1/resources?state=blocked'"
    )
}
