//! What a stranger is told when something went wrong: problem documents (RFC 9457).
//!
//! Each has a stable `code`. Internals stay in the log.

use std::fmt;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::catalogue::CatalogueError;
use crate::catalogue::listing::ListingError;
use crate::domain::filter::FilterError;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    header: Option<(HeaderName, String)>,
}

/// What a problem looks like: an RFC 9457 document with a stable code.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProblemDocument")]
pub(super) struct Document<'a> {
    /// Always `about:blank`: the status says what kind of problem it is, the code which one.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status.
    status: u16,
    /// What is wrong and what would be right, for people.
    detail: &'a str,
    /// Which problem it is, for programs.
    code: &'static str,
}

impl Problem {
    /// A problem with a stable code and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), header: None }
    }

    /// The request cannot be understood.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// There is nothing of this name, or nothing that may be seen.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The caller did not say who they are, or not rightly.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "the token is missing or wrong; send the header `Authorization: Bearer <LARKIVE_ADMIN_TOKEN>`";
        let header = Some((header::WWW_AUTHENTICATE, "Bearer".to_owned()));
        Self { header, ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail) }
    }

    /// The path is right and the method is not; `allow` names those that are.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this path answers {allow}");
        let header = Some((header::ALLOW, allow.to_owned()));
        Self { header, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail) }
    }

    /// What the caller knows is not what is here now.
    #[must_use]
    pub fn precondition_failed() -> Self {
        let detail = "`If-Match` names other bytes than those that are here";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// The range that was asked for begins behind the end.
    #[must_use]
    pub fn range_not_satisfiable(size_bytes: u64) -> Self {
        let detail = format!("there are {size_bytes} bytes, and the range lies behind them");
        let header = Some((header::CONTENT_RANGE, format!("bytes */{size_bytes}")));
        Self { header, ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail) }
    }

    /// The caller has asked too often, and may ask again after a pause.
    #[must_use]
    pub fn too_many_requests(pause: Duration) -> Self {
        // A pause may be over by the time it is told; nobody should be told to wait for 0 s.
        let seconds = (pause.as_secs() + u64::from(pause.subsec_nanos() > 0)).max(1);
        let detail = format!("too many requests; ask again in {seconds} s");
        let header = Some((header::RETRY_AFTER, seconds.to_string()));
        Self { header, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail) }
    }

    /// There is nothing yet, and may be in a moment.
    #[must_use]
    pub fn not_yet(code: &'static str, detail: &'static str) -> Self {
        let header = Some((header::RETRY_AFTER, "2".to_owned()));
        Self { header, ..Self::new(StatusCode::NOT_FOUND, code, detail) }
    }

    /// Something on our side failed; the log says what.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "the server could not answer; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some((name, value)) = &self.header {
            response.insert_header((name.clone(), value.as_str()));
        }
        response.insert_header((header::CONTENT_TYPE, "application/problem+json")).json(document)
    }
}

impl From<CatalogueError> for Problem {
    fn from(error: CatalogueError) -> Self {
        tracing::error!(error = &error as &(dyn std::error::Error + 'static), "A request failed in the catalogue");
        if error.is_busy() {
            let detail = "the catalogue is busy; try again in a moment";
            let header = Some((header::RETRY_AFTER, "1".to_owned()));
            return Self { header, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail) };
        }
        Self::internal()
    }
}

impl From<ListingError> for Problem {
    fn from(error: ListingError) -> Self {
        match error {
            ListingError::BadCursor => Self::bad_request("bad_cursor", error.to_string()),
            ListingError::Catalogue(error) => error.into(),
        }
    }
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Self {
        let code = match error {
            FilterError::UnknownName(_) => "unknown_parameter",
            FilterError::BadValue { .. } => "bad_value",
            FilterError::BadQuery { .. } => "bad_query",
        };
        Self::bad_request(code, error.to_string())
    }
}
