//! HTTP/1.1 as far as the stand-in platform needs it: requests are read here.
//!
//! Written by hand on purpose. A server library keeps every answer well-formed, and the point of
//! this one is to break answers exactly where a script says, down to the byte and the TCP reset.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest request line with headers.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most headers a request may have.
const MAX_HEADERS: usize = 64;
/// The longest request body: a long fault script.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How much is read at a time.
const READ_BYTES: usize = 8 << 10;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// What was read and not used: the start of the next request.
    unread: Vec<u8>,
}

/// One request, whole.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// As sent, still percent-encoded.
    pub(super) path: String,
    pub(super) query: Option<String>,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Why there is no next request.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRequest {
    /// The client left, properly or not.
    #[error("the client left")]
    Gone(#[from] io::Error),
    /// What came is not understood; the status says it to the client.
    #[error("the request cannot be read: {0}")]
    Unreadable(u16),
}

impl Request {
    /// The value of a header; names in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client said that no other request follows.
    pub(super) fn is_the_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref()?.as_bytes();
        url::form_urlencoded::parse(query).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Reads the next request, or tells that there is none.
    pub(super) async fn next_request(&mut self) -> Result<Request, NoRequest> {
        let mut request = loop {
            if let Some((request, head_bytes)) = parse_head(&self.unread)? {
                self.unread.drain(..head_bytes);
                break request;
            }
            if self.unread.len() > MAX_HEAD_BYTES {
                return Err(NoRequest::Unreadable(431));
            }
            self.read_more().await?;
        };
        let body_bytes = body_length(&request)?;
        if request.header("expect").is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        while self.unread.len() < body_bytes {
            self.read_more().await?;
        }
        let rest = self.unread.split_off(body_bytes);
        request.body = std::mem::replace(&mut self.unread, rest);
        Ok(request)
    }

    /// Waits until the client closes the connection, whatever it sends before that.
    pub(super) async fn until_client_leaves(&mut self) {
        let mut ignored = [0; 512];
        while matches!(self.stream.read(&mut ignored).await, Ok(count) if count > 0) {}
    }

    async fn read_more(&mut self) -> io::Result<()> {
        self.unread.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Reads a head if it is complete, and tells how long it is.
fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(NoRequest::Unreadable(431)),
        Err(_) => return Err(NoRequest::Unreadable(400)),
    };
    let target = head.path.unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let named = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
    };
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query,
        headers: head.headers.iter().map(named).collect(),
        body: Vec::new(),
    };
    Ok(Some((request, head_bytes)))
}

fn body_length(request: &Request) -> Result<usize, NoRequest> {
    if request.header("transfer-encoding").is_some() {
        return Err(NoRequest::Unreadable(411));
    }
    let Some(text) = request.header("content-length") else { return Ok(0) };
    match text.parse() {
        Ok(length) if length <= MAX_BODY_BYTES => Ok(length),
        Ok(_) => Err(NoRequest::Unreadable(413)),
        Err(_) => Err(NoRequest::Unreadable(400)),
    }
}
