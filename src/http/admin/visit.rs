//! A visit: one request of a browser, with what every page wants to know of it.
//!
//! A page cannot be built without a visit, and the pages of the archive take one that is
//! [`SignedIn`]: who may see them, and whether a change was asked for by a page of ours, is settled
//! before a handler runs.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};

use actix_web::cookie::Cookie;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, web};

use super::Pages;
use super::failure::Failure;
use super::language::Language;
use super::local_path::LocalPath;
use crate::domain::actor::Actor;
use crate::domain::zone::Zone;
use crate::http::client;

/// The cookie that carries a session's key.
pub(super) const SESSION_COOKIE: &str = "larkive_session";
/// The cookie that remembers the language.
pub(super) const LANGUAGE_COOKIE: &str = "larkive_language";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A request of anybody's browser.
#[derive(Debug)]
pub(super) struct Visit {
    /// The reader's language.
    pub(super) language: Language,
    /// Where the reader is, to come back to.
    pub(super) place: LocalPath,
    /// Where the request came from.
    pub(super) client: IpAddr,
    /// How it came.
    pub(super) transport: Transport,
    /// By whose clocks and days the pages go.
    pub(super) zone: Zone,
    /// The key of the session, if one is open.
    pub(super) session: Option<String>,
}

/// How a browser reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// As it is.
    Plain,
    /// Encrypted, up to a proxy that is trusted to say so.
    Https,
}

/// A visit of somebody who has signed in.
#[derive(Debug)]
pub(super) struct SignedIn(pub(super) Visit);

impl Visit {
    fn of(request: &HttpRequest) -> Result<Self, Failure> {
        let pages = request.app_data::<web::Data<Pages>>().filter(|pages| pages.admin_token.is_some());
        let pages = pages.ok_or(Failure::NoPages)?;
        let headers = request.headers();
        if !request.method().is_safe() && !comes_from_our_page(headers) {
            return Err(Failure::FromElsewhere);
        }
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let session = cookie(headers, SESSION_COOKIE).filter(|key| pages.sessions.is_open(key, pages.clock.now()));
        Ok(Self {
            language: language(headers),
            place: place(request),
            client: client::address(request.head(), &pages.proxies),
            transport: if pages.proxies.contains(peer) { forwarded_transport(headers) } else { Transport::Plain },
            zone: pages.catalogue.zone().clone(),
            session: session.map(str::to_owned),
        })
    }
}

impl FromRequest for Visit {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl SignedIn {
    /// Who asks. Whoever signs in does so with the administrator's token.
    pub(super) fn actor(&self) -> Actor {
        Actor::administrator()
    }
}

impl FromRequest for SignedIn {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Visit::of(request).and_then(|visit| match visit.session {
            Some(_) => Ok(Self(visit)),
            None => Err(Failure::NotSignedIn(visit.place)),
        }))
    }
}

/// The language that a reader chose, else the one that their browser likes best.
pub(super) fn language(headers: &HeaderMap) -> Language {
    let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(Language::of_tag);
    chosen.unwrap_or_else(|| Language::preferred(headers))
}

/// Where a reader comes back to: a page that can be read again, else the first one.
fn place(request: &HttpRequest) -> LocalPath {
    let readable = request.method().is_safe().then(|| request.uri().path_and_query()).flatten();
    readable.and_then(|path| path.as_str().parse().ok()).unwrap_or_else(LocalPath::home)
}

/// Whether a page of ours asked for a change: browsers say so themselves, and pages cannot make them
/// say anything else. Where they do not (without HTTPS), the origin has to be the host that was asked.
fn comes_from_our_page(headers: &HeaderMap) -> bool {
    if let Some(site) = text(headers, &SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let origin = text(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
    match (origin, text(headers, &header::HOST)) {
        (Some((_, origin)), Some(host)) => origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// What a trusted proxy says about the way to it; of a chain of proxies the one next to us.
fn forwarded_transport(headers: &HeaderMap) -> Transport {
    let hops = client::list(headers, &header::X_FORWARDED_PROTO);
    match hops.rsplit(',').next() {
        Some(protocol) if protocol.trim().eq_ignore_ascii_case("https") => Transport::Https,
        _ => Transport::Plain,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The value of a cookie; of several with one name the first. Other programs on the same host may have set any others.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| Cookie::parse(pair).ok());
    cookies.find(|cookie| cookie.name() == name)?.value_raw()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_among_those_of_others() {
        let mut headers = HeaderMap::new();
        for line in ["theme; =dark; \"a\"=\"b; larkive_other=x", "name_2=c;name=a=b; name=d", "name=e"] {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(cookie(&headers, "name"), Some("a=b"));
        assert_eq!(cookie(&headers, "theme"), None);
    }
}
