//! The address of the platform that an app belongs to.
//!
//! Credentials travel there, so plain HTTP is for machines that are ours only.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// The platform's own hosts: Feishu and Lark.
const OFFICIAL_HOSTS: [&str; 2] = ["open.feishu.cn", "open.larksuite.com"];

/// The address of a platform: `https`, or `http` to a private address; without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is not the address of a platform. The text itself is not repeated: it may carry a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotABaseUrl {
    /// No URL at all, or one of another scheme.
    #[error("is not a URL that begins with https://")]
    Malformed,
    /// A user name or a password.
    #[error("carries a user name or a password")]
    Credentials,
    /// More than scheme, host and port.
    #[error("carries a path, a query or a fragment; only the host and a port belong there")]
    Path,
    /// Plain HTTP over a network that is not ours.
    #[error("is plain http to a public host; http is for localhost, private addresses and names without a dot")]
    PublicHttp,
}

impl BaseUrl {
    /// The URL; its path is `/`.
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether this is Feishu's or Lark's own platform and not a stand-in.
    #[must_use]
    pub fn is_official(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        OFFICIAL_HOSTS.contains(&host.trim_end_matches('.'))
    }

    /// Whether what is sent there can be read on the way.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http"
    }
}

impl FromStr for BaseUrl {
    type Err = NotABaseUrl;

    fn from_str(text: &str) -> Result<Self, NotABaseUrl> {
        let url = Url::parse(text).map_err(|_| NotABaseUrl::Malformed)?;
        let host = url.host().ok_or(NotABaseUrl::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotABaseUrl::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(NotABaseUrl::Path);
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_private(&host) => Ok(Self(url)),
            "http" => Err(NotABaseUrl::PublicHttp),
            _ => Err(NotABaseUrl::Malformed),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// A name without a dot is resolved by the machine or by the container network that it is in.
fn is_private(host: &Host<&str>) -> bool {
    let address = match host {
        Host::Domain(name) => return !name.contains('.') || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => address.to_canonical(),
    };
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_travel_encrypted_or_at_home() {
        for good in [
            "https://open.feishu.cn",
            "https://proxy.example.com:8443/",
            "http://localhost:8081",
            "http://127.0.0.1:8081",
            "http://[::1]:1",
            "http://10.1.2.3",
            "http://172.16.0.9",
            "http://[fd00::1]",
            "http://[::ffff:192.168.1.2]",
            "http://sandbox:8081",
        ] {
            assert!(good.parse::<BaseUrl>().is_ok(), "{good}");
        }
        for (bad, why) in [
            ("open.feishu.cn", NotABaseUrl::Malformed),
            ("ftp://open.feishu.cn", NotABaseUrl::Malformed),
            ("https://", NotABaseUrl::Malformed),
            ("https://me:secret@open.feishu.cn", NotABaseUrl::Credentials),
            ("https://open.feishu.cn/open-apis", NotABaseUrl::Path),
            ("https://open.feishu.cn?a", NotABaseUrl::Path),
            ("http://open.feishu.cn", NotABaseUrl::PublicHttp),
            ("http://8.8.8.8", NotABaseUrl::PublicHttp),
            ("http://169.254.169.254", NotABaseUrl::PublicHttp),
            ("http://[2001:db8::1]", NotABaseUrl::PublicHttp),
            ("http://0.0.0.0:80", NotABaseUrl::PublicHttp),
        ] {
            assert_eq!(bad.parse::<BaseUrl>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn official_hosts_are_known_however_they_are_written() {
        for official in ["https://OPEN.feishu.cn", "https://open.larksuite.com.", "https://open.feishu.cn:443/"] {
            assert!(official.parse::<BaseUrl>().unwrap().is_official(), "{official}");
        }
        assert!(!"https://open.feishu.cn.example.com".parse::<BaseUrl>().unwrap().is_official());
    }
}
