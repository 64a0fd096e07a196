//! The change feed: for systems that follow the archive.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::parameters::{Paging, pairs, unknown};
use super::{Api, answer};
use crate::catalogue::changes::{ChangesError, changes};
use crate::catalogue::listing::PageRequest;
use crate::http::error::Problem;

/// The names that this route knows.
const NAMES: [&str; 2] = ["after", "limit"];

/// `GET /api/v1/changes`
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let (after, limit) = parameters(&request)?;
    answer::json(&request, &changes(&api.catalogue, after, limit).await?)
}

fn parameters(request: &HttpRequest) -> Result<(i64, u32), Problem> {
    let mut after = None;
    let mut paging = Paging::default();
    for (name, value) in pairs(request) {
        match name.as_str() {
            "after" if after.is_some() => return Err(Problem::bad_request("bad_value", "after: it is given twice")),
            "after" => after = Some(number(&value)?),
            "limit" => {
                paging.take(&name, &value)?;
            }
            other => return Err(unknown(other, &NAMES)),
        }
    }
    Ok((after.unwrap_or(0), PageRequest::from(paging).limit))
}

fn number(value: &str) -> Result<i64, Problem> {
    value.parse().ok().filter(|after| *after >= 0).ok_or_else(|| {
        let shown: String = value.chars().take(20).collect();
        let detail = format!("after: {shown:?} does not fit: write 0, or `next_after` of the answer before");
        Problem::bad_request("bad_value", detail)
    })
}

impl From<ChangesError> for Problem {
    fn from(error: ChangesError) -> Self {
        match error {
            ChangesError::Ahead { .. } => Self::new(StatusCode::GONE, "feed_restarted", format!("after: {error}")),
            ChangesError::Catalogue(error) => error.into(),
        }
    }
}
