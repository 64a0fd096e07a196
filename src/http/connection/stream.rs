//! One connection, as actix sees it: the bytes of one request, then silence until it is answered.
//!
//! What a client sends before its answers are fetched stays in the kernel, which makes the client
//! wait. So nobody can have more than one request answered at a time, nor answers pile up.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use super::head_end::HeadEnd;
use super::progress::{Progress, Turn};
use super::table::Member;

/// The largest head: a long search in the address and some cookies are a fourth of it.
const MAX_HEAD_BYTES: usize = 16 << 10;
const HEAD_TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Bytes read from the socket at once that may reach beyond a request.
const READ_AHEAD_BYTES: usize = 4 << 10;
/// Chunks are handed out in pieces of this size. Where they end is seen only by actix, so that this
/// much of further requests may come with them: a dozen.
const PIECE_BYTES: usize = 256;
/// How long the end of a connection waits for what a client still sends. If it were not read, the
/// client's system would throw the answer away.
const LINGER_FOR: Duration = Duration::from_secs(1);

/// A connection that hands out one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    member: Arc<Member>,
    /// What was read and not handed out yet.
    ahead: BytesMut,
    head_end: HeadEnd,
    head_bytes: usize,
    /// Whether a piece of a body was handed out that actix has not looked at yet.
    piece_is_out: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// A connection that was let in.
    pub(crate) fn new(socket: TcpStream, member: Arc<Member>) -> Self {
        Self {
            socket,
            member,
            ahead: BytesMut::new(),
            head_end: HeadEnd::default(),
            head_bytes: 0,
            piece_is_out: false,
            linger: None,
        }
    }

    /// Its place in the table.
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    fn progress(&self) -> &Progress {
        self.member.progress()
    }

    /// Hands out bytes of a head, up to its end.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if ready!(self.poll_ahead(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        self.progress().head_came(Instant::now());
        let at_most = self.ahead.len().min(buf.remaining());
        let end = self.head_end.find(&self.ahead[..at_most]);
        let bytes = end.unwrap_or(at_most);
        self.head_bytes += bytes;
        if self.head_bytes > MAX_HEAD_BYTES {
            return self.refuse_head();
        }
        self.hand_out(bytes, buf);
        if end.is_some() {
            self.head_bytes = 0;
            self.progress().head_ended();
        }
        Poll::Ready(Ok(()))
    }

    /// Answers a head that does not end. Nothing else is being written: every answer before it was
    /// fetched, or the head would not have been read.
    fn refuse_head(&mut self) -> Poll<io::Result<()>> {
        self.progress().close();
        // Whoever does not take these few bytes gets no answer.
        let _ = self.socket.try_write(HEAD_TOO_LARGE);
        Poll::Ready(Ok(()))
    }

    /// Hands out so many bytes of a body at most.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, left: u64) -> Poll<io::Result<()>> {
        let at_most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.remaining());
        let bytes = if self.ahead.is_empty() {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(at_most));
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
            let bytes = part.filled().len();
            buf.advance(bytes);
            bytes
        } else {
            let bytes = self.ahead.len().min(at_most);
            self.hand_out(bytes, buf);
            bytes
        };
        self.progress().body_came(bytes as u64, Instant::now());
        Poll::Ready(Ok(()))
    }

    /// Hands out a piece of a body of chunks, and nothing else before actix has looked at it.
    fn poll_piece(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.piece_is_out) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let bytes = ready!(self.poll_ahead(cx))?.min(PIECE_BYTES).min(buf.remaining());
        self.hand_out(bytes, buf);
        self.piece_is_out = true;
        self.progress().body_came(bytes as u64, Instant::now());
        Poll::Ready(Ok(()))
    }

    /// Reads ahead if nothing is there; how much is there then, which is nothing at the end.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ahead.is_empty() {
            self.ahead.reserve(READ_AHEAD_BYTES);
            let read = poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.ahead);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                self.ahead = BytesMut::new();
            }
            ready!(read)?;
        }
        Poll::Ready(Ok(self.ahead.len()))
    }

    fn hand_out(&mut self, bytes: usize, buf: &mut ReadBuf<'_>) {
        buf.put_slice(&self.ahead[..bytes]);
        self.ahead.advance(bytes);
        if self.ahead.is_empty() {
            // Connections that wait keep no memory.
            self.ahead = BytesMut::new();
        }
    }

    /// Reads what a client still sends, and forgets it, until it stops or time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timer = self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_FOR)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; READ_AHEAD_BYTES];
        loop {
            let mut rest = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                // Who is gone needs no further attention, however they went.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.progress().turn(cx) {
            Turn::Head => this.poll_head(cx, buf),
            Turn::Body(left) => this.poll_body(cx, buf, left),
            Turn::Chunks => this.poll_piece(cx, buf),
            Turn::Wait => Poll::Pending,
            Turn::End => Poll::Ready(Ok(())),
            Turn::Gone => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.progress().is_gone() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        match &written {
            Poll::Ready(_) => this.progress().wrote(Instant::now()),
            Poll::Pending => this.progress().blocked(cx),
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.progress().is_gone() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        }
        if this.progress().is_idle() { Poll::Ready(Ok(())) } else { this.poll_linger(cx) }
    }
}
