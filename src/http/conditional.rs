//! Conditional requests: who has the bytes already need not get them again.

use actix_web::HttpRequest;
use actix_web::http::header::{self, EntityTag, Header as _, IfNoneMatch};

/// Whether the caller says that it has what this tag stands for.
#[must_use]
pub fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match request.headers().contains_key(header::IF_NONE_MATCH).then(|| IfNoneMatch::parse(request)) {
        Some(Ok(IfNoneMatch::Any)) => true,
        Some(Ok(IfNoneMatch::Items(tags))) => tags.iter().any(|known| known.weak_eq(tag)),
        _ => false,
    }
}
