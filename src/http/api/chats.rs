//! Chats: how much came from where.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Api;
use super::parameters::{PAGING, Paging, pairs, unknown};
use crate::catalogue::listing::chat::chats;
use crate::http::error::Problem;

/// `GET /api/v1/chats`
pub(super) async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut paging = Paging::default();
    for (name, value) in pairs(&request) {
        if !paging.take(&name, &value)? {
            return Err(unknown(&name, &PAGING));
        }
    }
    Ok(HttpResponse::Ok().json(chats(&api.catalogue, &paging.into(), api.clock.now()).await?))
}
