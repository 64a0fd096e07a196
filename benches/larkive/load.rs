//! Load: requests down a few kept-alive connections, one after the other on each, and how long
//! every answer took. One thread, no HTTP library: the receiver is on the same machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::requests::Requests;

/// How an accepted delivery is answered.
const ACCEPTED: &[u8] = b"HTTP/1.1 200 ";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// Far more than an answer to a delivery has.
const LONGEST_ANSWER_BYTES: usize = 2048;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Load {
    /// When the first request went out.
    pub(crate) begun: Instant,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// Shortest first.
    latencies: Vec<Duration>,
}

impl Load {
    /// Answers.
    pub(crate) fn answered(&self) -> usize {
        self.latencies.len()
    }

    /// Answers in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.answered() as f64 / self.took.as_secs_f64()
    }

    /// How long the answers took, at most, of which this share came; in milliseconds.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let place = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

/// Sends requests until none is left or the time is up. Every answer has to be a 200.
pub(crate) fn fire(
    address: SocketAddr,
    requests: &Requests,
    connections: usize,
    within: Duration,
) -> anyhow::Result<Load> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.context("cannot connect to the server")?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let mut senders = JoinSet::new();
        for stream in streams {
            senders.spawn(send(stream, requests.clone(), next.clone(), begun + within));
        }
        let mut latencies = Vec::with_capacity(requests.len());
        while let Some(sent) = senders.join_next().await {
            latencies.append(&mut sent??);
        }
        let took = begun.elapsed();
        latencies.sort_unstable();
        Ok(Load { begun, took, latencies })
    })
}

async fn send(
    mut stream: TcpStream,
    requests: Requests,
    next: Arc<AtomicUsize>,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut buffer = [0; LONGEST_ANSWER_BYTES];
    let mut now = Instant::now();
    while now < until
        && let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
    {
        stream.write_all(request).await?;
        read_answer(&mut stream, &mut buffer).await?;
        let answered = Instant::now();
        latencies.push(answered - now);
        now = answered;
    }
    Ok(latencies)
}

/// Reads one answer to its end.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).unwrap_or_default()).await?;
        filled += read;
        let answer = buffer.get(..filled).unwrap_or_default();
        ensure!(read > 0, "the answer broke off: {:?}", String::from_utf8_lossy(answer));
        if is_whole(answer) {
            ensure!(answer.starts_with(ACCEPTED), "refused: {:?}", String::from_utf8_lossy(answer));
            return Ok(());
        }
    }
}

/// Whether the body is as long as the head says. Answers are short and mostly come in one piece.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(END_OF_HEAD.len()).position(|bytes| bytes == END_OF_HEAD) else { return false };
    let length = answer.get(..head).and_then(declared_length).unwrap_or(0);
    answer.len() >= head + END_OF_HEAD.len() + length
}

fn declared_length(head: &[u8]) -> Option<usize> {
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:")))?;
    std::str::from_utf8(line.get(15..)?).ok()?.trim().parse().ok()
}
