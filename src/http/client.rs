//! Who asks: the address behind a request, through whatever trusted proxies it came.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::dev::RequestHead;
use actix_web::http::header::{HeaderMap, HeaderName, X_FORWARDED_FOR};

use crate::domain::proxies::TrustedProxies;

/// Where a request came from.
pub(super) fn address(request: &RequestHead, proxies: &TrustedProxies) -> IpAddr {
    // Only sockets that are no network sockets have no peer.
    let peer = request.peer_addr.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    if proxies.contains(peer) { proxies.client(peer, &list(request.headers(), &X_FORWARDED_FOR)) } else { peer }
}

/// What a header that is a list says in all its lines. A proxy may add its word to the last line or
/// write a line of its own; whoever reads only one of them reads what the client wrote.
pub(super) fn list(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines = headers.get_all(name).map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.collect::<Vec<_>>().join(",")
}
