//! `larkive show`: everything about one thing.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::named::{Named, NamedWalk};
use super::output::{Format, FormatOption, Printer, Record, forgive_closed_pipe, print_properties, stdout, value};
use super::{Exit, Outcome};
use crate::catalogue::listing::resource::{Detail, Resource, Try, with_tries};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::cell::Cell;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// Show everything about a resource, a message's resources, or everything with the same bytes
///
/// Prints each resource with its tries and where its bytes are (blob_path, relative to the store).
/// If there is nothing of this name, nothing is printed and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive show r00000000002a
  larkive show om_dc13264520392913993dd051dba21dcf --format table
  larkive show r00000000002a | jq -r .blob_path
  larkive show \"$(sha256sum < picture.png | cut -d' ' -f1)\" --format json")]
pub struct Options {
    /// A resource (r…), a message (om_…) or a SHA-256 digest
    id: Named,
    #[command(flatten)]
    format: FormatOption,
}

/// A resource with all that is known on this machine.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    detail: Detail,
    blob_path: Option<String>,
}

/// Prints what was asked for.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn run(options: Options, catalogue: Catalogue) -> Outcome {
    let shown = print(&options.id, options.format.choose(), &catalogue, Clock::system().now(), &mut stdout()).await;
    if let Ok(Exit::Problems) = shown {
        eprintln!("larkive: there is no {}", options.id);
    }
    forgive_closed_pipe(shown)
}

async fn print(id: &Named, format: Format, catalogue: &Catalogue, now: Timestamp, out: &mut impl Write) -> Outcome {
    let mut walk = id.walk(catalogue, now);
    let first = load(catalogue, walk.next().await?).await?;
    match (format, first.as_slice()) {
        (_, []) => return Ok(Exit::Problems),
        (Format::Json, [only]) => writeln!(out, "{}", serde_json::to_string(only)?)?,
        (Format::Table, _) => print_cards(catalogue, first, walk, out).await?,
        _ => print_records(catalogue, first, walk, Printer::new(&mut *out, format)).await?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

async fn print_records<W: Write>(
    catalogue: &Catalogue,
    mut stretch: Vec<Shown>,
    mut walk: NamedWalk<'_>,
    mut printer: Printer<W>,
) -> anyhow::Result<()> {
    while !stretch.is_empty() {
        printer.print(&stretch)?;
        stretch = load(catalogue, walk.next().await?).await?;
    }
    printer.finish::<Shown>()
}

/// For people: each resource as a list of its properties, with an empty line between two.
async fn print_cards(
    catalogue: &Catalogue,
    mut stretch: Vec<Shown>,
    mut walk: NamedWalk<'_>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut between = "";
    while !stretch.is_empty() {
        for shown in &stretch {
            out.write_all(between.as_bytes())?;
            print_properties(out, shown.properties())?;
            between = "\n";
        }
        stretch = load(catalogue, walk.next().await?).await?;
    }
    Ok(())
}

async fn load(catalogue: &Catalogue, resources: Vec<Resource>) -> Result<Vec<Shown>, CatalogueError> {
    let mut shown = Vec::with_capacity(resources.len());
    for resource in resources {
        let blob_path = resource.blob_path.clone();
        shown.push(Shown { detail: with_tries(catalogue, resource).await?, blob_path });
    }
    Ok(shown)
}

impl Record for Shown {
    const COLUMNS: &'static [&'static str] = Resource::COLUMNS;
    const HEADINGS: &'static [&'static str] = Resource::HEADINGS;

    fn values(&self) -> Vec<Cell> {
        self.detail.resource.values()
    }

    fn headings(zone: &Zone) -> Vec<String> {
        Resource::headings(zone)
    }

    fn cells(&self, zone: &Zone) -> Vec<String> {
        self.detail.resource.cells(zone)
    }
}

impl Shown {
    fn properties(&self) -> impl Iterator<Item = (&'static str, String)> {
        let tries = self.detail.tries.iter().map(|one| ("try", in_words(one)));
        // What is shown is not hidden, so that column tells people nothing.
        let values = self.values().into_iter().map(|value| value.as_str().to_owned());
        Self::COLUMNS.iter().copied().zip(values).filter(|(name, _)| *name != "hidden").chain(tries)
    }
}

/// A try in one line.
fn in_words(one: &Try) -> String {
    let answer = one.upstream.as_ref();
    let parts = [
        one.started_at.to_string(),
        one.result.clone(),
        value(one.reason_code),
        value(answer.and_then(|answer| answer.http_status).map(|status| format!("HTTP {status}"))),
        value(answer.and_then(|answer| answer.code).map(|code| format!("code {code}"))),
        value(answer.and_then(|answer| answer.msg.as_ref())),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};
    use crate::domain::download::State;

    async fn printed(seeded: &Seeded, id: &str, format: Format) -> (Exit, String) {
        let mut out = Vec::new();
        let exit = print(&id.parse().unwrap(), format, &seeded.catalogue, noon(), &mut out).await.unwrap();
        (exit, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_thing_is_found_by_each_of_its_names() {
        let seeded = Seeded::new().await;
        let digest = "0f".repeat(32);
        let stored = seeded.add("img_1", Seed::stored(&digest, 68)).await.to_string();
        seeded.add("img_2", Seed::ended(State::Blocked, "restricted_mode")).await;
        seeded
            .run(
                "INSERT INTO tries (resource_row_id, started_at, ended_at, result, upstream_http_status)
                VALUES (1, 0, 1, 'stored', 200)",
            )
            .await;
        for id in [&stored, &digest, &digest.to_uppercase()] {
            let (exit, json) = printed(&seeded, id, Format::Json).await;
            let shown: Value = serde_json::from_str(&json).unwrap();
            assert_eq!((exit, &shown["id"]), (Exit::Done, &Value::from(stored.as_str())), "{id}");
            assert_eq!(shown["blob_path"], format!("sha256/0f/0f/{digest}"));
            assert_eq!(shown["tries"][0]["result"], "stored");
        }
        let (_, json) = printed(&seeded, "om_1", Format::Json).await;
        assert_eq!(serde_json::from_str::<Vec<Value>>(&json).unwrap().len(), 2);
        assert_eq!(printed(&seeded, "om_1", Format::Ndjson).await.1.lines().count(), 2);

        let (_, cards) = printed(&seeded, "om_1", Format::Table).await;
        assert!(cards.contains("\n\nid "), "{cards}");
        assert!(cards.contains("try             1970-01-01T00:00:00.000Z  stored  HTTP 200\n"), "{cards}");
        assert!(!cards.contains("recalled_at"), "{cards}");
    }

    #[tokio::test]
    async fn what_nobody_knows_prints_nothing() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed { hidden: 1, ..Seed::default() }).await;
        for id in ["r000000000001", "r00000000002a", "om_1", "om_404", &"0f".repeat(32)] {
            assert_eq!(printed(&seeded, id, Format::Json).await, (Exit::Problems, String::new()), "{id}");
        }
    }
}
