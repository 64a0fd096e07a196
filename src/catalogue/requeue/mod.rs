//! Requeueing: what had ended, or waits, is due again because its cause is gone. It is a job, so that however much it
//! is, it becomes due in portions, and the writer is held for milliseconds each.

pub mod cleared;
mod mended;

use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

pub(super) use self::mended::cleared_by_start;
use super::jobs::{self, Job, Kind, NewJob, Outcome};
use super::{CatalogueError, Transaction, custody, quotes};
use crate::domain::id::{AppId, ChatId};
use crate::domain::time::Timestamp;

/// How many resources, and how many quoted messages, become due at once: the writer is held for
/// milliseconds, however many a chat has blocked.
pub const BATCH: u32 = 500;

/// What an event clears waits for nobody, nor does what is shown as stored and has lost its bytes; what a start makes due may be the whole archive, and none of it is news.
const RANK_OF_EVENTS: u8 = 0;
const RANK_OF_STARTS: u8 = 1;

/// What is made due again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// What this chat of the app had blocked.
    Chat(ChatId),
    /// What waits for a ticket of the app.
    Ticket,
    /// What was blocked by the configuration or by this machine before a start.
    Start,
    /// What waits for its time after a failure of this machine.
    LocalFailures,
    /// Quoted messages that could not be had because of the configuration or on this machine before a start.
    QuotedMessages,
    /// What points to a blob that was lost or came back, where not all of it has followed yet.
    Blobs,
}

impl Subject {
    fn rank(&self) -> u8 {
        match self {
            Self::Chat(_) | Self::Ticket | Self::Blobs => RANK_OF_EVENTS,
            Self::Start | Self::LocalFailures | Self::QuotedMessages => RANK_OF_STARTS,
        }
    }
}

/// What became due at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Portion {
    /// How much it was.
    pub count: u64,
    /// Whether more may be left.
    pub is_full: bool,
    /// Its last row, where it is taken in the order of rows.
    through: i64,
}

impl Portion {
    /// A portion of so many, if one may have [`BATCH`] of them.
    #[must_use]
    pub(super) fn of(count: u64) -> Self {
        Self { count, is_full: count >= u64::from(BATCH), through: 0 }
    }

    /// A portion of so many after which there is more to look at.
    #[must_use]
    pub(super) fn unfinished(count: u64) -> Self {
        Self { count, is_full: true, through: 0 }
    }

    /// The portion that a statement has returned the numbers of.
    pub(super) fn read(rows: &[SqliteRow]) -> Result<Self, CatalogueError> {
        let mut portion = Self::of(rows.len() as u64);
        for row in rows {
            portion.through = portion.through.max(row.try_get(0)?);
        }
        Ok(portion)
    }

    /// Its last row, where it is taken in the order of rows.
    #[cfg(test)]
    pub(super) fn through(self) -> i64 {
        self.through
    }

    /// Both portions together.
    #[must_use]
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            is_full: self.is_full || other.is_full,
            through: self.through.max(other.through),
        }
    }

    /// How a step ended that has made this portion due.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self.is_full {
            true => Outcome::Continued { progress: self.through },
            false => Outcome::Done,
        }
    }
}

/// Asks for a subject of an app, or of every app, to be made due.
///
/// # Errors
/// If SQLite fails.
pub async fn add(
    transaction: &mut Transaction,
    app_id: Option<&AppId>,
    subject: &Subject,
    now: Timestamp,
) -> Result<(), CatalogueError> {
    let spelled = serde_json::json!(subject).to_string();
    let new = NewJob { kind: Kind::Requeue, app_id, subject: &spelled, rank: subject.rank() };
    jobs::add(transaction, new, now).await
}

/// Makes the next portion due of what a job is about.
///
/// # Errors
/// If SQLite fails, or the job is about nothing that this program knows.
pub async fn requeue_next(transaction: &mut Transaction, job: &Job) -> Result<Portion, CatalogueError> {
    let subject = serde_json::from_str(&job.subject).map_err(|error| job.bad_subject(error.to_string()))?;
    match (&subject, &job.app_id) {
        (Subject::Chat(chat_id), Some(app_id)) => cleared::requeue_next(transaction, app_id, chat_id).await,
        (Subject::Ticket, Some(app_id)) => mended::requeue_by_ticket(transaction, app_id, job.progress).await,
        (Subject::Start, _) => mended::requeue_by_start(transaction, job.progress).await,
        (Subject::LocalFailures, _) => mended::requeue_failed_here(transaction, job.progress).await,
        (Subject::QuotedMessages, _) => quotes::requeue_by_start(transaction, job.progress).await,
        (Subject::Blobs, _) => custody::settle_next(transaction).await,
        (Subject::Chat(_) | Subject::Ticket, None) => Err(job.bad_subject("it needs an app".to_owned())),
    }
}
