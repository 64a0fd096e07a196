//! Delivery: how an answer goes over the wire, whole or broken as a fault wants it.

use std::io;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::answer::{Answer, Framing};
use super::faults::{Action, RangeFault};
use super::wire::Connection;
use crate::domain::digest::Digest;

/// How much of a body is sent at a time.
const PIECE_BYTES: u64 = 64 << 10;
/// What bytes that nobody promised look like.
const SURPLUS_BYTE: u8 = b'+';

/// What was sent of an answer so far; stays true when sending ends early.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) status: Option<u16>,
    pub(super) bytes: u64,
    hasher: Option<Sha256>,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It waits for the next request.
    NextRequest,
    /// It is closed.
    Close,
}

/// How far an answer gets.
#[derive(Debug, Clone, Copy)]
enum Reach {
    /// Not even its status line is sent.
    Nothing,
    /// Its head and so many bytes of its body.
    Bytes(u64),
    /// All of it.
    Everything,
}

/// What follows the last byte that is sent.
#[derive(Debug, Clone, Copy)]
enum Ending {
    KeepAlive,
    Close,
    Reset,
    Stall,
}

/// A fault, as far as it concerns the wire.
#[derive(Debug)]
struct Plan {
    framing: Framing,
    reach: Reach,
    surplus_bytes: u64,
    piece_bytes: u64,
    pause: Duration,
    ending: Ending,
}

impl Delivered {
    /// Counts bytes, and hashes them as well.
    pub(super) fn hashing() -> Self {
        Self { hasher: Some(Sha256::new()), ..Self::default() }
    }

    /// The SHA-256 of what was sent, if it was hashed.
    pub(super) fn digest(self) -> Option<Digest> {
        self.hasher.map(|hasher| Digest::from(<[u8; 32]>::from(hasher.finalize())))
    }

    fn count(&mut self, sent: &[u8]) {
        self.bytes += sent.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(sent);
        }
    }
}

/// Sends an answer as far and as well as the action lets it.
pub(super) async fn deliver(
    connection: &mut Connection,
    answer: Answer,
    action: &Action,
    delivered: &mut Delivered,
) -> io::Result<Then> {
    let plan = Plan::of(action, &answer);
    if !matches!(plan.reach, Reach::Nothing) {
        send(&mut connection.stream, answer, &plan, delivered).await?;
    }
    match plan.ending {
        Ending::KeepAlive => return Ok(Then::NextRequest),
        Ending::Close => connection.stream.shutdown().await?,
        Ending::Reset => connection.stream.set_zero_linger()?,
        Ending::Stall => connection.until_client_leaves().await,
    }
    Ok(Then::Close)
}

impl Plan {
    fn of(action: &Action, answer: &Answer) -> Self {
        let size_bytes = answer.size_bytes;
        let whole = Self {
            framing: Framing::Length(size_bytes),
            reach: Reach::Everything,
            surplus_bytes: 0,
            piece_bytes: PIECE_BYTES,
            pause: Duration::ZERO,
            ending: Ending::KeepAlive,
        };
        let up_to = |after: Option<u64>| after.map_or(Reach::Nothing, Reach::Bytes);
        match *action {
            Action::Hang => Self { reach: Reach::Nothing, ending: Ending::Stall, ..whole },
            Action::Stall { after } => Self { reach: Reach::Bytes(after), ending: Ending::Stall, ..whole },
            Action::Cut { after } => Self { reach: up_to(after), ending: Ending::Close, ..whole },
            Action::Reset { after } => Self { reach: up_to(after), ending: Ending::Reset, ..whole },
            Action::Surplus { bytes } => Self { surplus_bytes: bytes, ending: Ending::Close, ..whole },
            Action::Length { promise } => Self { framing: Framing::Length(promise), ending: Ending::Close, ..whole },
            Action::Unsized => Self { framing: Framing::Close, ending: Ending::Close, ..whole },
            Action::Chunked { cut_after: None } => Self { framing: Framing::Chunked, ..whole },
            Action::Chunked { cut_after: Some(after) } => {
                Self { framing: Framing::Chunked, reach: Reach::Bytes(after), ending: Ending::Close, ..whole }
            }
            Action::Drip { bytes, every_ms } => {
                Self { piece_bytes: bytes.clamp(1, PIECE_BYTES), pause: Duration::from_millis(every_ms), ..whole }
            }
            Action::Range(RangeFault::Overlong { bytes }) if answer.status == 206 => {
                Self { framing: Framing::Length(size_bytes.saturating_add(bytes)), surplus_bytes: bytes, ..whole }
            }
            _ => whole,
        }
    }
}

async fn send(stream: &mut TcpStream, mut answer: Answer, plan: &Plan, delivered: &mut Delivered) -> io::Result<()> {
    let mut left = if let Reach::Bytes(after) = plan.reach { after } else { u64::MAX };
    // The head waits for the first piece, so that a small answer is one packet.
    let mut outgoing = answer.head(plan.framing);
    delivered.status = Some(answer.status);
    let mut piece = Vec::new();
    loop {
        answer.body.read(&mut piece, left.min(plan.piece_bytes) as usize).await?;
        if piece.is_empty() {
            break;
        }
        if !plan.pause.is_zero() {
            flush(stream, &mut outgoing).await?;
            tokio::time::sleep(plan.pause).await;
        }
        if outgoing.is_empty() && plan.framing != Framing::Chunked {
            stream.write_all(&piece).await?;
        } else {
            frame(&mut outgoing, plan.framing, &piece);
            flush(stream, &mut outgoing).await?;
        }
        delivered.count(&piece);
        left -= piece.len() as u64;
    }
    if plan.framing == Framing::Chunked && matches!(plan.reach, Reach::Everything) {
        outgoing.extend_from_slice(b"0\r\n\r\n");
    }
    flush(stream, &mut outgoing).await?;
    send_surplus(stream, plan.surplus_bytes).await
}

fn frame(outgoing: &mut Vec<u8>, framing: Framing, piece: &[u8]) {
    if framing == Framing::Chunked {
        outgoing.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        outgoing.extend_from_slice(piece);
        outgoing.extend_from_slice(b"\r\n");
    } else {
        outgoing.extend_from_slice(piece);
    }
}

async fn flush(stream: &mut TcpStream, outgoing: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(outgoing).await?;
    outgoing.clear();
    Ok(())
}

async fn send_surplus(stream: &mut TcpStream, bytes: u64) -> io::Result<()> {
    let filler = [SURPLUS_BYTE; 4096];
    let mut left = bytes;
    while left > 0 {
        let taken = left.min(filler.len() as u64);
        stream.write_all(filler.get(..taken as usize).unwrap_or(&filler)).await?;
        left -= taken;
    }
    Ok(())
}
