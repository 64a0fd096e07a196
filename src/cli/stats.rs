//! `larkive stats`: how much there is.

use std::io::Write;

use super::output::{Format, FormatOption, forgive_closed_pipe, print_properties, stdout, value, visible};
use super::{Exit, Outcome};
use crate::catalogue::Catalogue;
use crate::catalogue::days::DayTally;
use crate::catalogue::statistics::{Breakdown, LargeChat, Statistics, breakdown};
use crate::domain::chat::Title;
use clap::Args;

/// Count what is in the archive: by state, role, day and chat, bytes, and bytes saved by keeping equal ones once
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
    let breakdown = breakdown(&catalogue).await?;
    forgive_closed_pipe(print(&breakdown, options.format.choose(), &mut stdout()))
}

fn print(breakdown: &Breakdown, format: Format, out: &mut impl Write) -> Outcome {
    match format {
        Format::Json | Format::Ndjson => writeln!(out, "{}", serde_json::to_string(breakdown)?)?,
        Format::Table => {
            let mut lines = flat(&breakdown.statistics);
            lines.extend(breakdown.days.iter().map(|tally| (tally.day.to_string(), in_words(tally))));
            lines.extend(breakdown.largest_chats.iter().map(|chat| (chat.chat_id.to_string(), chat_in_words(chat))));
            print_properties(out, lines.iter().map(|(name, value)| (name.as_str(), value.clone())))?;
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["name", "value"])?;
            let counts = flat(&breakdown.statistics).into_iter();
            for (name, count) in counts.chain(days(&breakdown.days)).chain(chats(&breakdown.largest_chats)) {
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
    let rest = rest.map(|(name, value)| (name.to_owned(), value));
    states.chain(roles).chain(rest).collect()
}

/// The days, in the same way.
fn days(days: &[DayTally]) -> impl Iterator<Item = (String, String)> {
    days.iter().flat_map(|tally| {
        let counts = [
            ("found", tally.found),
            ("stored", tally.stored),
            ("bytes", tally.bytes),
            ("saved_bytes", tally.saved_bytes),
        ];
        counts.map(|(name, count)| (format!("days.{}.{name}", tally.day), count.to_string()))
    })
}

/// The largest chats, in the same way.
fn chats(chats: &[LargeChat]) -> impl Iterator<Item = (String, String)> {
    chats.iter().flat_map(|chat| {
        let counts = [("stored", chat.stored), ("bytes", chat.bytes)];
        counts.map(|(name, count)| (format!("largest_chats.{}.{name}", chat.chat_id), count.to_string()))
    })
}

fn in_words(DayTally { found, stored, bytes, saved_bytes, .. }: &DayTally) -> String {
    format!("{found} found, {stored} stored, {bytes} bytes, {saved_bytes} of them saved")
}

fn chat_in_words(chat: &LargeChat) -> String {
    let LargeChat { stored, bytes, .. } = chat;
    let title = match chat.title() {
        // It stands at the beginning of the line.
        Title::Id(_) | Title::Direct { person: None, .. } => String::new(),
        known => format!("   {}", visible(&known.told("direct"))),
    };
    format!("{stored} stored, {bytes} bytes{title}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded};

    #[tokio::test]
    async fn each_format_tells_the_same_numbers() {
        let seeded = Seeded::new().await;
        for key in ["img_1", "img_2"] {
            seeded.add(key, Seed::stored(&"0f".repeat(32), 68)).await;
        }
        let counted = breakdown(&seeded.catalogue).await.unwrap();
        let printed = |format| {
            let mut out = Vec::new();
            print(&counted, format, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let json: Value = serde_json::from_str(&printed(Format::Json)).unwrap();
        assert_eq!((&json["states"]["stored"], &json["bytes"]), (&Value::from(2), &Value::from(136)));
        assert_eq!(
            json["days"][0],
            serde_json::json!({
                "day": "2026-03-01", "found": 2, "stored": 2, "bytes": 136, "saved_bytes": 68, "roles": {"image": 2}
            })
        );
        assert_eq!(json["largest_chats"][0]["chat_id"], "oc_1");
        assert_eq!(printed(Format::Ndjson).lines().count(), 1);
        let csv = printed(Format::Csv);
        assert!(csv.starts_with("name,value\n") && csv.contains("states.stored,2\n"), "{csv}");
        assert!(csv.contains("days.2026-03-01.bytes,136\n") && csv.contains("largest_chats.oc_1.bytes,136\n"), "{csv}");
        assert!(csv.contains("last_event_at,\n"), "{csv}");
        let table = printed(Format::Table);
        assert!(table.contains("states.stored      2\n"), "{table}");
        assert!(table.contains("2026-03-01         2 found, 2 stored, 136 bytes, 68 of them saved\n"), "{table}");
    }
}
