//! JSON answers that need not be sent again: each carries a weak tag of what it says (RFC 9110).

use std::hash::{DefaultHasher, Hasher as _};

use actix_web::http::header::{self, EntityTag};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::http::conditional::is_known;
use crate::http::error::Problem;

/// Whoever keeps an answer has to ask whether it is still right.
const ASK_AGAIN: &str = "private, no-cache";

/// A document as JSON; 304 if the caller has it already.
pub(super) fn json(request: &HttpRequest, document: &impl Serialize) -> Result<HttpResponse, Problem> {
    let body = serde_json::to_vec(document).map_err(|error| {
        tracing::error!(%error, "An answer cannot be written as JSON");
        Problem::internal()
    })?;
    Ok(text(request, "application/json", body))
}

/// A text of some type; 304 if the caller has it already.
pub(super) fn text(request: &HttpRequest, content_type: &str, body: Vec<u8>) -> HttpResponse {
    let tag = tag_of(&body);
    let known = is_known(request, &tag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag.to_string())).insert_header((header::CACHE_CONTROL, ASK_AGAIN));
    if known { response.finish() } else { response.content_type(content_type).body(body) }
}

/// The hash is the same in every process of one version of the program; another version may have
/// another, which costs one answer.
fn tag_of(body: &[u8]) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    EntityTag::new_weak(format!("{:016x}", hasher.finish()))
}
