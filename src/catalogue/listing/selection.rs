//! From a filter to SQL: the one place where it is put together.
//!
//! Values are always bound. What is pushed as text are column names, and names of states that the
//! program itself knows.

use sqlx::{QueryBuilder, Sqlite};

use super::Position;
use crate::domain::download::State;
use crate::domain::filter::{Filter, MimePattern, Search};
use crate::domain::source::Source;
use crate::domain::time::Timestamp;

/// A query under construction.
pub(in crate::catalogue) type Sql = QueryBuilder<Sqlite>;

/// The tables behind every listing of resources. `r` is the resource itself.
pub(in crate::catalogue) const FROM_RESOURCES: &str = " FROM resources AS r
LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
LEFT JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id
LEFT JOIN senders AS s ON s.app_id = r.app_id AND s.open_id = m.sender_open_id";

/// Every app with a row in a table whose index begins with the app, as a list for IN: one step per
/// app, where `DISTINCT` would read the whole index.
///
/// It is never joined. With statistics at hand SQLite may put a Bloom filter in front of a join,
/// and reads the whole other table to fill it.
pub(super) fn apps_of(table: &'static str) -> String {
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

/// Pushes the WHERE clause over [`FROM_RESOURCES`] for everything that a filter asks for, that is
/// not hidden, and that comes after a position in the listing.
pub(in crate::catalogue) fn push_selection(
    sql: &mut Sql,
    filter: &Filter,
    asked_at: Timestamp,
    after: Option<Position>,
) {
    sql.push(" WHERE COALESCE(m.hidden, 0) = 0");
    push_states(sql, &filter.state);
    push_indexed(sql, "r.chat_id", &filter.chat_id);
    push_check(sql, "r.role", filter.role.iter().map(|role| role.as_str()));
    push_check(sql, "r.source", filter.source.iter().map(|source| source.as_str()));
    push_check(sql, "r.app_id", &filter.app_id);
    push_check(sql, "COALESCE(m.sender_open_id, '')", &filter.sender);
    push_check(sql, "COALESCE(m.message_type, '')", &filter.message_type);
    push_messages(sql, filter);
    push_digests(sql, filter);
    push_mime(sql, &filter.mime);
    if let Some(search) = &filter.search {
        push_search(sql, search);
    }
    push_size(sql, " >= ", filter.min_size);
    push_size(sql, " <= ", filter.max_size);
    push_time(sql, filter, asked_at, after);
}

/// Pushes the order of every listing, newest first, and its limit.
pub(super) fn push_order(sql: &mut Sql, limit: u32) {
    sql.push(" ORDER BY r.listed_at DESC, r.resource_row_id DESC LIMIT ").push_bind(i64::from(limit));
}

fn push_states(sql: &mut Sql, states: &[State]) {
    push_indexed(sql, "r.state", states.iter().map(|state| state.as_str()));
    if !states.is_empty() && !states.contains(&State::Stored) {
        // To the letter the condition of the partial index by state, which SQLite cannot derive.
        sql.push(" AND r.state <> '").push(State::Stored).push("'");
    }
}

/// A condition on a column whose index is in the order of the listing. One value is a stretch of
/// that index; several would have to be sorted again for every page, so they are only checked.
fn push_indexed<T: ToString>(sql: &mut Sql, column: &'static str, values: impl IntoIterator<Item = T>) {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    match values.as_slice() {
        [one] => {
            sql.push(" AND ").push(column).push(" = ").push_bind(one.clone());
        }
        several => push_check(sql, column, several),
    }
}

/// A condition that is checked on rows found in the order of the listing. Unary plus and COALESCE
/// keep SQLite from beginning with another index or table, and from sorting what it finds there.
fn push_check<T: ToString>(sql: &mut Sql, column: &'static str, values: impl IntoIterator<Item = T>) {
    let values: Vec<T> = values.into_iter().collect();
    if !values.is_empty() {
        sql.push(" AND +").push(column);
        push_in(sql, &values);
    }
}

fn push_in<T: ToString>(sql: &mut Sql, values: &[T]) {
    sql.push(" IN (");
    let mut list = sql.separated(", ");
    for value in values {
        list.push_bind(value.to_string());
    }
    sql.push(")");
}

/// A resource belongs to the message that owns it, or to the one that told of it (ticket images).
fn push_messages(sql: &mut Sql, filter: &Filter) {
    if filter.message_id.is_empty() {
        return;
    }
    sql.push(" AND r.resource_row_id IN (SELECT resource_row_id FROM resources WHERE app_id IN ");
    sql.push(apps_of("resources")).push(" AND source = ").push_bind(Source::Message.as_str()).push(" AND owner");
    push_in(sql, &filter.message_id);
    sql.push(" UNION ALL SELECT resource_row_id FROM resources WHERE message_row_id IN (");
    sql.push("SELECT message_row_id FROM messages WHERE app_id IN ").push(apps_of("messages")).push(" AND message_id");
    push_in(sql, &filter.message_id);
    sql.push("))");
}

fn push_digests(sql: &mut Sql, filter: &Filter) {
    if !filter.sha256.is_empty() {
        sql.push(" AND r.sha256");
        push_in(sql, &filter.sha256);
    }
}

fn push_mime(sql: &mut Sql, patterns: &[MimePattern]) {
    if patterns.is_empty() {
        return;
    }
    let (families, exact): (Vec<_>, Vec<_>) = patterns.iter().partition(|pattern| pattern.family().is_some());
    sql.push(" AND (r.mime");
    push_in(sql, &exact.iter().map(|pattern| pattern.as_str()).collect::<Vec<_>>());
    for family in families.iter().filter_map(|pattern| pattern.family()) {
        sql.push(" OR substr(r.mime, 1, ").push(family.len()).push(") = ").push_bind(family.to_owned());
    }
    sql.push(")");
}

fn push_search(sql: &mut Sql, search: &Search) {
    for word in search.words() {
        let pattern = format!("%{}%", escape_like(word));
        sql.push(" AND (");
        let mut places = sql.separated(" OR ");
        for column in ["r.file_name", "m.text", "c.name", "s.name"] {
            places.push(column).push_unseparated(" LIKE ").push_bind_unseparated(pattern.clone());
            places.push_unseparated(" ESCAPE '\\'");
        }
        sql.push(")");
    }
}

/// A word with LIKE's own signs made ordinary.
fn escape_like(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for c in word.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn push_size(sql: &mut Sql, comparison: &'static str, size: Option<u64>) {
    if let Some(size) = size {
        sql.push(" AND r.size_bytes").push(comparison).push_bind(i64::try_from(size).unwrap_or(i64::MAX));
    }
}

/// A position lies before the filter's `to`. SQLite would use only one of two upper bounds on the
/// index, and the looser one makes late pages slow, so only the tighter one is said.
fn push_time(sql: &mut Sql, filter: &Filter, asked_at: Timestamp, after: Option<Position>) {
    if let Some(from) = filter.from {
        sql.push(" AND r.listed_at >= ").push_bind(from.resolve(asked_at).unix_ms());
    }
    if let Some(Position { listed_at, row }) = after {
        sql.push(" AND (r.listed_at, r.resource_row_id) < (").push_bind(listed_at).push(", ").push_bind(row).push(")");
    } else if let Some(to) = filter.to {
        sql.push(" AND r.listed_at < ").push_bind(to.resolve(asked_at).unix_ms());
    }
}
