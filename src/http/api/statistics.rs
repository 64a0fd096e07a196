//! Statistics: how much there is.

use actix_web::{HttpResponse, web};

use super::Api;
use crate::catalogue::statistics::breakdown;
use crate::http::error::Problem;

/// `GET /api/v1/stats`
pub(super) async fn show(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(breakdown(&api.catalogue).await?))
}
