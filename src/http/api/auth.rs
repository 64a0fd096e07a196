//! Who may use the API, and how fast: whoever has the administrator's token.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, ResponseError, web};
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::Api;
use crate::domain::actor::Actor;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::feishu::crypto::same_secret;
use crate::http::attempts::{Allowance, Attempts, TooMany};
use crate::http::client;
use crate::http::error::Problem;

/// Requests with the token: so many at once, after a pause, and so many in each second, in the long run. A program that
/// asks without a pause leaves most of the machine to deliveries and downloads.
const REQUESTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(500).unwrap();
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
const REQUESTS: Quota = Quota::per_second(REQUESTS_PER_SECOND).allow_burst(REQUESTS_AT_ONCE);
/// Wrong tokens. Enough for every program that still has an old token, far too few for guessing one of sixteen
/// characters.
const WRONG_TOKENS: Allowance = Allowance { window: Duration::from_secs(20), from_one: 100, from_network: 1000 };

/// What holds callers back.
#[derive(Debug)]
pub struct Throttles {
    /// Requests with the token, by the machine's clock, because what they are held back from is the machine.
    requests: DefaultDirectRateLimiter,
    wrong_tokens: Attempts,
}

impl Default for Throttles {
    fn default() -> Self {
        Self::new(REQUESTS, WRONG_TOKENS)
    }
}

impl Throttles {
    /// Throttles for requests with the token, and for wrong tokens.
    #[must_use]
    pub fn new(requests: Quota, wrong_tokens: Allowance) -> Self {
        Self { requests: RateLimiter::direct(requests), wrong_tokens: Attempts::new(wrong_tokens) }
    }

    /// Counts a request with the token.
    fn request(&self) -> Result<(), Problem> {
        let wait = self.requests.check().map_err(|until| until.wait_time_from(self.requests.clock().now()));
        wait.map_err(Problem::too_many_requests)
    }
}

/// Lets a request through that carries the token, and says to its handler whose that is.
pub(super) async fn authenticate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match check(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await.map(ServiceResponse::map_into_left_body)
        }
        Err(problem) => Ok(request.into_response(problem.error_response()).map_into_right_body()),
    }
}

fn check(request: &ServiceRequest) -> Result<Actor, Problem> {
    let api = request.app_data::<web::Data<Api>>();
    // Without a token there is no API, and nothing says that there could be one.
    let missing = || Problem::not_found("there is no such path");
    let (api, token) = api.and_then(|api| Some((api, api.admin_token.as_ref()?))).ok_or_else(missing)?;
    let given = bearer(request).ok_or_else(Problem::unauthorized)?;
    check_token(&api.throttles, client::address(request.head(), &api.proxies), given, token, api.clock.now())?;
    Ok(Actor::administrators_token())
}

/// Who has guessed too often is not even told whether the last guess was right.
fn check_token(
    throttles: &Throttles,
    client: IpAddr,
    given: &[u8],
    token: &Secret,
    now: Timestamp,
) -> Result<(), Problem> {
    let too_many = |TooMany(wait)| Problem::too_many_requests(wait);
    throttles.wrong_tokens.check(client, now).map_err(too_many)?;
    if same_secret(given, token.reveal().as_bytes()) {
        return throttles.request();
    }
    throttles.wrong_tokens.count(client, now).map_err(too_many)?;
    Err(Problem::unauthorized())
}

/// The token of an `Authorization: Bearer` header; the scheme's case does not matter.
fn bearer(request: &ServiceRequest) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_so_many_a_second() {
        let clock = FakeRelativeClock::default();
        let requests = RateLimiter::direct_with_clock(REQUESTS, clock.clone());
        let let_through = || (0..1000).filter(|_| requests.check().is_ok()).count();
        assert_eq!(let_through(), 500);
        assert_eq!(requests.check().map_err(|until| until.wait_time_from(clock.now())), Err(Duration::from_millis(10)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(let_through(), 100);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(let_through(), 500, "no more than a burst is saved up");
    }

    #[test]
    fn guessing_is_slowed_down_for_the_guesser_only() {
        let once = Allowance { window: Duration::from_secs(60), from_one: 1, from_network: 1 };
        let throttles = Throttles::new(Quota::per_hour(NonZeroU32::MIN), once);
        let token = Secret::new("the right token");
        let now = Timestamp::EPOCH;
        let try_as = |client: &str, given: &str| {
            let client = client.parse().unwrap();
            check_token(&throttles, client, given.as_bytes(), &token, now).map_err(|p| p.status_code().as_u16())
        };
        assert_eq!(try_as("2001:db8::1", "wrong"), Err(401));
        assert_eq!(try_as("2001:db8::2", "the right token"), Err(429), "a right guess is not told either");
        assert_eq!(try_as("2001:db9::1", "wrong"), Err(401));
        assert_eq!(try_as("192.0.2.1", "the right token"), Ok(()));
        assert_eq!(try_as("192.0.2.2", "the right token"), Err(429), "the token has been used");
        assert_eq!(try_as("::ffff:192.0.2.2", "wrong"), Err(401));
        assert_eq!(try_as("192.0.2.2", "wrong"), Err(429));
    }
}
