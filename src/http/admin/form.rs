//! What a form of ours posts: names and values, in order.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::failure::Failure;

/// The largest form: some ten thousand selected resources.
pub(super) const MAX_BYTES: usize = 256 * 1024;
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
}

impl FromRequest for Form {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = web::Form::<Vec<(String, String)>>::from_request(request, payload);
        Box::pin(async {
            match tokio::time::timeout(SENT_WITHIN, form).await {
                Ok(Ok(form)) => Ok(Self(form.into_inner())),
                Ok(Err(_)) | Err(_) => Err(Failure::BadRequest),
            }
        })
    }
}
