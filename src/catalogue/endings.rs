//! Endings: how tries ended, recorded with the bytes they brought and in the history of their resource.
//!
//! Claiming is next door, in `resources`.

use std::collections::HashSet;

use sqlx::{QueryBuilder, Row, Sqlite};

use super::custody::{self, END_CLAIM, Seen};
use super::requeue::Portion;
use super::retry::json_list;
use super::statements::is_usual;
use super::{CatalogueError, Transaction, forwards};
use crate::domain::digest::Digest;
use crate::domain::download::{State, Upstream};
use crate::domain::id::{AppId, MessageId, ResourceId};
use crate::domain::reason::ReasonCode;
use crate::domain::time::Timestamp;

/// How many tries are kept for a resource; older ones go.
const TRIES_KEPT: u32 = 50;

/// How one try ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The resource.
    pub id: ResourceId,
    /// Its app, for the log.
    pub app_id: AppId,
    /// The message that it belongs to, if it belongs to one; for the log.
    pub message_id: Option<MessageId>,
    /// When the try began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it brought.
    pub ending: Ending,
    /// What stands in its place should the catalogue refuse it: a failure of ours.
    pub unrecorded: Ending,
}

/// What one try brought.
#[derive(Debug, Clone)]
pub enum Ending {
    /// The bytes are durable in the store.
    Stored {
        /// Their digest.
        digest: Digest,
        /// Their length.
        size_bytes: u64,
        /// Their type.
        mime: String,
        /// The name to show, if the message gave none.
        file_name: Option<String>,
        /// The message that handed them out, if it was one.
        asked: Option<MessageId>,
    },
    /// A forward's messages are listed: its row goes.
    Opened,
    /// A failure that will be tried again.
    Failed {
        /// Why.
        reason: ReasonCode,
        /// What the platform said.
        upstream: Upstream,
        /// When to try again.
        next_attempt_at: Timestamp,
    },
    /// The platform asked to wait; no attempt is counted.
    RateLimited {
        /// What the platform said.
        upstream: Upstream,
        /// When to ask again.
        next_attempt_at: Timestamp,
    },
    /// It ends here, in the state that its reason ends in.
    Ended {
        /// Why.
        reason: ReasonCode,
        /// What the platform said.
        upstream: Upstream,
    },
    /// Given back untried.
    Released,
}

impl Ending {
    /// The state that the resource is in now. An opened forward has done what it was for.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Stored { .. } | Self::Opened => State::Stored,
            Self::Failed { .. } | Self::RateLimited { .. } | Self::Released => State::Pending,
            Self::Ended { reason, .. } => reason.ends_in(),
        }
    }

    /// The result as histories and counters name it: the state, or `retry`.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self.state() {
            State::Pending => "retry",
            state => state.as_str(),
        }
    }

    /// Why it did not bring the bytes, if it was tried and did not.
    #[must_use]
    pub fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Stored { .. } | Self::Opened | Self::Released => None,
            Self::RateLimited { .. } => Some(ReasonCode::RateLimited),
            Self::Failed { reason, .. } | Self::Ended { reason, .. } => Some(*reason),
        }
    }

    /// What the platform said then.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        match self {
            Self::Stored { .. } | Self::Opened | Self::Released => None,
            Self::Failed { upstream, .. } | Self::RateLimited { upstream, .. } | Self::Ended { upstream, .. } => {
                Some(upstream)
            }
        }
    }

    fn next_attempt_at(&self) -> Option<Timestamp> {
        match self {
            Self::Failed { next_attempt_at, .. } | Self::RateLimited { next_attempt_at, .. } => Some(*next_attempt_at),
            Self::Stored { .. } | Self::Opened | Self::Ended { .. } | Self::Released => None,
        }
    }
}

/// Records the ends of tries. A claim whose lease went to somebody else is passed over. Returns how many other
/// resources have their damaged bytes back; [`custody::settle`] sees to the rest of them.
///
/// # Errors
/// If SQLite fails.
pub async fn record(
    transaction: &mut Transaction,
    owner: &str,
    finished: &[Finished],
) -> Result<Portion, CatalogueError> {
    let (mut released, mut opened, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for finished in finished {
        match finished.ending {
            Ending::Released => released.push(finished),
            Ending::Opened => opened.push(finished.id),
            _ => ended.push(finished),
        }
    }
    release(transaction, owner, &released).await?;
    forwards::remove_opened(transaction, owner, &opened).await?;
    if ended.is_empty() {
        return Ok(Portion::default());
    }
    // Bytes are in the store whoever holds the claim now.
    let seen: Vec<_> = ended.iter().filter_map(|finished| seen(finished)).collect();
    custody::keep(transaction, &seen).await?;
    let Updated { resources: ours, to_heal } = update_ended(transaction, owner, &ended).await?;
    let healed = match seen.iter().map(|seen| seen.at).max() {
        Some(at) if !to_heal.is_empty() => custody::heal(transaction, &to_heal, at).await?,
        _ => Portion::default(),
    };
    let ended: Vec<&Finished> = ended.into_iter().filter(|finished| ours.contains(&finished.id)).collect();
    insert_tries(transaction, &ended).await?;
    let is_stored = |finished: &&&Finished| matches!(finished.ending, Ending::Stored { .. });
    let stored: Vec<ResourceId> = ended.iter().filter(is_stored).map(|finished| finished.id).collect();
    forwards::link_twins_of(transaction, &stored).await?;
    Ok(healed)
}

async fn release(transaction: &mut Transaction, owner: &str, released: &[&Finished]) -> Result<(), CatalogueError> {
    if released.is_empty() {
        return Ok(());
    }
    let mut update = QueryBuilder::<Sqlite>::new("UPDATE resources SET ");
    update.push(END_CLAIM).push(" WHERE state = 'running' AND lease_owner = ");
    update.push_bind(owner).push(" AND resource_row_id IN (");
    let mut ids = update.separated(", ");
    for finished in released {
        ids.push_bind(finished.id.0);
    }
    update.push(")");
    update.build().persistent(false).execute(transaction.connection()).await?;
    Ok(())
}

/// What was stored, for custody.
fn seen(finished: &Finished) -> Option<Seen<'_>> {
    match &finished.ending {
        Ending::Stored { digest, size_bytes, mime, .. } => {
            Some(Seen { digest, size_bytes: *size_bytes, mime, at: finished.ended_at })
        }
        _ => None,
    }
}

/// What `ended` says of each resource, unless it has had its bytes meanwhile.
const UPDATE_ENDED: &str = "), told AS (
    SELECT ended.*,
        b.stored_at AS kept_since,
        b.blob_row_id IS NOT NULL AND ended.state <> 'stored' AS has_bytes,
        (SELECT blob_row_id FROM blobs WHERE blobs.digest = ended.digest) AS brought
    FROM ended
    JOIN resources AS r ON r.resource_row_id = ended.id
    LEFT JOIN blobs AS b ON b.blob_row_id = r.blob_row_id AND b.damage IS NULL
)
UPDATE resources SET
    state = iif(told.has_bytes, 'stored', told.state),
    reason_code = iif(told.has_bytes, NULL, told.reason_code),
    upstream_http_status = iif(told.has_bytes, NULL, told.http_status),
    upstream_code = iif(told.has_bytes, NULL, told.code),
    upstream_msg = iif(told.has_bytes, NULL, told.msg),
    upstream_log_id = iif(told.has_bytes, NULL, told.log_id),
    next_attempt_at = iif(told.has_bytes, NULL, told.next_attempt_at),
    lease_owner = NULL,
    lease_until = NULL,
    attempts = attempts + (told.reason_code IS NOT 'rate_limited'),
    failures = CASE
        WHEN told.reason_code IS NULL THEN 0
        WHEN told.reason_code = 'rate_limited' THEN failures
        ELSE failures + 1
    END,
    failures_alike = CASE
        WHEN told.reason_code IS NULL THEN 0
        WHEN told.reason_code IS resources.reason_code THEN failures_alike + 1
        ELSE 1
    END,
    rate_waits = CASE WHEN told.reason_code IS 'rate_limited' THEN rate_waits + 1 ELSE 0 END,
    failing_since = CASE
        WHEN told.reason_code IS NULL THEN NULL
        WHEN told.reason_code = 'rate_limited' THEN failing_since
        ELSE COALESCE(failing_since, told.ended_at)
    END,
    blob_row_id = COALESCE(told.brought, resources.blob_row_id),
    size_bytes = COALESCE(told.size_bytes, resources.size_bytes),
    mime = COALESCE(told.mime, resources.mime),
    file_name = COALESCE(resources.file_name, told.file_name),
    download_message_id = iif(
        told.asked = COALESCE(
            (SELECT m.message_id FROM messages AS m WHERE m.message_row_id = resources.message_row_id), resources.owner
        ),
        NULL, COALESCE(told.asked, download_message_id)
    ),
    stored_at = CASE
        WHEN told.state = 'stored' THEN told.ended_at
        WHEN told.has_bytes THEN COALESCE(stored_at, told.kept_since)
    END
FROM told
WHERE resources.resource_row_id = told.id AND resources.state = 'running' AND resources.lease_owner = ";

/// What became of the tries whose claims still held.
#[derive(Default)]
struct Updated {
    resources: HashSet<ResourceId>,
    /// Blobs that are still marked as damaged, though their bytes are here again.
    to_heal: Vec<i64>,
}

async fn update_ended(
    transaction: &mut Transaction,
    owner: &str,
    ended: &[&Finished],
) -> Result<Updated, CatalogueError> {
    let mut update = QueryBuilder::<Sqlite>::new(
        "WITH ended (id, state, reason_code, http_status, code, msg, log_id, next_attempt_at, ended_at,
             digest, size_bytes, mime, file_name, asked) AS (",
    );
    update.push_values(ended, |mut row, finished| {
        let upstream = finished.ending.upstream();
        row.push_bind(finished.id.0)
            .push_bind(finished.ending.state().as_str())
            .push_bind(finished.ending.reason().map(ReasonCode::as_str))
            .push_bind(upstream.and_then(|upstream| upstream.http_status))
            .push_bind(upstream.and_then(|upstream| upstream.code))
            .push_bind(upstream.and_then(|upstream| upstream.msg.as_deref()))
            .push_bind(upstream.and_then(|upstream| upstream.log_id.as_deref()))
            .push_bind(finished.ending.next_attempt_at().map(Timestamp::unix_ms))
            .push_bind(finished.ended_at.unix_ms());
        let (mut digest, mut size, mut kind, mut name, mut message) = (None, None, None, None, None);
        if let Ending::Stored { digest: brought, size_bytes, mime, file_name, asked } = &finished.ending {
            digest = Some(brought.as_bytes().as_slice());
            size = Some(i64::try_from(*size_bytes).unwrap_or(i64::MAX));
            kind = Some(mime.as_str());
            name = file_name.as_deref();
            message = asked.as_ref().map(MessageId::as_str);
        }
        row.push_bind(digest).push_bind(size).push_bind(kind).push_bind(name).push_bind(message);
    });
    update.push(UPDATE_ENDED);
    update.push_bind(owner).push(
        " RETURNING resource_row_id, iif(state = 'stored', (
             SELECT b.blob_row_id FROM blobs AS b WHERE b.blob_row_id = resources.blob_row_id AND b.damage IS NOT NULL
         ), NULL) AS to_heal",
    );
    let rows = update.build().persistent(is_usual(ended.len())).fetch_all(transaction.connection()).await?;
    let mut updated = Updated::default();
    for row in &rows {
        updated.resources.insert(ResourceId(row.try_get("resource_row_id")?));
        updated.to_heal.extend(row.try_get::<Option<i64>, _>("to_heal")?);
    }
    Ok(updated)
}

async fn insert_tries(transaction: &mut Transaction, ended: &[&Finished]) -> Result<(), CatalogueError> {
    if ended.is_empty() {
        return Ok(());
    }
    let mut insert = QueryBuilder::<Sqlite>::new(
        "INSERT INTO tries (resource_row_id, started_at, ended_at, result, reason_code,
             upstream_http_status, upstream_code, upstream_msg, upstream_log_id) ",
    );
    insert.push_values(ended, |mut row, finished| {
        let upstream = finished.ending.upstream();
        row.push_bind(finished.id.0)
            .push_bind(finished.started_at.unix_ms())
            .push_bind(finished.ended_at.unix_ms())
            .push_bind(finished.ending.result())
            .push_bind(finished.ending.reason().map(ReasonCode::as_str))
            .push_bind(upstream.and_then(|upstream| upstream.http_status))
            .push_bind(upstream.and_then(|upstream| upstream.code))
            .push_bind(upstream.and_then(|upstream| upstream.msg.as_deref()))
            .push_bind(upstream.and_then(|upstream| upstream.log_id.as_deref()));
    });
    insert.build().persistent(is_usual(ended.len())).execute(transaction.connection()).await?;
    prune_tries(transaction, ended).await
}

/// Forgets the oldest try of resources that have one too many: each of these got one.
async fn prune_tries(transaction: &mut Transaction, ended: &[&Finished]) -> Result<(), CatalogueError> {
    let ids: Vec<ResourceId> = ended.iter().map(|finished| finished.id).collect();
    sqlx::query(
        "DELETE FROM tries
         WHERE try_row_id IN (
             SELECT (
                 SELECT try_row_id FROM tries
                 WHERE resource_row_id = ended.value
                 ORDER BY try_row_id DESC
                 LIMIT 1 OFFSET ?2
             )
             FROM json_each(?1) AS ended
         )",
    )
    .bind(json_list(&ids))
    .bind(TRIES_KEPT)
    .execute(transaction.connection())
    .await?;
    Ok(())
}
