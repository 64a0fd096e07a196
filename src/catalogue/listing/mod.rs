//! Listings: what is shown of the catalogue, page by page.
//!
//! Pages go by keys, never by counting rows: a page costs the same wherever it lies, and rows that
//! are added while somebody turns pages neither repeat nor hide what was there.

pub mod chat;
pub mod delivery;
pub mod message;
pub mod resource;

mod cursor;
mod decode;
#[cfg(test)]
pub(crate) mod seed;
pub(in crate::catalogue) mod selection;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::Serialize;

use self::cursor::{Cursor, Scope};
use self::resource::{Resource, SELECT_RESOURCES};
use self::selection::{FROM_RESOURCES, Sql, push_order, push_selection};
use super::{Catalogue, CatalogueError};
use crate::domain::filter::Filter;
use crate::domain::time::Timestamp;

/// How many items a page may have: enough for a screen, little enough for memory.
pub const PAGE_LIMITS: RangeInclusive<u32> = 1..=200;
/// How many items a page has if nobody says.
pub const DEFAULT_LIMIT: u32 = 50;
/// Rows read at once by whoever wants all of them.
const STRIDE: u32 = 500;

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

/// A place in the listing of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::catalogue) struct Position {
    listed_at: i64,
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
    let after = cursor.map(|cursor| Position { listed_at: cursor.sort, row: cursor.row });
    let rows = rows_after(catalogue, filter, asked_at, after, request.limit.saturating_add(1)).await?;
    Ok(cut(rows, request, |last| {
        let Position { listed_at, row } = last.position();
        Cursor { asked_at, sort: listed_at, row }.encode(&scope)
    }))
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
        let after = match self.next {
            Next::Start => None,
            Next::After(position) => Some(position),
            Next::Nowhere => return Ok(Vec::new()),
        };
        let rows = rows_after(self.catalogue, &self.filter, self.asked_at, after, STRIDE).await?;
        self.next = match rows.last() {
            Some(last) if rows.len() == STRIDE as usize => Next::After(last.position()),
            _ => Next::Nowhere,
        };
        Ok(rows)
    }
}

async fn rows_after(
    catalogue: &Catalogue,
    filter: &Filter,
    asked_at: Timestamp,
    after: Option<Position>,
    limit: u32,
) -> Result<Vec<Resource>, CatalogueError> {
    let mut sql = Sql::new(SELECT_RESOURCES);
    sql.push(FROM_RESOURCES);
    push_selection(&mut sql, filter, asked_at, after);
    push_order(&mut sql, limit);
    let rows = sql.build().fetch_all(catalogue.read()).await?;
    rows.iter().map(Resource::decode).collect()
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
    Page { items: rows, next_cursor }
}
