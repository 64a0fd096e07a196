//! Listings: what is shown of the catalogue, page by page.
//!
//! Pages go by keys, never by counting rows: a page costs the same wherever it lies, and rows that
//! are added while somebody turns pages neither repeat nor hide what was there.

pub mod attention;
pub mod chat;
pub mod columns;
pub mod delivery;
pub mod extent;
pub mod message;
pub mod quoted;
pub mod resource;

mod cursor;
mod decode;
mod plan;
mod relevance;
#[cfg(test)]
pub(crate) mod seed;
pub(in crate::catalogue) mod selection;
mod stretch;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::Serialize;

use self::cursor::{Cursor, Scope};
use self::plan::Plan;
use self::resource::{PACKED, Resource};
use self::stretch::{Found, Reader, Stretch};
use super::{Catalogue, CatalogueError};
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::domain::query::Order;
use crate::domain::time::Timestamp;

/// How many items a page may have: enough for a screen, little enough for memory.
pub const PAGE_LIMITS: RangeInclusive<u32> = 1..=200;
/// How many items a page has if nobody says.
pub const DEFAULT_LIMIT: u32 = 50;
/// Rows read at once by whoever wants all of them.
const STRIDE: usize = 500;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most; within [`PAGE_LIMITS`].
    pub limit: u32,
    /// Where the page before it ended; none for the first page.
    pub cursor: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// What to ask the next page with; none on the last page.
    pub next_cursor: Option<String>,
    /// Whether so many rows had to be looked at that this page was ended before it was full. The
    /// cursor goes on from there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped_early: bool,
    /// Whether words were looked for and some texts are not in the index yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub index_incomplete: bool,
}

impl<T> Default for Page<T> {
    /// The one page of a list without anything.
    fn default() -> Self {
        Self { items: Vec::new(), next_cursor: None, stopped_early: false, index_incomplete: false }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// The cursor is made up, or belongs to another list or filter.
    #[error(
        "the cursor does not belong to this list and these filters; take `next_cursor` of the page before, with the same filters"
    )]
    BadCursor,
    /// The catalogue could not be read.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl From<sqlx::Error> for ListingError {
    fn from(error: sqlx::Error) -> Self {
        Self::Catalogue(error.into())
    }
}

/// A place in a listing of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalogue) struct Position {
    /// What the listing is ordered by: a time, or a row of the text index.
    sort: i64,
    /// The resource.
    row: i64,
}

/// One page of the resources that a filter asks for, asked for at `now`.
///
/// # Errors
/// If the cursor does not fit, or the catalogue cannot be read.
pub async fn resources(
    catalogue: &Catalogue,
    filter: &Filter,
    request: &PageRequest,
    now: Timestamp,
) -> Result<Page<Resource>, ListingError> {
    let canonical = filter.canonical();
    let scope = Scope { list: "resources", filter: &canonical };
    let cursor = resume(request, &scope)?;
    let asked_at = cursor.map_or(now, |cursor| cursor.asked_at);
    let after = cursor.map(|Cursor { sort, row, .. }| Position { sort, row });
    let plan = Plan::new(catalogue, filter, asked_at).await?;
    let limit = request.limit as usize;
    // One more is read than is shown, to know whether there is more.
    let mut stretch = read(catalogue, &plan, after, limit.saturating_add(1)).await?;
    let next = match stretch.found.len() > limit {
        true => limit.checked_sub(1).and_then(|last| stretch.found.get(last)).map(|last| last.position),
        false => stretch.rest,
    };
    stretch.found.truncate(limit);
    Ok(Page {
        stopped_early: next.is_some() && stretch.found.len() < limit,
        index_incomplete: stretch.misses_texts,
        next_cursor: next.map(|Position { sort, row }| Cursor { asked_at, sort, row }.encode(&scope)),
        items: decode_all(&stretch.found)?,
    })
}

/// How many resources a filter asks for, counted up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many were seen.
    pub seen: u32,
    /// Whether there may be more.
    pub more: bool,
}

/// Counts what a filter asks for, up to `limit` and within the work that a page may take.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_up_to(
    catalogue: &Catalogue,
    filter: &Filter,
    limit: u32,
    now: Timestamp,
) -> Result<Count, CatalogueError> {
    let plan = Plan::new(catalogue, &filter.newest_first(), now).await?;
    let reader = Reader { catalogue, plan: &plan, value: NOTHING, also: None };
    let stretch = reader.read(None, limit as usize + 1).await?;
    let seen = u32::try_from(stretch.found.len()).unwrap_or(u32::MAX);
    Ok(Count { seen: seen.min(limit), more: seen > limit || stretch.rest.is_some() })
}

/// What is read of a row where its number is enough.
const NOTHING: &str = "NULL";

/// The ids of everything that a filter asks for, as asked at `now`, and for which a further
/// condition holds. Ids are small enough to hold a whole archive's: eight bytes each.
pub(in crate::catalogue) async fn ids(
    catalogue: &Catalogue,
    filter: &Filter,
    now: Timestamp,
    also: &'static str,
) -> Result<Vec<ResourceId>, CatalogueError> {
    let plan = Plan::new(catalogue, &filter.newest_first(), now).await?;
    let reader = Reader { catalogue, plan: &plan, value: NOTHING, also: Some(also) };
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let stretch = reader.read(after, STRIDE).await?;
        for found in &stretch.found {
            ids.push(ResourceId(found.position.row));
        }
        after = stretch.rest;
        if after.is_none() {
            return Ok(ids);
        }
    }
}

/// Everything that a filter asks for, a stretch at a time: for whoever prints it all and keeps
/// nothing.
#[derive(Debug)]
pub struct Walk<'a> {
    catalogue: &'a Catalogue,
    filter: Filter,
    asked_at: Timestamp,
    next: Next,
}

/// Where a walk goes on.
#[derive(Debug, Clone, Copy)]
enum Next {
    Start,
    After(Position),
    Nowhere,
}

impl<'a> Walk<'a> {
    /// A walk over what the filter asks for, asked for at `now`.
    #[must_use]
    pub fn new(catalogue: &'a Catalogue, filter: Filter, now: Timestamp) -> Self {
        Self { catalogue, filter, asked_at: now, next: Next::Start }
    }

    /// The next stretch; empty when everything was seen.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Resource>, CatalogueError> {
        let plan = Plan::new(self.catalogue, &self.filter, self.asked_at).await?;
        loop {
            let after = match self.next {
                Next::Start => None,
                Next::After(position) => Some(position),
                Next::Nowhere => return Ok(Vec::new()),
            };
            let stretch = read(self.catalogue, &plan, after, STRIDE).await?;
            self.next = stretch.rest.map_or(Next::Nowhere, Next::After);
            if !stretch.found.is_empty() {
                return decode_all(&stretch.found);
            }
        }
    }
}

async fn read(
    catalogue: &Catalogue,
    plan: &Plan,
    after: Option<Position>,
    limit: usize,
) -> Result<Stretch, CatalogueError> {
    let reader = Reader { catalogue, plan, value: PACKED.as_str(), also: None };
    match plan.order() {
        Order::Newest => reader.read(after, limit).await,
        Order::Relevance => relevance::read(reader, after, limit).await,
    }
}

fn decode_all(found: &[Found]) -> Result<Vec<Resource>, CatalogueError> {
    found.iter().map(|found| Resource::decode(found.value.get())).collect()
}

/// The place that a request goes on from.
fn resume(request: &PageRequest, scope: &Scope<'_>) -> Result<Option<Cursor>, ListingError> {
    let decode = |text: &String| Cursor::decode(text, scope).ok_or(ListingError::BadCursor);
    request.cursor.as_ref().map(decode).transpose()
}

/// Makes a page of rows of which one more was read than is shown, to know whether there is more.
fn cut<T>(mut rows: Vec<T>, request: &PageRequest, cursor_after: impl FnOnce(&T) -> String) -> Page<T> {
    let limit = request.limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(cursor_after);
    Page { items: rows, next_cursor, stopped_early: false, index_incomplete: false }
}
