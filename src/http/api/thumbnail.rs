//! The small picture of a resource.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Api;
use crate::http::error::Problem;
use crate::http::thumbnail;

/// `GET /api/v1/resources/{id}/thumbnail`
pub(super) async fn serve(
    api: web::Data<Api>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    thumbnail::serve(&api.thumbnails, &request, &id).await
}
