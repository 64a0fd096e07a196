//! `larkive stats`: how much there is.

use std::io::Write;

use super::output::{Format, FormatOption, forgive_closed_pipe, print_properties, stdout, value};
use super::{Exit, Outcome};
use crate::catalogue::Catalogue;
use crate::catalogue::statistics::{Statistics, statistics};
use clap::Args;

/// Count what is in the archive: by state, by role, bytes, and bytes saved by keeping equal ones once
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  larkive stats
  larkive stats --format json | jq '.states.blocked'")]
pub struct Options {
    #[command(flatten)]
    format: FormatOption,
}

/// Prints the statistics.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn run(options: Options, catalogue: Catalogue) -> Outcome {
    let statistics = statistics(&catalogue).await?;
    forgive_closed_pipe(print(&statistics, options.format.choose(), &mut stdout()))
}

fn print(statistics: &Statistics, format: Format, out: &mut impl Write) -> Outcome {
    match format {
        Format::Json | Format::Ndjson => writeln!(out, "{}", serde_json::to_string(statistics)?)?,
        Format::Table => {
            let counts = flat(statistics);
            print_properties(out, counts.iter().map(|(name, count)| (name.as_str(), count.clone())))?;
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["name", "value"])?;
            for (name, count) in flat(statistics) {
                writer.write_record([name, count])?;
            }
            out.write_all(&writer.into_inner()?)?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// The object's members as names and values, `states.gone` for what stands inside another object.
fn flat(statistics: &Statistics) -> Vec<(String, String)> {
    let states = statistics.states.iter().map(|(state, count)| (format!("states.{state}"), count.to_string()));
    let roles = statistics.roles.iter().map(|(role, count)| (format!("roles.{role}"), count.to_string()));
    let rest = [
        ("messages", statistics.messages.to_string()),
        ("chats", statistics.chats.to_string()),
        ("resources", statistics.resources.to_string()),
        ("bytes", statistics.bytes.to_string()),
        ("blobs", statistics.blobs.to_string()),
        ("blob_bytes", statistics.blob_bytes.to_string()),
        ("saved_bytes", statistics.saved_bytes.to_string()),
        ("oldest_pending_at", value(statistics.oldest_pending_at)),
        ("last_event_at", value(statistics.last_event_at)),
    ];
    states.chain(roles).chain(rest.map(|(name, value)| (name.to_owned(), value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded};

    #[tokio::test]
    async fn each_format_tells_the_same_numbers() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        let counted = statistics(&seeded.catalogue).await.unwrap();
        let printed = |format| {
            let mut out = Vec::new();
            print(&counted, format, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let json: Value = serde_json::from_str(&printed(Format::Json)).unwrap();
        assert_eq!((&json["states"]["stored"], &json["bytes"]), (&Value::from(1), &Value::from(68)));
        assert_eq!(printed(Format::Ndjson).lines().count(), 1);
        let csv = printed(Format::Csv);
        assert!(csv.starts_with("name,value\n") && csv.contains("states.stored,1\n"), "{csv}");
        assert!(csv.contains("last_event_at,\n"), "{csv}");
        assert!(printed(Format::Table).contains("states.stored      1\n"), "{}", printed(Format::Table));
    }
}
