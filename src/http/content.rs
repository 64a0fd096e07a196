//! The bytes of a resource: whole or in part, as a download or to be looked at, never as a page of
//! ours.
//!
//! A file that somebody sent may be a web page or a script. Unless whoever serves it knows better it
//! is an attachment, and a browser that opens it anyway gives it a sandbox with nothing in it.

use actix_web::http::header::{self, ByteRangeSpec, EntityTag, Header as _, HeaderMap, HeaderValue, Range};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::blob_body::BlobBody;
use super::conditional::{is_known, is_wanted};
use super::error::Problem;
use crate::archive::damage::{Examiner, Finding};
use crate::catalogue::listing::resource::Resource;
use crate::domain::digest::Digest;
use crate::domain::download::State;
use crate::domain::media;
use crate::domain::readable::is_invisible_mark;

/// What is said of bytes that a browser could take for more than bytes.
const OPAQUE: &str = "application/octet-stream";

/// What RFC 8187 wants escaped in `filename*`: everything but its attr-char.
const NOT_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What part of the bytes an answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of them.
    Whole,
    /// From the first to the last position, both included.
    Range(u64, u64),
    /// None: the range that was asked for lies behind the end.
    Unsatisfiable,
}

/// How a browser is to treat the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Manner {
    /// As a file to keep.
    Attachment,
    /// As something to show.
    Inline {
        /// What it is, known from the bytes themselves.
        media_type: &'static str,
        /// What it may do where it is opened by itself.
        policy: &'static str,
    },
}

/// Answers a request for the bytes of a resource, as far as it asks for them. Where they turn out to be missing
/// or wrong, they are not stored any more when this returns.
///
/// # Errors
/// If they are not stored, cannot be read, or end before the range that was asked for.
pub(super) async fn serve(
    request: &HttpRequest,
    examiner: &Examiner,
    resource: &Resource,
    manner: Manner,
) -> Result<HttpResponse, Problem> {
    let (digest, size_bytes) = stored(resource)?;
    let tag = EntityTag::new_strong(digest.to_string());
    if !is_wanted(request, &tag) {
        return Err(Problem::precondition_failed());
    }
    if is_known(request, &tag) {
        return Ok(describe(&mut HttpResponse::NotModified(), resource, manner, &tag).finish());
    }
    let body = open(examiner, resource, digest, size_bytes).await?;
    match part(request, &tag, size_bytes) {
        Part::Whole => {
            let mut response = HttpResponse::Ok();
            let response = describe(&mut response, resource, manner, &tag);
            Ok(body.send_whole(response))
        }
        Part::Range(first, last) => {
            let mut response = HttpResponse::PartialContent();
            response.insert_header((header::CONTENT_RANGE, format!("bytes {first}-{last}/{size_bytes}")));
            let response = describe(&mut response, resource, manner, &tag);
            Ok(body.send_range(response, first, last))
        }
        Part::Unsatisfiable => Err(Problem::range_not_satisfiable(size_bytes)),
    }
}

/// Digest and size of a stored resource.
fn stored(resource: &Resource) -> Result<(Digest, u64), Problem> {
    match (resource.state, resource.sha256, resource.size_bytes) {
        (State::Stored, Some(digest), Some(size_bytes)) => Ok((digest, size_bytes)),
        (state, ..) => Err(not_stored(format!("resource {} is {state}, its bytes are not here", resource.id))),
    }
}

fn not_stored(detail: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_stored", detail)
}

/// Opens a blob that is as long as its row says, and has its bytes as far as they are looked at.
async fn open(examiner: &Examiner, resource: &Resource, digest: Digest, size_bytes: u64) -> Result<BlobBody, Problem> {
    if let Ok(body) = BlobBody::open(examiner, digest, size_bytes).await {
        return Ok(body);
    }
    match examiner.examine(digest, size_bytes).await? {
        Finding::Damaged => {
            Err(not_stored(format!("the bytes of resource {} were damaged; they will be fetched again", resource.id)))
        }
        // Somebody has mended it in between.
        Finding::Sound => BlobBody::open(examiner, digest, size_bytes).await.map_err(|_| unreadable()),
        Finding::Unreadable => Err(unreadable()),
    }
}

fn unreadable() -> Problem {
    let detail = "the bytes are recorded as stored and could not be read; the server's log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "blob_unreadable", detail)
}

/// The headers of every answer that stands for the bytes.
fn describe<'r>(
    response: &'r mut HttpResponseBuilder,
    resource: &Resource,
    manner: Manner,
    tag: &EntityTag,
) -> &'r mut HttpResponseBuilder {
    let (media_type, policy, disposition_type) = match manner {
        Manner::Attachment => (declared_type(resource), "sandbox; default-src 'none'", "attachment"),
        Manner::Inline { media_type, policy } => (HeaderValue::from_static(media_type), policy, "inline"),
    };
    response
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CONTENT_DISPOSITION, disposition(resource, disposition_type)))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, tag.to_string()))
}

/// What the catalogue has for its media type, if no browser does more with such bytes than show or keep them. A
/// page of ours that somebody got to load a script or a style would take it from its own origin.
fn declared_type(resource: &Resource) -> HeaderValue {
    let inert = resource.mime.as_deref().filter(|mime| media::is_inert(mime));
    inert.and_then(|mime| HeaderValue::from_str(mime).ok()).unwrap_or(HeaderValue::from_static(OPAQUE))
}

/// The original name (RFC 6266): once exactly, and once for programs that know nothing of that, such as curl.
/// They take the bytes between the quotes as they are, which are UTF-8 today.
fn disposition(resource: &Resource, disposition_type: &str) -> HeaderValue {
    let name = resource.file_name.clone().unwrap_or_else(|| nameless(resource));
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(&name, NOT_ATTR_CHAR);
    let header = format!("{disposition_type}; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    HeaderValue::from_bytes(header.as_bytes()).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Whether a character means the same to every program inside quotes, and does no harm in a name. Some decode
/// percent signs there.
fn is_plain(c: char) -> bool {
    match c {
        '"' | '\\' | '/' | '%' => false,
        ' '..='~' => true,
        _ => !c.is_control() && !is_invisible_mark(c),
    }
}

/// A name for what was sent without one.
fn nameless(resource: &Resource) -> String {
    const ENDINGS: [(&str, &str); 8] = [
        ("image/png", "png"),
        ("image/jpeg", "jpg"),
        ("image/gif", "gif"),
        ("image/webp", "webp"),
        ("audio/ogg", "ogg"),
        ("audio/opus", "opus"),
        ("video/mp4", "mp4"),
        ("application/pdf", "pdf"),
    ];
    let ending = ENDINGS.iter().find(|(mime, _)| resource.mime.as_deref() == Some(mime));
    ending.map_or_else(|| resource.id.to_string(), |(_, ending)| format!("{}.{ending}", resource.id))
}

/// The part that is asked for. A range in another unit, several ranges, and a range of bytes that
/// have changed are answered with everything, which RFC 9110 allows.
fn part(request: &HttpRequest, tag: &EntityTag, size_bytes: u64) -> Part {
    if request.method() != Method::GET || !is_current(request.headers(), tag) {
        return Part::Whole;
    }
    let Some(Ok(range)) = request.headers().contains_key(header::RANGE).then(|| Range::parse(request)) else {
        return Part::Whole;
    };
    match range {
        Range::Bytes(ranges) => match ranges.as_slice() {
            [ByteRangeSpec::FromTo(first, last)] if first > last => Part::Whole,
            [one] => one
                .to_satisfiable_range(size_bytes)
                .map_or(Part::Unsatisfiable, |(first, last)| Part::Range(first, last)),
            _ => Part::Whole,
        },
        Range::Unregistered(..) => Part::Whole,
    }
}

/// Whether the condition of a range holds; a date never does, since bytes are named by digest.
fn is_current(headers: &HeaderMap, tag: &EntityTag) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|condition| condition.as_bytes() == tag.to_string().as_bytes())
}
