//! Bodies of answers: the bytes as they come, or what is inside the content coding that they came in.
//!
//! Nobody asks for a coding, but gateways on the way put bodies into one all the same. It is undone
//! piece by piece, so that a body made to swell takes no more memory than any other; how much of it
//! is too much is up to whoever reads it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;
use tokio_util::io::StreamReader;

use super::answer::{Rejection, describe};
use crate::domain::download::Upstream;

/// How much of a coded body is undone at a time.
const PIECE_BYTES: usize = 32 << 10;
/// How much of a coding's name is repeated.
const MAX_NAME_CHARS: usize = 40;

/// The body of one answer.
pub(super) enum Body {
    /// As it comes over the wire.
    Plain(Wire),
    /// In a coding that is undone.
    Coded(Coded),
}

/// Bytes as they come over the wire: no wait for one is longer than the limit, and they are as many
/// as were promised.
pub(super) struct Wire {
    response: Response,
    idle_timeout: Duration,
    declared_bytes: Option<u64>,
    received: u64,
    /// Status and trace id, for what goes wrong.
    upstream: Upstream,
}

/// What is inside a coded body.
pub(super) struct Coded {
    coding: Coding,
    inside: Pin<Box<dyn AsyncRead + Send>>,
    idle_timeout: Duration,
    has_begun: bool,
    has_ended: bool,
    upstream: Upstream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Body {
    /// The body of an answer whose `headers` were taken out of it.
    ///
    /// # Errors
    /// It came in a coding that is not known, or broke off before it began.
    pub(super) async fn open(
        response: Response,
        headers: &HeaderMap,
        idle_timeout: Duration,
        upstream: &Upstream,
    ) -> Result<Self, Rejection> {
        let declared = headers.get(CONTENT_LENGTH);
        let declared_bytes = declared.and_then(|length| length.to_str().ok()?.parse().ok());
        let wire = Wire { response, idle_timeout, declared_bytes, received: 0, upstream: upstream.clone() };
        match coding_in(headers) {
            None => Ok(Self::Plain(wire)),
            Some(Ok(coding)) => Ok(Self::Coded(Coded::open(coding, wire).await?)),
            Some(Err(name)) => {
                let what = format!("the body came in the coding {name:?}, which nobody had asked for");
                Err(Rejection::not_a_file(upstream, what))
            }
        }
    }

    /// How long it is, if the head says so. What is said of a coded body is not its length.
    pub(super) fn declared_bytes(&self) -> Option<u64> {
        match self {
            Self::Plain(wire) => wire.declared_bytes,
            Self::Coded(_) => None,
        }
    }

    /// The next bytes; none when it is complete.
    ///
    /// # Errors
    /// What came before is not the whole.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        match self {
            Self::Plain(wire) => wire.chunk().await,
            Self::Coded(coded) => coded.chunk().await,
        }
    }
}

impl Wire {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        let next = timeout(self.idle_timeout, self.response.chunk()).await;
        let next = next.map_err(|_| silence(&self.upstream, self.idle_timeout))?;
        let bytes = next.map_err(|error| Rejection::broken(&self.upstream, describe(error)))?;
        self.received += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        match self.declared_bytes {
            Some(declared) if bytes.is_none() && declared != self.received => {
                let received = self.received;
                Err(Rejection::broken(&self.upstream, format!("{received} of {declared} bytes came")))
            }
            _ => Ok(bytes),
        }
    }

    fn into_reader(self) -> impl AsyncBufRead + Send {
        StreamReader::new(Box::pin(stream::try_unfold(self, |mut wire| async move {
            let bytes = wire.chunk().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(bytes.map(|bytes| (bytes, wire)))
        })))
    }
}

impl Coded {
    async fn open(coding: Coding, wire: Wire) -> Result<Self, Rejection> {
        let (idle_timeout, upstream) = (wire.idle_timeout, wire.upstream.clone());
        let mut coded = wire.into_reader();
        let inside: Pin<Box<dyn AsyncRead + Send>> = match coding {
            Coding::Gzip => {
                let mut inside = GzipDecoder::new(coded);
                inside.multiple_members(true);
                Box::pin(inside)
            }
            Coding::Brotli => Box::pin(BrotliDecoder::new(coded)),
            Coding::Deflate => {
                let start = coded.fill_buf().await;
                let start =
                    start.map_err(|error| cause(error, |error| Rejection::broken(&upstream, error.to_string())))?;
                if is_raw_deflate(start) {
                    Box::pin(DeflateDecoder::new(coded))
                } else {
                    Box::pin(ZlibDecoder::new(coded))
                }
            }
        };
        Ok(Self { coding, inside, idle_timeout, has_begun: false, has_ended: false, upstream })
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        if self.has_ended {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = timeout(self.idle_timeout, self.inside.read_buf(&mut piece)).await;
        let read = read.map_err(|_| silence(&self.upstream, self.idle_timeout))?;
        self.has_ended = !matches!(read, Ok(1..));
        match read {
            Ok(0) => Ok(None),
            Ok(_) => {
                self.has_begun = true;
                Ok(Some(piece.freeze()))
            }
            Err(error) => Err(cause(error, |error| self.damaged(&error))),
        }
    }

    /// What is wrong from its first byte on was never in this coding; all else is cut or damaged.
    fn damaged(&self, error: &io::Error) -> Rejection {
        let coding = self.coding.name();
        let is_wrong = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
        if is_wrong && !self.has_begun {
            let what = format!("the body is not in the coding {coding} that it came in: {error}");
            return Rejection::not_a_file(&self.upstream, what);
        }
        Rejection::broken(&self.upstream, format!("the body in the coding {coding} is cut or damaged: {error}"))
    }
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }
}

/// The coding that the headers name, or what they name if it is none that can be undone.
fn coding_in(headers: &HeaderMap) -> Option<Result<Coding, String>> {
    let named = headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let named = named.collect::<Vec<_>>().join(", ");
    match named.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => None,
        "gzip" | "x-gzip" => Some(Ok(Coding::Gzip)),
        "deflate" => Some(Ok(Coding::Deflate)),
        "br" => Some(Ok(Coding::Brotli)),
        _ => Some(Err(named.chars().take(MAX_NAME_CHARS).collect())),
    }
}

/// Whether what is called `deflate` comes without the zlib header that belongs to it, as some
/// servers send it. The header's first byte names the method, 8, and a window of at most 7.
fn is_raw_deflate(start: &[u8]) -> bool {
    start.first().is_some_and(|first| first & 0x0f != 8 || first >> 4 > 7)
}

fn silence(upstream: &Upstream, idle_timeout: Duration) -> Rejection {
    Rejection::broken(upstream, format!("no byte came for {} s", idle_timeout.as_secs_f32()))
}

/// What went wrong on the wire below a coding, or else with the coding itself.
fn cause(error: io::Error, otherwise: impl FnOnce(io::Error) -> Rejection) -> Rejection {
    error.downcast::<Rejection>().unwrap_or_else(otherwise)
}
