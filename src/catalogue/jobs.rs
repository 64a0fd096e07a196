//! Jobs: work that is done later, a step at a time. One way to ask for it, one claim, one way to settle.
//!
//! What a step changes and where its job stands afterwards are one transaction: neither a crash nor a catalogue that
//! fails can separate them.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, query::Query, sqlite::SqliteArguments};

use super::connections::Connections;
use super::resources::Lease;
use super::{Catalogue, CatalogueError, Transaction};
use crate::domain::id::AppId;
use crate::domain::time::Timestamp;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Makes due again what was blocked or waits (`requeue`).
    Requeue,
}

impl Kind {
    /// The name in the table and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requeue => "requeue",
        }
    }
}

/// Stands for the app where a job is about every app.
const EVERY_APP: &str = "";

/// A job that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// What is to be done.
    pub kind: Kind,
    /// The app that it is about; none where it is about every app.
    pub app_id: Option<&'a AppId>,
    /// What it is about, in the words of its kind.
    pub subject: &'a str,
    /// The lowest goes first.
    pub rank: u8,
}

/// A job that is claimed.
#[derive(Debug, Clone)]
pub struct Job {
    row: i64,
    /// Tells this claim from later ones.
    attempts: i64,
    /// The app that it is about; none where it is about every app.
    pub app_id: Option<AppId>,
    /// What it is about, in the words of its kind.
    pub subject: String,
    /// How far it has come.
    pub progress: i64,
    /// How often it has failed in a row.
    pub failures: u32,
}

impl Job {
    /// The error for a subject that its kind does not know.
    #[must_use]
    pub fn bad_subject(&self, message: String) -> CatalogueError {
        bad("subject", self.row, message)
    }
}

/// How a step of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// There is more to do, from here on.
    Continued {
        /// How far it has come.
        progress: i64,
    },
    /// Nothing was done.
    Failed {
        /// Why.
        error: String,
    },
}

/// The proof that a step was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled(());

/// Asks for a job. One that is there already starts anew, also if it is being worked on.
///
/// # Errors
/// If SQLite fails.
pub async fn add(transaction: &mut Transaction, new: NewJob<'_>, now: Timestamp) -> Result<(), CatalogueError> {
    sqlx::query(
        "INSERT INTO jobs (kind, app_id, subject, rank, due_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (kind, app_id, subject) DO UPDATE SET
             rank = MIN(rank, excluded.rank),
             due_at = MIN(due_at, excluded.due_at),
             progress = 0,
             asked_again = lease_owner IS NOT NULL",
    )
    .bind(new.kind.as_str())
    .bind(new.app_id.map_or(EVERY_APP, AppId::as_str))
    .bind(new.subject)
    .bind(new.rank)
    .bind(now.unix_ms())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Claims the next job of a kind that is due, if there is one: what failed stands behind all others. Whether there is one is asked without the write lock.
///
/// # Errors
/// If SQLite fails.
pub async fn claim(
    catalogue: &Catalogue,
    kind: Kind,
    lease: Lease<'_>,
    now: Timestamp,
) -> Result<Option<Job>, CatalogueError> {
    let any_due =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE kind = ? AND lease_owner IS NULL AND due_at <= ?)");
    if !any_due.bind(kind.as_str()).bind(now.unix_ms()).fetch_one(catalogue.read()).await? {
        return Ok(None);
    }
    let claimed = sqlx::query(
        "UPDATE jobs SET lease_owner = ?1, lease_until = ?2, attempts = attempts + 1, asked_again = 0
         WHERE job_row_id = (
             SELECT job_row_id
             FROM jobs
             WHERE kind = ?3 AND lease_owner IS NULL AND due_at <= ?4
             ORDER BY failures > 0, rank, due_at, job_row_id
             LIMIT 1
         )
         RETURNING job_row_id, attempts, app_id, subject, progress, failures",
    );
    let claimed = claimed.bind(lease.owner).bind(lease.until.unix_ms()).bind(kind.as_str()).bind(now.unix_ms());
    claimed.fetch_optional(catalogue.write()?).await?.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Job, CatalogueError> {
    let app_id: Option<&str> = Some(row.try_get("app_id")?).filter(|app_id| *app_id != EVERY_APP);
    let number = row.try_get("job_row_id")?;
    let app_id = app_id.map(|app_id| app_id.parse().map_err(|_| bad("app_id", number, "the id is empty".to_owned())));
    Ok(Job {
        row: number,
        attempts: row.try_get("attempts")?,
        app_id: app_id.transpose()?,
        subject: row.try_get("subject")?,
        progress: row.try_get("progress")?,
        failures: row.try_get("failures")?,
    })
}

/// Commits what a step of a job has changed, together with how it ended. What is due again stands behind others of its
/// rank. Of a job that was claimed again meanwhile, because its lease was over, the later claim decides.
///
/// # Errors
/// If SQLite fails; then nothing is changed.
pub async fn settle(
    mut transaction: Transaction,
    job: &Job,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Settled, CatalogueError> {
    if *outcome == Outcome::Done {
        let done = sqlx::query("DELETE FROM jobs WHERE job_row_id = ? AND attempts = ? AND asked_again = 0");
        of_claim(done, job).execute(transaction.connection()).await?;
    }
    // A job that is done and still there was asked for again, and starts anew.
    let (progress, error) = match outcome {
        Outcome::Done => (0, None),
        Outcome::Continued { progress } => (*progress, None),
        Outcome::Failed { error } => (job.progress, Some(error.as_str())),
    };
    let released = sqlx::query(
        "UPDATE jobs SET
             lease_owner = NULL,
             lease_until = NULL,
             due_at = ?3,
             progress = iif(asked_again, 0, ?4),
             asked_again = 0,
             failures = iif(?5 IS NULL, 0, failures + 1),
             last_error = ?5
         WHERE job_row_id = ?1 AND attempts = ?2",
    );
    let released = of_claim(released, job).bind(now.unix_ms()).bind(progress).bind(error);
    released.execute(transaction.connection()).await?;
    transaction.commit().await?;
    Ok(Settled(()))
}

fn of_claim<'q>(query: Query<'q, Sqlite, SqliteArguments>, job: &Job) -> Query<'q, Sqlite, SqliteArguments> {
    query.bind(job.row).bind(job.attempts)
}

/// Takes back what a dead owner had claimed. Returns how many there were.
///
/// # Errors
/// If SQLite fails.
pub async fn reclaim_of(write: &Connections, owner: &str) -> Result<u64, CatalogueError> {
    let update = sqlx::query("UPDATE jobs SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = ?");
    Ok(update.bind(owner).execute(write).await?.rows_affected())
}

/// Takes back claims whose lease is over. Returns how many there were.
///
/// # Errors
/// If SQLite fails.
pub async fn reclaim_expired(write: &Connections, now: Timestamp) -> Result<u64, CatalogueError> {
    let update = sqlx::query(
        "UPDATE jobs SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL AND lease_until < ?",
    );
    Ok(update.bind(now.unix_ms()).execute(write).await?.rows_affected())
}

fn bad(column: &'static str, row: i64, message: String) -> CatalogueError {
    CatalogueError::BadValue { table: "jobs", column, row, message }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalogue::listing::seed::{Seeded, noon};

    const MINUTE: Duration = Duration::from_secs(60);

    async fn add(seeded: &Seeded, subject: &str, rank: u8) {
        let mut transaction = seeded.catalogue.begin().await.unwrap();
        let new = NewJob { kind: Kind::Requeue, app_id: None, subject, rank };
        super::add(&mut transaction, new, noon()).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn claim(seeded: &Seeded, now: Timestamp) -> Option<Job> {
        let lease = Lease { owner: "serve", until: now.after(MINUTE) };
        super::claim(&seeded.catalogue, Kind::Requeue, lease, now).await.unwrap()
    }

    async fn settle(seeded: &Seeded, job: &Job, outcome: Outcome, now: Timestamp) {
        let transaction = seeded.catalogue.begin().await.unwrap();
        super::settle(transaction, job, &outcome, now).await.unwrap();
    }

    #[tokio::test]
    async fn the_lowest_rank_goes_first_and_equals_take_turns() {
        let seeded = Seeded::new().await;
        for (subject, rank) in [("start", 2), ("a", 1), ("b", 1)] {
            add(&seeded, subject, rank).await;
        }
        let mut order = Vec::new();
        for minute in 1..=6 {
            let now = noon().after(MINUTE * minute);
            let job = claim(&seeded, now).await.unwrap();
            let outcome = match job.progress {
                0 => Outcome::Continued { progress: 7 },
                _ => Outcome::Done,
            };
            settle(&seeded, &job, outcome, now).await;
            order.push(job.subject);
        }
        assert_eq!(order, ["a", "b", "a", "b", "start", "start"]);
        assert!(claim(&seeded, noon().after(MINUTE * 9)).await.is_none());
    }

    #[tokio::test]
    async fn what_is_asked_for_again_starts_anew_also_while_it_is_worked_on() {
        let seeded = Seeded::new().await;
        for outcome in [Outcome::Done, Outcome::Continued { progress: 9 }] {
            add(&seeded, "a", 0).await;
            let first = claim(&seeded, noon()).await.unwrap();
            settle(&seeded, &first, Outcome::Continued { progress: 5 }, noon()).await;
            let second = claim(&seeded, noon()).await.unwrap();
            assert_eq!(second.progress, 5);
            add(&seeded, "a", 0).await;
            settle(&seeded, &second, outcome, noon()).await;
            let third = claim(&seeded, noon()).await.unwrap();
            assert_eq!(third.progress, 0);
            settle(&seeded, &third, Outcome::Done, noon()).await;
            assert!(claim(&seeded, noon()).await.is_none());
        }
    }

    #[tokio::test]
    async fn a_failure_is_noted_and_forgotten_with_the_next_step() {
        let seeded = Seeded::new().await;
        add(&seeded, "a", 0).await;
        for failures in 0..2 {
            let job = claim(&seeded, noon()).await.unwrap();
            assert_eq!(job.failures, failures);
            settle(&seeded, &job, Outcome::Failed { error: "in trouble".to_owned() }, noon()).await;
        }
        let noted: String =
            sqlx::query_scalar("SELECT last_error FROM jobs").fetch_one(seeded.catalogue.read()).await.unwrap();
        assert_eq!(noted, "in trouble");
        let job = claim(&seeded, noon()).await.unwrap();
        settle(&seeded, &job, Outcome::Continued { progress: 1 }, noon()).await;
        assert_eq!(claim(&seeded, noon()).await.unwrap().failures, 0);
    }

    #[tokio::test]
    async fn a_job_that_failed_again_and_again_kept_every_lower_rank_from_its_turn() {
        let seeded = Seeded::new().await;
        add(&seeded, "fails", 0).await;
        add(&seeded, "start", 1).await;
        let mut order = Vec::new();
        for minute in 1..=4 {
            let now = noon().after(MINUTE * minute);
            let job = claim(&seeded, now).await.unwrap();
            let outcome = match job.subject.as_str() {
                "fails" => Outcome::Failed { error: "in trouble".to_owned() },
                _ => Outcome::Done,
            };
            settle(&seeded, &job, outcome, now).await;
            order.push(job.subject);
        }
        assert_eq!(order, ["fails", "start", "fails", "fails"]);
    }

    #[tokio::test]
    async fn a_claim_holds_until_its_lease_is_over_and_then_decides_nothing() {
        let seeded = Seeded::new().await;
        add(&seeded, "a", 0).await;
        let early = claim(&seeded, noon()).await.unwrap();
        assert!(claim(&seeded, noon()).await.is_none());
        let write = seeded.catalogue.write().unwrap();
        assert_eq!(reclaim_expired(write, noon()).await.unwrap(), 0);
        assert_eq!(reclaim_expired(write, noon().after(MINUTE * 2)).await.unwrap(), 1);
        let late = claim(&seeded, noon()).await.unwrap();
        settle(&seeded, &early, Outcome::Done, noon()).await;
        assert_eq!(reclaim_of(write, "another").await.unwrap(), 0);
        assert_eq!(reclaim_of(write, "serve").await.unwrap(), 1, "the early claim has not released the late one");
        settle(&seeded, &late, Outcome::Done, noon()).await;
        assert!(claim(&seeded, noon()).await.is_none());
    }
}
