//! Answers: a status, headers and a body that is still to be sent.

use std::io;

use bytes::Bytes;
use serde_json::{Value, json};

use super::shelf::Reader;

/// What the platform says to a call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Values are bytes: file names travel in whatever encoding their sender liked.
    headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Reader,
    pub(super) size_bytes: u64,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a promised length.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By closing the connection.
    Close,
}

/// An error of the platform.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) msg: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: i64, msg: &str) -> Self {
        Self { status, code, msg: msg.to_owned() }
    }

    /// The error body of the platform's newer gateway.
    pub(super) fn answer(&self, log_id: &str) -> Answer {
        Answer::json(self.status, &json!({"code": self.code, "msg": self.msg, "error": {"log_id": log_id}}))
    }
}

impl From<io::Error> for Refusal {
    /// A fixture that cannot be read is an internal error, as it would be upstream.
    fn from(error: io::Error) -> Self {
        Self::new(500, 2200, &error.to_string())
    }
}

impl Answer {
    pub(super) fn new(status: u16, mime: &str, body: impl Into<Bytes>) -> Self {
        let bytes: Bytes = body.into();
        let size_bytes = bytes.len() as u64;
        Self { status, headers: Vec::new(), body: Reader::Fixed(bytes), size_bytes }.with("Content-Type", mime)
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    /// The same answer with other bytes.
    pub(super) fn carrying(mut self, body: Reader, size_bytes: u64) -> Self {
        self.body = body;
        self.size_bytes = size_bytes;
        self
    }

    /// The same answer with a header set.
    pub(super) fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same answer without a header.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The status line and the headers as they go over the wire.
    pub(super) fn head(&self, framing: Framing) -> Vec<u8> {
        let status = reqwest::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        let framed = match framing {
            Framing::Length(length) => format!("Content-Length: {length}\r\n\r\n"),
            Framing::Chunked => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
            Framing::Close => "Connection: close\r\n\r\n".to_owned(),
        };
        head.extend_from_slice(framed.as_bytes());
        head
    }
}
