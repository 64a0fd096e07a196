//! `larkive retry`: what failed or waits is due again at once.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::filter::FilterOptions;
use super::named::Named;
use super::output::{forgive_closed_pipe, stdout};
use super::{Exit, Outcome};
use crate::archive::command::Commands;
use crate::archive::retry;
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::domain::actor::Actor;
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::time::Timestamp;

/// Try again what is blocked, gone, impossible or waiting, at once
///
/// Resources that are stored or running are left alone. The work is done by `larkive serve`, at
/// once if it runs, else when it is started. Prints how many resources were moved.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive retry r00000000002a
  larkive retry --state blocked --chat oc_5ad11d72b830411d72b836c20
  larkive retry --from 30d --dry-run
  larkive retry --all")]
pub struct Options {
    /// Resources (r…), messages (om_…) or SHA-256 digests
    #[arg(value_name = "ID", conflicts_with_all = ["FilterOptions", "all"])]
    ids: Vec<Named>,
    /// Everything that is not stored; with filters, everything that they let through
    #[arg(long)]
    all: bool,
    /// Only count what would be moved
    #[arg(long)]
    dry_run: bool,
    // Last, because the heading of the filters would also stand over what follows them.
    #[command(flatten)]
    filter: FilterOptions,
}

/// What is to be tried again.
#[derive(Debug)]
enum Selection {
    These(Vec<ResourceId>),
    Matching(Box<Filter>),
}

/// Re-queues what was asked for and prints how much that was.
///
/// # Errors
/// If nothing was asked for, an id is unknown, or the catalogue cannot be written.
pub async fn run(options: Options, catalogue: Catalogue) -> Outcome {
    forgive_closed_pipe(print(&options, &catalogue, Clock::system().now(), &mut stdout()).await)
}

async fn print(options: &Options, catalogue: &Catalogue, now: Timestamp, out: &mut impl Write) -> Outcome {
    let commands = Commands::of(Actor::Shell, catalogue, now);
    let queued = match (select(options, catalogue, now).await?, options.dry_run) {
        (Selection::These(ids), false) => commands.retry_these(&ids).await?,
        (Selection::These(ids), true) => retry::count_these(catalogue, &ids).await?,
        (Selection::Matching(filter), false) => commands.retry_matching(&filter).await?,
        (Selection::Matching(filter), true) => retry::count_matching(catalogue, &filter, now).await?,
    };
    writeln!(out, "{}", json!({ "queued": queued }))?;
    out.flush()?;
    Ok(Exit::Done)
}

async fn select(options: &Options, catalogue: &Catalogue, now: Timestamp) -> anyhow::Result<Selection> {
    let filter = options.filter.parse()?;
    if options.ids.is_empty() {
        if filter.is_empty() && !options.all {
            bail!("say what to try again: ids, filters such as --state blocked, or --all");
        }
        return Ok(Selection::Matching(Box::new(filter)));
    }
    let mut ids = BTreeSet::new();
    for named in &options.ids {
        let mut walk = named.walk(catalogue, now);
        let mut stretch = walk.next().await?;
        if stretch.is_empty() {
            bail!("there is no {named}; nothing was moved");
        }
        while !stretch.is_empty() {
            ids.extend(stretch.iter().map(|resource| resource.id));
            stretch = walk.next().await?;
        }
    }
    Ok(Selection::These(ids.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};
    use crate::domain::download::State;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        let command = Options::augment_args(Command::new("retry").no_binary_name(true));
        command.try_get_matches_from(arguments).and_then(|matches| Options::from_arg_matches(&matches))
    }

    async fn retried(seeded: &Seeded, arguments: &[&str]) -> anyhow::Result<String> {
        let mut out = Vec::new();
        print(&parse(arguments).unwrap(), &seeded.catalogue, noon(), &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn only_what_is_meant_is_moved() {
        let seeded = Seeded::new().await;
        let blocked = seeded.add("img_1", Seed::ended(State::Blocked, "restricted_mode")).await.to_string();
        seeded.add("img_2", Seed::ended(State::Gone, "message_deleted")).await;
        seeded.add("img_3", Seed::ended(State::Impossible, "too_large")).await;
        let queued = |n: u32| format!("{{\"queued\":{n}}}\n");

        assert!(retried(&seeded, &[]).await.is_err());
        assert!(retried(&seeded, &[&blocked, "om_404"]).await.is_err());
        assert_eq!(retried(&seeded, &["om_1", &blocked, "--dry-run"]).await.unwrap(), queued(3));
        assert_eq!(retried(&seeded, &["--all", "--dry-run"]).await.unwrap(), queued(3));
        assert_eq!(retried(&seeded, &[&blocked]).await.unwrap(), queued(1));
        assert_eq!(retried(&seeded, &["--state", "gone", "--all"]).await.unwrap(), queued(1));
        assert_eq!(retried(&seeded, &["--all"]).await.unwrap(), queued(1));
    }

    #[test]
    fn ids_and_filters_do_not_mix() {
        for arguments in [["r000000000001", "--state=gone"], ["r000000000001", "--all"]] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }
}
