//! One request and its answer: when its body is over, how long it may take and what it may weigh,
//! and whether the connection is kept.
//!
//! Stands around every route of every port, so that no route can forget it.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next as NextService;
use actix_web::{Error, HttpMessage as _, web};
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use super::connection::{Follows, Member, Next};

/// How long a sender may take for a body.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// It is larger than the route takes.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// Too much is coming in at once.
    TooBusy,
    /// It is not what its head announced, or the sender is gone.
    Broken,
}

impl BodyFault {
    /// What went wrong when a body was read.
    pub(super) fn of(error: &PayloadError) -> Self {
        match error {
            PayloadError::Overflow => Self::TooLarge,
            PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::TooSlow,
            PayloadError::Io(error) if error.kind() == io::ErrorKind::OutOfMemory => Self::TooBusy,
            _ => Self::Broken,
        }
    }

    /// The status of an answer that says so.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooBusy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request that is being answered. The connection hears of its end when the answer and the body are dropped.
struct Exchange {
    member: Arc<Member>,
    body_bytes: Cell<usize>,
    body_is_over: Cell<bool>,
    is_last: Cell<bool>,
}

impl Exchange {
    fn begin(member: Arc<Member>, follows: Follows) -> Rc<Self> {
        member.request_began();
        let body_is_over = Cell::new(follows == Follows::Nothing);
        Rc::new(Self { member, body_bytes: Cell::new(0), body_is_over, is_last: Cell::new(false) })
    }

    /// Counts bytes of the body.
    fn body_came(&self, more: usize) -> Result<(), PayloadError> {
        let before = self.body_bytes.replace(self.body_bytes.get() + more);
        let full = |refused| PayloadError::Io(io::Error::new(io::ErrorKind::OutOfMemory, refused));
        self.member.body_came(before, more).map_err(full)
    }

    fn body_ended(&self) {
        self.body_is_over.set(true);
        self.member.body_ended();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let keep = self.body_is_over.get() && !self.is_last.get();
        self.member.answered(self.body_bytes.get(), if keep { Next::Request } else { Next::Close });
    }
}

/// Stands around every route. A refusal, and an answer to a request whose body was not read, are the
/// last on their connection: whoever sent it goes on sending, or has to begin anew anyway.
pub(super) async fn keep(
    mut request: ServiceRequest,
    next: NextService<BoxBody>,
) -> Result<ServiceResponse<Answer>, Error> {
    let member = request.conn_data::<Arc<Member>>().cloned();
    // Only a server that was built without the table has connections that are not in it.
    let member = member.ok_or_else(|| actix_web::error::ErrorInternalServerError("the connection is unknown"))?;
    let follows = follows(request.headers());
    let exchange = Exchange::begin(member, follows);
    if follows != Follows::Nothing {
        let body = Body {
            payload: request.take_payload(),
            unasked: Some(follows),
            exchange: exchange.clone(),
            deadline: Deadline::begin(),
        };
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
    }
    let mut response = next.call(request).await?;
    let is_refusal = response.status().is_client_error() || response.status().is_server_error();
    let head = response.response_mut().head_mut();
    if is_refusal || !exchange.body_is_over.get() {
        head.set_connection_type(ConnectionType::Close);
    }
    exchange.is_last.set(head.connection_type() == ConnectionType::Close);
    Ok(response.map_body(|_, body| Answer { body, _exchange: exchange }))
}

/// What follows a request's head, as actix understands it.
fn follows(headers: &HeaderMap) -> Follows {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Follows::Chunks;
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    match length {
        None | Some(0) => Follows::Nothing,
        Some(bytes) => Follows::Bytes(bytes),
    }
}

/// The body of a request, within its limits. One that nobody asks for stays with its sender.
struct Body {
    payload: Payload,
    /// What the connection hands out once somebody asks for it.
    unasked: Option<Follows>,
    exchange: Rc<Exchange>,
    deadline: Deadline,
}

impl Stream for Body {
    type Item = Result<web::Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(follows) = this.unasked.take() {
            this.exchange.member.body_is_wanted(follows);
        }
        let Poll::Ready(chunk) = Pin::new(&mut this.payload).poll_next(cx) else {
            ready!(this.deadline.poll(cx));
            return Poll::Ready(Some(Err(too_slow())));
        };
        Poll::Ready(match chunk {
            // A sender that always has a byte at hand is late, too.
            Some(Ok(_)) if this.deadline.is_over() => Some(Err(too_slow())),
            Some(Ok(chunk)) => Some(this.exchange.body_came(chunk.len()).map(|()| chunk)),
            Some(Err(error)) => Some(Err(error)),
            None => {
                this.exchange.body_ended();
                None
            }
        })
    }
}

fn too_slow() -> PayloadError {
    PayloadError::Io(io::ErrorKind::TimedOut.into())
}

/// When a body has to be there. Most bodies are there before a timer is needed.
struct Deadline {
    at: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn begin() -> Self {
        Self { at: Instant::now() + BODY_WITHIN, timer: None }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at))).as_mut().poll(cx)
    }
}

/// The body of an answer, which ends the exchange when it is sent, or cannot be.
pub(super) struct Answer {
    body: BoxBody,
    _exchange: Rc<Exchange>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
