//! From a plan to SQL: the one place where it is put together.
//!
//! Values are always bound. What is pushed as text are column names, and names of states and
//! sources that the program itself knows.

use sqlx::{QueryBuilder, Sqlite};

use super::Position;
use super::plan::{Column, Equality, Lead, Plan};
use crate::domain::download::State;
use crate::domain::filter::{Filter, MimePattern, Moment};
use crate::domain::query::{Kind, Traits};
use crate::domain::source::Source;

/// A query under construction.
pub(in crate::catalogue) type Sql = QueryBuilder<Sqlite>;

/// The tables behind every listing of resources. `r` is the resource itself.
pub(in crate::catalogue) const FROM_RESOURCES: &str = " FROM resources AS r
LEFT JOIN blobs AS b ON b.blob_row_id = r.blob_row_id
LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
LEFT JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id
LEFT JOIN senders AS s ON s.app_id = r.app_id AND s.open_id = m.sender_open_id";

/// Every app with a row in a table whose index begins with the app, as a list for IN: one step per
/// app, where `DISTINCT` would read the whole index.
///
/// It is never joined. With statistics at hand SQLite may put a Bloom filter in front of a join,
/// and reads the whole other table to fill it.
pub(in crate::catalogue) fn apps_of(table: &'static str) -> String {
    format!(
        "(
    WITH RECURSIVE apps (app_id) AS (
        SELECT MIN(app_id) FROM {table}
        UNION ALL
        SELECT (SELECT MIN(app_id) FROM {table} WHERE app_id > apps.app_id) FROM apps WHERE apps.app_id IS NOT NULL
    )
    SELECT app_id FROM apps
)"
    )
}

/// Which part of the listing is read: behind one place, up to and with another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    pub(super) after: Option<Position>,
    pub(super) through: Option<Position>,
}

/// Pushes the WHERE clause over [`FROM_RESOURCES`] for everything in a window that a plan asks for
/// and that is not hidden.
pub(super) fn push_selection(sql: &mut Sql, plan: &Plan, window: Window) {
    push_lead(sql, plan, window);
    push_checks(sql, plan);
}

/// Pushes the WHERE clause for what leads, within a window.
pub(super) fn push_lead(sql: &mut Sql, plan: &Plan, window: Window) {
    sql.push(" WHERE TRUE");
    match plan.lead {
        Lead::Words | Lead::Everything => {}
        Lead::Few => push_few(sql, plan),
        Lead::Column(column) => push_column(sql, plan, column),
    }
    if plan.lead != Lead::Words {
        push_time(sql, plan, window);
    }
}

/// Pushes the order of every listing, newest first, and its limit.
pub(super) fn push_order(sql: &mut Sql, limit: u32) {
    sql.push(" ORDER BY r.listed_at DESC, r.resource_row_id DESC");
    push_limit(sql, limit);
}

/// Pushes how many rows are wanted at most. SQLite looks into a plain variable there while it
/// prepares a statement, and so prepares it anew for each time; it does not look into a sum.
pub(super) fn push_limit(sql: &mut Sql, limit: u32) {
    sql.push(" LIMIT +").push_bind(i64::from(limit));
}

/// Pushes what is checked on rows that were found in the order of the listing.
pub(super) fn push_checks(sql: &mut Sql, plan: &Plan) {
    let filter = &plan.filter;
    sql.push(" AND COALESCE(m.hidden, 0) = 0");
    for equality in &plan.equalities {
        push_check(sql, " AND +", equality);
    }
    for inequality in &plan.inequalities {
        push_check(sql, " AND NOT COALESCE(+", inequality);
        sql.push(", FALSE)");
    }
    push_mime(sql, &filter.mime);
    push_size(sql, " >= ", filter.min_size);
    push_size(sql, " <= ", filter.max_size);
    if plan.lead == Lead::Words {
        push_messages(sql, filter);
    }
    if let Some(search) = &filter.search {
        push_traits(sql, " AND ", &search.wanted);
        push_traits(sql, " AND NOT ", &search.unwanted);
        push_size(sql, " >= ", search.larger);
        push_size(sql, " <= ", search.smaller);
    }
}

/// The column whose index is read. What its partial index leaves out is said to the letter, because
/// SQLite cannot derive it.
fn push_column(sql: &mut Sql, plan: &Plan, column: Column) {
    let is_led = |equality: &&Equality| equality.column == column && equality.is_listed();
    let Some(equality) = plan.equalities.iter().find(is_led) else { return };
    let Some(value) = equality.values.first() else { return };
    sql.push(" AND ").push(column.name()).push(" = ");
    match column {
        Column::Digest => sql.push("(").push(BLOBS_WITH).push(" = unhex(").push_bind(value.clone()).push("))"),
        _ => sql.push_bind(value.clone()),
    };
    match column {
        Column::State => sql.push(" AND r.state <> '").push(State::Stored).push("'"),
        Column::Source => sql.push(" AND r.source <> '").push(Source::Message).push("'"),
        _ => sql,
    };
}

fn push_few(sql: &mut Sql, plan: &Plan) {
    if !plan.filter.message_id.is_empty() {
        return push_messages(sql, &plan.filter);
    }
    for digests in plan.equalities.iter().filter(|equality| equality.column == Column::Digest) {
        push_check(sql, " AND ", digests);
    }
}

/// Unary plus keeps SQLite from beginning with another index, and from sorting what it finds there.
fn push_check(sql: &mut Sql, before: &'static str, equality: &Equality) {
    sql.push(before).push(equality.column.name());
    match equality.column {
        Column::Digest => push_blobs(sql, &equality.values),
        _ => push_in(sql, &equality.values),
    }
}

/// The beginning of a question for the blobs with some digests.
const BLOBS_WITH: &str = "SELECT blob_row_id FROM blobs WHERE digest";

fn push_blobs(sql: &mut Sql, digests: &[String]) {
    sql.push(" IN (").push(BLOBS_WITH).push(" IN (");
    for (place, digest) in digests.iter().enumerate() {
        sql.push(if place == 0 { "unhex(" } else { ", unhex(" }).push_bind(digest.clone()).push(")");
    }
    sql.push("))");
}

fn push_in<T: ToString>(sql: &mut Sql, values: &[T]) {
    sql.push(" IN (");
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value.to_string());
    }
    sql.push(")");
}

/// A resource belongs to a message, or was asked for from one that the archive was never told of.
fn push_messages(sql: &mut Sql, filter: &Filter) {
    if filter.message_id.is_empty() {
        return;
    }
    sql.push(" AND r.resource_row_id IN (SELECT resource_row_id FROM resources WHERE app_id IN ");
    sql.push(apps_of("resources")).push(" AND source = ").push_bind(Source::Message.as_str());
    sql.push(" AND message_row_id IS NULL AND owner");
    push_in(sql, &filter.message_id);
    sql.push(" UNION ALL SELECT resource_row_id FROM resources WHERE message_row_id IN (");
    sql.push("SELECT message_row_id FROM messages WHERE app_id IN ").push(apps_of("messages")).push(" AND message_id");
    push_in(sql, &filter.message_id);
    sql.push("))");
}

fn push_mime(sql: &mut Sql, patterns: &[MimePattern]) {
    if patterns.is_empty() {
        return;
    }
    sql.push(" AND ");
    push_any_mime(sql, patterns);
}

fn push_any_mime(sql: &mut Sql, patterns: &[MimePattern]) {
    let (families, exact): (Vec<_>, Vec<_>) = patterns.iter().partition(|pattern| pattern.family().is_some());
    sql.push("(+r.mime");
    push_in(sql, &exact.iter().map(|pattern| pattern.as_str()).collect::<Vec<_>>());
    for family in families.iter().filter_map(|pattern| pattern.family()) {
        sql.push(" OR substr(r.mime, 1, ").push(family.len()).push(") = ").push_bind(family.to_owned());
    }
    sql.push(")");
}

/// What is no matter of one column. A row of which something is not known does not have it.
fn push_traits(sql: &mut Sql, before: &'static str, traits: &Traits) {
    if traits.mixes_kinds() {
        sql.push(before).push("COALESCE(FALSE");
        for kind in &traits.kinds {
            match kind {
                Kind::Role(role) => sql.push(" OR +r.role = ").push_bind(role.as_str()),
                Kind::MessageType(name) => sql.push(" OR +r.message_type IS ").push_bind(*name),
            };
        }
        sql.push(", FALSE)");
    }
    if !traits.extensions.is_empty() {
        sql.push(before).push("COALESCE(FALSE");
        for extension in &traits.extensions {
            // Only letters and digits are in it, so LIKE has no signs of its own there. The plus as in `push_limit`.
            sql.push(" OR r.file_name LIKE +").push_bind(format!("%.{extension}"));
        }
        sql.push(", FALSE)");
    }
    if !traits.mimes.is_empty() {
        sql.push(before).push("COALESCE(");
        push_any_mime(sql, &traits.mimes);
        sql.push(", FALSE)");
    }
}

fn push_size(sql: &mut Sql, comparison: &'static str, size: Option<u64>) {
    if let Some(size) = size {
        sql.push(" AND r.size_bytes").push(comparison).push_bind(i64::try_from(size).unwrap_or(i64::MAX));
    }
}

/// SQLite would use only one of two bounds on the same side of the index, and the looser one makes
/// late pages slow, so only the tighter one is said. A place in the listing is within its times.
fn push_time(sql: &mut Sql, plan: &Plan, window: Window) {
    let (from, to) = times(plan);
    if let Some(Position { sort, row }) = window.through {
        sql.push(" AND (r.listed_at, r.resource_row_id) >= (").push_bind(sort).push(", ").push_bind(row).push(")");
    } else if let Some(from) = from {
        sql.push(" AND r.listed_at >= ").push_bind(from);
    }
    if let Some(Position { sort, row }) = window.after {
        sql.push(" AND (r.listed_at, r.resource_row_id) < (").push_bind(sort).push(", ").push_bind(row).push(")");
    } else if let Some(to) = to {
        sql.push(" AND r.listed_at < ").push_bind(to);
    }
}

/// The first millisecond that a plan asks for, and the first one behind.
pub(super) fn times(plan: &Plan) -> (Option<i64>, Option<i64>) {
    let resolve = |moment: Moment| moment.resolve(plan.asked_at, &plan.zone).unix_ms();
    let search = plan.search();
    let from = [plan.filter.from, search.and_then(|search| search.after)];
    let to = [plan.filter.to, search.and_then(|search| search.before)];
    (from.into_iter().flatten().map(resolve).max(), to.into_iter().flatten().map(resolve).min())
}
