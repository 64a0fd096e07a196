//! Conditional requests (RFC 9110): who has the bytes already need not get them again, and who wants
//! certain bytes gets no others.

use actix_web::HttpRequest;
use actix_web::http::header::{self, EntityTag, Header as _, IfMatch, IfNoneMatch};

/// Whether the caller says that it has what this tag stands for.
pub(super) fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    match request.headers().contains_key(header::IF_NONE_MATCH).then(|| IfNoneMatch::parse(request)) {
        Some(Ok(IfNoneMatch::Any)) => true,
        Some(Ok(IfNoneMatch::Items(tags))) => tags.iter().any(|known| known.weak_eq(tag)),
        _ => false,
    }
}

/// Whether the caller wants these very bytes, if it says which.
pub(super) fn is_wanted(request: &HttpRequest, tag: &EntityTag) -> bool {
    match request.headers().contains_key(header::IF_MATCH).then(|| IfMatch::parse(request)) {
        None | Some(Ok(IfMatch::Any)) => true,
        Some(Ok(IfMatch::Items(tags))) => tags.iter().any(|wanted| wanted.strong_eq(tag)),
        Some(Err(_)) => false,
    }
}
