//! Deliveries: what came in, also what could not be read, and a second try at it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::parameters::{Paging, pairs, unknown};
use super::resources::Queued;
use super::{Api, answer};
use crate::catalogue::listing::PageRequest;
use crate::catalogue::listing::delivery::{DeliveryResult, deliveries};
use crate::catalogue::replay::Replay;
use crate::domain::actor::Actor;
use crate::domain::id::EventRowId;
use crate::http::error::Problem;

/// `GET /api/v1/events`
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let (results, page) = parameters(&request)?;
    answer::json(&request, &deliveries(&api.catalogue, &results, &page, api.clock.now()).await?)
}

/// `POST /api/v1/events/{id}/replay`
pub(super) async fn replay(
    api: web::Data<Api>,
    caller: web::ReqData<Actor>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::not_found("there is no such event");
    let id: EventRowId = id.parse().map_err(|_| unknown())?;
    match api.commands(caller).replay(id).await? {
        Replay::Unknown => Err(unknown()),
        Replay::Marked => {
            (api.wake)();
            Ok(HttpResponse::Accepted().json(Queued { queued: 1 }))
        }
    }
}

fn parameters(request: &HttpRequest) -> Result<(Vec<DeliveryResult>, PageRequest), Problem> {
    let mut results = Vec::new();
    let mut paging = Paging::default();
    for (name, value) in pairs(request) {
        if name == "result" {
            for piece in value.split(',') {
                let result: DeliveryResult =
                    piece.parse().map_err(|error| Problem::bad_request("bad_value", format!("result: {error}")))?;
                if !results.contains(&result) {
                    results.push(result);
                }
            }
        } else if !paging.take(&name, &value)? {
            return Err(unknown(&name, &["result", "limit", "cursor"]));
        }
    }
    Ok((results, paging.into()))
}
