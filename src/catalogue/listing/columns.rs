//! Resources as flat rows: the columns and values of `v_resources`, with times in RFC 3339.

use super::resource::Resource;

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
];

/// The values under [`COLUMNS`]; nothing for nothing.
#[must_use]
pub fn values(resource: &Resource) -> Vec<String> {
    let upstream = resource.upstream.as_ref();
    vec![
        resource.id.to_string(),
        resource.app_id.to_string(),
        value(resource.tenant_key.as_ref()),
        resource.source.to_string(),
        value(resource.message_id.as_ref()),
        value(resource.download_message_id.as_ref()),
        value(resource.chat_id.as_ref()),
        value(resource.chat_name.as_ref()),
        value(resource.chat_type.as_ref()),
        value(resource.thread_id.as_ref()),
        value(resource.sender.open_id.as_ref()),
        value(resource.sender.name.as_ref()),
        value(resource.sender.kind),
        value(resource.message_type.as_ref()),
        resource.role.to_string(),
        resource.key.to_string(),
        value(resource.kind),
        value(resource.file_name.as_ref()),
        value(resource.mime.as_ref()),
        value(resource.size_bytes),
        value(resource.sha256),
        value(resource.blob_path.as_ref()),
        resource.state.to_string(),
        value(resource.reason_code),
        value(resource.reason),
        value(resource.remedy.map(|remedy| remedy.zh)),
        value(resource.remedy.map(|remedy| remedy.en)),
        value(upstream.and_then(|upstream| upstream.http_status)),
        value(upstream.and_then(|upstream| upstream.code)),
        value(upstream.and_then(|upstream| upstream.msg.as_ref())),
        value(upstream.and_then(|upstream| upstream.log_id.as_ref())),
        resource.attempts.to_string(),
        value(resource.next_attempt_at),
        value(resource.sent_at),
        resource.seen_at.to_string(),
        value(resource.stored_at),
        value(resource.recalled_at),
        // What is hidden is in the view and never in a listing.
        "0".to_owned(),
    ]
}

fn value(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
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
                assert_eq!(value, expected, "{column}");
            }
        }
    }
}
