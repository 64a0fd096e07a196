//! `larkive fetch`: archive one thing by its key.

use std::io::Write as _;
use std::process;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::output::{Format, FormatOption, Printer, forgive_closed_pipe, stdout};
use super::{Exit, Outcome, serve, signals};
use crate::archive::app_ticket;
use crate::archive::download::Downloader;
use crate::archive::fetch::Fetcher;
use crate::blob::space::Space;
use crate::blob::store::Store;
use crate::catalogue::listing::resource::{Resource, find};
use crate::catalogue::resources::Take;
use crate::catalogue::{Catalogue, reasons};
use crate::clock::Clock;
use crate::config::{Fetching, PlatformAccess};
use crate::domain::download::State;
use crate::domain::id::{AppId, MessageId, ResourceKey};
use crate::domain::measure::parse_span;
use crate::domain::reason::ReasonCode;
use crate::domain::resource::ResourceType;
use crate::domain::source::Target;
use crate::metrics::Metrics;

/// Archive one thing by its key, now
///
/// Works alone or beside a running `serve`. What the archive knows already is not asked for again
/// without --force.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  larkive fetch resource --message om_dc13264520392913993dd051dba21dcf --key file_456a92d6-c6ea-4de4-ac3f-7afcf44ac78g --type file\n\nPrints the resource. Exit codes: 0 stored, 1 any other state (it says why), 2 could not run."
)]
pub struct Options {
    #[command(subcommand)]
    source: SourceWords,
    /// Ask again, whatever is known
    #[arg(long, global = true)]
    force: bool,
    /// How long to wait for it
    #[arg(long, global = true, value_name = "SPAN", default_value = "120s", value_parser = parse_span)]
    timeout: Duration,
    /// The app that asks; needed only where several are configured
    #[arg(long, global = true, value_name = "APP_ID")]
    app: Option<AppId>,
    #[command(flatten)]
    format: FormatOption,
}

#[derive(Debug, Subcommand)]
enum SourceWords {
    /// A resource in a message that somebody sent
    Resource {
        /// The message's id
        #[arg(long, value_name = "om_…")]
        message: MessageId,
        /// The image_key or file_key in it
        #[arg(long)]
        key: ResourceKey,
        /// `image` for images and covers, `file` for files, voice and videos
        #[arg(long = "type", value_name = "image|file")]
        kind: ResourceType,
    },
}

impl SourceWords {
    fn target(&self) -> Target {
        match self {
            Self::Resource { message, key, kind } => {
                Target::MessageResource { message_id: message.clone(), key: key.clone(), kind: *kind }
            }
        }
    }
}

/// Fetches one thing and prints it.
///
/// # Errors
/// If the configuration lacks something, or catalogue or store fail.
pub async fn run(options: Options, fetching: Fetching) -> Outcome {
    let app = choose_app(&fetching.apps, options.app.as_ref())?;
    let fetcher = open(&fetching, app).await?;
    let take = if options.force { Take::Anyway } else { Take::Pending };
    let shutdown = signals::shutdown()?;
    let id = fetcher.fetch(&options.source.target(), take, options.timeout, &shutdown).await?;
    let found =
        find(&fetcher.catalogue, id).await?.context("the resource is hidden, because its message was recalled")?;
    fetcher.catalogue.close().await;
    forgive_closed_pipe(print(&found, options.format.choose()))
}

fn print(resource: &Resource, format: Format) -> Outcome {
    if format == Format::Json {
        writeln!(stdout(), "{}", serde_json::to_string(resource)?)?;
    } else {
        let mut printer = Printer::new(stdout(), format);
        printer.print(std::slice::from_ref(resource))?;
        printer.finish::<Resource>()?;
    }
    if resource.state == State::Stored {
        return Ok(Exit::Done);
    }
    let reason = resource.reason.unwrap_or("time was up before the platform answered");
    let remedy = resource.remedy.map_or("", |remedy| remedy.en);
    eprintln!("larkive: {} is {}: {reason} {remedy}", resource.id, resource.state);
    Ok(Exit::Problems)
}

fn choose_app<'a>(apps: &'a [PlatformAccess], wanted: Option<&AppId>) -> anyhow::Result<&'a PlatformAccess> {
    match (wanted, apps) {
        (Some(app_id), apps) => apps
            .iter()
            .find(|app| app.app_id == *app_id)
            .with_context(|| format!("no app {app_id} is configured; `larkive config check` shows which are")),
        (None, [app]) => Ok(app),
        (None, _) => anyhow::bail!("several apps are configured; say which one asks with --app"),
    }
}

async fn open(fetching: &Fetching, app: &PlatformAccess) -> anyhow::Result<Fetcher> {
    let settings = &fetching.settings;
    let (clock, metrics) = (Clock::system(), Metrics::new());
    std::fs::create_dir_all(&settings.data.directory)
        .with_context(|| format!("cannot create the data directory {}", settings.data.directory.display()))?;
    let catalogue = Catalogue::open(&settings.data.catalogue).await?;
    reasons::write_texts(catalogue.write()?, ReasonCode::ALL).await?;
    let store = Store::open(&settings.data.store, &settings.data.spool)
        .with_context(|| format!("cannot open the store {}", settings.data.store.display()))?;
    let client = app_ticket::connect(serve::client_settings(app, settings), app.kind, &catalogue, metrics.clone())?;
    let owner = format!("fetch-{}-{:08x}", process::id(), fastrand::u32(..));
    let space = Space::new(&[&settings.data.directory, &settings.data.store], settings.min_free_bytes);
    let kept = (store, space);
    let downloader = Downloader::new(client, kept, serve::limits(settings), clock.clone(), metrics);
    Ok(Fetcher { catalogue, downloader, app_id: app.app_id.clone(), clock, owner })
}
