//! Tenants: in whose name a store app asks. The messages of the archive tell.

use sqlx::Row;

use super::CatalogueError;
use super::connections::Connections;
use crate::domain::id::{AppId, TenantKey};

/// The tenant of a chat, for statements in which `place` is a row with an `app_id` and a `chat_id`: that
/// of the newest message in it which tells one.
pub(super) const TENANT_OF_PLACE: &str = "(
         SELECT m.tenant_key FROM messages AS m
         WHERE m.app_id = place.app_id AND m.chat_id = place.chat_id AND m.tenant_key IS NOT NULL
         ORDER BY m.sent_at DESC
         LIMIT 1
     )";

/// The tenants that an app has messages of, at most `limit`. One look for each chat, because there
/// are far fewer chats than messages.
///
/// # Errors
/// If SQLite fails.
pub async fn of_app(read: &Connections, app_id: &AppId, limit: u32) -> Result<Vec<TenantKey>, CatalogueError> {
    let sql = format!(
        "SELECT DISTINCT tenant_key FROM (
             SELECT {TENANT_OF_PLACE} AS tenant_key FROM chats AS place WHERE place.app_id = ?
         )
         WHERE tenant_key IS NOT NULL
         ORDER BY tenant_key
         LIMIT +?"
    );
    // Only our own words are in the text; the values are bound.
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(app_id.as_str()).bind(limit).fetch_all(read).await?;
    let tenant = |text: String| text.parse().ok();
    rows.iter().filter_map(|row| row.try_get("tenant_key").map(tenant).transpose()).map(|key| Ok(key?)).collect()
}
