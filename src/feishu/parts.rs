//! A file fetched as a row of ranges: one that is too large for one answer, or one of which an
//! answer broke off, now or in an earlier process.
//!
//! The platform refuses whole bodies over 100 MB (code 234037) but serves ranges of them. Every
//! part is compared with what was asked for: nothing else would tell that the file has changed
//! meanwhile, or that a part brought more or less than its range.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use super::answer::{Answer, Rejection};
use super::client::{Call, Client};
use super::code::Class;

/// How much is asked for at once. Each part counts as a call: 2 GiB are 64 of them.
const PART_BYTES: u64 = 32 * 1024 * 1024;
/// How often in a row a part may break before the download ends.
const MAX_SETBACKS: u32 = 3;
/// How often a download may break altogether: one that comes byte by byte would otherwise take as
/// many calls as it has bytes. What has come until then is kept for the next try.
const MAX_BREAKS: u32 = 16;

/// A file on its way in parts.
pub(super) struct Parts {
    client: Client,
    call: Call,
    /// The part that is being read.
    answer: Answer,
    /// How many bytes were handed out.
    position: u64,
    /// Where the current part ends, and where the file does.
    part_end: u64,
    total: u64,
    /// Failures since the last byte came.
    setbacks: u32,
    /// Failures since the first byte came.
    breaks: u32,
}

impl Parts {
    /// Asks for the first part: a 206 for [`Parts::new`], or the whole file after all.
    pub(super) async fn ask_for_first(client: &Client, call: &Call) -> Result<Answer, Rejection> {
        client.send(&Call { range: Some((0, PART_BYTES - 1)), ..call.clone() }).await
    }

    /// Begins with the answer to [`Parts::ask_for_first`].
    pub(super) fn new(client: Client, call: Call, first: Answer) -> Result<Self, Rejection> {
        let total = content_range(&first).map_or(0, |range| range.total);
        let part_end = total.min(PART_BYTES);
        check_part(&first, 0, part_end, total)?;
        Ok(Self { client, call, answer: first, position: 0, part_end, total, setbacks: 0, breaks: 0 })
    }

    /// Begins with an answer that holds the whole file of `total` bytes; if it breaks off, ranges
    /// bring the rest.
    pub(super) fn of_whole(client: Client, call: Call, whole: Answer, total: u64) -> Self {
        Self { client, call, answer: whole, position: 0, part_end: total, total, setbacks: 0, breaks: 0 }
    }

    /// Goes on at `position` in a file of `total` bytes; none if the platform does not hand out
    /// just that: it may know no ranges, or the file is another one now.
    pub(super) async fn from(client: Client, call: Call, position: u64, total: u64) -> Result<Option<Self>, Rejection> {
        let part_end = position.saturating_add(PART_BYTES).min(total);
        let range = Some((position, part_end.saturating_sub(1)));
        let answer = match client.send(&Call { range, ..call.clone() }).await {
            Err(rejection) if is_no_such_range(&rejection) => return Ok(None),
            answer => answer?,
        };
        if check_part(&answer, position, part_end, total).is_err() {
            return Ok(None);
        }
        Ok(Some(Self { client, call, answer, position, part_end, total, setbacks: 0, breaks: 0 }))
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The next bytes; none at the end of the last part. A part that breaks is asked for again from
    /// where it broke.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        loop {
            let room = self.part_end - self.position;
            match self.answer.chunk().await {
                Ok(Some(bytes)) if bytes.len() as u64 <= room => {
                    self.position += bytes.len() as u64;
                    self.setbacks = 0;
                    return Ok(Some(bytes));
                }
                Ok(Some(_)) => return Err(Rejection::broken(&self.answer.upstream, "a part is longer than its range")),
                Ok(None) if room > 0 => {
                    let rejection = Rejection::broken(&self.answer.upstream, "a part is shorter than its range");
                    self.recover(rejection).await?;
                }
                Ok(None) if self.position == self.total => return Ok(None),
                Ok(None) => self.open_next().await?,
                Err(rejection) => self.recover(rejection).await?,
            }
        }
    }

    async fn open_next(&mut self) -> Result<(), Rejection> {
        match self.open_part().await {
            Ok(()) => Ok(()),
            Err(rejection) => self.recover(rejection).await,
        }
    }

    /// Opens a part at the current position, unless the failure is final or one too many.
    async fn recover(&mut self, mut rejection: Rejection) -> Result<(), Rejection> {
        while self.may_go_on() && matches!(rejection.class, Class::Retry(_) | Class::RateLimited) {
            self.setbacks += 1;
            self.breaks += 1;
            match self.open_part().await {
                Ok(()) => return Ok(()),
                Err(next) => rejection = next,
            }
        }
        Err(rejection)
    }

    fn may_go_on(&self) -> bool {
        self.setbacks < MAX_SETBACKS && self.breaks < MAX_BREAKS && self.position < self.total
    }

    async fn open_part(&mut self) -> Result<(), Rejection> {
        let end = self.position.saturating_add(PART_BYTES).min(self.total);
        let range = Some((self.position, end.saturating_sub(1)));
        let answer = match self.client.send(&Call { range, ..self.call.clone() }).await {
            Err(rejection) if is_no_such_range(&rejection) => {
                return Err(Rejection::broken(&rejection.upstream, "the platform knows no such part of the file"));
            }
            answer => answer?,
        };
        check_part(&answer, self.position, end, self.total)?;
        (self.answer, self.part_end) = (answer, end);
        Ok(())
    }
}

/// Whether the platform says that the file has no such range.
fn is_no_such_range(rejection: &Rejection) -> bool {
    rejection.upstream.http_status == Some(StatusCode::RANGE_NOT_SATISFIABLE.as_u16())
}

#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: u64,
}

/// Refuses an answer that is not exactly the bytes from `start` up to `end` of a file of `total`.
fn check_part(answer: &Answer, start: u64, end: u64, total: u64) -> Result<(), Rejection> {
    let asked = ContentRange { first: start, last: end.saturating_sub(1), total };
    let is_part = answer.status() == StatusCode::PARTIAL_CONTENT && start < end;
    if !is_part || content_range(answer) != Some(asked) {
        return Err(Rejection::broken(&answer.upstream, "the answer is not the part that was asked for"));
    }
    if answer.declared_bytes().is_some_and(|declared| declared != end - start) {
        return Err(Rejection::broken(&answer.upstream, "the part's length is not that of its range"));
    }
    Ok(())
}

/// Reads `Content-Range: bytes <first>-<last>/<total>`.
fn content_range(answer: &Answer) -> Option<ContentRange> {
    let text = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some(ContentRange { first: first.parse().ok()?, last: last.parse().ok()?, total: total.parse().ok()? })
}
