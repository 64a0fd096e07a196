//! The bytes of a blob as the body of an answer: right as far as that can be known before they are sent.
//!
//! Somebody else's disk may have changed them since they were archived. Whoever takes an answer for whole shall
//! have what was archived, and nothing else.

use std::io::{self, Read as _};

use actix_web::body::SizedStream;
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;

use crate::archive::damage::Examiner;
use crate::blob::checked::{BlobRange, CheckedBlob, Damage};
use crate::blocking::BlockingShare;
use crate::domain::digest::Digest;
use crate::domain::error::chain;

/// Bytes read at once: few system calls, little memory for each download in flight.
const CHUNK_BYTES: usize = 64 * 1024;
/// What is no larger is read as a whole, and known to be right, before any of it is sent. It takes no more memory
/// than a download in flight, which holds two chunks.
const SMALL_BYTES: u64 = 2 * CHUNK_BYTES as u64;

/// Readers of blobs at once, for whoever shows or sends them: on a disk that hangs, others still need threads that
/// may wait.
pub(super) static READERS: BlockingShare = BlockingShare::of(64);

/// A blob that is about to be sent.
pub(super) enum BlobBody {
    /// All of its bytes, which are right.
    Small(Bytes),
    /// One that has as many bytes as it should.
    Large(Box<Reading>),
}

/// A blob that is being read.
pub(super) struct Reading {
    blob: CheckedBlob,
    /// What was read last and is not sent yet.
    held: Option<Bytes>,
    examiner: Examiner,
    digest: Digest,
    size_bytes: u64,
}

impl BlobBody {
    /// Opens a blob, and reads it if it is small.
    ///
    /// # Errors
    /// If it is damaged, as far as it was looked at, or cannot be read.
    pub(super) async fn open(examiner: &Examiner, digest: Digest, size_bytes: u64) -> Result<Self, Damage> {
        let examiner = examiner.clone();
        let open = move || {
            let mut blob = examiner.blobs().open(digest, size_bytes)?;
            if size_bytes > SMALL_BYTES {
                let reading = Reading { blob, held: None, examiner, digest, size_bytes };
                return Ok(Self::Large(Box::new(reading)));
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = next_chunk(&mut blob)? {
                bytes.extend_from_slice(&chunk);
            }
            Ok(Self::Small(bytes.into()))
        };
        READERS.run(open).await?
    }

    /// An answer with all of its bytes.
    pub(super) fn send_whole(self, response: &mut HttpResponseBuilder) -> HttpResponse {
        match self {
            Self::Small(bytes) => response.body(bytes),
            Self::Large(reading) => response.body(SizedStream::new(reading.size_bytes, checked(*reading))),
        }
    }

    /// An answer with its bytes from the first to the last position, both included.
    pub(super) fn send_range(self, response: &mut HttpResponseBuilder, first: u64, last: u64) -> HttpResponse {
        match self {
            Self::Small(bytes) => response.body(piece(&bytes, first, last)),
            Self::Large(reading) => {
                let length = last - first + 1;
                response.body(SizedStream::new(length, unchecked(reading.blob.into_range(first, length))))
            }
        }
    }
}

/// The next bytes of a blob; none where everything came and was right.
fn next_chunk(blob: &mut CheckedBlob) -> Result<Option<Bytes>, Damage> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let count = blob.read(&mut chunk)?;
    chunk.truncate(count);
    Ok((count > 0).then(|| chunk.into()))
}

/// The bytes of a whole blob. The last of them are only sent once all have turned out to be right: otherwise the
/// answer breaks off, and nobody takes it for whole.
fn checked(reading: Reading) -> impl Stream<Item = io::Result<Bytes>> {
    unfold(Some(reading), async |reading| match send_next(reading?).await {
        Ok((chunk, reading)) => chunk.map(|chunk| (Ok(chunk), reading)),
        Err(error) => Some((Err(error), None)),
    })
}

async fn send_next(mut reading: Reading) -> io::Result<(Option<Bytes>, Option<Reading>)> {
    loop {
        let (blob, read) = {
            let mut blob = reading.blob;
            let read = move || {
                let read = next_chunk(&mut blob);
                (blob, read)
            };
            READERS.run(read).await?
        };
        reading.blob = blob;
        match read {
            Ok(None) => return Ok((reading.held, None)),
            Ok(Some(chunk)) => {
                if let Some(held) = reading.held.replace(chunk) {
                    return Ok((Some(held), Some(reading)));
                }
            }
            Err(damage) => {
                let Reading { examiner, digest, size_bytes, .. } = reading;
                if let Err(error) = examiner.examine(digest, size_bytes).await {
                    tracing::error!(blob.sha256 = %digest, error = %chain(&error), "Cannot note that a blob is damaged");
                }
                return Err(io::Error::other(damage));
            }
        }
    }
}

/// The bytes of a part of a blob, as they are.
fn unchecked(range: BlobRange) -> impl Stream<Item = io::Result<Bytes>> {
    unfold(Some(range), async |range| match next_piece(range?).await {
        Ok((piece, range)) => (!piece.is_empty()).then_some((Ok(piece), Some(range))),
        Err(error) => Some((Err(error), None)),
    })
}

/// The next bytes of a part of a blob; none at its end.
async fn next_piece(mut range: BlobRange) -> io::Result<(Bytes, BlobRange)> {
    let read = move || {
        let mut piece = vec![0; CHUNK_BYTES];
        let count = range.read(&mut piece)?;
        piece.truncate(count);
        Ok((piece.into(), range))
    };
    READERS.run(read).await?
}

fn piece(bytes: &Bytes, first: u64, last: u64) -> Bytes {
    let place = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(place(first)..place(last + 1))
}
