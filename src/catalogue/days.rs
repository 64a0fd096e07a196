//! Days: what came in and what became safe on each of them.
//!
//! Triggers count by quarters of an hour with every change. A day of any time zone is made up of those: no zone has
//! been anything else than whole quarters away from UTC since there are chats to archive.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Catalogue, CatalogueError};
use crate::domain::day::Day;
use crate::domain::resource::Role;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// Milliseconds in a quarter of an hour.
const QUARTER_MS: i64 = 900_000;
/// As many quarters as a day can have, where clocks are put back by an hour.
const QUARTERS_OF_DAY: u32 = 100;

/// What one day brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DayTally {
    /// The day, in the archive's time zone.
    pub day: Day,
    /// Resources that were first seen on it.
    pub found: u64,
    /// Resources whose bytes became safe on it.
    pub stored: u64,
    /// Their bytes, equal ones counted each time.
    pub bytes: u64,
    /// Those of them that needed no space, because equal ones were there already.
    pub saved_bytes: u64,
    /// What was first seen on it, by role; roles without any are left out.
    pub roles: BTreeMap<Role, u64>,
}

impl DayTally {
    fn empty(day: Day) -> Self {
        Self { day, found: 0, stored: 0, bytes: 0, saved_bytes: 0, roles: BTreeMap::new() }
    }
}

/// The last days up to `until`, oldest first, also those that brought nothing.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn up_to(catalogue: &Catalogue, until: Day, days: u32) -> Result<Vec<DayTally>, CatalogueError> {
    let mut snapshot = catalogue.snapshot().await?;
    let days: BTreeSet<Day> = until.and_before(days).collect();
    let mut known = read(snapshot.connection(), catalogue.zone(), &days).await?;
    Ok(days.into_iter().map(|day| known.remove(&day).unwrap_or_else(|| DayTally::empty(day))).collect())
}

/// The newest days that brought something, newest first.
pub(super) async fn newest(db: &mut SqliteConnection, zone: &Zone, days: u32) -> Result<Vec<DayTally>, CatalogueError> {
    // However they are spread, so many quarters that brought something belong to as many days or more.
    let quarters: String = sqlx::query_scalar(
        "SELECT json_group_array(quarter) FROM (
             SELECT quarter FROM quarter_tallies WHERE found > 0 OR stored > 0
             GROUP BY quarter ORDER BY quarter DESC LIMIT ?
         )",
    )
    .bind(days.saturating_mul(QUARTERS_OF_DAY))
    .fetch_one(&mut *db)
    .await?;
    let quarters: Vec<i64> = serde_json::from_str(&quarters).map_err(|error| bad("quarter", error))?;
    let found: BTreeSet<Day> = quarters.into_iter().map(|quarter| day_of(zone, quarter)).collect::<Result<_, _>>()?;
    let newest = found.into_iter().rev().take(days as usize).collect();
    let tallies = read(db, zone, &newest).await?.into_values().rev();
    Ok(tallies.filter(|tally| tally.found > 0 || tally.stored > 0).collect())
}

fn day_of(zone: &Zone, quarter: i64) -> Result<Day, CatalogueError> {
    let start = quarter.checked_mul(QUARTER_MS).and_then(Timestamp::from_unix_ms);
    start.map(|start| zone.day_of(start)).ok_or_else(|| bad("quarter", format_args!("{quarter} is no quarter")))
}

/// Those of these days that have counters.
async fn read(
    db: &mut SqliteConnection,
    zone: &Zone,
    days: &BTreeSet<Day>,
) -> Result<BTreeMap<Day, DayTally>, CatalogueError> {
    let quarter = |day: Day| zone.start_of(day).unix_ms().div_euclid(QUARTER_MS);
    let bounds: Vec<_> = days.iter().map(|day| json!([day.number(), quarter(*day), quarter(day.next())])).collect();
    let bounds = serde_json::Value::from(bounds).to_string();
    let mut tallies = BTreeMap::new();
    let rows = sqlx::query(
        "SELECT d.value ->> 0 AS day, t.role, SUM(t.found) AS found, SUM(t.stored) AS stored, SUM(t.bytes) AS bytes
         FROM json_each(?) AS d
         CROSS JOIN quarter_tallies AS t ON t.quarter >= d.value ->> 1 AND t.quarter < d.value ->> 2
         GROUP BY 1, 2",
    )
    .bind(&bounds)
    .fetch_all(&mut *db)
    .await?;
    for row in &rows {
        let day = parsed_day(row.try_get("day")?)?;
        add(tallies.entry(day).or_insert_with(|| DayTally::empty(day)), row)?;
    }
    let blobs = sqlx::query(
        "SELECT d.value ->> 0 AS day, SUM(b.blob_bytes) AS blob_bytes
         FROM json_each(?) AS d
         CROSS JOIN quarter_blobs AS b ON b.quarter >= d.value ->> 1 AND b.quarter < d.value ->> 2
         GROUP BY 1",
    )
    .bind(&bounds)
    .fetch_all(db)
    .await?;
    for row in &blobs {
        if let Some(tally) = tallies.get_mut(&parsed_day(row.try_get("day")?)?) {
            tally.saved_bytes = tally.saved_bytes.saturating_sub(count(row, "blob_bytes")?);
        }
    }
    Ok(tallies)
}

/// Adds what a day brought of one role.
fn add(tally: &mut DayTally, row: &SqliteRow) -> Result<(), CatalogueError> {
    let (found, bytes) = (count(row, "found")?, count(row, "bytes")?);
    if found > 0 {
        let role: String = row.try_get("role")?;
        tally.roles.insert(role.parse().map_err(|error| bad("role", error))?, found);
    }
    tally.found += found;
    tally.stored += count(row, "stored")?;
    tally.bytes += bytes;
    // Until it is known what was new.
    tally.saved_bytes += bytes;
    Ok(())
}

fn count(row: &SqliteRow, column: &'static str) -> Result<u64, CatalogueError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| bad(column, format_args!("{value} is not a count")))
}

fn parsed_day(number: i64) -> Result<Day, CatalogueError> {
    Day::from_number(number).ok_or_else(|| bad("day", format_args!("{number} is not a day")))
}

fn bad(column: &'static str, message: impl std::fmt::Display) -> CatalogueError {
    // Counters have no row numbers.
    CatalogueError::BadValue { table: "quarter_tallies", column, row: 0, message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};

    /// What the counters say, and what counting everything says.
    const KEPT: &str = "SELECT quarter || ' ' || role || ' ' || found || ' ' || stored || ' ' || bytes AS line
         FROM quarter_tallies WHERE found > 0 OR stored > 0 OR bytes <> 0 ORDER BY quarter, role";
    const COUNTED: &str =
        "SELECT quarter || ' ' || role || ' ' || SUM(found) || ' ' || SUM(stored) || ' ' || SUM(bytes)
         FROM (
             SELECT seen_at / 900000 AS quarter, role, 1 AS found, 0 AS stored, 0 AS bytes
             FROM resources WHERE role <> 'forward'
             UNION ALL
             SELECT stored_at / 900000, role, 0, 1, size_bytes FROM resources WHERE state = 'stored'
         )
         GROUP BY quarter, role ORDER BY quarter, role";

    async fn lines(seeded: &Seeded, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(seeded.catalogue.read()).await.unwrap()
    }

    #[tokio::test]
    async fn the_counters_follow_every_change() {
        let seeded = Seeded::new().await;
        let steps = [
            "UPDATE resources SET state = 'running', lease_owner = 'w', lease_until = 1 WHERE key = 'img_1'",
            "UPDATE resources SET state = 'stored', lease_owner = NULL, lease_until = NULL, size_bytes = 7,
                 blob_row_id = 1, stored_at = seen_at + 86400000 WHERE key = 'img_1'",
            "UPDATE resources SET role = 'card_image'",
            "UPDATE resources SET stored_at = stored_at + 86400000, size_bytes = 9 WHERE key = 'img_1'",
            "UPDATE resources SET state = 'running', lease_owner = 'w', lease_until = 1 WHERE key = 'img_2'",
            "UPDATE resources SET state = 'pending', lease_owner = NULL, lease_until = NULL WHERE key = 'img_2'",
            "DELETE FROM resources WHERE key = 'img_3'",
        ];
        seeded.add("img_1", Seed::default()).await;
        seeded.add("img_2", Seed::stored(&"0f".repeat(32), 68)).await;
        seeded.add("img_3", Seed::stored(&"0f".repeat(32), 68)).await;
        seeded.add("om_9", Seed { role: "forward", ..Seed::default() }).await;
        assert_eq!(lines(&seeded, KEPT).await, lines(&seeded, COUNTED).await);
        for step in steps {
            seeded.run(step).await;
            assert_eq!(lines(&seeded, KEPT).await, lines(&seeded, COUNTED).await, "{step}");
        }
    }

    #[tokio::test]
    async fn a_day_is_what_it_is_in_the_time_zone() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        seeded.add("img_2", Seed::stored(&"0f".repeat(32), 68)).await;
        // 18:14 and 18:15 UTC: the last minute of the 1st of March in Kathmandu, and the first of the 2nd.
        seeded.run("UPDATE resources SET stored_at = 1772388840000 WHERE key = 'img_1'").await;
        seeded.run("UPDATE resources SET stored_at = 1772388900000 WHERE key = 'img_2'").await;
        for (zone, expected) in [
            ("UTC", ["2026-02-28 0 0", "2026-03-01 2 2", "2026-03-02 0 0"]),
            ("Asia/Kathmandu", ["2026-02-28 0 0", "2026-03-01 2 1", "2026-03-02 0 1"]),
            ("Pacific/Kiritimati", ["2026-02-28 0 0", "2026-03-01 0 0", "2026-03-02 2 2"]),
        ] {
            let catalogue = seeded.catalogue.clone().in_zone(zone.parse().unwrap());
            let days = up_to(&catalogue, "2026-03-02".parse().unwrap(), 3).await.unwrap();
            let shown: Vec<String> =
                days.iter().map(|tally| format!("{} {} {}", tally.day, tally.found, tally.stored)).collect();
            assert_eq!(shown, expected, "{zone}");
            let mut snapshot = catalogue.snapshot().await.unwrap();
            let mut newest = newest(snapshot.connection(), catalogue.zone(), 31).await.unwrap();
            newest.reverse();
            let brought = days.into_iter().filter(|tally| tally.found + tally.stored > 0);
            assert_eq!(newest, brought.collect::<Vec<_>>(), "{zone}");
        }
    }

    #[tokio::test]
    async fn days_without_anything_are_shown_too() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        let days = up_to(&seeded.catalogue, Zone::default().day_of(noon()), 3).await.unwrap();
        let shown: Vec<String> = days.iter().map(|tally| format!("{} {}", tally.day, tally.found)).collect();
        assert_eq!(shown, ["2026-02-27 0", "2026-02-28 0", "2026-03-01 1"]);
    }
}
