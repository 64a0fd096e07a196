//! What needs attention: resources without bytes, in groups that have one cause and one remedy.
//!
//! Groups are found by stepping through an index that only holds what failed, and counted up to a
//! bound: what they cost does not grow with the archive.

use std::fmt;

use sqlx::Row as _;

use super::cursor::{Cursor, Scope};
use super::decode::Columns;
use super::resource::{Resource, SELECT_RESOURCES};
use super::selection::{FROM_RESOURCES, Sql, push_order};
use super::{ListingError, Page, PageRequest, cut, resume};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::download::State;
use crate::domain::id::AppId;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// How far a group is counted.
const COUNTED_TO: i64 = 1000;

/// A count that ends at a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BoundedCount(i64);

impl BoundedCount {
    /// Rows that a counting statement needs to see at most.
    pub(super) const LIMIT: i64 = COUNTED_TO + 1;

    /// What such a statement counted.
    pub(super) fn of(counted: i64) -> Self {
        Self(counted)
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    fn add(&mut self, more: i64) {
        self.0 = self.0.saturating_add(more).min(Self::LIMIT);
    }
}

impl fmt::Display for BoundedCount {
    /// The number, or `1000+`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > COUNTED_TO { write!(f, "{COUNTED_TO}+") } else { write!(f, "{}", self.0) }
    }
}

/// Which resources are one group: those of an app that are in a state of this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The app.
    pub app_id: AppId,
    /// The reason.
    pub reason: ReasonCode,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What its resources have in common.
    pub cause: Cause,
    /// How many are in a state of the reason.
    pub resources: BoundedCount,
    /// How many failed for it and are being tried once more.
    pub under_way: BoundedCount,
}

/// The first resource of each reason, state and app, and how many there are. The next group is looked
/// up in three ways, each a step of the index; SQLite would compare all three columns at once by reading
/// everything that the first one leaves.
const GROUPS: &str = "WITH RECURSIVE firsts (resource_row_id, reason_code, state, app_id) AS (
    SELECT * FROM (
        SELECT resource_row_id, reason_code, state, app_id
        FROM resources
        WHERE reason_code IS NOT NULL
        ORDER BY reason_code, state, app_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.resource_row_id, next.reason_code, next.state, next.app_id
    FROM firsts
    CROSS JOIN resources AS next ON next.resource_row_id = COALESCE(
        (
            SELECT resource_row_id FROM resources
            WHERE reason_code = firsts.reason_code AND state = firsts.state AND app_id > firsts.app_id
            ORDER BY app_id LIMIT 1
        ),
        (
            SELECT resource_row_id FROM resources
            WHERE reason_code = firsts.reason_code AND state > firsts.state
            ORDER BY state, app_id LIMIT 1
        ),
        (
            SELECT resource_row_id FROM resources
            WHERE reason_code > firsts.reason_code
            ORDER BY reason_code, state, app_id LIMIT 1
        )
    )
)
SELECT resource_row_id, reason_code, state, app_id, (
    SELECT COUNT(*) FROM (
        SELECT 1 FROM resources AS r
        WHERE r.reason_code = firsts.reason_code AND r.state = firsts.state AND r.app_id = firsts.app_id
        LIMIT ?
    )
) AS counted
FROM firsts";

/// Every group, in the order of the reasons' names and the apps.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn groups(catalogue: &Catalogue) -> Result<Vec<Group>, CatalogueError> {
    let rows = sqlx::query(GROUPS).bind(BoundedCount::LIMIT).fetch_all(catalogue.read()).await?;
    let mut groups = Vec::<Group>::new();
    for row in &rows {
        let r = Columns::of(row, "resources", "resource_row_id")?;
        let reason: ReasonCode = r.required("reason_code", Columns::parsed)?;
        let state: State = r.required("state", Columns::parsed)?;
        let app_id = r.required("app_id", Columns::parsed)?;
        add(&mut groups, Cause { app_id, reason }, state, row.try_get("counted")?);
    }
    Ok(groups)
}

/// One group; with nothing in it if there is none.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn group(catalogue: &Catalogue, cause: Cause) -> Result<Group, CatalogueError> {
    let known = groups(catalogue).await?.into_iter().find(|group| group.cause == cause);
    let none = BoundedCount::default();
    Ok(known.unwrap_or(Group { cause, resources: none, under_way: none }))
}

/// Adds what one state of a cause has. Rows of one cause need not stand together.
fn add(groups: &mut Vec<Group>, cause: Cause, state: State, counted: i64) {
    let is_at_rest = state == cause.reason.state() || state == cause.reason.ends_in();
    let at = groups.iter().position(|group| group.cause == cause).unwrap_or(groups.len());
    if at == groups.len() {
        groups.push(Group { cause, resources: BoundedCount::default(), under_way: BoundedCount::default() });
    }
    if let Some(group) = groups.get_mut(at) {
        if is_at_rest { group.resources.add(counted) } else { group.under_way.add(counted) }
    }
}

/// One page of a group, newest first, without what is hidden.
///
/// # Errors
/// If the cursor does not fit, or the catalogue cannot be read.
pub async fn failed(
    catalogue: &Catalogue,
    cause: &Cause,
    request: &PageRequest,
    now: Timestamp,
) -> Result<Page<Resource>, ListingError> {
    let canonical = [("app_id", cause.app_id.to_string()), ("reason_code", cause.reason.to_string())];
    let scope = Scope { list: "failed", filter: &canonical };
    let cursor = resume(request, &scope)?;
    let asked_at = cursor.map_or(now, |cursor| cursor.asked_at);
    let mut sql = Sql::new(SELECT_RESOURCES.as_str());
    push_cause(&mut sql, cause);
    if let Some(Cursor { sort, row, .. }) = cursor {
        sql.push(" AND (r.listed_at, r.resource_row_id) < (").push_bind(sort).push(", ").push_bind(row).push(")");
    }
    push_order(&mut sql, request.limit.saturating_add(1));
    let rows = sql.build().fetch_all(catalogue.read()).await?;
    let rows = rows.iter().map(Resource::of_row).collect::<Result<Vec<_>, _>>()?;
    Ok(cut(rows, request, |last| Cursor { asked_at, sort: last.listed_at.unix_ms(), row: last.id.0 }.encode(&scope)))
}

/// Pushes tables and conditions for everything in a group that is not hidden.
pub(in crate::catalogue) fn push_cause(sql: &mut Sql, cause: &Cause) {
    sql.push(FROM_RESOURCES).push(" WHERE COALESCE(m.hidden, 0) = 0 AND r.reason_code = ");
    let (waiting, ended) = (cause.reason.state(), cause.reason.ends_in());
    sql.push_bind(cause.reason.as_str());
    // Most reasons have one state; naming it alone leads SQLite through the index in order.
    if waiting == ended {
        sql.push(" AND r.state = ").push_bind(ended.as_str());
    } else {
        sql.push(" AND r.state IN (").push_bind(waiting.as_str()).push(", ").push_bind(ended.as_str()).push(")");
    }
    sql.push(" AND r.app_id = ").push_bind(cause.app_id.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};

    #[tokio::test]
    async fn what_failed_is_grouped_by_app_and_reason() {
        let seeded = Seeded::new().await;
        for (key, app_id, state) in [
            ("1", "cli_a", State::Blocked),
            ("2", "cli_a", State::Blocked),
            ("3", "cli_b", State::Blocked),
            ("4", "cli_a", State::Pending),
        ] {
            let seed = Seed { app_id, ..Seed::ended(state, "scope_missing") };
            seeded.add(key, seed).await;
        }
        seeded.add("5", Seed { next_attempt_at: Some(1), ..Seed::ended(State::Pending, "upstream_error") }).await;
        seeded.add("6", Seed::default()).await;
        seeded.add("7", Seed::stored(&"0f".repeat(32), 68)).await;

        let groups = groups(&seeded.catalogue).await.unwrap();
        let shown: Vec<String> = groups
            .iter()
            .map(|group| {
                let Cause { app_id, reason } = &group.cause;
                format!("{app_id} {reason} {} {}", group.resources, group.under_way)
            })
            .collect();
        assert_eq!(shown, ["cli_a scope_missing 2 1", "cli_b scope_missing 1 0", "cli_a upstream_error 1 0"]);
    }

    #[tokio::test]
    async fn a_group_is_shown_page_by_page_without_what_is_hidden() {
        let seeded = Seeded::new().await;
        for (key, hidden) in [("1", 0), ("2", 1), ("3", 0), ("4", 0)] {
            let message_id = format!("om_{key}");
            seeded.add(key, Seed { hidden, message_id, ..Seed::ended(State::Gone, "message_deleted") }).await;
        }
        let cause = Cause { app_id: "cli_a".parse().unwrap(), reason: ReasonCode::MessageDeleted };
        let mut request = PageRequest { limit: 2, cursor: None };
        let mut keys = Vec::new();
        loop {
            let page = failed(&seeded.catalogue, &cause, &request, noon()).await.unwrap();
            keys.extend(page.items.iter().map(|resource| resource.key.to_string()));
            request.cursor = page.next_cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        assert_eq!(keys, ["4", "3", "1"]);
        let other = Cause { reason: ReasonCode::ImageDeleted, ..cause };
        assert_eq!(failed(&seeded.catalogue, &other, &request, noon()).await.unwrap().items, []);
    }

    #[test]
    fn counting_ends_at_a_thousand() {
        let mut count = BoundedCount::default();
        count.add(1000);
        assert_eq!(count.to_string(), "1000");
        count.add(5);
        assert_eq!(count.to_string(), "1000+");
    }

    #[tokio::test]
    async fn groups_and_their_pages_come_from_the_index_of_what_failed() {
        let seeded = Seeded::new().await;
        let cause = Cause { app_id: "cli_a".parse().unwrap(), reason: ReasonCode::MessageDeleted };
        let mut sql = Sql::new("EXPLAIN QUERY PLAN ");
        sql.push(SELECT_RESOURCES.as_str());
        push_cause(&mut sql, &cause);
        push_order(&mut sql, 50);
        let plan = sql.build().fetch_all(seeded.catalogue.read()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|step| step.contains("resources_by_reason")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
