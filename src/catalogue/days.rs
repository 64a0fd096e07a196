//! Days: what came in and what became safe on each of them, kept by triggers with every change.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Catalogue, CatalogueError};
use crate::domain::day::Day;
use crate::domain::resource::Role;

/// What one day brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DayTally {
    /// The day, in UTC.
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
    let mut known: BTreeMap<Day, DayTally> =
        read(snapshot.connection(), until, days).await?.into_iter().map(|tally| (tally.day, tally)).collect();
    Ok(until.and_before(days).map(|day| known.remove(&day).unwrap_or_else(|| DayTally::empty(day))).collect())
}

/// The newest days that brought something, newest first.
pub(super) async fn newest(db: &mut SqliteConnection, days: u32) -> Result<Vec<DayTally>, CatalogueError> {
    let numbers: Vec<i64> = sqlx::query_scalar(
        "SELECT day FROM day_tallies WHERE found > 0 OR stored > 0 GROUP BY day ORDER BY day DESC LIMIT ?",
    )
    .bind(days)
    .fetch_all(&mut *db)
    .await?;
    let (Some(newest), Some(oldest)) = (numbers.first(), numbers.last()) else { return Ok(Vec::new()) };
    let (first, last) = (parsed_day(*oldest)?, parsed_day(*newest)?);
    let mut tallies = between(db, first, last).await?;
    tallies.retain(|tally| tally.found > 0 || tally.stored > 0);
    tallies.reverse();
    Ok(tallies)
}

async fn read(db: &mut SqliteConnection, until: Day, days: u32) -> Result<Vec<DayTally>, CatalogueError> {
    match until.and_before(days).next() {
        Some(first) => between(db, first, until).await,
        None => Ok(Vec::new()),
    }
}

/// The days of a stretch that have counters, oldest first.
async fn between(db: &mut SqliteConnection, first: Day, last: Day) -> Result<Vec<DayTally>, CatalogueError> {
    let rows = sqlx::query(
        "SELECT t.day, t.role, t.found, t.stored, t.bytes, COALESCE(b.blob_bytes, 0) AS blob_bytes
         FROM day_tallies AS t
         LEFT JOIN day_blobs AS b ON b.day = t.day
         WHERE t.day BETWEEN ? AND ?
         ORDER BY t.day, t.role",
    )
    .bind(first.number())
    .bind(last.number())
    .fetch_all(db)
    .await?;
    let mut tallies = Vec::<DayTally>::new();
    for rows in rows.chunk_by(same_day) {
        tallies.push(sum(rows)?);
    }
    Ok(tallies)
}

fn same_day(one: &SqliteRow, other: &SqliteRow) -> bool {
    matches!((one.try_get::<i64, _>("day"), other.try_get::<i64, _>("day")), (Ok(one), Ok(other)) if one == other)
}

/// One day from its rows, one for each role.
fn sum(rows: &[SqliteRow]) -> Result<DayTally, CatalogueError> {
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut tally = DayTally::empty(parsed_day(first.try_get("day")?)?);
    for row in rows {
        let found = count(row, "found")?;
        if found > 0 {
            let role: String = row.try_get("role")?;
            tally.roles.insert(role.parse().map_err(|error| bad("role", error))?, found);
        }
        tally.found += found;
        tally.stored += count(row, "stored")?;
        tally.bytes += count(row, "bytes")?;
    }
    tally.saved_bytes = tally.bytes.saturating_sub(count(first, "blob_bytes")?);
    Ok(tally)
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
    CatalogueError::BadValue { table: "day_tallies", column, row: 0, message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migration;

    use super::*;
    use crate::catalogue::MIGRATIONS;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};

    /// What the counters say, and what counting everything says.
    const KEPT: &str = "SELECT day || ' ' || role || ' ' || found || ' ' || stored || ' ' || bytes AS line
         FROM day_tallies WHERE found > 0 OR stored > 0 OR bytes <> 0 ORDER BY day, role";
    const COUNTED: &str = "SELECT day || ' ' || role || ' ' || SUM(found) || ' ' || SUM(stored) || ' ' || SUM(bytes)
         FROM (
             SELECT seen_at / 86400000 AS day, role, 1 AS found, 0 AS stored, 0 AS bytes
             FROM resources WHERE role <> 'forward'
             UNION ALL
             SELECT stored_at / 86400000, role, 0, 1, size_bytes FROM resources WHERE state = 'stored'
         )
         GROUP BY day, role ORDER BY day, role";

    async fn lines(seeded: &Seeded, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(seeded.catalogue.read()).await.unwrap()
    }

    #[tokio::test]
    async fn the_counters_follow_every_change() {
        let seeded = Seeded::new().await;
        let steps = [
            "UPDATE resources SET state = 'running', lease_owner = 'w', lease_until = 1 WHERE key = 'img_1'",
            "UPDATE resources SET state = 'stored', lease_owner = NULL, lease_until = NULL, size_bytes = 7,
                 sha256 = printf('%064d', 1), stored_at = seen_at + 86400000 WHERE key = 'img_1'",
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
    async fn an_older_catalogue_is_counted_when_it_is_migrated() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        seeded.add("img_2", Seed { role: "sticker", ..Seed::default() }).await;
        let kept = lines(&seeded, KEPT).await;
        assert_eq!(kept.len(), 2, "{kept:?}");
        let migration: &Migration =
            MIGRATIONS.iter().find(|migration| migration.version == 20_261_120_020_002).unwrap();
        let before_triggers = migration.sql.as_str().split("CREATE TRIGGER").next().unwrap();
        let fill = before_triggers.split_at(before_triggers.find("INSERT INTO").unwrap()).1.to_owned();
        seeded.run("DELETE FROM day_tallies").await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(seeded.catalogue.write().unwrap()).await.unwrap();
        assert_eq!(lines(&seeded, KEPT).await, kept);
    }

    #[tokio::test]
    async fn days_without_anything_are_shown_too() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        let days = up_to(&seeded.catalogue, Day::of(noon()), 3).await.unwrap();
        let shown: Vec<String> = days.iter().map(|tally| format!("{} {}", tally.day, tally.found)).collect();
        assert_eq!(shown, ["2026-02-27 0", "2026-02-28 0", "2026-03-01 1"]);
    }
}
