//! Addresses as they are typed.

use std::net::SocketAddr;

use url::Url;

/// An address to listen on.
///
/// # Errors
/// Says what is understood.
pub fn listening(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080")
}

/// Where something is reached over HTTP.
///
/// # Errors
/// Says what is understood.
pub fn web(text: &str) -> Result<Url, &'static str> {
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or("write a whole address, such as http://127.0.0.1:8080")
}
