//! Resources: listed, shown one by one, re-queued.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::parameters::{add_filter, filtered_page, pairs};
use super::{Api, answer};
use crate::catalogue::listing::{self, resource};
use crate::domain::actor::Actor;
use crate::domain::filter::Filter;
use crate::domain::id::ResourceId;
use crate::http::error::Problem;

/// How much was re-queued.
#[derive(Serialize, JsonSchema)]
pub(super) struct Queued {
    /// So many will be tried again.
    pub(super) queued: u64,
}

/// `GET /api/v1/resources`
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let (filter, page) = filtered_page(&request)?;
    let page = listing::resources(&api.catalogue, &filter, &page, api.clock.now()).await?;
    answer::json(&request, &page)
}

/// `GET /api/v1/resources/{id}`
pub(super) async fn show(
    api: web::Data<Api>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let resource = find(&api, &id).await?;
    answer::json(&request, &resource::with_tries(&api.catalogue, resource).await?)
}

/// `POST /api/v1/resources/{id}/retry`
pub(super) async fn retry_one(
    api: web::Data<Api>,
    caller: web::ReqData<Actor>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id: ResourceId = id.parse().map_err(|_| unknown(&id))?;
    let queued = api.commands(caller).retry_one(id).await?.ok_or_else(|| unknown(&id.to_string()))?;
    Ok(queued_answer(&api, queued))
}

/// `POST /api/v1/resources/retry`
pub(super) async fn retry_matching(
    api: web::Data<Api>,
    caller: web::ReqData<Actor>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let filter = retry_filter(&request)?;
    let queued = api.commands(caller).retry_matching(&filter).await?;
    Ok(queued_answer(&api, queued))
}

/// The resource that a path names.
pub(super) async fn find(api: &Api, id: &str) -> Result<resource::Resource, Problem> {
    let parsed = id.parse().map_err(|_| unknown(id))?;
    resource::find(&api.catalogue, parsed).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    let shown: String = id.chars().take(64).collect();
    Problem::not_found(format!("there is no resource {shown:?}"))
}

/// Which resources are to be re-queued. All of them only if that is said in so many words.
fn retry_filter(request: &HttpRequest) -> Result<Filter, Problem> {
    let mut filter = Filter::default();
    let mut extent = Extent::Filtered;
    for (name, value) in pairs(request) {
        match (name.as_str(), value.as_str()) {
            ("all", "true") => extent = Extent::All,
            ("all", "false") => extent = Extent::Filtered,
            ("all", _) => return Err(Problem::bad_request("bad_value", "all: write true or false")),
            (name, value) => add_filter(&mut filter, name, value, &["all"])?,
        }
    }
    if filter.is_empty() && extent == Extent::Filtered {
        let detail = "say which resources by filters, or all=true for everything that is not stored";
        return Err(Problem::bad_request("filter_required", detail));
    }
    Ok(filter)
}

/// Whether somebody said that they mean all resources.
#[derive(PartialEq)]
enum Extent {
    Filtered,
    All,
}

fn queued_answer(api: &Api, queued: u64) -> HttpResponse {
    if queued > 0 {
        (api.wake)();
    }
    HttpResponse::build(StatusCode::ACCEPTED).json(Queued { queued })
}
