//! Custody: which bytes the archive has, and what that makes of the resources that point to them.
//!
//! A resource points to a blob or to none, and has its bytes if that blob is not damaged: nothing else says so.
//! What becomes of a blob is written into its own row first; its resources follow in portions, in the same
//! transaction where they are few. Until the last one has followed the blob is `unsettled`, and where that takes more
//! than a portion a job stands for the rest: whoever was about to do it may fail, or end.

use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::requeue::{self, Portion, Subject};
use super::statements::is_usual;
use super::{Catalogue, CatalogueError, Transaction};
use crate::domain::digest::Digest;
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// How many resources follow their blob in one commit: the writer is held for milliseconds, however many point to
/// the same bytes.
const PORTION: u32 = 500;

/// What is wrong with a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// There are no bytes.
    Missing,
    /// There are other bytes, or none that can be read.
    Corrupt,
}

impl Loss {
    fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
        }
    }

    /// Why resources that have lost their bytes to it wait.
    #[must_use]
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::Missing => ReasonCode::BlobMissing,
            Self::Corrupt => ReasonCode::BlobCorrupt,
        }
    }
}

/// Bytes that lie in the store, seen as a whole at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) digest: &'a Digest,
    pub(super) size_bytes: u64,
    pub(super) mime: &'a str,
    pub(super) at: Timestamp,
}

/// The end of a claim that brought no bytes, as assignments to a row of `resources`: what has its bytes is stored,
/// what has none is due. No other statement sets a claimed resource back.
pub(super) const END_CLAIM: &str = "
    (state, stored_at, reason_code, upstream_http_status, upstream_code, upstream_msg, upstream_log_id) = (
        SELECT
            iif(b.stored_at IS NULL, 'pending', 'stored'),
            iif(b.stored_at IS NULL, NULL, COALESCE(resources.stored_at, b.stored_at)),
            iif(b.stored_at IS NULL, resources.reason_code, NULL),
            iif(b.stored_at IS NULL, resources.upstream_http_status, NULL),
            iif(b.stored_at IS NULL, resources.upstream_code, NULL),
            iif(b.stored_at IS NULL, resources.upstream_msg, NULL),
            iif(b.stored_at IS NULL, resources.upstream_log_id, NULL)
        FROM (SELECT 1)
        LEFT JOIN blobs AS b ON b.blob_row_id = resources.blob_row_id AND b.damage IS NULL
    ),
    lease_owner = NULL,
    lease_until = NULL";

/// Takes bytes into custody. A blob that is known was verified again; one that was damaged stays so until
/// [`heal`].
pub(super) async fn keep(transaction: &mut Transaction, seen: &[Seen<'_>]) -> Result<(), CatalogueError> {
    if seen.is_empty() {
        return Ok(());
    }
    let mut insert =
        QueryBuilder::<Sqlite>::new("INSERT INTO blobs (digest, size_bytes, mime, stored_at, verified_at) ");
    insert.push_values(seen, |mut row, seen| {
        row.push_bind(seen.digest.as_bytes().as_slice())
            .push_bind(i64::try_from(seen.size_bytes).unwrap_or(i64::MAX))
            .push_bind(seen.mime)
            .push_bind(seen.at.unix_ms())
            .push_bind(seen.at.unix_ms());
    });
    insert.push(" ON CONFLICT (digest) DO UPDATE SET verified_at = excluded.verified_at");
    insert.build().persistent(is_usual(seen.len())).execute(transaction.connection()).await?;
    Ok(())
}

/// Notes that bytes are back that had been damaged, for everything that points to them. More may be left to
/// [`settle`] than a first portion.
pub(super) async fn heal(
    transaction: &mut Transaction,
    blobs: &[i64],
    at: Timestamp,
) -> Result<Portion, CatalogueError> {
    sqlx::query(
        "UPDATE blobs SET damage = NULL, damaged_at = NULL, stored_at = ?1, unsettled = 1
         WHERE blob_row_id IN (SELECT value FROM json_each(?2)) AND damage IS NOT NULL",
    )
    .bind(at.unix_ms())
    .bind(serde_json::Value::from(blobs).to_string())
    .execute(transaction.connection())
    .await?;
    settle_first(transaction, at).await
}

/// Notes that somebody has read bytes as a whole and found them right.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn note_verified(catalogue: &Catalogue, digest: &Digest, at: Timestamp) -> Result<(), CatalogueError> {
    sqlx::query("UPDATE blobs SET verified_at = ? WHERE digest = ? AND damage IS NULL")
        .bind(at.unix_ms())
        .bind(digest.as_bytes().as_slice())
        .execute(catalogue.write()?)
        .await?;
    Ok(())
}

/// Notes that bytes are missing or wrong. Everything that points to them is due when this returns; what is being
/// fetched again goes on, and has no bytes to fall back to. Returns how many resources have lost their bytes.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn lose(catalogue: &Catalogue, digest: &Digest, loss: Loss, at: Timestamp) -> Result<u64, CatalogueError> {
    let mut transaction = catalogue.begin().await?;
    sqlx::query("UPDATE blobs SET damage = ?, damaged_at = ?, unsettled = 1 WHERE digest = ? AND damage IS NULL")
        .bind(loss.as_str())
        .bind(at.unix_ms())
        .bind(digest.as_bytes().as_slice())
        .execute(transaction.connection())
        .await?;
    let first = settle_first(&mut transaction, at).await?;
    transaction.commit().await?;
    Ok(first.count + if first.is_full { settle(catalogue).await? } else { 0 })
}

/// Has a first portion follow, and asks for the rest if there is one.
async fn settle_first(transaction: &mut Transaction, now: Timestamp) -> Result<Portion, CatalogueError> {
    let first = settle_next(transaction).await?;
    if first.count >= u64::from(PORTION) {
        requeue::add(transaction, None, &Subject::Blobs, now).await?;
    }
    Ok(first)
}

/// Has all resources follow what became of their blobs. Returns how many did.
///
/// # Errors
/// If the catalogue cannot be written.
pub async fn settle(catalogue: &Catalogue) -> Result<u64, CatalogueError> {
    let mut settled = 0;
    loop {
        let mut transaction = catalogue.begin().await?;
        let portion = settle_next(&mut transaction).await?;
        transaction.commit().await?;
        settled += portion.count;
        if !portion.is_full {
            return Ok(settled);
        }
    }
}

/// Has a portion of resources follow what became of the blob that they share.
///
/// # Errors
/// If SQLite fails.
pub async fn settle_next(transaction: &mut Transaction) -> Result<Portion, CatalogueError> {
    let unsettled =
        sqlx::query("SELECT blob_row_id, damage FROM blobs WHERE unsettled = 1 ORDER BY blob_row_id LIMIT 1");
    let Some(row) = unsettled.fetch_optional(transaction.connection()).await? else {
        return Ok(Portion::default());
    };
    let (blob, damage): (i64, Option<String>) = (row.try_get("blob_row_id")?, row.try_get("damage")?);
    let follow = if damage.is_some() { TAKE_BACK } else { GIVE_BACK };
    let followed = sqlx::query(follow).bind(blob).bind(PORTION).execute(transaction.connection()).await?;
    let count = followed.rows_affected();
    if count < u64::from(PORTION) {
        let done = sqlx::query("UPDATE blobs SET unsettled = 0 WHERE blob_row_id = ?");
        done.bind(blob).execute(transaction.connection()).await?;
    }
    // Another blob may be unsettled as well.
    Ok(Portion::unfinished(count))
}

/// What promised a damaged blob's bytes is due. The pointer stays: whoever tries it looks in the store first.
const TAKE_BACK: &str = "UPDATE resources
    SET state = iif(state = 'running', 'running', 'pending'), stored_at = NULL,
        reason_code = (SELECT 'blob_' || b.damage FROM blobs AS b WHERE b.blob_row_id = ?1),
        next_attempt_at = NULL, failures = 0, failures_alike = 0, rate_waits = 0, failing_since = NULL
    WHERE resource_row_id IN (
        SELECT resource_row_id FROM resources WHERE blob_row_id = ?1 AND stored_at IS NOT NULL LIMIT ?2
    )";

/// What points to a healed blob is stored, whatever it had come to meanwhile; a try that runs goes on.
const GIVE_BACK: &str = "UPDATE resources
    SET state = 'stored', stored_at = (SELECT b.stored_at FROM blobs AS b WHERE b.blob_row_id = ?1),
        reason_code = NULL, upstream_http_status = NULL, upstream_code = NULL, upstream_msg = NULL,
        upstream_log_id = NULL, next_attempt_at = NULL, failures = 0, failures_alike = 0, rate_waits = 0,
        failing_since = NULL
    WHERE resource_row_id IN (
        SELECT resource_row_id FROM resources
        WHERE blob_row_id = ?1 AND stored_at IS NULL AND state <> 'running' LIMIT ?2
    )";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalogue::changes::changes;
    use crate::catalogue::endings::{self, Ending, Finished};
    use crate::catalogue::jobs::{self, Kind};
    use crate::catalogue::listing::resource::{Resource, find};
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};
    use crate::catalogue::resources::{Lease, Take, claim_one, reclaim_expired, reclaim_of};
    use crate::catalogue::{by_hand, statistics};
    use crate::domain::download::{State, Upstream};
    use crate::domain::id::ResourceId;

    const OWNER: &str = "serve";

    fn digest() -> Digest {
        Digest::from([0x0f; 32])
    }

    fn lease() -> Lease<'static> {
        Lease { owner: OWNER, until: noon() }
    }

    async fn add(seeded: &Seeded, key: &str) -> ResourceId {
        seeded.add(key, Seed::stored(&digest().to_string(), 68)).await
    }

    async fn standing(seeded: &Seeded, id: ResourceId) -> Resource {
        find(&seeded.catalogue, id).await.unwrap().unwrap()
    }

    async fn claim(seeded: &Seeded, id: ResourceId) {
        let write = seeded.catalogue.write().unwrap();
        claim_one(write, id, Take::Anyway, lease(), noon()).await.unwrap().unwrap();
    }

    async fn end(seeded: &Seeded, id: ResourceId, ending: Ending) -> Portion {
        let finished = Finished {
            id,
            app_id: "cli_a".parse().unwrap(),
            message_id: None,
            started_at: noon(),
            ended_at: noon().after(Duration::from_secs(3_600)),
            unrecorded: ending.clone(),
            ending,
        };
        let mut transaction = seeded.catalogue.begin().await.unwrap();
        let healed = endings::record(&mut transaction, OWNER, &[finished]).await.unwrap();
        transaction.commit().await.unwrap();
        healed
    }

    fn stored() -> Ending {
        let (mime, file_name, asked) = ("image/png".to_owned(), None, None);
        Ending::Stored { digest: digest(), size_bytes: 68, mime, file_name, asked }
    }

    async fn blobs(seeded: &Seeded) -> u64 {
        statistics::statistics(&seeded.catalogue).await.unwrap().blobs
    }

    /// Every way in which a claim ends without bytes.
    const WAYS: usize = 7;

    async fn end_without_bytes(seeded: &Seeded, id: ResourceId, way: usize) {
        let write = seeded.catalogue.write().unwrap();
        let (reason, upstream, next_attempt_at) = (ReasonCode::UpstreamError, Upstream::default(), noon());
        match way {
            0 => {
                end(seeded, id, Ending::Released).await;
            }
            1 => {
                end(seeded, id, Ending::Failed { reason, upstream, next_attempt_at }).await;
            }
            2 => {
                end(seeded, id, Ending::RateLimited { upstream, next_attempt_at }).await;
            }
            3 => {
                end(seeded, id, Ending::Ended { reason: ReasonCode::MessageDeleted, upstream }).await;
            }
            4 => by_hand::give_back(write, id, OWNER).await.unwrap(),
            5 => {
                reclaim_of(write, OWNER).await.unwrap();
            }
            _ => {
                reclaim_expired(write, noon().after(Duration::from_secs(1))).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_try_without_bytes_never_makes_a_damaged_resource_stored() {
        for way in 0..WAYS {
            let seeded = Seeded::new().await;
            let id = add(&seeded, "img_1").await;
            claim(&seeded, id).await;
            end_without_bytes(&seeded, id, way).await;
            let kept = standing(&seeded, id).await;
            assert_eq!((kept.state, kept.reason_code), (State::Stored, None), "it has its bytes, {way}");

            // Found while somebody fetches it again, and while nobody does.
            for claimed_before in [true, false] {
                if claimed_before {
                    claim(&seeded, id).await;
                }
                lose(&seeded.catalogue, &digest(), Loss::Corrupt, noon()).await.unwrap();
                if !claimed_before {
                    claim(&seeded, id).await;
                }
                end_without_bytes(&seeded, id, way).await;
                let lost = standing(&seeded, id).await;
                assert_ne!(lost.state, State::Stored, "{way}");
                assert_eq!((lost.stored_at, lost.blob_path, lost.sha256), (None, None, Some(digest())), "{way}");
            }
            assert_eq!(blobs(&seeded).await, 0, "{way}");
        }
    }

    #[tokio::test]
    async fn bytes_that_come_back_for_one_are_back_for_all() {
        let seeded = Seeded::new().await;
        let (gone, waits) = (add(&seeded, "img_1").await, add(&seeded, "img_2").await);
        let (runs, fetched) = (add(&seeded, "img_3").await, add(&seeded, "img_4").await);
        let lost = lose(&seeded.catalogue, &digest(), Loss::Missing, noon()).await.unwrap();
        assert_eq!((lost, blobs(&seeded).await), (4, 0));
        for id in [gone, waits, runs, fetched] {
            let standing = standing(&seeded, id).await;
            assert_eq!((standing.state, standing.reason_code), (State::Pending, Some(ReasonCode::BlobMissing)));
        }
        claim(&seeded, gone).await;
        let refused = Ending::Ended { reason: ReasonCode::MessageDeleted, upstream: Upstream::default() };
        end(&seeded, gone, refused).await;
        claim(&seeded, runs).await;
        claim(&seeded, fetched).await;

        let before = changes(&seeded.catalogue, 0, 100).await.unwrap().next_after;
        assert_eq!(end(&seeded, fetched, stored()).await.count, 2);
        for id in [gone, waits, fetched] {
            let standing = standing(&seeded, id).await;
            assert_eq!((standing.state, standing.reason_code, standing.upstream), (State::Stored, None, None));
            assert!(standing.stored_at > Some(noon()) && standing.blob_path.is_some());
        }
        assert_eq!(changes(&seeded.catalogue, before, 100).await.unwrap().items.len(), 3, "all of them are told");
        assert_eq!(standing(&seeded, runs).await.state, State::Running);
        end(&seeded, runs, Ending::Released).await;
        assert_eq!(standing(&seeded, runs).await.state, State::Stored, "its bytes came meanwhile");
        assert_eq!(blobs(&seeded).await, 1);
    }

    #[tokio::test]
    async fn many_resources_follow_their_blob_in_portions_whoever_goes_on_with_them() {
        let many = u64::from(PORTION) * 2 + 1;
        let seeded = Seeded::new().await;
        add(&seeded, "img_0").await;
        let sql = format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many} - 1)
             INSERT INTO resources (app_id, source, owner, type, key, role, state, listed_at, seen_at, stored_at,
                 blob_row_id, size_bytes)
             SELECT 'cli_a', 'image', '', '', 'img_' || i, 'image', 'stored', i, i, i, 1, 68 FROM n"
        );
        let write = seeded.catalogue.write().unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(write).await.unwrap();
        let changed = async |state: State| -> i64 {
            let count = sqlx::query_scalar("SELECT COUNT(*) FROM resources WHERE state = ?").bind(state.as_str());
            count.fetch_one(seeded.catalogue.read()).await.unwrap()
        };
        // A process that ends after its first portion.
        sqlx::query("UPDATE blobs SET damage = 'corrupt', damaged_at = 1, unsettled = 1").execute(write).await.unwrap();
        let mut transaction = seeded.catalogue.begin().await.unwrap();
        assert!(settle_next(&mut transaction).await.unwrap().is_full);
        transaction.commit().await.unwrap();
        assert_eq!(changed(State::Pending).await, i64::from(PORTION));
        assert_eq!(settle(&seeded.catalogue).await.unwrap(), many - u64::from(PORTION));
        assert_eq!((changed(State::Stored).await, settle(&seeded.catalogue).await.unwrap()), (0, 0));

        let id = ResourceId(1);
        claim(&seeded, id).await;
        assert_eq!(end(&seeded, id, stored()).await, Portion::unfinished(u64::from(PORTION)));
        settle(&seeded.catalogue).await.unwrap();
        assert_eq!(changed(State::Stored).await, i64::try_from(many).unwrap());
        assert_eq!(lose(&seeded.catalogue, &digest(), Loss::Missing, noon()).await.unwrap(), many);
    }

    #[tokio::test]
    async fn what_had_not_followed_its_blob_when_the_catalogue_failed_waited_for_the_next_start() {
        let seeded = Seeded::new().await;
        for key in 0..PORTION + 2 {
            add(&seeded, &format!("img_{key}")).await;
        }
        let count = async |state: State| -> i64 {
            let count = sqlx::query_scalar("SELECT COUNT(*) FROM resources WHERE state = ?").bind(state.as_str());
            count.fetch_one(seeded.catalogue.read()).await.unwrap()
        };
        lose(&seeded.catalogue, &digest(), Loss::Missing, noon()).await.unwrap();
        assert_eq!(count(State::Stored).await, 0);
        claim(&seeded, ResourceId(1)).await;
        // The first portion only, as if the catalogue had failed after it.
        end(&seeded, ResourceId(1), stored()).await;
        assert_eq!(count(State::Stored).await, i64::from(PORTION) + 1);
        while let Some(job) = jobs::claim(&seeded.catalogue, Kind::Requeue, lease(), noon()).await.unwrap() {
            let mut transaction = seeded.catalogue.begin().await.unwrap();
            let portion = requeue::requeue_next(&mut transaction, &job).await.unwrap();
            jobs::settle(transaction, &job, &portion.outcome(), noon()).await.unwrap();
        }
        let unsettled = sqlx::query_scalar("SELECT COUNT(*) FROM blobs WHERE unsettled = 1");
        let unsettled: i64 = unsettled.fetch_one(seeded.catalogue.read()).await.unwrap();
        assert_eq!((count(State::Stored).await, unsettled), (i64::from(PORTION) + 2, 0));
    }

    #[tokio::test]
    async fn a_blob_tells_when_it_was_last_read_as_a_whole() {
        let seeded = Seeded::new().await;
        let id = add(&seeded, "img_1").await;
        let verified = async || -> i64 {
            let at = sqlx::query_scalar("SELECT verified_at FROM blobs");
            at.fetch_one(seeded.catalogue.read()).await.unwrap()
        };
        let first = verified().await;
        claim(&seeded, id).await;
        end(&seeded, id, stored()).await;
        let published = verified().await;
        assert!(published > first);
        note_verified(&seeded.catalogue, &digest(), noon().after(Duration::from_secs(7_200))).await.unwrap();
        assert!(verified().await > published);
    }
}
