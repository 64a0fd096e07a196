//! Chats: how much came from where.

use actix_web::{HttpRequest, HttpResponse, web};

use super::parameters::{PAGING, Paging, pairs, unknown};
use super::{Api, answer};
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
    answer::json(&request, &chats(&api.catalogue, &paging.into(), api.clock.now()).await?)
}
