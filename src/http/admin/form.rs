//! What a form of ours posts: names and values, in order.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::dev::UrlEncoded;
use actix_web::error::UrlencodedError;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::failure::Failure;
use crate::domain::id::ResourceId;

/// As many resources as can be ticked: more than anybody scrolls through.
pub(super) const MAX_SELECTED: usize = 10_000;
/// The largest form: `id=r000000000001&` for each of those, and some more to say by how many it is too large.
const MAX_BYTES: usize = 2 * 17 * MAX_SELECTED;
/// The largest form that anybody may send: a token, or a language, and where it goes on.
pub(super) const MAX_SMALL_BYTES: usize = 4 * 1024;
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
        let form = UrlEncoded::new(request, payload).limit(MAX_BYTES);
        // Nothing but ticks makes a form of ours this large.
        Box::pin(read(form, Failure::TooManySelected))
    }
}

/// A form of which nothing was read yet, so that whoever takes it can look at other things first.
pub(super) struct Unread {
    request: HttpRequest,
    payload: Payload,
}

impl Unread {
    /// Reads it, unless it is larger than this.
    pub(super) async fn read(mut self, max_bytes: usize) -> Result<Form, Failure> {
        read(UrlEncoded::new(&self.request, &mut self.payload).limit(max_bytes), Failure::TooLarge).await
    }
}

impl FromRequest for Unread {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self { request: request.clone(), payload: payload.take() }))
    }
}

async fn read(form: UrlEncoded<Vec<(String, String)>>, too_large: Failure) -> Result<Form, Failure> {
    match tokio::time::timeout(SENT_WITHIN, form).await {
        Ok(Ok(values)) => Ok(Form(values)),
        Ok(Err(UrlencodedError::Overflow { .. })) => Err(too_large),
        Ok(Err(_)) | Err(_) => Err(Failure::BadRequest),
    }
}
