//! Where a redirect may lead: to a path of ours and nowhere else.

use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The longest path that is worth coming back to.
const MAX_BYTES: usize = 2048;
/// What is escaped in a value within a query.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path with its query on this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalPath(String);

/// A text that leads elsewhere, or nowhere.
#[derive(Debug)]
pub(super) struct NotLocal;

impl LocalPath {
    /// The first page.
    pub(super) fn home() -> Self {
        Self("/".to_owned())
    }

    /// The path as it stands in a header or a link.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The sign-in page that leads back here.
    pub(super) fn behind_sign_in(&self) -> String {
        format!("/login?next={}", utf8_percent_encode(&self.0, IN_QUERY))
    }
}

impl FromStr for LocalPath {
    type Err = NotLocal;

    /// Takes printable ASCII that begins with exactly one slash. Browsers read a backslash as a slash
    /// and leave out tabs and line ends, so neither may be anywhere.
    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let local = text.starts_with('/') && !text.starts_with("//");
        if printable && local && text.len() <= MAX_BYTES { Ok(Self(text.to_owned())) } else { Err(NotLocal) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_to_another_host() {
        for local in ["/", "/resources?q=%E5%8F%91%E7%A5%A8&cursor=a-b", "/a//b"] {
            assert_eq!(local.parse::<LocalPath>().unwrap().as_str(), local);
        }
        for elsewhere in [
            "",
            "//evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "https://evil.test",
            "evil",
            "/a\r\nSet-Cookie: a=b",
            "/发票",
        ] {
            assert!(elsewhere.parse::<LocalPath>().is_err(), "{elsewhere:?}");
        }
        let path: LocalPath = "/resources?q=a&to=1d".parse().unwrap();
        assert_eq!(path.behind_sign_in(), "/login?next=/resources%3Fq%3Da%26to%3D1d");
    }
}
