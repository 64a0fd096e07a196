//! Outbound: how calls leave for the platform, through which proxy, and whose certificates are believed.
//!
//! Only what is configured counts. Proxies of the environment would see app secrets, and a forgotten
//! variable would send every download through them.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use reqwest::{Certificate, ClientBuilder};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use url::Url;

use crate::domain::secret::Secret;

/// How calls leave; by default directly, to whom the system's certificate authorities know.
#[derive(Debug, Clone, Default)]
pub struct Outbound {
    /// The proxy that they go through.
    pub proxy: Option<Proxy>,
    /// Who is believed beside the system's certificate authorities.
    pub authorities: Authorities,
}

/// A proxy that is spoken to over plain HTTP; a platform with TLS is reached through a tunnel.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Without credentials.
    address: Url,
    credentials: Option<(String, Secret)>,
}

/// Further certificate authorities.
#[derive(Clone, Default)]
pub struct Authorities(Vec<Certificate>);

/// Why a text names no proxy. It repeats nothing of the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAProxy(&'static str);

/// Why a text holds no certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthorities {
    /// Something in it cannot be read.
    #[error("holds something else than certificates in PEM form: {0}")]
    Unreadable(String),
    /// There is nothing in it.
    #[error("holds no certificate in PEM form")]
    Empty,
}

impl Outbound {
    /// Sets a client up so that it calls a platform in this way. One over plain HTTP shows no
    /// certificate, and loading those of the system is slow.
    pub(super) fn apply(&self, builder: ClientBuilder, platform: &Url) -> reqwest::Result<ClientBuilder> {
        let builder = match platform.scheme() {
            "http" => builder.tls_certs_only([]),
            _ => builder.tls_certs_merge(self.authorities.0.iter().cloned()),
        };
        let builder = builder.no_proxy();
        Ok(match &self.proxy {
            None => builder,
            Some(proxy) => builder.proxy(proxy.read()?),
        })
    }
}

impl Proxy {
    fn read(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.address.clone())?;
        Ok(match &self.credentials {
            None => proxy,
            Some((user, password)) => proxy.basic_auth(user, password.reveal()),
        })
    }
}

impl FromStr for Proxy {
    type Err = NotAProxy;

    fn from_str(text: &str) -> Result<Self, NotAProxy> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(NotAProxy("does not begin with http://, the only way to speak to a proxy that there is"));
        };
        if rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(NotAProxy("has blanks or control characters in it"));
        }
        let mut address = Url::parse(text).map_err(|_| NotAProxy("names no host, or no port that there can be"))?;
        if address.path() != "/" || address.query().is_some() || address.fragment().is_some() {
            return Err(NotAProxy("goes on with a path behind host and port, which a proxy does not have"));
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = decoded(address.username());
        let password = address.password().map(decoded);
        let credentials =
            (!user.is_empty() || password.is_some()).then(|| (user, Secret::new(password.unwrap_or_default())));
        let without_credentials = address.set_username("").and_then(|()| address.set_password(None));
        without_credentials.map_err(|()| NotAProxy("names no host"))?;
        Ok(Self { address, credentials })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = if self.credentials.is_some() { " with credentials" } else { "" };
        write!(f, "Proxy({}{credentials})", self.address)
    }
}

impl Authorities {
    /// The certificates in a text in PEM form; whatever stands between them is ignored.
    ///
    /// # Errors
    /// There is none, or one that nobody could be believed by.
    pub fn from_pem(text: &[u8]) -> Result<Self, NotAuthorities> {
        let unreadable = |error: &dyn fmt::Display| NotAuthorities::Unreadable(error.to_string());
        let mut authorities = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            RootCertStore::empty().add(certificate.clone()).map_err(|error| unreadable(&error))?;
            authorities.push(Certificate::from_der(&certificate).map_err(|error| unreadable(&error))?);
        }
        if authorities.is_empty() { Err(NotAuthorities::Empty) } else { Ok(Self(authorities)) }
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_keeps_its_credentials_to_itself() {
        let check = |text: &str, address: &str, credentials: Option<(&str, &str)>| {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.address.as_str(), address);
            let expected = credentials.map(|(user, password)| (user.to_owned(), Secret::new(password)));
            assert_eq!(proxy.credentials, expected, "{text}");
            assert!(!format!("{proxy:?}").contains("p@ss") && !format!("{proxy:?}").contains("p%40ss"), "{proxy:?}");
        };
        check("http://proxy.example:3128", "http://proxy.example:3128/", None);
        check("http://proxy.example", "http://proxy.example/", None);
        check("http://[::1]:3128/", "http://[::1]:3128/", None);
        check("http://us%3aer:p%40ss@10.0.0.1:8080", "http://10.0.0.1:8080/", Some(("us:er", "p@ss")));
        check("http://user@10.0.0.1:8080", "http://10.0.0.1:8080/", Some(("user", "")));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_repeated() {
        for text in [
            "",
            "proxy:3128",
            "https://u:hush@p:1",
            "socks5://p:1",
            "http://",
            "http://u:hush@",
            "http://u:hush@p:99999",
            "http://u:hush@p:1/x",
            "http://u:hush@p:1?x",
            "http://u:hush@p:1#x",
            "http://u: hush@p:1",
        ] {
            let refused = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(!refused.contains("hush"), "{text}: {refused}");
        }
    }

    #[test]
    fn authorities_are_certificates_and_at_least_one() {
        let refused = |text: &str| Authorities::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(refused(""), NotAuthorities::Empty);
        assert_eq!(refused("words"), NotAuthorities::Empty);
        assert_eq!(refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), NotAuthorities::Empty);
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(refused(nonsense), NotAuthorities::Unreadable(_)));
        let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(refused(cut), NotAuthorities::Unreadable(_)));
    }
}
