//! Stretches: rows of a listing, read in order and with a limit on the work.
//!
//! What leads a plan brings rows in the order of the listing. Where few of them may pass the checks,
//! they are looked at in windows, and after so many the reading stops and says where.

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::Position;
use super::plan::{Lead, Plan, finds};
use super::selection::{FROM_RESOURCES, Sql, Window, push_checks, push_lead, push_order, push_selection, times};
use crate::catalogue::search::{SEARCHED_CHARACTERS, SHARERS_BITS};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::query::Order;

/// How many rows are looked at, one window after the other, before a reading stops: the first is
/// enough for what is usual, and all of them take less than a tenth of a second.
const WINDOWS: [u32; 3] = [1000, 4000, 15_000];
/// Hits of the text index that are looked at, in the same way.
const HITS: [usize; 3] = [500, 2500, 10_000];

/// A row that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its place in the listing.
    pub(super) position: Position,
    pub(super) row: SqliteRow,
}

/// Rows of a listing that follow each other.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) found: Vec<Found>,
    /// Where the reading goes on; nothing if there is no more.
    pub(super) rest: Option<Position>,
}

/// How a plan is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) plan: &'a Plan,
    /// SELECT and what of each row; the row's number is among it.
    pub(super) select: &'static str,
    /// A further condition, as SQL.
    pub(super) also: Option<&'static str>,
}

impl Reader<'_> {
    /// Reads up to `limit` rows behind a place. Fewer, with a rest, where the work was too much.
    pub(super) async fn read(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let is_checked = self.plan.is_checked() || self.also.is_some();
        match self.plan.lead {
            Lead::Words => self.read_hits(after, limit, is_checked).await,
            Lead::Few => self.read_at_once(after, limit).await,
            Lead::Everything | Lead::Column(_) if is_checked => self.read_windows(after, limit).await,
            Lead::Everything | Lead::Column(_) => self.read_at_once(after, limit).await,
        }
    }

    async fn read_at_once(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let found = self.rows(Window { after, through: None }, limit).await?;
        Ok(Stretch { rest: last_of_many(&found, limit), found })
    }

    async fn read_windows(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let (mut found, mut after) = (Vec::new(), after);
        for size in WINDOWS {
            let through = self.window_end(after, size).await?;
            found.extend(self.rows(Window { after, through }, limit.saturating_sub(found.len())).await?);
            if found.len() >= limit || through.is_none() {
                return Ok(Stretch { rest: last_of_many(&found, limit), found });
            }
            after = through;
        }
        Ok(Stretch { found, rest: after })
    }

    /// The last place of a window of so many rows of what leads; none if there are fewer.
    async fn window_end(&self, after: Option<Position>, size: u32) -> Result<Option<Position>, CatalogueError> {
        let mut sql = Sql::new("SELECT r.listed_at, r.resource_row_id FROM resources AS r");
        push_lead(&mut sql, self.plan, Window { after, through: None });
        push_order(&mut sql, 1);
        sql.push(" OFFSET ").push_bind(i64::from(size) - 1);
        let row = sql.build().fetch_optional(self.catalogue.read()).await?;
        row.as_ref().map(listed_position).transpose()
    }

    /// Up to `limit` rows of a window that are what is asked for.
    async fn rows(&self, window: Window, limit: usize) -> Result<Vec<Found>, CatalogueError> {
        let mut sql = Sql::new(self.select);
        self.push_texts(&mut sql);
        sql.push(FROM_RESOURCES);
        push_selection(&mut sql, self.plan, window);
        sql.push(self.also.unwrap_or_default());
        // How many rows have the right texts is only known when they are looked at.
        let most = if self.plan.looks_at_texts() { u32::MAX } else { u32::try_from(limit).unwrap_or(u32::MAX) };
        push_order(&mut sql, most);
        self.collect(sql, limit, listed_position).await
    }

    /// Runs a query and keeps the first rows whose texts are what is looked for; the others are
    /// let go at once, so that memory stays small.
    async fn collect(
        &self,
        mut sql: Sql,
        limit: usize,
        position: impl Fn(&SqliteRow) -> Result<Position, CatalogueError>,
    ) -> Result<Vec<Found>, CatalogueError> {
        let search = self.plan.search().filter(|_| self.plan.looks_at_texts());
        let mut found = Vec::new();
        let mut rows = sql.build().fetch(self.catalogue.read());
        while found.len() < limit
            && let Some(row) = rows.try_next().await?
        {
            let fits = match search {
                Some(search) => finds(search, &texts(&row)?),
                None => true,
            };
            if fits {
                found.push(Found { position: position(&row)?, row });
            }
        }
        Ok(found)
    }

    /// The texts that words are looked for in.
    fn push_texts(&self, sql: &mut Sql) {
        if self.plan.looks_at_texts() || self.plan.order() == Order::Relevance {
            sql.push(", r.file_name AS text_0, substr(m.text, 1, ").push(SEARCHED_CHARACTERS);
            sql.push(") AS text_1, c.name AS text_2, s.name AS text_3");
        }
    }

    async fn read_hits(
        &self,
        after: Option<Position>,
        limit: usize,
        is_checked: bool,
    ) -> Result<Stretch, CatalogueError> {
        let (mut found, mut after) = (Vec::new(), after);
        let few = if is_checked { limit * 4 } else { limit };
        for size in std::iter::once(few).chain(HITS) {
            let hits = self.hits(after, size).await?;
            found.extend(self.rows_of_hits(&hits, limit.saturating_sub(found.len())).await?);
            if found.len() >= limit || hits.len() < size {
                return Ok(Stretch { rest: last_of_many(&found, limit), found });
            }
            after = hits.last().map(|last| Position { sort: *last, row: 0 });
        }
        Ok(Stretch { found, rest: after })
    }

    /// The newest hits behind a place, by their rows in the text index.
    pub(super) async fn hits(&self, after: Option<Position>, limit: usize) -> Result<Vec<i64>, CatalogueError> {
        let Some(expression) = &self.plan.expression else { return Ok(Vec::new()) };
        let (from, to) = times(self.plan);
        let first = from.map_or(i64::MIN, |from| from << SHARERS_BITS);
        let behind = after.map(|after| after.sort).or(to.map(|to| to << SHARERS_BITS)).unwrap_or(i64::MAX);
        let hits = sqlx::query_scalar(
            "SELECT rowid FROM search_index
             WHERE search_index MATCH ? AND rowid >= ? AND rowid < ?
             ORDER BY rowid DESC
             LIMIT ?",
        )
        .bind(expression)
        .bind(first)
        .bind(behind)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.catalogue.read())
        .await?;
        Ok(hits)
    }

    /// Up to `limit` rows behind hits, in their order, without those that fail a check. The joins
    /// are CROSS, which keeps SQLite from taking the hits in another order.
    pub(super) async fn rows_of_hits(&self, hits: &[i64], limit: usize) -> Result<Vec<Found>, CatalogueError> {
        let mut sql = Sql::new(self.select);
        self.push_texts(&mut sql);
        sql.push(", x.search_row_id FROM json_each(").push_bind(serde_json::Value::from(hits).to_string());
        sql.push(") AS hit CROSS JOIN search_rows AS x ON x.search_row_id = hit.value CROSS JOIN resources AS r");
        sql.push(" ON r.resource_row_id = x.resource_row_id");
        sql.push(FROM_RESOURCES.trim_start_matches(" FROM resources AS r"));
        sql.push(" WHERE TRUE");
        push_checks(&mut sql, self.plan);
        sql.push(self.also.unwrap_or_default());
        self.collect(sql, limit, hit_position).await
    }
}

/// Where reading goes on after as many rows as were asked for; fewer were all.
fn last_of_many(found: &[Found], limit: usize) -> Option<Position> {
    found.last().filter(|_| found.len() >= limit).map(|last| last.position)
}

fn hit_position(row: &SqliteRow) -> Result<Position, CatalogueError> {
    Ok(Position { sort: row.try_get("search_row_id")?, row: row.try_get("resource_row_id")? })
}

fn listed_position(row: &SqliteRow) -> Result<Position, CatalogueError> {
    Ok(Position { sort: row.try_get("listed_at")?, row: row.try_get("resource_row_id")? })
}

/// The texts of a row that words are looked for in: file name, message, chat and sender.
pub(super) fn texts(row: &SqliteRow) -> Result<[Option<String>; 4], CatalogueError> {
    Ok([row.try_get("text_0")?, row.try_get("text_1")?, row.try_get("text_2")?, row.try_get("text_3")?])
}
