//! `larkive fetch`: archive things by their keys.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::output::{Format, FormatOption, Printer, Stdout, forgive_closed_pipe, stdout};
use super::{Exit, Outcome, choose_app, serve, signals};
use crate::archive::app_ticket;
use crate::archive::asker::{Asker, NoTenant};
use crate::archive::download::Downloader;
use crate::archive::fetch::{Fetched, Fetcher, Manner};
use crate::archive::{dictionary, post};
use crate::blob::space::Space;
use crate::blob::store::Store;
use crate::catalogue::listing::resource::Resource;
use crate::catalogue::reasons;
use crate::catalogue::resources::Take;
use crate::clock::Clock;
use crate::config::{Fetching, PlatformAccess};
use crate::domain::actor::Actor;
use crate::domain::app::AppKind;
use crate::domain::download::State;
use crate::domain::id::{AppId, MessageId, ResourceKey, TenantKey};
use crate::domain::measure::parse_span;
use crate::domain::reason::ReasonCode;
use crate::domain::resource::ResourceType;
use crate::domain::source::Target;
use crate::feishu::client::Client;
use crate::feishu::platform_time::PlatformTime;
use crate::metrics::Metrics;

const EXAMPLES: &str = "\
What people sent is a `resource`: message and key belong together. `image` and `file` hand out only
what this app itself uploaded; if a message in the archive carries the key, that is fetched instead.

Examples:
  larkive fetch resource --message om_dc13264520392913993dd051dba21dcf \\
    --key file_456a92d6-c6ea-4de4-ac3f-7afcf44ac78g --type file
  larkive fetch image --key img_8d5181ca-0aed-40f0-b0d1-b1452132afbg
  larkive fetch baike --list tokens.txt
  larkive fetch lingo --all
  larkive fetch ticket-image --ticket 6948728206392295444 --msg 6949088236610273307
  larkive fetch ticket-image --ticket 6948728206392295444 --msg 6949088236610273307 --all

Prints each resource. What is stored stays so, also if a new try with --force fails, which is said
on standard error. Exit codes: 0 all are stored, 1 some are not (each says why), 2 could not run.";

/// What is said where no try has come to an end.
const TIME_WAS_UP: &str = "time was up before the platform answered";

/// Archive things by their keys, now
///
/// Works alone or beside a running `serve`. What the archive knows already is not asked for again
/// without --force.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    #[command(subcommand)]
    source: SourceWords,
    /// Ask again, whatever is known
    #[arg(long, global = true)]
    force: bool,
    /// How long to wait for each
    #[arg(long, global = true, value_name = "SPAN", default_value = "120s", value_parser = parse_span)]
    timeout: Duration,
    /// The app that asks; needed only where several are configured
    #[arg(long, global = true, value_name = "APP_ID")]
    app: Option<AppId>,
    /// The tenant to ask for; needed only by a store app with several, for what no message tells of
    #[arg(long, global = true, value_name = "TENANT_KEY")]
    tenant: Option<TenantKey>,
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
    /// Images that this app uploaded
    Image(Keys),
    /// Files that this app uploaded
    File(Keys),
    /// Images of the dictionary, by the old API
    Baike(Keys),
    /// Images of the dictionary
    Lingo(DictionaryKeys),
    /// Images in a helpdesk ticket; FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN must be set
    TicketImage {
        /// The ticket's id
        #[arg(long, value_name = "ID")]
        ticket: String,
        /// The id of the message in the ticket
        #[arg(long, value_name = "ID")]
        msg: String,
        /// Which image of a post, from 0; not for a message that is an image
        #[arg(long, value_name = "N")]
        index: Option<u32>,
        /// Every image of a post
        #[arg(long, conflicts_with = "index")]
        all: bool,
    },
}

/// Which keys of a source.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Keys {
    /// Its key
    #[arg(long)]
    key: Option<ResourceKey>,
    /// A file with one key on each line; `-` reads them from standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

/// Which images of the dictionary.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct DictionaryKeys {
    /// Its file_token
    #[arg(long)]
    key: Option<ResourceKey>,
    /// A file with one file_token on each line; `-` reads them from standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The images of every entry
    #[arg(long)]
    all: bool,
}

/// What is to be fetched.
enum Wanted {
    One(Target),
    Several(Vec<Target>),
    Dictionary,
    Post { ticket_id: String, msg_id: String },
}

impl SourceWords {
    fn read(self) -> anyhow::Result<Wanted> {
        match self {
            Self::Resource { message, key, kind } => {
                Ok(Wanted::One(Target::MessageResource { message_id: message, key, kind }))
            }
            Self::Image(keys) => keys.read(|key| Target::Image { key }),
            Self::File(keys) => keys.read(|key| Target::File { key }),
            Self::Baike(keys) => keys.read(|key| Target::Baike { key }),
            Self::Lingo(DictionaryKeys { all: true, .. }) => Ok(Wanted::Dictionary),
            Self::Lingo(DictionaryKeys { key, list, .. }) => Keys { key, list }.read(|key| Target::Lingo { key }),
            Self::TicketImage { ticket, msg, all: true, .. } => Ok(Wanted::Post { ticket_id: ticket, msg_id: msg }),
            Self::TicketImage { ticket, msg, index, .. } => {
                Ok(Wanted::One(Target::TicketImage { ticket_id: ticket, msg_id: msg, index }))
            }
        }
    }
}

impl Keys {
    fn read(self, target: fn(ResourceKey) -> Target) -> anyhow::Result<Wanted> {
        match (self.key, self.list) {
            (Some(key), _) => Ok(Wanted::One(target(key))),
            (None, Some(path)) => Ok(Wanted::Several(read_list(&path)?.into_iter().map(target).collect())),
            // The parser lets nobody get here.
            (None, None) => anyhow::bail!("say which: --key or --list"),
        }
    }
}

/// The keys in a file, each once, in the order they stand there. Empty lines count for nothing.
fn read_list(path: &Path) -> anyhow::Result<Vec<ResourceKey>> {
    let shown = || format!("cannot read the list {}", path.display());
    let lines: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(std::fs::File::open(path).with_context(shown)?))
    };
    let (mut keys, mut seen) = (Vec::new(), HashSet::new());
    for line in lines.lines() {
        if let Ok(key) = line.with_context(shown)?.trim().parse::<ResourceKey>()
            && seen.insert(key.clone())
        {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Fetches what was asked for and prints it.
///
/// # Errors
/// If the configuration lacks something, the dictionary cannot be listed, or catalogue or store fail.
pub async fn run(options: Options, fetching: Fetching) -> Outcome {
    let app = choose_app(&fetching.apps, options.app.as_ref(), |app| &app.app_id)?;
    let wanted = options.source.read()?;
    let asker = Asker { app_id: app.app_id.clone(), kind: app.kind, tenant_key: options.tenant };
    let (fetcher, client) = open(&fetching, app, asker).await?;
    let take = if options.force { Take::Anyway } else { Take::Pending };
    let manner = Manner { take, patience: options.timeout, shutdown: signals::shutdown()? };
    let errand = Errand { fetcher: &fetcher, manner: &manner, in_flight: fetching.settings.download_concurrency };
    let outcome = errand.run(wanted, client, options.format.choose()).await;
    fetcher.catalogue.close().await;
    forgive_closed_pipe(outcome)
}

/// One run of the command.
struct Errand<'a> {
    fetcher: &'a Fetcher,
    manner: &'a Manner,
    in_flight: usize,
}

impl Errand<'_> {
    async fn run(&self, wanted: Wanted, client: Client, format: Format) -> Outcome {
        let printer = Printer::new(stdout(), format).in_zone(self.fetcher.catalogue.zone().clone());
        let mut results = Results { printer, exit: Exit::Done };
        let fetched = match wanted {
            Wanted::One(target) => return print_one(&self.fetch(&target).await?, format, results.printer),
            Wanted::Several(targets) => self.fetch_all(targets, &mut results).await,
            Wanted::Dictionary => self.fetch_dictionary(client, &mut results).await,
            Wanted::Post { ticket_id, msg_id } => self.fetch_post(ticket_id, msg_id, &mut results).await,
        };
        // What was printed is a whole document, also when there could have been more of it.
        results.printer.finish::<Resource>()?;
        fetched.map(|()| results.exit)
    }

    async fn fetch(&self, target: &Target) -> anyhow::Result<Fetched> {
        let fetched = self.fetcher.fetch(target, self.manner).await.map_err(ask_for_tenant)?;
        fetched.context("the resource is hidden, because its message was recalled")
    }

    /// Fetches several things side by side and prints them in their order.
    async fn fetch_all(&self, targets: Vec<Target>, results: &mut Results) -> anyhow::Result<()> {
        let mut fetched = stream::iter(targets).map(async |target| self.fetch(&target).await).buffered(self.in_flight);
        while let Some(fetched) = fetched.try_next().await? {
            results.add(&fetched)?;
        }
        Ok(())
    }

    async fn fetch_dictionary(&self, client: Client, results: &mut Results) -> anyhow::Result<()> {
        // A store app is refused in whosever name, and a custom app has one tenant only.
        if self.fetcher.asker.kind == AppKind::Custom {
            self.fetcher.asker.tenant(&self.fetcher.catalogue).await.map_err(ask_for_tenant)?;
        }
        let mut pages = dictionary::Walk::new(client);
        let shutdown = &self.manner.shutdown;
        while let Some(images) = shutdown.run_until_cancelled(pages.next()).await.transpose()?.flatten() {
            self.fetch_all(images.into_iter().map(|key| Target::Lingo { key }).collect(), results).await?;
        }
        anyhow::ensure!(!shutdown.is_cancelled(), "stopped before the end of the dictionary");
        Ok(())
    }

    async fn fetch_post(&self, ticket_id: String, msg_id: String, results: &mut Results) -> anyhow::Result<()> {
        let mut images = post::Walk::new(self.fetcher, self.manner, ticket_id, msg_id);
        while let Some(image) = images.next().await.map_err(ask_for_tenant)? {
            results.add(&image)?;
        }
        Ok(())
    }
}

/// Several results, printed as they come.
struct Results {
    printer: Printer<Stdout>,
    exit: Exit,
}

impl Results {
    fn add(&mut self, fetched: &Fetched) -> anyhow::Result<()> {
        self.printer.print(std::slice::from_ref(&fetched.resource))?;
        if judge(fetched) == Exit::Problems {
            self.exit = Exit::Problems;
        }
        Ok(())
    }
}

fn print_one<W: Write>(fetched: &Fetched, format: Format, mut printer: Printer<W>) -> Outcome {
    let resource = &fetched.resource;
    if format == Format::Json {
        writeln!(stdout(), "{}", serde_json::to_string(resource)?)?;
    } else {
        printer.print(std::slice::from_ref(resource))?;
        printer.finish::<Resource>()?;
    }
    Ok(judge(fetched))
}

/// What a result means for the exit code. Says why the resource is not stored, or why it was not
/// stored anew.
fn judge(Fetched { resource, in_vain }: &Fetched) -> Exit {
    if resource.state == State::Stored {
        if let Some(ending) = in_vain {
            let cause = ending.reason().map_or(TIME_WAS_UP, |reason| reason.cause().en);
            let said = ending.upstream().map_or_else(String::new, |upstream| format!(" ({upstream})"));
            eprintln!("larkive: {} stays as it was stored; it could not be fetched anew: {cause}{said}", resource.id);
        }
        return Exit::Done;
    }
    let reason = resource.reason.unwrap_or(TIME_WAS_UP);
    let remedy = resource.remedy.map_or("", |remedy| remedy.en);
    eprintln!("larkive: {} is {}: {reason} {remedy}", resource.id, resource.state);
    Exit::Problems
}

/// Says how to name a tenant, where one is wanted.
pub(super) fn ask_for_tenant(error: NoTenant) -> anyhow::Error {
    let is_wanted = matches!(error, NoTenant::NoneKnown(_) | NoTenant::Several(..));
    if is_wanted { anyhow::anyhow!("{error}: --tenant TENANT_KEY") } else { error.into() }
}

async fn open(fetching: &Fetching, app: &PlatformAccess, asker: Asker) -> anyhow::Result<(Fetcher, Client)> {
    let settings = &fetching.settings;
    let (clock, metrics) = (Clock::system(), Metrics::new());
    let catalogue = crate::app::open_alone_or_beside(&settings.data).await?.in_zone(settings.time_zone.clone());
    reasons::write_texts(catalogue.write()?, ReasonCode::ALL).await?;
    let store = Store::open(&settings.data.store, &settings.data.spool)
        .with_context(|| format!("cannot open the store {}", settings.data.store.display()))?;
    let (client, time) = (serve::client_settings(app, settings), PlatformTime::new(clock.clone()));
    let client = app_ticket::connect(client, app.kind, &catalogue, metrics.clone(), time)?;
    let owner = format!("fetch-{}-{:08x}", process::id(), fastrand::u32(..));
    let space = Space::new(&[&settings.data.directory, &settings.data.store], settings.min_free_bytes);
    let kept = (store, space);
    let limits = serve::limits(settings);
    let downloader = Downloader::new(client.clone(), &catalogue, kept, limits, clock.clone(), metrics);
    Ok((Fetcher { catalogue, downloader, asker, actor: Actor::Shell, clock, owner }, client))
}
