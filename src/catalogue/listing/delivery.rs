//! Deliveries as they are shown: every authentic event, also those that could not be read.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use sqlx::sqlite::SqliteRow;

use super::attention::BoundedCount;
use super::cursor::{Cursor, Scope};
use super::decode::Columns;
use super::selection::Sql;
use super::{ListingError, Page, PageRequest, cut, resume};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::id::{AppId, EventRowId};
use crate::domain::resource::names;
use crate::domain::schema::choices;
use crate::domain::time::Timestamp;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryResult {
    /// It waits to be expanded, for the first time or again.
    Pending,
    /// What is in it stands in the catalogue.
    Expanded,
    /// Its message was known already.
    Duplicate,
    /// It is authentic, and nothing that Larkive keeps.
    Ignored,
    /// It could not be read.
    Unparsed,
}

names!(
    DeliveryResult,
    UnknownDeliveryResult,
    "result of a delivery",
    Pending = "pending",
    Expanded = "expanded",
    Duplicate = "duplicate",
    Ignored = "ignored",
    Unparsed = "unparsed",
);

choices! {
    DeliveryResult: "What became of a delivery.";
}

/// A delivery of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Delivery {
    /// Its id in this catalogue.
    pub id: EventRowId,
    /// The app it was meant for.
    pub app_id: AppId,
    /// The platform's id of the event.
    pub event_id: Option<String>,
    /// The event's type.
    pub event_type: Option<String>,
    /// The message it tells of.
    pub message_id: Option<String>,
    /// When it came in.
    pub received_at: Timestamp,
    /// What became of it.
    pub result: DeliveryResult,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// What a delivery came to: its own outcome, else whether expansion has passed it.
const RESULT: &str =
    "COALESCE(o.result, CASE WHEN e.event_row_id <= i.expanded_through THEN 'expanded' ELSE 'pending' END)";

/// One page of the deliveries with one of these results (all, if none is named), newest first.
///
/// # Errors
/// If the cursor does not fit, or the catalogue cannot be read.
pub async fn deliveries(
    catalogue: &Catalogue,
    results: &[DeliveryResult],
    request: &PageRequest,
    now: Timestamp,
) -> Result<Page<Delivery>, ListingError> {
    let mut canonical: Vec<_> = results.iter().map(|result| ("result", result.to_string())).collect();
    canonical.sort();
    canonical.dedup();
    let scope = Scope { list: "events", filter: &canonical };
    let cursor = resume(request, &scope)?;
    let asked_at = cursor.map_or(now, |cursor| cursor.asked_at);
    let before = cursor.map_or(i64::MAX, |cursor| cursor.row);
    let rows = page_sql(results, before, i64::from(request.limit) + 1).build().fetch_all(catalogue.read()).await?;
    let deliveries = rows.iter().map(Delivery::decode).collect::<Result<_, _>>()?;
    Ok(cut(deliveries, request, |last: &Delivery| Cursor { asked_at, sort: last.id.0, row: last.id.0 }.encode(&scope)))
}

/// One delivery.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn find(catalogue: &Catalogue, id: EventRowId) -> Result<Option<Delivery>, CatalogueError> {
    // The newest delivery before the one after it is the one itself, if it is there.
    let row = page_sql(&[], id.0.saturating_add(1), 1).build().fetch_optional(catalogue.read()).await?;
    let delivery = row.as_ref().map(Delivery::decode).transpose()?;
    Ok(delivery.filter(|delivery| delivery.id == id))
}

/// The payload of a delivery, or as much of it as is worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its beginning.
    pub text: String,
    /// How long it is as a whole.
    pub size_bytes: u64,
}

/// Whether an expression is the id of a message of this delivery's app that is hidden. One that could not be read
/// has no row among the messages, and only its recall says so.
macro_rules! is_hidden {
    ($id:literal) => {
        concat!(
            "(EXISTS (
                 SELECT 1 FROM messages AS m WHERE m.app_id = e.app_id AND m.hidden = 1 AND m.message_id = ",
            $id,
            ") OR policy.hide = 1 AND EXISTS (SELECT 1 FROM recalls AS r WHERE r.app_id = e.app_id AND r.message_id = ",
            $id,
            "))"
        )
    };
}

/// What is read of a payload. A delivery that has no message id where it belongs may have it elsewhere; where
/// SQLite cannot look, nothing is shown as long as recalled messages are hidden.
const PAYLOAD: &str = concat!(
    "SELECT substr(e.payload, 1, ?), octet_length(e.payload)
     FROM events AS e
     CROSS JOIN recall_policy AS policy
     WHERE e.event_row_id = ? AND NOT ",
    is_hidden!("e.message_id"),
    " AND (policy.hide = 0 OR e.message_id IS NOT NULL OR json_valid(e.payload) AND NOT EXISTS (
         SELECT 1 FROM json_tree(iif(json_valid(e.payload), e.payload, 'null')) AS told
         WHERE told.key IN ('message_id', 'open_message_id') AND ",
    is_hidden!("told.atom"),
    "))"
);

/// The first characters of a delivery's payload, unless its message is hidden.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn payload(catalogue: &Catalogue, id: EventRowId, chars: u32) -> Result<Option<Payload>, CatalogueError> {
    let row: Option<(String, i64)> =
        sqlx::query_as(PAYLOAD).bind(chars).bind(id.0).fetch_optional(catalogue.read()).await?;
    Ok(row.map(|(text, size_bytes)| Payload { text, size_bytes: u64::try_from(size_bytes).unwrap_or(0) }))
}

/// How many deliveries could not be read.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn count_unparsed(catalogue: &Catalogue) -> Result<BoundedCount, CatalogueError> {
    let counted: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM (SELECT 1 FROM event_outcomes WHERE result = 'unparsed' LIMIT ?)")
            .bind(BoundedCount::LIMIT)
            .fetch_one(catalogue.read())
            .await?;
    Ok(BoundedCount::of(counted))
}

fn page_sql(results: &[DeliveryResult], before: i64, limit: i64) -> Sql {
    // A result that always has an outcome row is found through the few outcomes, the others by
    // reading the inbox backwards.
    let rare = |result: &DeliveryResult| !matches!(result, DeliveryResult::Pending | DeliveryResult::Expanded);
    let (from, key) = if !results.is_empty() && results.iter().all(rare) {
        ("event_outcomes AS o CROSS JOIN events AS e ON e.event_row_id = o.event_row_id", "o.event_row_id")
    } else {
        ("events AS e LEFT JOIN event_outcomes AS o ON o.event_row_id = e.event_row_id", "e.event_row_id")
    };
    let mut sql = Sql::new("SELECT e.event_row_id, e.app_id, e.event_id, e.event_type, e.message_id, e.received_at, ");
    sql.push(RESULT).push(" AS result, o.error FROM ").push(from).push(" CROSS JOIN inbox_cursor AS i WHERE ");
    sql.push(key).push(" < ").push_bind(before);
    if !results.is_empty() {
        sql.push(" AND ").push(if key.starts_with('o') { "o.result" } else { RESULT }).push(" IN (");
        let mut list = sql.separated(", ");
        for result in results {
            list.push_bind(result.as_str());
        }
        sql.push(")");
    }
    sql.push(" ORDER BY ").push(key).push(" DESC LIMIT ").push_bind(limit);
    sql
}

impl Delivery {
    fn decode(row: &SqliteRow) -> Result<Self, CatalogueError> {
        let e = Columns::of(row, "events", "event_row_id")?;
        Ok(Self {
            id: EventRowId(e.row_id()),
            app_id: e.required("app_id", Columns::parsed)?,
            event_id: e.text("event_id")?,
            event_type: e.text("event_type")?,
            message_id: e.text("message_id")?,
            received_at: e.required("received_at", Columns::time)?,
            result: e.required("result", Columns::parsed)?,
            error: e.text("error")?,
        })
    }
}
