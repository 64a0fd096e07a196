//! `larkive export`: files that need no Larkive.

use std::convert::Infallible;
use std::env;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::filter::FilterOptions;
use super::output::{forgive_closed_pipe, human_bytes, visible};
use super::{Exit, Outcome};
use crate::archive::damage::Examiner;
use crate::archive::export::directory::Directory;
use crate::archive::export::stream::Form;
use crate::archive::export::tar::Tar;
use crate::archive::export::zip::Zip;
use crate::archive::export::{Export, Progress, Selection, Summary, Watcher};
use crate::catalogue::Catalogue;
use crate::catalogue::listing::extent::extent;
use crate::clock::Clock;
use crate::domain::error::chain;
use crate::domain::filter::Filter;
use crate::domain::time::Timestamp;

/// How often a progress bar moves without news.
const TICK: Duration = Duration::from_millis(200);
/// Endings of archives that are not made here; a directory of that name would surprise.
const NOT_MADE: [&str; 7] = [".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"];

/// Export files under their original names, with a manifest and digests
///
/// Writes files/DAY/NAME for everything that is stored and that the filters let through, names made
/// safe for Windows, macOS and Linux and unique in their folder; manifest.jsonl and manifest.csv with a
/// line for every resource, stored or not; index.html to look through it offline; and SHA256SUMS. Every
/// file is hashed on the way, and what is damaged in the store is fetched again by `larkive serve`. Into a
/// directory it can be broken off and begun again: what is there and right is kept, and what the filters no
/// longer let through is removed from it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive export --out invoices --q '发票 2026'
  larkive export --out images.zip --mime 'image/*' --from 7d
  larkive export --out - --chat oc_5ad11d72b830411d72b836c20 | ssh backup tar -x -C /srv/chat
  cd invoices && sha256sum -c SHA256SUMS

Exit codes: 0 done (what is not stored stands in the manifest only), 1 bytes in the store are unreadable or wrong, or a name is refused where it goes: all others are there, 2 could not run.")]
pub struct Options {
    /// A directory, a file ending in .zip or .tar, or - for a tar on stdout
    #[arg(long, value_name = "DIR|F.zip|F.tar|-")]
    out: Target,
    // Last, because the heading of the filters would also stand over what follows them.
    #[command(flatten)]
    filter: FilterOptions,
}

/// Where an export goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Stdout,
    File(Form, PathBuf),
    Directory(PathBuf),
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let lower = text.to_lowercase();
        let path = PathBuf::from(text);
        Ok(match text {
            "-" => Self::Stdout,
            _ if path.is_dir() => Self::Directory(path),
            _ if lower.ends_with(".zip") => Self::File(Form::Zip, path),
            _ if lower.ends_with(".tar") => Self::File(Form::Tar, path),
            _ => Self::Directory(path),
        })
    }
}

/// Exports what the filters let through.
///
/// # Errors
/// If a filter is wrong, the catalogue cannot be read, or the export cannot be written.
pub async fn run(options: Options, catalogue: Catalogue, examiner: Examiner) -> Outcome {
    let filter = options.filter.parse()?;
    let now = Clock::system().now();
    let bar = progress_bar(&catalogue, &filter, now).await?;
    let asked = serde_json::to_string(&filter.canonical())?;
    let selection = Selection::Matching(Box::new(filter));
    let export = Export { catalogue, examiner, selection, now, watcher: watcher(bar.clone()) };
    let exported = write(export, options.out, &asked).await;
    bar.finish_and_clear();
    forgive_closed_pipe(exported.map(|summary| told(&summary)))
}

async fn write(export: Export, target: Target, asked: &str) -> anyhow::Result<Summary> {
    match target {
        Target::Stdout => {
            let stdout = io::stdout();
            anyhow::ensure!(!stdout.is_terminal(), "a tar is nothing for a terminal; pipe it, or name a file");
            // Past the buffer that looks for the ends of lines.
            let out = File::from(stdout.as_fd().try_clone_to_owned()?);
            export.into_package(Tar::new(out), &env::temp_dir()).await
        }
        Target::Directory(path) => {
            let name = path.to_string_lossy().to_lowercase();
            let other = NOT_MADE.iter().find(|ending| name.ends_with(*ending));
            anyhow::ensure!(
                other.is_none() || path.is_dir(),
                "there is no export as {}; name a .zip, a .tar or a directory, or pipe `--out -` into another program",
                other.unwrap_or(&""),
            );
            export.into_package(Directory::open(&path, asked)?, &path).await
        }
        Target::File(form, path) => write_file(export, form, &path).await,
    }
}

/// Writes beside the place, and moves it there when it is whole.
async fn write_file(export: Export, form: Form, path: &Path) -> anyhow::Result<Summary> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.part"));
    let beside = part.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = File::create(&part).with_context(|| format!("cannot write {}", path.display()))?;
    let written = match form {
        Form::Tar => export.into_package(Tar::new(file), beside).await,
        Form::Zip => export.into_package(Zip::new(file, beside)?, beside).await,
    };
    if written.is_err() {
        // The reason is what matters, not that something is left over besides.
        let _ = fs::remove_file(&part);
    }
    let summary = written?;
    fs::rename(&part, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(summary)
}

/// A bar on a terminal, nothing elsewhere. What there will be to do is only counted for a terminal.
async fn progress_bar(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> anyhow::Result<ProgressBar> {
    if !io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::new(extent(catalogue, filter, now).await?.bytes);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}",
    )?);
    bar.enable_steady_tick(TICK);
    Ok(bar)
}

fn watcher(bar: ProgressBar) -> Watcher {
    Arc::new(move |progress| match progress {
        Progress::Bytes(bytes) => bar.inc(bytes),
        Progress::Resource => {}
        Progress::Failed(resource, problem) => bar.suspend(|| {
            let name = resource.file_name.as_deref().map(visible).unwrap_or_default();
            eprintln!("larkive: resource {} {name}: {problem}", resource.id);
        }),
        Progress::NotNoted(digest, error) => bar.suspend(|| {
            eprintln!("larkive: blob {digest} is damaged and the catalogue cannot be told: {}", chain(error));
        }),
    })
}

fn told(summary: &Summary) -> Exit {
    let Summary { resources, files, bytes, kept, damaged, refused } = summary;
    eprintln!(
        "{files} files ({}) of {resources} resources exported, {kept} of them were there already, {damaged} damaged, \
        {refused} with names that were refused",
        human_bytes(*bytes)
    );
    if summary.is_whole() { Exit::Done } else { Exit::Problems }
}
