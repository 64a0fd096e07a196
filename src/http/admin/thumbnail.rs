//! The small picture of a resource in a list.

use actix_web::http::{StatusCode, header};
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError as _, web};

use super::Pages;
use super::visit::SignedIn;
use crate::http::thumbnail;

/// A picture of nothing: the sign for the kind, which lies behind it, stays to be seen. That a
/// resource has no small picture is no error, so it should not look like one to a browser.
const NOTHING: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#;

/// `GET /resources/{id}/thumbnail`
pub(super) async fn show(
    pages: web::Data<Pages>,
    _: SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    match thumbnail::serve(&pages.thumbnails, &request, &id).await {
        Err(problem) if problem.status_code() == StatusCode::NOT_FOUND => Ok(nothing()),
        other => Ok(other?),
    }
}

fn nothing() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "image/svg+xml"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(NOTHING)
}
