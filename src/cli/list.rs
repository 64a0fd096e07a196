//! `larkive list`: the resources that a filter asks for, newest first.

use std::io::Write;

use clap::Args;

use super::filter::FilterOptions;
use super::output::{FormatOption, Printer, forgive_closed_pipe, stdout};
use super::{Exit, Outcome};
use crate::catalogue::listing::resource::Resource;
use crate::catalogue::listing::{self, PageRequest, Walk};
use crate::catalogue::{Catalogue, search};
use crate::clock::Clock;
use crate::domain::filter::Filter;
use crate::domain::query::Search;
use crate::domain::time::Timestamp;

/// List what is in the archive, newest first
///
/// Prints every resource that the filters let through, as soon as it is read. Without filters that
/// is the whole archive, so pipe it into something that can take it, or say --limit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive list --limit 20
  larkive list --state blocked,gone,impossible --format table
  larkive list --chat oc_5ad11d72b830411d72b836c20 --mime 'image/*' --from 7d
  larkive list --q '发票 2026' --min-size 1MB --format csv > invoices.csv
  larkive list --q '\"final version\" type:file chat:报销 -draft after:30d'
  larkive list --state blocked | jq -r '.remedy.en' | sort | uniq -c")]
pub struct Options {
    /// At most this many, 1 to 200 [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: Option<u32>,
    #[command(flatten)]
    format: FormatOption,
    // Last, because the heading of the filters would also stand over what follows them.
    #[command(flatten)]
    filter: FilterOptions,
}

/// Prints the list.
///
/// # Errors
/// If a filter is wrong, or the catalogue cannot be read.
pub async fn run(options: Options, catalogue: Catalogue) -> Outcome {
    let filter = options.filter.parse()?;
    let printer = Printer::new(stdout(), options.format.choose()).in_zone(catalogue.zone().clone());
    forgive_closed_pipe(print(filter, options.limit, &catalogue, Clock::system().now(), printer).await)
}

async fn print<W: Write>(
    filter: Filter,
    limit: Option<u32>,
    catalogue: &Catalogue,
    now: Timestamp,
    mut printer: Printer<W>,
) -> Outcome {
    let has_words = filter.search.as_ref().is_some_and(Search::has_words);
    if let Some(limit) = limit {
        let page = listing::resources(catalogue, &filter, &PageRequest { limit, cursor: None }, now).await?;
        printer.print(&page.items)?;
    } else {
        let mut walk = Walk::new(catalogue, filter, now);
        loop {
            let stretch = walk.next().await?;
            if stretch.is_empty() {
                break;
            }
            printer.print(&stretch)?;
        }
    }
    printer.finish::<Resource>()?;
    if has_words && search::is_behind(catalogue.read()).await? {
        eprintln!("larkive: some texts could not be searched yet; `larkive serve` indexes them in the background");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};
    use crate::cli::output::Format;

    #[tokio::test]
    async fn each_format_prints_the_same_resources() {
        let seeded = Seeded::new().await;
        let seed = Seed { file_name: Some("发票\u{202e}.pdf"), ..Seed::stored(&"0f".repeat(32), 1500) };
        let newer = seeded.add("img_1", Seed { message_id: "om_2".to_owned(), ..seed }).await;
        let older = seeded.add("img_0", Seed { sent_at: 0, ..Seed::default() }).await;
        let printed = async |format, limit| {
            let mut out = Vec::new();
            let printer = Printer::new(&mut out, format);
            print(Filter::default(), limit, &seeded.catalogue, noon(), printer).await.unwrap();
            String::from_utf8(out).unwrap()
        };
        let lines = printed(Format::Ndjson, None).await;
        let ids: Vec<String> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, [newer.to_string(), older.to_string()]);
        let array: Vec<serde_json::Value> = serde_json::from_str(&printed(Format::Json, None).await).unwrap();
        assert_eq!(array.len(), 2);
        assert_eq!(printed(Format::Csv, Some(1)).await.lines().count(), 2);
        let table = printed(Format::Table, None).await;
        let row = table.lines().nth(1).unwrap();
        assert!(row.contains("2026-03-01 12:00:00  stored") && row.contains("1.5 kB"), "{table}");
        assert!(row.contains("发票\\u{202e}.pdf"), "{table}");
    }

    #[test]
    fn limits_are_those_of_the_api() {
        let parse = |arguments: &[&str]| {
            let command = Options::augment_args(Command::new("list").no_binary_name(true));
            command.try_get_matches_from(arguments).and_then(|matches| Options::from_arg_matches(&matches))
        };
        let (first, last) = listing::PAGE_LIMITS.into_inner();
        for (limit, fits) in [(first, true), (last, true), (first - 1, false), (last + 1, false)] {
            assert_eq!(parse(&["--limit", &limit.to_string()]).is_ok(), fits, "{limit}");
        }
    }
}
