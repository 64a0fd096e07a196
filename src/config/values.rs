//! Given: the rules that a setting's text must keep, one function for each kind of value.
//!
//! A rule's error completes the sentence "NAME …"; it repeats the text of plain settings only.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use url::Url;

use crate::domain::id::{AppId, path_segment};
use crate::domain::measure::{self, NotASize, NotASpan};
use crate::domain::resource::names;
use crate::domain::secret::Secret;
use crate::feishu::outbound::Authorities;

/// The shortest admin token: 16 random characters cannot be guessed over a network.
const MIN_ADMIN_TOKEN_CHARS: usize = 16;
/// The most downloads in flight. The platform's budget is used up long before.
const MAX_DOWNLOAD_CONCURRENCY: usize = 256;
/// The longest file of certificates that is read; a whole system's has a quarter of a megabyte.
const MAX_CA_FILE_BYTES: u64 = 4 << 20;
/// The longest time to go on trying. Longer spans lead out of the years that times are written in.
const MAX_RETRY_FOR: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

names!(LogFormat, UnknownLogFormat, "log format", Text = "text", Json = "json");

pub(super) fn app_id(text: &str) -> Result<AppId, String> {
    // The id stands in the path of the app's callbacks.
    let id = path_segment(text).filter(|id| !id.contains(char::is_whitespace)).and_then(|id| id.parse().ok());
    id.ok_or_else(|| format!("{text:?} is no app id"))
}

pub(super) fn helpdesk_id(text: &str) -> Result<String, String> {
    let harmless = text.chars().all(|c| c.is_ascii_graphic() && c != ':');
    harmless.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no helpdesk id"))
}

pub(super) fn secret(text: &str) -> Result<Secret, &'static str> {
    if text.chars().any(char::is_control) {
        return Err("contains a line break or another control character");
    }
    Ok(Secret::new(text))
}

pub(super) fn admin_token(text: &str) -> Result<Secret, String> {
    if !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("has blanks or other characters that an Authorization header does not carry".to_owned());
    }
    if text.len() < MIN_ADMIN_TOKEN_CHARS {
        return Err(format!("is shorter than {MIN_ADMIN_TOKEN_CHARS} characters"));
    }
    Ok(Secret::new(text))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address with a port"))
}

pub(super) fn retry_for(text: &str) -> Result<Duration, String> {
    let span = measure::parse_span(text).map_err(|error: NotASpan| error.to_string())?;
    if span > MAX_RETRY_FOR { Err(format!("{text:?} is longer than 3650d")) } else { Ok(span) }
}

pub(super) fn size(text: &str) -> Result<u64, NotASize> {
    measure::parse_size(text)
}

pub(super) fn size_above_zero(text: &str) -> Result<u64, String> {
    match measure::parse_size(text) {
        Ok(0) => Err(format!("{text:?} would let nothing through")),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn download_concurrency(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=MAX_DOWNLOAD_CONCURRENCY).contains(count));
    count.ok_or_else(|| format!("{text:?} is not a number from 1 to {MAX_DOWNLOAD_CONCURRENCY}"))
}

/// Certificate authorities in a file.
pub(super) fn authorities(directory: &Path, text: &str) -> Result<Authorities, String> {
    let path = directory.join(text);
    let read = || -> io::Result<Vec<u8>> {
        let mut pem = Vec::new();
        File::open(&path)?.take(MAX_CA_FILE_BYTES + 1).read_to_end(&mut pem)?;
        Ok(pem)
    };
    let pem = read().map_err(|error| format!("{text:?} cannot be read ({error})"))?;
    if pem.len() as u64 > MAX_CA_FILE_BYTES {
        return Err(format!("{text:?} is far too long for a file of certificates"));
    }
    Authorities::from_pem(&pem).map_err(|error| format!("{text:?} {error}"))
}

/// A store on this machine. An absolute path only: what a relative one starts from would be a guess.
pub(super) fn store(text: &str) -> Result<PathBuf, String> {
    if text.starts_with("s3://") {
        return Err("stores in S3 are not available in this version".to_owned());
    }
    let local = text.starts_with("file:///") || text.starts_with("file://localhost/");
    let url = Url::parse(text).ok().filter(|url| local && url.query().is_none() && url.fragment().is_none());
    let path = url.and_then(|url| url.to_file_path().ok()).filter(|path| path.as_path() != Path::new("/"));
    path.ok_or_else(|| "is not file:// and the absolute path of a directory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_absolute_directories() {
        assert_eq!(store("file:///srv/my%20blobs"), Ok(PathBuf::from("/srv/my blobs")));
        assert_eq!(store("file://localhost/srv"), Ok(PathBuf::from("/srv")));
        for bad in ["/srv", "file://srv/blobs", "file:srv", "file:///", "file:///srv?a", "s3://bucket/a", "http://a/b"]
        {
            assert!(store(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn admin_tokens_can_travel_in_a_header_and_not_be_guessed() {
        assert!(admin_token("0123456789abcdef").is_ok());
        for bad in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdef\n", "密码密码密码密码密码密码密码密码"]
        {
            let message = admin_token(bad).unwrap_err();
            assert!(!message.contains(bad), "{message}");
        }
    }
}
