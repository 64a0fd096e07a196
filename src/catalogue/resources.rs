//! Resources and their queue, which is the same thing: a resource's row is its job.
//!
//! pending → (claim) running → stored, pending, blocked, gone or impossible.
//! How a try ends is next door, in `endings`; reading for people, in `listing`.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::connections::Connections;
use super::custody::END_CLAIM;
use super::retry::json_list;
use super::statements::{by_statement, is_usual};
use super::{CatalogueError, Transaction, tickets};
use crate::domain::digest::Digest;
use crate::domain::download::State;
use crate::domain::error::chain;
use crate::domain::id::{AppId, MessageId, ResourceId, ResourceKey, TenantKey, path_segment};
use crate::domain::reason::ReasonCode;
use crate::domain::resource::{Found, ResourceType, Role};
use crate::domain::source::{Source, Target};
use crate::domain::time::Timestamp;

/// The share of a claim that goes to what failed before, while there is new work as well.
const SHARE_OF_FAILED: f64 = 0.25;

/// A resource that a message shows.
#[derive(Debug)]
pub struct NewResource<'a> {
    /// The app that was shown it.
    pub app_id: &'a AppId,
    /// The message that shows it; it is in the catalogue.
    pub message_id: &'a MessageId,
    /// What the message says of it.
    pub found: &'a Found,
    /// The forward that is asked in place of the message, if the message lies in one.
    pub container: Option<&'a MessageId>,
    /// When it was first seen.
    pub seen_at: Timestamp,
}

/// Records resources of messages; one that is known already is only tied to its message. If it was
/// refused because its message does not have it, and lies in a forward as we learn now, it is due again.
///
/// # Errors
/// If SQLite fails.
pub async fn insert(transaction: &mut Transaction, resources: &[NewResource<'_>]) -> Result<(), CatalogueError> {
    for some in by_statement(resources) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "WITH found (app_id, message_id, container, type, key, role, file_name, cover_key, state, reason_code,
                 seen_at) AS (",
        );
        insert.push_values(some, |mut row, new| {
            let asked = new.container.unwrap_or(new.message_id);
            let unusable = path_segment(asked.as_str()).is_none().then_some(ReasonCode::KeyUnusable);
            let hopeless = new.found.hopeless().or(unusable);
            let state = hopeless.map_or(State::Pending, ReasonCode::state);
            row.push_bind(new.app_id.as_str())
                .push_bind(new.message_id.as_str())
                .push_bind(new.container.map(MessageId::as_str))
                .push_bind(new.found.kind.map_or("", ResourceType::as_str))
                .push_bind(new.found.key.as_str())
                .push_bind(new.found.role.as_str())
                .push_bind(new.found.file_name.as_deref())
                .push_bind(new.found.cover.as_ref().map(ResourceKey::as_str))
                .push_bind(state.as_str())
                .push_bind(hopeless.map(ReasonCode::as_str))
                .push_bind(new.seen_at.unix_ms());
        });
        insert.push(
            ") INSERT INTO resources (app_id, tenant_key, source, type, key, role, message_row_id,
                 download_message_id, chat_id, sender_open_id, message_type, file_name, cover_key, state, reason_code,
                 listed_at, seen_at)
             SELECT found.app_id, m.tenant_key, 'message', found.type, found.key, found.role,
                 m.message_row_id, found.container, m.chat_id, m.sender_open_id, m.message_type, found.file_name,
                 found.cover_key, found.state, found.reason_code, COALESCE(m.sent_at, found.seen_at), found.seen_at
             FROM found
             JOIN messages AS m ON m.app_id = found.app_id AND m.message_id = found.message_id
             WHERE TRUE
             ON CONFLICT (message_row_id, source, type, key) WHERE message_row_id IS NOT NULL DO UPDATE SET
                 role = excluded.role,
                 tenant_key = excluded.tenant_key,
                 chat_id = excluded.chat_id,
                 sender_open_id = excluded.sender_open_id,
                 message_type = excluded.message_type,
                 listed_at = excluded.listed_at,
                 file_name = COALESCE(excluded.file_name, file_name),
                 cover_key = COALESCE(excluded.cover_key, cover_key),
                 download_message_id = iif(
                     resources.state = 'stored', download_message_id,
                     COALESCE(download_message_id, excluded.download_message_id)
                 ),
                 state = iif(
                     resources.reason_code = 'not_in_message' AND resources.state = 'impossible'
                         AND download_message_id IS NULL AND excluded.download_message_id IS NOT NULL,
                     'pending', resources.state
                 )",
        );
        insert.build().persistent(is_usual(some.len())).execute(transaction.connection()).await?;
    }
    Ok(())
}

/// Ties what was asked for by hand to its message, now that the archive is told of it. Each pair is an app and the id of
/// a message.
pub(super) async fn adopt(
    transaction: &mut Transaction,
    messages: &[(&AppId, &MessageId)],
) -> Result<(), CatalogueError> {
    let messages: Vec<_> = messages.iter().map(|(app_id, message_id)| [app_id.as_str(), message_id.as_str()]).collect();
    sqlx::query(
        "UPDATE resources
         SET (message_row_id, tenant_key, chat_id, sender_open_id, message_type, listed_at) = (
                 SELECT m.message_row_id, COALESCE(m.tenant_key, resources.tenant_key), m.chat_id, m.sender_open_id,
                     m.message_type, COALESCE(m.sent_at, resources.listed_at)
                 FROM messages AS m WHERE m.app_id = resources.app_id AND m.message_id = resources.owner
             ),
             owner = ''
         WHERE resource_row_id IN (
             SELECT r.resource_row_id
             FROM json_each(?) AS told
             CROSS JOIN resources AS r
                 ON r.app_id = told.value ->> 0 AND r.source = 'message' AND r.owner = told.value ->> 1
                     AND r.message_row_id IS NULL
         )",
    )
    .bind(serde_json::json!(messages).to_string())
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Records one thing that is fetched by hand, if it is not known yet, and returns its id. Whether a
/// ticket image is asked for with its position is the caller's choice, unless an event told; so is
/// the tenant, if one is given.
///
/// # Errors
/// If SQLite fails.
pub async fn insert_by_hand(
    transaction: &mut Transaction,
    (app_id, tenant_key): (&AppId, Option<&TenantKey>),
    target: &Target,
    now: Timestamp,
) -> Result<ResourceId, CatalogueError> {
    let identity = Identity::of(target);
    let refused = (!target.is_sendable()).then_some(ReasonCode::KeyUnusable);
    sqlx::query(
        "INSERT INTO resources (app_id, tenant_key, source, owner, type, key, role, index_asked, message_row_id,
             chat_id, sender_open_id, message_type, state, reason_code, listed_at, seen_at)
         SELECT given.app_id, COALESCE(m.tenant_key, ?11), given.source,
             iif(m.message_row_id IS NULL, given.owner, ''), given.type, given.key,
             given.role, given.index_asked, m.message_row_id, COALESCE(m.chat_id, ''), m.sender_open_id, m.message_type,
             given.state, given.reason_code, COALESCE(m.sent_at, given.seen_at), given.seen_at
         FROM (SELECT ?1 AS app_id, ?2 AS source, ?3 AS owner, ?4 AS type, ?5 AS key, ?6 AS role, ?7 AS state,
             ?8 AS reason_code, ?9 AS seen_at, ?10 AS index_asked) AS given
         LEFT JOIN messages AS m
             ON given.source = 'message' AND m.app_id = given.app_id AND m.message_id = given.owner
         WHERE TRUE
         ON CONFLICT (message_row_id, source, type, key) WHERE message_row_id IS NOT NULL DO NOTHING
         ON CONFLICT (app_id, source, owner, type, key) WHERE source <> 'message' OR message_row_id IS NULL DO UPDATE SET
             index_asked = excluded.index_asked,
             tenant_key = COALESCE(excluded.tenant_key, tenant_key),
             state = iif(state IN ('impossible', 'blocked'), 'pending', state)
         WHERE message_row_id IS NULL AND (
             excluded.index_asked <> index_asked OR COALESCE(excluded.tenant_key, tenant_key) IS NOT tenant_key
         )",
    )
    .bind(app_id.as_str())
    .bind(identity.source.as_str())
    .bind(&identity.owner)
    .bind(identity.kind.map_or("", ResourceType::as_str))
    .bind(&identity.key)
    .bind(identity.role.as_str())
    .bind(refused.map_or(State::Pending, ReasonCode::state).as_str())
    .bind(refused.map(ReasonCode::as_str))
    .bind(now.unix_ms())
    .bind(matches!(target, Target::TicketImage { index: Some(_), .. }))
    .bind(tenant_key.map(TenantKey::as_str))
    .execute(transaction.connection())
    .await?;
    let id = sqlx::query_scalar(
        "SELECT resource_row_id FROM resources
         WHERE app_id = ?1 AND source = ?2 AND owner = ?3 AND type = ?4 AND key = ?5
             AND (source <> 'message' OR message_row_id IS NULL)
         UNION ALL
         SELECT r.resource_row_id FROM messages AS m JOIN resources AS r USING (message_row_id)
         WHERE ?2 = 'message' AND m.app_id = ?1 AND m.message_id = ?3 AND r.source = ?2 AND r.type = ?4 AND r.key = ?5",
    )
    .bind(app_id.as_str())
    .bind(identity.source.as_str())
    .bind(&identity.owner)
    .bind(identity.kind.map_or("", ResourceType::as_str))
    .bind(&identity.key)
    .fetch_one(transaction.connection())
    .await?;
    Ok(ResourceId(id))
}

/// The columns that make a resource what it is.
pub(super) struct Identity {
    pub(super) source: Source,
    pub(super) owner: String,
    pub(super) kind: Option<ResourceType>,
    pub(super) key: String,
    role: Role,
}

impl Identity {
    pub(super) fn of(target: &Target) -> Self {
        let source = target.source();
        let own =
            |key: &ResourceKey, role| Self { source, owner: String::new(), kind: None, key: key.to_string(), role };
        match target {
            Target::MessageResource { message_id, key, kind } => Self {
                source,
                owner: message_id.to_string(),
                kind: Some(*kind),
                key: key.to_string(),
                role: match kind {
                    ResourceType::Image => Role::Image,
                    ResourceType::File => Role::File,
                },
            },
            Target::Image { key } => Self { kind: Some(ResourceType::Image), ..own(key, Role::Image) },
            Target::File { key } => Self { kind: Some(ResourceType::File), ..own(key, Role::File) },
            Target::Baike { key } | Target::Lingo { key } => own(key, Role::Image),
            Target::TicketImage { ticket_id, msg_id, index } => Self {
                source,
                owner: ticket_id.clone(),
                kind: None,
                key: tickets::key_of(ticket_id, msg_id, *index),
                role: Role::Image,
            },
        }
    }
}

/// Who works on a claimed resource and until when. After that it is anybody's again.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// The worker.
    pub owner: &'a str,
    /// The end of the claim, unless it is renewed.
    pub until: Timestamp,
}

/// A resource that was claimed for one try.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its row.
    pub id: ResourceId,
    /// The app that can ask for it.
    pub app_id: AppId,
    /// The tenant in whose name it is asked for, if the archive knows it.
    pub tenant_key: Option<TenantKey>,
    /// The message that it belongs to, if it belongs to one.
    pub message_id: Option<MessageId>,
    /// What to ask for; or why there is no use in asking.
    pub wanted: Result<Wanted, ReasonCode>,
    /// The bytes that it had once and that nothing promises any longer: they may be in the store again.
    pub lost: Option<Lost>,
    /// The name its message gives it.
    pub file_name: Option<String>,
    /// Failures in a row before this try.
    pub failures: u32,
    /// The reason of the last failure, and how many in a row had it.
    pub failed_alike: Option<(ReasonCode, u32)>,
    /// Rate limits met in a row before this try.
    pub rate_waits: u32,
    /// When the first of these failures was.
    pub failing_since: Option<Timestamp>,
    /// When its message was sent, else when it was first seen.
    pub listed_at: Timestamp,
}

/// Bytes that turned out to be missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Their digest.
    pub digest: Digest,
    /// Their length.
    pub size_bytes: u64,
    /// Their type.
    pub mime: Option<String>,
}

/// What a claimed row wants from the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Bytes.
    Bytes {
        /// Where they are.
        target: Target,
        /// Where they may be as well: what lies in a forward is asked from the forward first.
        otherwise: Option<Target>,
    },
    /// The messages inside a forward.
    Messages {
        /// The forward.
        container: MessageId,
    },
}

/// The two queues in the table; neither waits behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Resources whose bytes are to be downloaded.
    Bytes,
    /// Forwards that are to be opened.
    Forwards,
}

/// What is asked from the same forward under the same type and key is fetched once: of such rows
/// only the first that is not finished is claimed.
const IS_FIRST_OF_ITS_TWINS: &str = "(r.download_message_id IS NULL OR NOT EXISTS (
         SELECT 1 FROM resources AS twin
         WHERE twin.app_id = r.app_id AND twin.download_message_id = r.download_message_id
             AND twin.type = r.type AND twin.key = r.key AND twin.state IN ('pending', 'running')
             AND twin.resource_row_id < r.resource_row_id
     ))";

const CLAIMED_COLUMNS: &str =
    "RETURNING resource_row_id, app_id, tenant_key, source, download_message_id, type, key, role, \
     index_asked, file_name, failures, failures_alike, reason_code, rate_waits, failing_since, listed_at, \
     iif(stored_at IS NULL, (SELECT b.digest FROM blobs AS b WHERE b.blob_row_id = resources.blob_row_id), NULL) \
         AS lost, size_bytes, mime, \
     COALESCE(
         (SELECT m.message_id FROM messages AS m WHERE m.message_row_id = resources.message_row_id),
         iif(source = 'message', owner, NULL)
     ) AS message_id";

/// Claims what is due for an app in one queue: new messages before old ones, and what failed before after both,
/// but for a share of a quarter, so that a steady stream of new messages does not starve it.
/// `chance` is a number from 0 to 1.
///
/// (The plus signs keep SQLite from preparing the statement anew each time: it would look at the value of a
/// plain variable behind LIMIT.)
///
/// # Errors
/// If SQLite fails.
pub async fn claim(
    write: &Connections,
    (app_id, queue): (&AppId, Queue),
    lease: Lease<'_>,
    now: Timestamp,
    limit: u32,
    chance: f64,
) -> Result<Vec<Claim>, CatalogueError> {
    let again = (f64::from(limit) * SHARE_OF_FAILED + chance).floor();
    let sql = format!(
        "UPDATE resources
         SET state = 'running', lease_owner = ?1, lease_until = ?2, next_attempt_at = NULL
         WHERE resource_row_id IN (
             SELECT resource_row_id FROM (
                 SELECT * FROM (
                     SELECT resource_row_id, 1 AS turn FROM resources AS r
                     WHERE state = 'pending' AND next_attempt_at IS NULL AND app_id = ?3 AND (role = 'forward') = ?7
                         AND {IS_FIRST_OF_ITS_TWINS}
                     ORDER BY listed_at DESC
                     LIMIT +?5
                 )
                 UNION ALL
                 SELECT resource_row_id, CASE WHEN place <= ?6 THEN 0 ELSE 2 END AS turn FROM (
                     SELECT resource_row_id, ROW_NUMBER() OVER (ORDER BY next_attempt_at) AS place FROM resources AS r
                     WHERE state = 'pending' AND next_attempt_at IS NOT NULL AND app_id = ?3 AND (role = 'forward') = ?7
                         AND next_attempt_at <= ?4 AND {IS_FIRST_OF_ITS_TWINS}
                     ORDER BY next_attempt_at
                     LIMIT +?5
                 )
             )
             ORDER BY turn
             LIMIT +?5
         )
         {CLAIMED_COLUMNS}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(lease.owner)
        .bind(lease.until.unix_ms())
        .bind(app_id.as_str())
        .bind(now.unix_ms())
        .bind(limit)
        .bind(again)
        .bind(queue == Queue::Forwards)
        .fetch_all(write)
        .await?;
    let mut claims = Vec::with_capacity(rows.len());
    for row in &rows {
        match read_claim(row) {
            Ok(claim) => claims.push(claim),
            // Nothing that goes wrong here may cost the good claims, which are made by now.
            Err(error) => {
                if let Err(error) = give_up(write, row, &error).await {
                    tracing::error!(error = %chain(&error), "Cannot give up a resource whose row is damaged");
                }
            }
        }
    }
    Ok(claims)
}

/// Ends a claimed resource whose row is damaged: nothing could be asked for, and the others go on.
async fn give_up(write: &Connections, row: &SqliteRow, error: &CatalogueError) -> Result<(), CatalogueError> {
    let id = ResourceId(row.try_get("resource_row_id")?);
    let (app_id, message_id): (String, Option<String>) = (row.try_get("app_id")?, row.try_get("message_id")?);
    tracing::error!(resource.id = %id, message.id = message_id, app.id = app_id, error = %chain(error),
        "Gave up a resource whose row is damaged");
    sqlx::query(
        "UPDATE resources
         SET state = ?, reason_code = ?, upstream_http_status = NULL, upstream_code = NULL, upstream_msg = NULL,
             upstream_log_id = NULL, lease_owner = NULL, lease_until = NULL
         WHERE resource_row_id = ?",
    )
    .bind(ReasonCode::LocalFailure.ends_in().as_str())
    .bind(ReasonCode::LocalFailure.as_str())
    .bind(id.0)
    .execute(write)
    .await?;
    Ok(())
}

/// Which resources a claim by id takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// One that is pending.
    Pending,
    /// One in any state: it is to be asked for again.
    Anyway,
}

/// Claims one resource, unless somebody is working on it. One that had ended begins anew.
///
/// # Errors
/// If SQLite fails or the row is damaged.
pub async fn claim_one(
    write: &Connections,
    id: ResourceId,
    take: Take,
    lease: Lease<'_>,
    now: Timestamp,
) -> Result<Option<Claim>, CatalogueError> {
    let sql = format!(
        "UPDATE resources
         SET state = 'running', lease_owner = ?1, lease_until = ?2, next_attempt_at = NULL,
             failures = iif(?5, 0, failures), failures_alike = iif(?5, 0, failures_alike),
             failing_since = iif(?5, NULL, failing_since)
         WHERE resource_row_id = ?3 AND CASE state WHEN 'running' THEN lease_until < ?4 WHEN 'pending' THEN TRUE ELSE ?5 END
         {CLAIMED_COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(lease.owner)
        .bind(lease.until.unix_ms())
        .bind(id.0)
        .bind(now.unix_ms())
        .bind(take == Take::Anyway)
        .fetch_optional(write)
        .await?;
    row.as_ref().map(read_claim).transpose()
}

/// Where a resource stands: its state and, while it waits, when its next attempt is.
///
/// # Errors
/// If SQLite fails or the row is damaged.
pub async fn standing(
    read: &Connections,
    id: ResourceId,
) -> Result<Option<(State, Option<Timestamp>)>, CatalogueError> {
    let row: Option<(String, Option<i64>)> =
        sqlx::query_as("SELECT state, next_attempt_at FROM resources WHERE resource_row_id = ?")
            .bind(id.0)
            .fetch_optional(read)
            .await?;
    let Some((state, next_attempt_at)) = row else { return Ok(None) };
    let state = state.parse().map_err(|error| CatalogueError::BadValue {
        table: "resources",
        column: "state",
        row: id.0,
        message: format!("{error}"),
    })?;
    Ok(Some((state, next_attempt_at.and_then(Timestamp::from_unix_ms))))
}

fn read_claim(row: &SqliteRow) -> Result<Claim, CatalogueError> {
    let id: i64 = row.try_get("resource_row_id")?;
    let bad = |column, message: String| CatalogueError::BadValue { table: "resources", column, row: id, message };
    let app_id: String = row.try_get("app_id")?;
    let tenant_key: Option<String> = row.try_get("tenant_key")?;
    let failing_since: Option<i64> = row.try_get("failing_since")?;
    let message_id: Option<String> = row.try_get("message_id")?;
    let reason: Option<String> = row.try_get("reason_code")?;
    let reason = reason.map(|reason| reason.parse::<ReasonCode>()).transpose();
    let reason = reason.map_err(|error| bad("reason_code", format!("{error}")))?;
    let alike: u32 = row.try_get("failures_alike")?;
    Ok(Claim {
        id: ResourceId(id),
        app_id: app_id.parse().map_err(|error| bad("app_id", format!("{error}")))?,
        tenant_key: tenant_key.and_then(|tenant_key| tenant_key.parse().ok()),
        message_id: message_id.and_then(|message_id| message_id.parse().ok()),
        wanted: read_wanted(row, id)?,
        lost: read_lost(row, id)?,
        file_name: row.try_get("file_name")?,
        failures: row.try_get("failures")?,
        failed_alike: reason.map(|reason| (reason, alike)),
        rate_waits: row.try_get("rate_waits")?,
        failing_since: failing_since.and_then(Timestamp::from_unix_ms),
        listed_at: Timestamp::from_unix_ms(row.try_get("listed_at")?).unwrap_or(Timestamp::EPOCH),
    })
}

fn read_lost(row: &SqliteRow, id: i64) -> Result<Option<Lost>, CatalogueError> {
    let bad = |column, message: String| CatalogueError::BadValue { table: "resources", column, row: id, message };
    let Some(digest) = row.try_get::<Option<&[u8]>, _>("lost")? else { return Ok(None) };
    let size_bytes: Option<i64> = row.try_get("size_bytes")?;
    let size_bytes = size_bytes.and_then(|size| u64::try_from(size).ok());
    Ok(Some(Lost {
        digest: Digest::try_from(digest).map_err(|error| bad("blob_row_id", format!("{error}")))?,
        size_bytes: size_bytes.ok_or_else(|| bad("size_bytes", "no length beside a digest".to_owned()))?,
        mime: row.try_get("mime")?,
    }))
}

fn read_wanted(row: &SqliteRow, id: i64) -> Result<Result<Wanted, ReasonCode>, CatalogueError> {
    let bad = |column, message: String| CatalogueError::BadValue { table: "resources", column, row: id, message };
    let source: String = row.try_get("source")?;
    let key_text: String = row.try_get("key")?;
    let source: Source = source.parse().map_err(|error| bad("source", format!("{error}")))?;
    let key: ResourceKey = key_text.parse().map_err(|error| bad("key", format!("{error}")))?;
    let target = match source {
        Source::Message => return read_message_resource(row, id, key),
        Source::Image => Target::Image { key },
        Source::File => Target::File { key },
        Source::Baike => Target::Baike { key },
        Source::Lingo => Target::Lingo { key },
        Source::TicketImage => {
            let index_asked = row.try_get("index_asked")?;
            read_ticket_image(&key_text, index_asked).ok_or_else(|| bad("key", "not ticket/message/index".into()))?
        }
    };
    Ok(sendable(target).map(|target| Wanted::Bytes { target, otherwise: None }))
}

fn sendable(target: Target) -> Result<Target, ReasonCode> {
    if target.is_sendable() { Ok(target) } else { Err(ReasonCode::KeyUnusable) }
}

fn read_message_resource(
    row: &SqliteRow,
    id: i64,
    key: ResourceKey,
) -> Result<Result<Wanted, ReasonCode>, CatalogueError> {
    let bad = |column, message: String| CatalogueError::BadValue { table: "resources", column, row: id, message };
    let (owner, role, kind): (String, String, String) =
        (row.try_get("message_id")?, row.try_get("role")?, row.try_get("type")?);
    let role = role.parse().map_err(|error| bad("role", format!("{error}")))?;
    if let Some(hopeless) = (Found { role, kind: None, key: key.clone(), file_name: None, cover: None }).hopeless() {
        return Ok(Err(hopeless));
    }
    let message_id = |column, text: String| text.parse::<MessageId>().map_err(|error| bad(column, format!("{error}")));
    let owner = message_id("message_id", owner)?;
    if role == Role::Forward {
        return Ok(Ok(Wanted::Messages { container: owner }));
    }
    let container: Option<String> = row.try_get("download_message_id")?;
    let container = container.map(|container| message_id("download_message_id", container)).transpose()?;
    let kind = kind.parse().map_err(|error| bad("type", format!("{error}")))?;
    let asked_from = |message_id| sendable(Target::MessageResource { message_id, key: key.clone(), kind });
    Ok(match container.filter(|container| *container != owner) {
        Some(container) => {
            asked_from(container).map(|target| Wanted::Bytes { target, otherwise: asked_from(owner).ok() })
        }
        None => asked_from(owner).map(|target| Wanted::Bytes { target, otherwise: None }),
    })
}

/// Takes a ticket image's key apart; its position is asked for only where there are several.
fn read_ticket_image(key: &str, index_asked: i64) -> Option<Target> {
    let mut parts = key.rsplitn(3, '/');
    let (index, msg_id, ticket_id) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    let index = (index_asked == 1).then_some(index);
    Some(Target::TicketImage { ticket_id: ticket_id.to_owned(), msg_id: msg_id.to_owned(), index })
}

/// Extends an owner's leases of these resources.
///
/// # Errors
/// If SQLite fails.
pub async fn renew_leases(write: &Connections, lease: Lease<'_>, ids: &[ResourceId]) -> Result<(), CatalogueError> {
    sqlx::query(
        "UPDATE resources SET lease_until = ?
         WHERE state = 'running' AND lease_owner = ? AND resource_row_id IN (SELECT value FROM json_each(?))",
    )
    .bind(lease.until.unix_ms())
    .bind(lease.owner)
    .bind(json_list(ids))
    .execute(write)
    .await?;
    Ok(())
}

/// Puts back what is running under a lease that is over. Returns how many there were.
///
/// # Errors
/// If SQLite fails.
pub async fn reclaim_expired(write: &Connections, now: Timestamp) -> Result<u64, CatalogueError> {
    let mut update = QueryBuilder::<Sqlite>::new("UPDATE resources SET ");
    update.push(END_CLAIM).push(" WHERE state = 'running' AND lease_until < ");
    update.push_bind(now.unix_ms());
    Ok(update.build().execute(write).await?.rows_affected())
}

/// Puts back everything that an owner has claimed: for a process that knows that this owner is
/// dead. Returns how many there were.
///
/// # Errors
/// If SQLite fails.
pub async fn reclaim_of(write: &Connections, owner: &str) -> Result<u64, CatalogueError> {
    let mut update = QueryBuilder::<Sqlite>::new("UPDATE resources SET ");
    update.push(END_CLAIM).push(" WHERE state = 'running' AND lease_owner = ");
    update.push_bind(owner);
    Ok(update.build().execute(write).await?.rows_affected())
}

/// Whether anything is due for an app in one queue now: a look that does not take the write lock.
///
/// # Errors
/// If SQLite fails.
pub async fn any_due(
    read: &Connections,
    (app_id, queue): (&AppId, Queue),
    now: Timestamp,
) -> Result<bool, CatalogueError> {
    let due = sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT 1 FROM resources
             WHERE state = 'pending' AND next_attempt_at IS NULL AND app_id = ?1 AND (role = 'forward') = ?3
         ) OR EXISTS (
             SELECT 1 FROM resources
             WHERE state = 'pending' AND next_attempt_at IS NOT NULL AND app_id = ?1 AND (role = 'forward') = ?3
                 AND next_attempt_at <= ?2
         )",
    );
    let due = due.bind(app_id.as_str()).bind(now.unix_ms()).bind(queue == Queue::Forwards);
    Ok(due.fetch_one(read).await?)
}
