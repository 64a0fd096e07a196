//! The bytes of a resource, always as a download.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Api, resources};
use crate::http::content::{self, Manner};
use crate::http::error::Problem;

/// `GET /api/v1/resources/{id}/content`
pub(super) async fn serve(
    api: web::Data<Api>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let resource = resources::find(&api, &id).await?;
    content::serve(&request, &api.examiner, &resource, Manner::Attachment).await
}
