//! The API's description for whoever has signed in: the same page as for programs, under the same path.

use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header;
use actix_web::{Error, HttpRequest, HttpResponse, Resource, web};

use super::read;
use super::visit::{SESSION_COOKIE, SignedIn, cookie};
use crate::http::api::reader;

/// `GET /api/docs`, for browsers only: whoever comes with a token, or with nothing, is the API's.
pub(super) fn resource() -> Resource {
    web::resource("/api/docs").guard(fn_guard(comes_with_cookie)).route(read().to(show))
}

fn comes_with_cookie(context: &GuardContext<'_>) -> bool {
    let headers = context.head().headers();
    cookie(headers, SESSION_COOKIE).is_some() && !headers.contains_key(header::AUTHORIZATION)
}

async fn show(_: SignedIn, request: HttpRequest) -> Result<HttpResponse, Error> {
    let mut response = reader::page(request).await?;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    Ok(response)
}
