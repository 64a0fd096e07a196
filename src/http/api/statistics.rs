//! Statistics: how much there is.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Api, answer};
use crate::catalogue::statistics::breakdown;
use crate::http::error::Problem;

/// `GET /api/v1/stats`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    answer::json(&request, &breakdown(&api.catalogue).await?)
}
