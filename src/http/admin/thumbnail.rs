//! The small picture of a resource in a list.

use actix_web::http::header;
use actix_web::{Error, HttpRequest, HttpResponse, web};

use super::Pages;
use super::preview::{Form, Preview, unreadable};
use super::visit::SignedIn;
use crate::http::content::{self, Manner};

/// The largest picture that is shown small as it is.
const MAX_BYTES: u64 = 512 * 1024;
/// A picture of nothing: the sign for the kind, which lies behind it, stays to be seen. That a
/// picture has no small one is no error, so it should not look like one to a browser.
const NOTHING: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#;

/// `GET /resources/{id}/thumbnail`
pub(super) async fn show(
    pages: web::Data<Pages>,
    _: SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let resource = pages.resource(&id).await?;
    if resource.size_bytes.is_none_or(|size_bytes| size_bytes > MAX_BYTES) {
        return Ok(nothing());
    }
    let preview = Preview::of(&pages.store, &resource).await.map_err(|error| unreadable(&resource, &error))?;
    match preview {
        Some(Preview { form: Form::Image, media_type }) => {
            let manner = Manner::Inline { media_type, policy: "sandbox; default-src 'none'" };
            Ok(content::serve(&request, &pages.store, &resource, manner).await?)
        }
        _ => Ok(nothing()),
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
