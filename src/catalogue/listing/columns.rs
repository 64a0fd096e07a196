//! Resources as flat rows: the columns and values of `v_resources`, with times in RFC 3339.

use super::resource::Resource;
use crate::domain::cell::Cell;

/// The columns, in the order of the view.
pub const COLUMNS: &[&str] = &[
    "id",
    "app_id",
    "tenant_key",
    "source",
    "message_id",
    "download_message_id",
    "chat_id",
    "chat_name",
    "chat_type",
    "thread_id",
    "sender_open_id",
    "sender_name",
    "sender_type",
    "message_type",
    "role",
    "key",
    "type",
    "file_name",
    "mime",
    "size_bytes",
    "sha256",
    "blob_path",
    "state",
    "reason_code",
    "reason",
    "remedy_zh",
    "remedy_en",
    "upstream_http_status",
    "upstream_code",
    "upstream_msg",
    "upstream_log_id",
    "attempts",
    "next_attempt_at",
    "sent_at",
    "seen_at",
    "stored_at",
    "recalled_at",
    "hidden",
    "recalled_by",
];

/// The values under [`COLUMNS`]; nothing for nothing.
#[must_use]
pub fn values(resource: &Resource) -> Vec<Cell> {
    let upstream = resource.upstream.as_ref();
    vec![
        Cell::text(Some(resource.id)),
        Cell::text(Some(&resource.app_id)),
        Cell::text(resource.tenant_key.as_ref()),
        Cell::text(Some(resource.source)),
        Cell::text(resource.message_id.as_ref()),
        Cell::text(resource.download_message_id.as_ref()),
        Cell::text(resource.chat_id.as_ref()),
        Cell::text(resource.chat_name.as_ref()),
        Cell::text(resource.chat_type.as_ref()),
        Cell::text(resource.thread_id.as_ref()),
        Cell::text(resource.sender.open_id.as_ref()),
        Cell::text(resource.sender.name.as_ref()),
        Cell::text(resource.sender.kind),
        Cell::text(resource.message_type.as_ref()),
        Cell::text(Some(resource.role)),
        Cell::text(Some(&resource.key)),
        Cell::text(resource.kind),
        Cell::text(resource.file_name.as_ref()),
        Cell::text(resource.mime.as_ref()),
        Cell::number(resource.size_bytes),
        Cell::text(resource.sha256),
        Cell::text(resource.blob_path.as_ref()),
        Cell::text(Some(resource.state)),
        Cell::text(resource.reason_code),
        Cell::text(resource.reason),
        Cell::text(resource.remedy.map(|remedy| remedy.zh)),
        Cell::text(resource.remedy.map(|remedy| remedy.en)),
        Cell::number(upstream.and_then(|upstream| upstream.http_status)),
        Cell::number(upstream.and_then(|upstream| upstream.code)),
        Cell::text(upstream.and_then(|upstream| upstream.msg.as_ref())),
        Cell::text(upstream.and_then(|upstream| upstream.log_id.as_ref())),
        Cell::number(Some(resource.attempts)),
        Cell::text(resource.next_attempt_at),
        Cell::text(resource.sent_at),
        Cell::text(Some(resource.seen_at)),
        Cell::text(resource.stored_at),
        Cell::text(resource.recalled_at),
        // What is hidden is in the view and never in a listing.
        Cell::number(Some(0)),
        Cell::text(resource.recalled_by.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

    use super::*;
    use crate::catalogue::listing::resource;
    use crate::catalogue::listing::seed::{Seed, Seeded};
    use crate::domain::download::State;
    use crate::domain::reason::ReasonCode;
    use crate::domain::time::Timestamp;

    /// The view is what readers of the file see, CSV what readers of our output see: one truth.
    #[tokio::test]
    async fn csv_has_the_columns_and_values_of_the_view() {
        let seeded = Seeded::new().await;
        let code = ReasonCode::RestrictedMode;
        sqlx::query("INSERT INTO reasons VALUES (?, 'blocked', ?, ?, ?)")
            .bind(code.as_str())
            .bind(code.cause().en)
            .bind(code.remedy().zh)
            .bind(code.remedy().en)
            .execute(seeded.catalogue.write().unwrap())
            .await
            .unwrap();
        let stored = seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        let blocked = seeded.add("img_2", Seed::ended(State::Blocked, code.as_str())).await;
        for id in [stored, blocked] {
            let found = resource::find(&seeded.catalogue, id).await.unwrap().unwrap();
            let row = sqlx::query("SELECT * FROM v_resources WHERE id = ?")
                .bind(id.to_string())
                .fetch_one(seeded.catalogue.read())
                .await
                .unwrap();
            let columns: Vec<&str> = row.columns().iter().map(|column| column.name()).collect();
            assert_eq!(columns, COLUMNS);
            for (column, value) in columns.iter().zip(super::values(&found)) {
                let raw = row.try_get_raw(*column).unwrap();
                let expected = match raw.type_info().name() {
                    _ if raw.is_null() => String::new(),
                    "INTEGER" if column.ends_with("_at") => {
                        Timestamp::from_unix_ms(row.get(*column)).unwrap().to_string()
                    }
                    "INTEGER" => row.get::<i64, _>(*column).to_string(),
                    _ => row.get(*column),
                };
                assert_eq!(value.as_str(), expected, "{column}");
            }
        }
    }
}
