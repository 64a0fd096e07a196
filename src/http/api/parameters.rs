//! The parameters of a request: names and values of its query string, each understood or refused.

use actix_web::HttpRequest;
use url::form_urlencoded;

use crate::catalogue::listing::{DEFAULT_LIMIT, PAGE_LIMITS, PageRequest};
use crate::domain::filter::{Filter, FilterError};
use crate::http::error::Problem;

/// The names of [`Paging`].
pub(super) const PAGING: [&str; 2] = ["limit", "cursor"];

/// The names and values of a query string, in order.
pub(in crate::http) fn pairs(request: &HttpRequest) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(request.query_string().as_bytes()).map(|(name, value)| {
        // A zone's plus sign that was not escaped arrives as a blank, which no time has.
        let value = if matches!(name.as_ref(), "from" | "to") { value.replace(' ', "+") } else { value.into_owned() };
        (name.into_owned(), value)
    })
}

/// A filter and a page of what it asks for.
pub(super) fn filtered_page(request: &HttpRequest) -> Result<(Filter, PageRequest), Problem> {
    let mut filter = Filter::default();
    let mut paging = Paging::default();
    for (name, value) in pairs(request) {
        if !paging.take(&name, &value)? {
            add_filter(&mut filter, &name, &value, &PAGING)?;
        }
    }
    Ok((filter, paging.into()))
}

/// Adds a filter; if there is none of this name, says which names this route knows.
pub(super) fn add_filter(filter: &mut Filter, name: &str, value: &str, own: &[&str]) -> Result<(), Problem> {
    filter.add(name, value).map_err(|error| match error {
        FilterError::UnknownName(name) => unknown(&name, &[Filter::NAMES.as_slice(), own].concat()),
        other => other.into(),
    })
}

/// A parameter that this route does not know.
pub(super) fn unknown(name: &str, known: &[&str]) -> Problem {
    let detail = format!("there is no parameter {name:?} here; there are {}", known.join(", "));
    Problem::bad_request("unknown_parameter", detail)
}

/// Which page is asked for, while parameters are read.
#[derive(Debug, Default)]
pub(super) struct Paging {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Paging {
    /// Takes a parameter if it is about pages; says whether it was.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, Problem> {
        match name {
            "limit" if self.limit.is_none() => self.limit = Some(limit(value)?),
            "cursor" if self.cursor.is_none() => self.cursor = Some(value.to_owned()),
            "limit" | "cursor" => {
                return Err(Problem::bad_request("bad_value", format!("{name}: it is given twice")));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl From<Paging> for PageRequest {
    fn from(paging: Paging) -> Self {
        Self { limit: paging.limit.unwrap_or(DEFAULT_LIMIT), cursor: paging.cursor }
    }
}

fn limit(value: &str) -> Result<u32, Problem> {
    value.parse().ok().filter(|limit| PAGE_LIMITS.contains(limit)).ok_or_else(|| {
        let (first, last) = PAGE_LIMITS.into_inner();
        let shown: String = value.chars().take(20).collect();
        Problem::bad_request("bad_value", format!("limit: {shown:?} does not fit: write {first} to {last}"))
    })
}
