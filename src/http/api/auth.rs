//! Who may use the API: whoever has the administrator's token.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};

use super::Api;
use crate::feishu::crypto::same_secret;
use crate::http::error::Problem;

/// Lets a request through that carries the token.
pub(super) async fn authenticate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match check(&request) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_left_body),
        Err(problem) => Ok(request.into_response(problem.error_response()).map_into_right_body()),
    }
}

fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let token = request.app_data::<web::Data<Api>>().and_then(|api| api.admin_token.as_ref());
    // Without a token there is no API, and nothing says that there could be one.
    let token = token.ok_or_else(|| Problem::not_found("there is no such path"))?;
    let given = bearer(request).ok_or_else(Problem::unauthorized)?;
    if same_secret(given, token.reveal().as_bytes()) { Ok(()) } else { Err(Problem::unauthorized()) }
}

/// The token of an `Authorization: Bearer` header; the scheme's case does not matter.
fn bearer(request: &ServiceRequest) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
