//! An export that somebody else takes as it is made: the body of an answer. It is made no faster
//! than it is taken, and ends when nobody takes it any more.

use std::io::{self, Write};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use super::tar::Tar;
use super::zip::Zip;
use super::{Export, Summary};

/// How much is handed over at once.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces may wait to be taken.
const PIECES: usize = 4;

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
        let out = Pipe { pieces: pieces.clone(), piece: BytesMut::with_capacity(PIECE_BYTES) };
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
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
