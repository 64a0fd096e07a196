//! The host that a request names, where only this machine is listened to.
//!
//! What is served on a loopback address without a token (metrics, readiness) is meant for this machine. A
//! page of a stranger, open in a browser on it, could read that all the same by letting its own name
//! resolve to 127.0.0.1 (DNS rebinding). Such a request names the stranger's host, which we do not answer to.

use std::net::{IpAddr, Ipv6Addr};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError, web};

use super::api::Api;
use super::error::Problem;
use super::server::ListensAt;

const HOW_TO_MEND: &str = "on this loopback address only localhost, IP addresses and names without a dot are answered; \
    a reverse proxy has to be named in LARKIVE_TRUSTED_PROXIES";
const HOW_TO_MEND_ZH: &str =
    "此回环地址只接受 localhost、IP 地址和不含点的主机名；使用反向代理时，请把代理地址写入 LARKIVE_TRUSTED_PROXIES。";

/// Around everything that only administrators should reach: refuses hosts that are not this machine.
pub(super) async fn check<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if is_for_all_hosts(&request) || hosts(&request).all(|host| host.is_some_and(is_this_machine)) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let refusal = refusal(&request);
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Whether other machines may ask, too: then names are for whoever runs this one to give, and a trusted proxy passes
/// on what it was asked.
fn is_for_all_hosts(request: &ServiceRequest) -> bool {
    let is_proxy = |api: &web::Data<Api>| request.peer_addr().is_some_and(|peer| api.proxies.contains(peer.ip()));
    let is_reached = |ListensAt(address): &ListensAt| !address.ip().to_canonical().is_loopback();
    request.app_data::<ListensAt>().is_some_and(is_reached)
        || request.app_data::<web::Data<Api>>().is_some_and(is_proxy)
}

/// Every host that the request names, in its target and in its headers; nothing for what is no text.
fn hosts(request: &ServiceRequest) -> impl Iterator<Item = Option<&str>> {
    let named = request.headers().get_all(header::HOST).map(|value: &HeaderValue| value.to_str().ok());
    request.uri().authority().map(|authority| Some(authority.as_str())).into_iter().chain(named)
}

/// Whether a host, with or without a port, is one that no stranger can give to this machine: only names with a dot can be
/// had by everybody.
fn is_this_machine(host: &str) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    !name.contains('.') || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

/// One clear line; for programs as a problem document.
fn refusal(request: &ServiceRequest) -> HttpResponse {
    let status = StatusCode::MISDIRECTED_REQUEST;
    if request.path().starts_with("/api/") {
        return Problem::new(status, "host_not_served", HOW_TO_MEND).error_response();
    }
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body(format!("host not served: {HOW_TO_MEND}\n{HOW_TO_MEND_ZH}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_can_only_have_names_with_a_dot() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("larkive.localhost:8080", true),
            ("larkive", true),
            ("larkive:8081", true),
            ("127.0.0.1:8080", true),
            ("192.0.2.7", true),
            ("[::1]:8080", true),
            ("[2001:db8::1]", true),
            ("", true),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("evil.example.:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("evillocalhost.example", false),
            ("[::1].evil.example", false),
            ("[evil.example]", false),
        ] {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }
}
