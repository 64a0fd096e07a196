//! The shelf: what the stand-in platform has in store, by key.
//!
//! Samples follow from their key; anything else may lie as a file in the fixtures directory.

use std::io;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::answer::Refusal;
use super::noise::Noise;
use super::samples::{self, Content, Sample};
use super::ticket::TicketImage;
use crate::domain::id::path_segment;
use crate::domain::resource::ResourceType;

/// How much of a fixture is looked at to tell its type.
const SNIFFED_BYTES: usize = 4096;

/// Everything the platform can hand out.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    fixtures: Option<PathBuf>,
}

/// One thing on the shelf.
#[derive(Debug)]
pub(super) struct Item {
    /// How it must be asked for; a fixture may be asked for either way.
    pub(super) kind: Option<ResourceType>,
    pub(super) mime: &'static str,
    pub(super) file_name: Option<String>,
    pub(super) size_bytes: u64,
    bytes: Bytewise,
}

#[derive(Debug)]
enum Bytewise {
    Made(Content),
    Fixture(PathBuf),
}

/// Reads a stretch of bytes piece by piece.
#[derive(Debug)]
pub(super) enum Reader {
    Fixed(Bytes),
    Noise { noise: Noise, left: Range<u64> },
    File { file: File, left_bytes: u64 },
}

impl Shelf {
    pub(super) fn new(fixtures: Option<PathBuf>) -> Self {
        Self { fixtures }
    }

    /// What lies under a key, if anything does.
    pub(super) async fn find(&self, key: &str) -> Option<Item> {
        match samples::bytes_of(key) {
            Some(sample) => Some(sample.into()),
            None => self.fixture(key).await,
        }
    }

    /// An image of a helpdesk ticket: a fixture `ticket-<ticket>-<msg>-<index>`, or one of a sample
    /// ticket.
    pub(super) async fn find_ticket_image(&self, wanted: &TicketImage) -> Result<Item, Refusal> {
        let TicketImage { ticket_id, msg_id, index } = wanted;
        if let Some(item) = self.fixture(&format!("ticket-{ticket_id}-{msg_id}-{}", index.unwrap_or(0))).await {
            return Ok(item);
        }
        wanted.sample().map(Item::from)
    }

    async fn fixture(&self, key: &str) -> Option<Item> {
        let path = self.fixtures.as_ref()?.join(path_segment(key)?);
        let mut file = File::open(&path).await.ok()?;
        let about = file.metadata().await.ok().filter(|about| about.is_file())?;
        let mut start = Vec::with_capacity(SNIFFED_BYTES);
        (&mut file).take(SNIFFED_BYTES as u64).read_to_end(&mut start).await.ok()?;
        Some(Item {
            kind: None,
            mime: infer::get(&start).map_or("application/octet-stream", |kind| kind.mime_type()),
            file_name: Some(key.to_owned()),
            size_bytes: about.len(),
            bytes: Bytewise::Fixture(path),
        })
    }
}

impl From<Sample> for Item {
    fn from(sample: Sample) -> Self {
        Self {
            kind: Some(sample.kind),
            mime: sample.mime,
            size_bytes: sample.size_bytes(),
            file_name: sample.file_name,
            bytes: Bytewise::Made(sample.content),
        }
    }
}

impl Item {
    /// Opens the bytes of a range, which must lie inside the item.
    pub(super) async fn open(self, range: Range<u64>) -> io::Result<Reader> {
        match self.bytes {
            Bytewise::Made(Content::Noise(noise)) => Ok(Reader::Noise { noise, left: range }),
            Bytewise::Made(Content::Fixed(bytes)) => {
                let place = |position| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Reader::Fixed(bytes.slice(place(range.start)..place(range.end))))
            }
            Bytewise::Fixture(path) => {
                let mut file = File::open(path).await?;
                file.seek(SeekFrom::Start(range.start)).await?;
                Ok(Reader::File { file, left_bytes: range.end - range.start })
            }
        }
    }
}

impl Reader {
    /// Replaces what is in `piece` by the next bytes, at most `limit`; nothing at the end.
    pub(super) async fn read(&mut self, piece: &mut Vec<u8>, limit: usize) -> io::Result<()> {
        piece.clear();
        match self {
            Self::Fixed(bytes) => {
                let taken = limit.min(bytes.len());
                piece.extend_from_slice(bytes.get(..taken).unwrap_or_default());
                bytes.advance(taken);
            }
            Self::Noise { noise, left } => {
                let taken = (left.end - left.start).min(limit as u64);
                noise.append(left.start..left.start + taken, piece);
                left.start += taken;
            }
            Self::File { file, left_bytes } => {
                let wanted = (*left_bytes).min(limit as u64);
                *left_bytes -= file.take(wanted).read_to_end(piece).await? as u64;
            }
        }
        Ok(())
    }
}
