//! What a form of ours posts: names and values, in order.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::failure::Failure;
use crate::domain::id::ResourceId;

/// As many resources as can be ticked: more than anybody scrolls through.
pub(super) const MAX_SELECTED: usize = 10_000;
/// The largest form: `id=r000000000001&` for each of those, and some more to say by how many it is too large.
pub(super) const MAX_BYTES: usize = 2 * 17 * MAX_SELECTED;
/// How long a browser may take to send it.
const SENT_WITHIN: Duration = Duration::from_secs(10);

/// A form that was sent.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of this name; empty if there is none.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// Every value of this name.
    pub(super) fn values<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The resources that were ticked.
    pub(super) fn selected(&self) -> Result<Vec<ResourceId>, Failure> {
        let ids: Vec<ResourceId> =
            self.values("id").map(str::parse).collect::<Result<_, _>>().map_err(|_| Failure::BadRequest)?;
        match ids.len() {
            0 => Err(Failure::NothingSelected),
            1..=MAX_SELECTED => Ok(ids),
            _ => Err(Failure::TooManySelected),
        }
    }
}

impl FromRequest for Form {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = web::Form::<Vec<(String, String)>>::from_request(request, payload);
        Box::pin(async {
            match tokio::time::timeout(SENT_WITHIN, form).await {
                Ok(Ok(form)) => Ok(Self(form.into_inner())),
                // Nothing but ticks makes a form of ours this large.
                Ok(Err(error)) if error.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE => {
                    Err(Failure::TooManySelected)
                }
                Ok(Err(_)) | Err(_) => Err(Failure::BadRequest),
            }
        })
    }
}
