//! Stretches: rows of a listing, read in order and with a limit on the work.
//!
//! What leads a plan brings rows in the order of the listing. Where few of them may pass the checks,
//! they are looked at in windows, and after so many the reading stops and says where.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::Row as _;

use super::Position;
use super::plan::{Lead, Plan, finds};
use super::selection::{
    FROM_RESOURCES, Sql, Window, push_checks, push_lead, push_limit, push_order, push_selection, times,
};
use crate::catalogue::search::{BEHIND, SEARCHED_CHARACTERS, SHARERS_BITS};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::query::Order;

/// How many rows are looked at, one window after the other, before a reading stops: the first is
/// enough for what is usual, and all of them take less than a twentieth of a second.
const WINDOWS: [u32; 3] = [1000, 3000, 6000];
/// The same where texts are looked at, which takes several times as long.
const WINDOWS_OF_TEXTS: [u32; 2] = [1000, 2000];
/// Hits of the text index that are looked at, in the same way.
const HITS: [usize; 2] = [500, 2000];
/// Rows that come at once, as one value: each that crosses over from the connection's thread on its
/// own costs more than finding it. More would only take more memory.
pub(super) const BLOCK: usize = 256;

/// A row that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Its place in the listing.
    pub(super) position: Position,
    /// What was read of it, as JSON.
    pub(super) value: Box<RawValue>,
    /// The texts that words are looked for in, if they are: file name, message, chat and sender.
    pub(super) texts: Vec<Option<String>>,
}

/// Rows of a listing that follow each other.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) found: Vec<Found>,
    /// Where the reading goes on; nothing if there is no more.
    pub(super) rest: Option<Position>,
    /// Whether the text index was asked and does not know all texts yet.
    pub(super) misses_texts: bool,
}

/// Hits of the text index, by their rows in it.
#[derive(Debug, Clone, Copy)]
enum Hits<'a> {
    /// So many of what a plan asks for, behind a place.
    Newest { after: Option<Position>, size: usize },
    /// Hits that are known already.
    These(&'a [i64]),
}

/// What was seen of the text index.
#[derive(Debug, Clone, Copy)]
struct Seen {
    hits: usize,
    /// The oldest hit.
    last: Option<i64>,
    misses_texts: bool,
}

/// How a plan is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) plan: &'a Plan,
    /// What is read of each row, as SQL: one value, because each one costs.
    pub(super) value: &'static str,
    /// A further condition, as SQL.
    pub(super) also: Option<&'static str>,
}

impl Reader<'_> {
    /// Reads up to `limit` rows behind a place. Fewer, with a rest, where the work was too much.
    pub(super) async fn read(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let is_checked = self.plan.is_checked() || self.also.is_some();
        match self.plan.lead {
            Lead::Words => self.read_hits(after, limit).await,
            Lead::Few => self.read_at_once(after, limit).await,
            Lead::Everything | Lead::Column(_) if is_checked => self.read_windows(after, limit).await,
            Lead::Everything | Lead::Column(_) => self.read_at_once(after, limit).await,
        }
    }

    async fn read_at_once(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let mut found = Vec::new();
        self.rows(Window { after, through: None }, limit, &mut found).await?;
        Ok(Stretch::of(found, limit))
    }

    async fn read_windows(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let (mut found, mut after) = (Vec::new(), after);
        let windows: &[u32] = if self.plan.looks_at_texts() { &WINDOWS_OF_TEXTS } else { &WINDOWS };
        for &size in windows {
            let through = self.window_end(after, size).await?;
            self.rows(Window { after, through }, limit, &mut found).await?;
            if found.len() >= limit || through.is_none() {
                return Ok(Stretch::of(found, limit));
            }
            after = through;
        }
        Ok(Stretch { found, rest: after, misses_texts: false })
    }

    /// The last place of a window of so many rows of what leads; none if there are fewer.
    async fn window_end(&self, after: Option<Position>, size: u32) -> Result<Option<Position>, CatalogueError> {
        let mut sql = Sql::new("SELECT r.listed_at, r.resource_row_id FROM resources AS r");
        push_lead(&mut sql, self.plan, Window { after, through: None });
        push_order(&mut sql, 1);
        sql.push(" OFFSET +").push_bind(i64::from(size) - 1);
        let row = sql.build().fetch_optional(self.catalogue.read()).await?;
        row.map(|row| Ok(Position { sort: row.try_get("listed_at")?, row: row.try_get("resource_row_id")? }))
            .transpose()
    }

    /// Adds rows of a window that are what is asked for until there are `limit`.
    async fn rows(&self, window: Window, limit: usize, found: &mut Vec<Found>) -> Result<(), CatalogueError> {
        let (mut window, mut size) = (window, BLOCK.min(limit - found.len()));
        while size > 0 {
            let mut sql = Sql::new("SELECT ");
            self.push_block(&mut sql, "r.listed_at");
            sql.push(FROM_RESOURCES);
            push_selection(&mut sql, self.plan, window);
            sql.push(self.also.unwrap_or_default());
            push_order(&mut sql, u32::try_from(size).unwrap_or(u32::MAX));
            sql.push(")");
            let rows: String = sql.build_query_scalar().fetch_one(self.catalogue.read()).await?;
            let rows = unpack(&rows)?;
            let (last, is_last) = (rows.last().map(|row| row.position), rows.len() < size);
            self.keep(rows, limit, found);
            if is_last {
                break;
            }
            window.after = last;
            // Nobody knows how many of the next ones have the right texts.
            size =
                if self.plan.looks_at_texts() && found.len() < limit { BLOCK } else { BLOCK.min(limit - found.len()) };
        }
        Ok(())
    }

    /// Pushes what makes one value of rows, up to their tables.
    fn push_block(&self, sql: &mut Sql, sort: &'static str) {
        sql.push(
            "'[' || COALESCE(group_concat(packed), '') || ']' AS rows FROM (SELECT json_array(r.resource_row_id, ",
        );
        sql.push(sort).push(", ").push(self.value).push(", json_array(");
        if self.plan.looks_at_texts() || self.plan.order() == Order::Relevance {
            sql.push("r.file_name, substr(m.text, 1, ").push(SEARCHED_CHARACTERS).push("), c.name, s.name");
        }
        sql.push(")) AS packed");
    }

    /// Keeps rows whose texts are what is looked for until there are `limit`.
    fn keep(&self, rows: Vec<Found>, limit: usize, found: &mut Vec<Found>) {
        let search = self.plan.search().filter(|_| self.plan.looks_at_texts());
        let fitting = rows.into_iter().filter(|row| search.is_none_or(|search| finds(search, &row.texts)));
        found.extend(fitting.take(limit - found.len()));
    }

    async fn read_hits(&self, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
        let mut found = Vec::new();
        // Nearly every hit has the right texts, but nobody knows how many pass another check.
        let is_sure = !self.plan.is_narrowed() && !self.plan.words.some_are_left_to_the_texts && self.also.is_none();
        let first = if is_sure { limit } else { limit * 4 };
        let mut asked = first.min(BLOCK);
        let mut seen = self.rows_of_hits(Hits::Newest { after, size: asked }, limit, &mut found).await?;
        for size in HITS {
            if found.len() >= limit || seen.hits < asked {
                break;
            }
            let hits = self.hits(seen.place(), size).await?;
            for block in hits.chunks(BLOCK) {
                if found.len() < limit {
                    self.rows_of_hits(Hits::These(block), limit, &mut found).await?;
                }
            }
            (asked, seen) = (size, Seen { hits: hits.len(), last: hits.last().copied(), ..seen });
        }
        let is_done = found.len() >= limit || seen.hits < asked;
        let rest = if is_done { last_of_many(&found, limit) } else { seen.place() };
        Ok(Stretch { found, rest, misses_texts: seen.misses_texts })
    }

    /// The newest hits behind a place, by their rows in the text index.
    pub(super) async fn hits(&self, after: Option<Position>, size: usize) -> Result<Vec<i64>, CatalogueError> {
        let mut sql = Sql::new("SELECT json_group_array(rowid) FROM (");
        self.push_hits(&mut sql, Hits::Newest { after, size });
        sql.push(")");
        let hits: String = sql.build_query_scalar().fetch_one(self.catalogue.read()).await?;
        serde_json::from_str(&hits).map_err(|error| sqlx::Error::Decode(error.into()).into())
    }

    /// Adds the rows behind at most a block of hits, in their order, without those that fail a
    /// check, until there are `limit`. The joins are CROSS, which keeps SQLite from taking the hits
    /// in another order.
    async fn rows_of_hits(&self, hits: Hits<'_>, limit: usize, found: &mut Vec<Found>) -> Result<Seen, CatalogueError> {
        let mut sql = Sql::new("WITH hit (row) AS MATERIALIZED (");
        self.push_hits(&mut sql, hits);
        sql.push(") SELECT (SELECT COUNT(*) FROM hit) AS hits, (SELECT MIN(row) FROM hit) AS last, ");
        sql.push(BEHIND).push(" AS misses_texts, ");
        self.push_block(&mut sql, "x.search_row_id");
        sql.push(" FROM hit CROSS JOIN search_rows AS x ON x.search_row_id = hit.row");
        sql.push(" CROSS JOIN resources AS r ON r.resource_row_id = x.resource_row_id");
        sql.push(FROM_RESOURCES.trim_start_matches(" FROM resources AS r"));
        sql.push(" WHERE TRUE");
        push_checks(&mut sql, self.plan);
        sql.push(self.also.unwrap_or_default());
        let most = if self.plan.looks_at_texts() { BLOCK } else { limit - found.len() };
        push_limit(&mut sql, u32::try_from(most).unwrap_or(u32::MAX));
        sql.push(")");
        let row = sql.build().fetch_one(self.catalogue.read()).await?;
        self.keep(unpack(row.try_get("rows")?)?, limit, found);
        let hits: i64 = row.try_get("hits")?;
        let hits = usize::try_from(hits).unwrap_or(0);
        Ok(Seen { hits, last: row.try_get("last")?, misses_texts: row.try_get("misses_texts")? })
    }

    /// The rows behind hits that are known, in their order, without those that fail a check.
    pub(super) async fn rows_of(&self, hits: &[i64]) -> Result<Vec<Found>, CatalogueError> {
        let mut found = Vec::new();
        for block in hits.chunks(BLOCK) {
            self.rows_of_hits(Hits::These(block), hits.len(), &mut found).await?;
        }
        Ok(found)
    }

    fn push_hits(&self, sql: &mut Sql, hits: Hits<'_>) {
        match hits {
            Hits::These(hits) => {
                sql.push("SELECT value FROM json_each(").push_bind(serde_json::Value::from(hits).to_string()).push(")");
            }
            Hits::Newest { after, size } => {
                let (from, to) = times(self.plan);
                let first = from.map_or(i64::MIN, |from| from << SHARERS_BITS);
                let behind = after.map(|after| after.sort).or(to.map(|to| to << SHARERS_BITS)).unwrap_or(i64::MAX);
                match &self.plan.words.expression {
                    Some(expression) => sql
                        .push("SELECT rowid FROM search_index WHERE search_index MATCH ")
                        .push_bind(expression.clone())
                        .push(" AND"),
                    None => sql.push("SELECT search_row_id AS rowid FROM search_rows WHERE"),
                };
                sql.push(" rowid >= ").push_bind(first).push(" AND rowid < ").push_bind(behind);
                sql.push(" ORDER BY rowid DESC");
                push_limit(sql, u32::try_from(size).unwrap_or(u32::MAX));
            }
        }
    }
}

impl Seen {
    /// The place behind which nothing was seen yet.
    fn place(self) -> Option<Position> {
        self.last.map(|last| Position { sort: last, row: 0 })
    }
}

impl Stretch {
    /// What was found, with nothing behind it if that is less than `limit`.
    fn of(found: Vec<Found>, limit: usize) -> Self {
        Self { rest: last_of_many(&found, limit), found, misses_texts: false }
    }
}

/// A row as it comes: its number, its place, its value and its texts.
#[derive(Deserialize)]
struct Handed(i64, i64, Box<RawValue>, Vec<Option<String>>);

fn unpack(rows: &str) -> Result<Vec<Found>, CatalogueError> {
    let rows: Vec<Handed> = serde_json::from_str(rows).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let found = |Handed(row, sort, value, texts)| Found { position: Position { sort, row }, value, texts };
    Ok(rows.into_iter().map(found).collect())
}

/// Where reading goes on after as many rows as were asked for; fewer were all.
fn last_of_many(found: &[Found], limit: usize) -> Option<Position> {
    found.last().filter(|_| found.len() >= limit).map(|last| last.position)
}
