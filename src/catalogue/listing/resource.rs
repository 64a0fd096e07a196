//! Resources as they are shown: one row with everything a reader may want to know about it.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::chat::person_of_direct_chat;
use super::decode::{Columns, Packed, Packing, pack};
use super::message::Sender;
use super::selection::{FROM_RESOURCES, Sql};
use crate::catalogue::retry::json_list;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::chat::Title;
use crate::domain::digest::Digest;
use crate::domain::download::{State, Upstream};
use crate::domain::id::{AppId, ChatId, MessageId, ResourceId, ResourceKey, TenantKey};
use crate::domain::reason::{Bilingual, ReasonCode};
use crate::domain::resource::{ResourceType, Role};
use crate::domain::source::Source;
use crate::domain::time::Timestamp;

/// A resource. Its JSON is the public form; what only the flat forms have is left out there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Resource {
    /// Its id in this catalogue.
    pub id: ResourceId,
    /// The app that saw it.
    pub app_id: AppId,
    /// The tenant it belongs to.
    pub tenant_key: Option<TenantKey>,
    /// The API that hands it out.
    pub source: Source,
    /// The message that owns it, or told of it.
    pub message_id: Option<MessageId>,
    /// The forward that it was downloaded through.
    pub download_message_id: Option<MessageId>,
    /// The chat.
    pub chat_id: Option<ChatId>,
    /// The chat's name, if it was looked up.
    pub chat_name: Option<String>,
    /// `p2p` or `group`.
    pub chat_type: Option<String>,
    /// The topic.
    pub thread_id: Option<String>,
    /// Who sent it.
    pub sender: Sender,
    /// The type of its message, as the platform says.
    pub message_type: Option<String>,
    /// What it is in its message.
    pub role: Role,
    /// Its key.
    pub key: ResourceKey,
    /// How the API wants it asked.
    #[serde(rename = "type")]
    pub kind: Option<ResourceType>,
    /// Its original name.
    pub file_name: Option<String>,
    /// Its media type.
    pub mime: Option<String>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// The digest of its bytes.
    pub sha256: Option<Digest>,
    /// Where it stands.
    pub state: State,
    /// Why it is not stored.
    pub reason_code: Option<ReasonCode>,
    /// The same as a sentence.
    pub reason: Option<&'static str>,
    /// What to do about it.
    pub remedy: Option<Bilingual>,
    /// What the platform answered to the last try that failed.
    pub upstream: Option<Upstream>,
    /// Tries that reached a verdict.
    pub attempts: u64,
    /// When it is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// When its message was sent.
    pub sent_at: Option<Timestamp>,
    /// When it was first heard of.
    pub seen_at: Timestamp,
    /// When its bytes were safe.
    pub stored_at: Option<Timestamp>,
    /// When its message was recalled.
    pub recalled_at: Option<Timestamp>,
    /// Who recalled it, in the platform's words, such as `message_owner`.
    pub recalled_by: Option<String>,
    /// The time it is listed under.
    #[serde(skip)]
    pub listed_at: Timestamp,
    /// The key of the image in the same message that stands for it, if it is a video with one.
    #[serde(skip)]
    pub cover_key: Option<ResourceKey>,
    /// What the one person in its chat is called, where there is but one.
    #[serde(skip)]
    pub chat_person: Option<String>,
    /// Where its bytes are in the store.
    #[serde(skip)]
    pub blob_path: Option<String>,
}

/// One resource with its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Detail {
    /// The resource.
    #[serde(flatten)]
    pub resource: Resource,
    /// Every try that was recorded, oldest first.
    pub tries: Vec<Try>,
}

/// One try to download a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Try {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The state it led to, or `retry`.
    pub result: String,
    /// Why it brought no bytes.
    pub reason_code: Option<ReasonCode>,
    /// What the platform answered.
    pub upstream: Option<Upstream>,
}

/// What [`Resource`] is read from: the columns by their names; `blob_path` is the view's own expression.
const COLUMNS: [Packing; 38] = [
    ("resource_row_id", "r.resource_row_id"),
    ("message_row_id", "r.message_row_id"),
    ("app_id", "r.app_id"),
    ("tenant_key", "COALESCE(r.tenant_key, m.tenant_key)"),
    ("source", "r.source"),
    ("message_id", "COALESCE(m.message_id, iif(r.source = 'message', r.owner, NULL))"),
    ("download_message_id", "r.download_message_id"),
    ("chat_id", "NULLIF(r.chat_id, '')"),
    ("chat_name", "c.name"),
    ("chat_type", "COALESCE(m.chat_type, c.chat_type)"),
    ("thread_id", "m.thread_id"),
    ("sender_open_id", "m.sender_open_id"),
    ("sender_name", "s.name"),
    ("sender_type", "m.sender_type"),
    ("message_type", "m.message_type"),
    ("role", "r.role"),
    ("key", "r.key"),
    ("type", "NULLIF(r.type, '')"),
    ("file_name", "r.file_name"),
    ("mime", "r.mime"),
    ("size_bytes", "r.size_bytes"),
    ("sha256", "NULLIF(lower(hex(b.digest)), '')"),
    ("state", "r.state"),
    ("reason_code", "r.reason_code"),
    ("upstream_http_status", "r.upstream_http_status"),
    ("upstream_code", "r.upstream_code"),
    ("upstream_msg", "r.upstream_msg"),
    ("upstream_log_id", "r.upstream_log_id"),
    ("attempts", "r.attempts"),
    ("next_attempt_at", "r.next_attempt_at"),
    ("sent_at", "m.sent_at"),
    ("seen_at", "r.seen_at"),
    ("stored_at", "r.stored_at"),
    ("recalled_at", "m.recalled_at"),
    ("recalled_by", "m.recalled_by"),
    ("listed_at", "r.listed_at"),
    ("cover_key", "r.cover_key"),
    ("chat_person", person_of_direct_chat!()),
];

/// All of a resource as one value of a row over the tables of every listing.
pub(super) static PACKED: LazyLock<String> = LazyLock::new(|| pack(&COLUMNS));

/// The beginning of a query for resources.
pub(super) static SELECT_RESOURCES: LazyLock<String> = LazyLock::new(|| format!("SELECT {} AS value", *PACKED));

impl Resource {
    /// What people know its chat by.
    #[must_use]
    pub fn chat_title(&self) -> Option<Title<'_>> {
        let (name, person) = (self.chat_name.as_deref(), self.chat_person.as_deref());
        Some(Title::new(self.chat_id.as_ref()?, name, self.chat_type.as_deref(), person))
    }

    /// Reads one from a row of [`SELECT_RESOURCES`].
    pub(super) fn of_row(row: &SqliteRow) -> Result<Self, CatalogueError> {
        Self::decode(row.try_get("value")?)
    }

    /// Reads one from [`PACKED`].
    pub(super) fn decode(packed: &str) -> Result<Self, CatalogueError> {
        let packed = Packed::read(packed, &COLUMNS)?;
        let r = packed.columns("resources", "resource_row_id")?;
        let m = packed.columns("messages", "message_row_id")?;
        let state = r.required("state", Columns::parsed)?;
        let sha256: Option<Digest> = r.parsed("sha256")?;
        let reason_code: Option<ReasonCode> = r.parsed("reason_code")?;
        Ok(Self {
            id: ResourceId(r.row_id()),
            app_id: r.required("app_id", Columns::parsed)?,
            tenant_key: r.parsed("tenant_key")?,
            source: r.required("source", Columns::parsed)?,
            message_id: r.parsed("message_id")?,
            download_message_id: r.parsed("download_message_id")?,
            chat_id: r.parsed("chat_id")?,
            chat_name: r.text("chat_name")?,
            chat_type: m.text("chat_type")?,
            thread_id: m.text("thread_id")?,
            sender: Sender::decode(&m)?,
            message_type: m.text("message_type")?,
            role: r.required("role", Columns::parsed)?,
            key: r.required("key", Columns::parsed)?,
            kind: r.parsed("type")?,
            file_name: r.text("file_name")?,
            mime: r.text("mime")?,
            size_bytes: r.number("size_bytes")?,
            sha256,
            state,
            reason_code,
            reason: reason_code.map(|code| code.cause().en),
            remedy: reason_code.map(ReasonCode::remedy),
            upstream: upstream(&r)?,
            attempts: r.required("attempts", Columns::number)?,
            next_attempt_at: r.time("next_attempt_at")?,
            sent_at: m.time("sent_at")?,
            seen_at: r.required("seen_at", Columns::time)?,
            stored_at: r.time("stored_at")?,
            recalled_at: m.time("recalled_at")?,
            recalled_by: m.text("recalled_by")?,
            listed_at: r.required("listed_at", Columns::time)?,
            cover_key: r.parsed("cover_key")?,
            chat_person: r.text("chat_person")?,
            blob_path: sha256.filter(|_| state == State::Stored).map(blob_path),
        })
    }
}

/// A blob's place, relative to the store, as the views show it.
fn blob_path(digest: Digest) -> String {
    let name = digest.to_string();
    let (first, rest) = name.split_at(2);
    let (second, _) = rest.split_at(2);
    format!("sha256/{first}/{second}/{name}")
}

/// The platform's last answer; none where nothing of it was kept.
pub(super) fn upstream(columns: &Columns<'_>) -> Result<Option<Upstream>, CatalogueError> {
    let upstream = Upstream {
        http_status: columns.number("upstream_http_status")?,
        code: columns.number("upstream_code")?,
        msg: columns.text("upstream_msg")?,
        log_id: columns.text("upstream_log_id")?,
    };
    Ok((upstream != Upstream::default()).then_some(upstream))
}

/// The resource with this id, unless it is hidden.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn find(catalogue: &Catalogue, id: ResourceId) -> Result<Option<Resource>, CatalogueError> {
    let mut sql = Sql::new(SELECT_RESOURCES.as_str());
    sql.push(FROM_RESOURCES).push(" WHERE r.resource_row_id = ").push_bind(id.0);
    sql.push(" AND COALESCE(m.hidden, 0) = 0");
    let row = sql.build().fetch_optional(catalogue.read()).await?;
    row.as_ref().map(Resource::of_row).transpose()
}

/// Those of the resources with these ids that are not hidden, in no order.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn find_all(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<Vec<Resource>, CatalogueError> {
    let mut sql = Sql::new(SELECT_RESOURCES.as_str());
    sql.push(FROM_RESOURCES).push(" WHERE r.resource_row_id IN (SELECT value FROM json_each(");
    sql.push_bind(json_list(ids)).push(")) AND COALESCE(m.hidden, 0) = 0");
    let rows = sql.build().fetch_all(catalogue.read()).await?;
    rows.iter().map(Resource::of_row).collect()
}

/// Those of these ids that are of resources, each of them once, in the order of listings.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn in_order(catalogue: &Catalogue, ids: &[ResourceId]) -> Result<Vec<ResourceId>, CatalogueError> {
    let rows = sqlx::query_scalar(
        "SELECT resource_row_id
        FROM resources
        WHERE resource_row_id IN (SELECT value FROM json_each(?))
        ORDER BY listed_at DESC, resource_row_id DESC",
    );
    let rows: Vec<i64> = rows.bind(json_list(ids)).fetch_all(catalogue.read()).await?;
    Ok(rows.into_iter().map(ResourceId).collect())
}

/// Adds its tries to a resource.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn with_tries(catalogue: &Catalogue, resource: Resource) -> Result<Detail, CatalogueError> {
    let rows = sqlx::query(
        "SELECT try_row_id, started_at, ended_at, result, reason_code,
            upstream_http_status, upstream_code, upstream_msg, upstream_log_id
        FROM tries
        WHERE resource_row_id = ?
        ORDER BY try_row_id",
    )
    .bind(resource.id.0)
    .fetch_all(catalogue.read())
    .await?;
    let tries = rows.iter().map(Try::decode).collect::<Result<_, _>>()?;
    Ok(Detail { resource, tries })
}

impl Try {
    fn decode(row: &SqliteRow) -> Result<Self, CatalogueError> {
        let t = Columns::of(row, "tries", "try_row_id")?;
        Ok(Self {
            started_at: t.required("started_at", Columns::time)?,
            ended_at: t.required("ended_at", Columns::time)?,
            result: t.required("result", Columns::text)?,
            reason_code: t.parsed("reason_code")?,
            upstream: upstream(&t)?,
        })
    }
}
