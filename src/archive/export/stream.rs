//! An export that somebody else takes as it is made: the body of an answer. It is made no faster
//! than it is taken, and ends when nobody takes it any more, or for long.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use super::tar::Tar;
use super::zip::Zip;
use super::{Export, Summary};

/// How much is handed over at once.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces may wait to be taken.
const PIECES: usize = 4;
/// How long a piece may wait: whoever takes none for so long has forgotten the download.
const TAKEN_WITHIN: Duration = Duration::from_secs(600);

/// The form of an export that is one stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A ZIP.
    Zip,
    /// A tar.
    Tar,
}

/// An export as a stream of bytes; `spool` is a directory for temporary files without a name. An
/// error ends the stream early, so that whoever takes it knows that it is not whole; damaged blobs
/// are no error and stand in its manifest.
///
/// # Errors
/// The stream's items: why it ends early.
pub fn stream(export: Export, form: Form, spool: &Path) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (pieces, taken) = mpsc::channel(PIECES);
    let spool = spool.to_owned();
    tokio::spawn(async move {
        let piece = BytesMut::with_capacity(PIECE_BYTES);
        let out = Pipe { pieces: pieces.clone(), piece, runtime: Handle::current() };
        let made = make(export, form, out, &spool).await;
        if let Err(error) = made {
            // Nobody takes it any more: then there is nobody to tell either.
            let _ = pieces.send(Err(io::Error::other(error))).await;
        }
    });
    unfold(taken, async |mut taken| taken.recv().await.map(|piece| (piece, taken)))
}

async fn make(export: Export, form: Form, out: Pipe, spool: &Path) -> anyhow::Result<Summary> {
    match form {
        Form::Tar => export.into_package(Tar::new(out), spool).await,
        Form::Zip => export.into_package(Zip::new(out, spool)?, spool).await,
    }
}

/// The end of the stream that is written to, on a thread that may wait.
struct Pipe {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
    runtime: Handle,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE_BYTES)).freeze();
        let sent = self.runtime.block_on(self.pieces.send_timeout(Ok(piece), TAKEN_WITHIN));
        sent.map_err(|unsent| match unsent {
            SendTimeoutError::Timeout(_) => io::ErrorKind::TimedOut.into(),
            SendTimeoutError::Closed(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_for_long_is_given_up() {
        let (pieces, _taken) = mpsc::channel(PIECES);
        let mut pipe = Pipe { pieces, piece: BytesMut::with_capacity(PIECE_BYTES), runtime: Handle::current() };
        let writing = tokio::task::spawn_blocking(move || pipe.write_all(&vec![7; (PIECES + 1) * PIECE_BYTES]));
        while !writing.is_finished() {
            tokio::time::advance(TAKEN_WITHIN).await;
        }
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
