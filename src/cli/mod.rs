//! The command line: one file per command, words typed to exit codes.
//!
//! Exit codes: 0 done, 1 finished and found problems, 2 could not run.

pub mod address;
pub mod ahead;
pub mod completions;
pub mod config_check;
pub mod demo;
pub mod export;
pub mod extract;
pub mod fetch;
pub mod filter;
pub mod health;
pub mod helpdesk;
pub mod list;
pub mod man;
pub mod named;
mod open_files;
pub mod output;
pub mod privacy;
pub mod record;
pub mod retry;
pub mod sandbox;
pub mod serve;
pub mod show;
pub mod signals;
pub mod sql;
pub mod stats;
pub mod trigger;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use self::trigger::TriggerTarget;
use crate::app::Ended;
use crate::archive::damage::Examiner;
use crate::blob::checked::Blobs;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::{Fetching, Imitating, Logging, Problems, Serving, Settings, Sources};
use crate::domain::error::chain;
use crate::domain::id::AppId;
use crate::picture::apart;
use crate::telemetry;

/// The stack of a thread: reading JSON nested as deep as is allowed needs about a tenth of it.
const STACK_BYTES: usize = 4 << 20;

/// How a command that could run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0.
    Done,
    /// It finished and found problems: exit code 1.
    Problems,
}

impl From<Ended> for Exit {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::OnRequest => Self::Done,
            Ended::ByFault => Self::Problems,
        }
    }
}

/// A command's end; an error is "could not run", printed as one line, exit code 2.
pub type Outcome = anyhow::Result<Exit>;

/// Keeps every image, file, voice and video that people send to a Feishu/Lark bot.
#[derive(Debug, Parser)]
#[command(
    name = "larkive",
    version,
    propagate_version = true,
    after_help = "See it work without an account:\n  larkive demo\n\nRun it (settings come from the environment, .env or a TOML file):\n  larkive config check\n  larkive serve\n\nAsk the archive:\n  larkive list --state blocked\n  larkive show om_dc13264520392913993dd051dba21dcf\n  larkive export --out invoices.zip --q 发票\n\nExit codes: 0 done, 1 finished and found problems, 2 could not run."
)]
struct Words {
    /// A TOML file with settings; the environment wins over it
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Options),
    Demo(demo::Options),
    /// Run the stand-in platform alone
    Sandbox(sandbox::Args),
    /// Send sample events to a running webhook
    Trigger(trigger::Args),
    Extract(extract::Options),
    List(list::Options),
    Show(show::Options),
    Stats(stats::Options),
    Export(export::Options),
    Sql(sql::Options),
    Fetch(fetch::Options),
    Helpdesk(helpdesk::Options),
    Retry(retry::Options),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    Health(health::Options),
    Completions(completions::Options),
    Man(man::Options),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show every setting and where it comes from, and what is wrong
    #[command(after_help = config_check::AFTER_HELP)]
    Check,
}

/// Runs the program with the words it was started with.
#[must_use]
pub fn run() -> ExitCode {
    // No command for people, and nothing of what commands need: it reads what somebody made to break it.
    if std::env::args_os().nth(1).is_some_and(|word| word == apart::COMMAND) {
        return apart::work();
    }
    let words = match Words::try_parse() {
        Ok(words) => words,
        Err(error) => {
            // Nothing can be done about a terminal that takes no help text.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match start(words) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Problems) => ExitCode::from(1),
        Err(error) => {
            report(&error);
            ExitCode::from(2)
        }
    }
}

fn start(words: Words) -> Outcome {
    let sources = Sources::of_process(words.config).context("cannot see the working directory")?;
    if matches!(words.command, Command::Serve(_) | Command::Demo(_)) {
        // Before there are any further threads.
        privacy::protect().context("cannot keep other processes out of this one")?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .context("cannot start the runtime")?;
    // Whoever speaks TLS in this process does it with this provider. Fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Until a command knows better: what the environment alone says.
    let logging = Logging::of_environment(&sources);
    runtime.block_on(dispatch(words.command, &sources, logging))
}

/// Each command gets the part of the configuration that it works with, and a log as configured.
async fn dispatch(command: Command, sources: &Sources, logging: Result<Logging, Problems>) -> Outcome {
    match command {
        Command::Serve(_) => {
            let serving = Serving::load(sources)?;
            telemetry::start(&serving.settings.logging, Clock::system())?;
            serve::run(serving).await
        }
        Command::Fetch(options) => {
            let fetching = Fetching::load(sources)?;
            telemetry::start(&fetching.settings.logging, Clock::system())?;
            fetch::run(options, fetching).await
        }
        Command::Helpdesk(options) => {
            let fetching = Fetching::load(sources)?;
            telemetry::start(&fetching.settings.logging, Clock::system())?;
            helpdesk::run(options, fetching).await
        }
        Command::Demo(options) => {
            telemetry::start(&quiet(logging?), Clock::system())?;
            demo::run(options).await
        }
        Command::Sandbox(options) => {
            telemetry::start(&logging?, Clock::system())?;
            sandbox::run(options).await
        }
        Command::Trigger(options) => trigger::run(options, |app| trigger_target(sources, app)).await,
        Command::Extract(options) => extract::run(&options),
        Command::List(options) => list::run(options, reading(sources).await?).await,
        Command::Show(options) => show::run(options, reading(sources).await?).await,
        Command::Stats(options) => stats::run(options, reading(sources).await?).await,
        Command::Export(options) => {
            let settings = Settings::load(sources)?;
            let catalogue = open_read_only(&settings).await?;
            let examiner = Examiner::beside(settings.data.catalogue, Blobs::at(&settings.data.store));
            export::run(options, catalogue, examiner).await
        }
        Command::Sql(options) => sql::run(options, &Settings::load(sources)?.data.catalogue).await,
        Command::Retry(options) => retry::run(options, writing(sources).await?).await,
        Command::Config { command: ConfigCommand::Check } => {
            config_check::run(sources, &mut std::io::stdout(), &mut std::io::stderr())
        }
        Command::Health(options) => {
            let settings = if options.url.is_some() { None } else { Some(Settings::load(sources)?) };
            health::run(options, settings.as_ref()).await
        }
        Command::Completions(options) => completions::run(&options, Words::command()),
        Command::Man(options) => man::run(&options, Words::command()),
    }
}

/// A demo shows failures on purpose: unless `RUST_LOG` asks for more, its table tells of them, not its log.
fn quiet(logging: Logging) -> Logging {
    Logging { levels: logging.levels.or_else(|| Some("error".to_owned())), ..logging }
}

/// The catalogue for a command that only reads.
async fn reading(sources: &Sources) -> anyhow::Result<Catalogue> {
    open_read_only(&Settings::load(sources)?).await
}

async fn open_read_only(settings: &Settings) -> anyhow::Result<Catalogue> {
    Ok(Catalogue::open_read_only(&settings.data.catalogue).await?.in_zone(settings.time_zone.clone()))
}

/// The catalogue for a command that changes it, alone or beside a `serve`; it is neither created nor migrated.
async fn writing(sources: &Sources) -> anyhow::Result<Catalogue> {
    let Settings { data: layout, time_zone, .. } = Settings::load(sources)?;
    Ok(Catalogue::open_existing(&layout.catalogue).await?.in_zone(time_zone))
}

fn trigger_target(sources: &Sources, wanted: Option<&AppId>) -> anyhow::Result<TriggerTarget> {
    let Imitating { apps, .. } = Imitating::load(sources)?;
    let app = choose_app(&apps, wanted, |app| &app.app_id)?.clone();
    Ok(TriggerTarget {
        app_id: app.app_id,
        verification_token: app.callbacks.verification_token,
        encrypt_key: app.callbacks.encrypt_key,
        base_url: app.base_url.to_string(),
    })
}

/// The app that a command is about: the one that was named, or the only one there is.
fn choose_app<'a, A>(apps: &'a [A], wanted: Option<&AppId>, id_of: impl Fn(&A) -> &AppId) -> anyhow::Result<&'a A> {
    match (wanted, apps) {
        (Some(app_id), apps) => apps
            .iter()
            .find(|app| id_of(app) == app_id)
            .with_context(|| format!("no app {app_id} is configured; `larkive config check` shows which are")),
        (None, [app]) => Ok(app),
        (None, _) => anyhow::bail!("several apps are configured; say which one is meant with --app"),
    }
}

/// One line for an error; one line per problem for a configuration that is wrong.
fn report(error: &anyhow::Error) {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        for problem in problems.iter() {
            eprintln!("larkive: {problem}");
        }
    } else {
        eprintln!("larkive: {}", chain(error.as_ref()));
    }
}
