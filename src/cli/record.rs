//! Resources as records: the columns of `v_resources` for CSV, the telling ones for a table.

use super::output::{Record, human_bytes, value};
use crate::catalogue::listing::resource::Resource;
use crate::domain::time::Timestamp;

impl Record for Resource {
    const COLUMNS: &'static [&'static str] = &[
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
    const HEADINGS: &'static [&'static str] = &["ID", "SENT (UTC)", "STATE", "ROLE", "SIZE", "NAME", "CHAT", "REASON"];

    fn values(&self) -> Vec<String> {
        let upstream = self.upstream.as_ref();
        vec![
            self.id.to_string(),
            self.app_id.to_string(),
            value(self.tenant_key.as_ref()),
            self.source.to_string(),
            value(self.message_id.as_ref()),
            value(self.download_message_id.as_ref()),
            value(self.chat_id.as_ref()),
            value(self.chat_name.as_ref()),
            value(self.chat_type.as_ref()),
            value(self.thread_id.as_ref()),
            value(self.sender.open_id.as_ref()),
            value(self.sender.name.as_ref()),
            value(self.sender.kind),
            value(self.message_type.as_ref()),
            self.role.to_string(),
            self.key.to_string(),
            value(self.kind),
            value(self.file_name.as_ref()),
            value(self.mime.as_ref()),
            value(self.size_bytes),
            value(self.sha256),
            value(self.blob_path.as_ref()),
            self.state.to_string(),
            value(self.reason_code),
            value(self.reason),
            value(self.remedy.map(|remedy| remedy.zh)),
            value(self.remedy.map(|remedy| remedy.en)),
            value(upstream.and_then(|upstream| upstream.http_status)),
            value(upstream.and_then(|upstream| upstream.code)),
            value(upstream.and_then(|upstream| upstream.msg.as_ref())),
            value(upstream.and_then(|upstream| upstream.log_id.as_ref())),
            self.attempts.to_string(),
            value(self.next_attempt_at),
            value(self.sent_at),
            self.seen_at.to_string(),
            value(self.stored_at),
            value(self.recalled_at),
            // What is hidden is in the view and never in a listing.
            "0".to_owned(),
        ]
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            short_time(self.listed_at),
            self.state.to_string(),
            self.role.to_string(),
            value(self.size_bytes.map(human_bytes)),
            self.file_name.clone().unwrap_or_else(|| self.key.to_string()),
            value(self.chat_name.as_ref().or(self.chat_id.as_ref().map(|id| id.as_str().to_owned()).as_ref())),
            value(self.reason_code),
        ]
    }
}

/// A time to the second, without the signs that only programs need.
fn short_time(time: Timestamp) -> String {
    time.to_string().chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

    use super::*;
    use crate::catalogue::listing::resource;
    use crate::catalogue::listing::seed::{Seed, Seeded};
    use crate::domain::download::State;
    use crate::domain::reason::ReasonCode;

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
            let values = resource::find(&seeded.catalogue, id).await.unwrap().unwrap().values();
            let row = sqlx::query("SELECT * FROM v_resources WHERE id = ?")
                .bind(id.to_string())
                .fetch_one(seeded.catalogue.read())
                .await
                .unwrap();
            let columns: Vec<&str> = row.columns().iter().map(|column| column.name()).collect();
            assert_eq!(columns, Resource::COLUMNS);
            for (column, value) in columns.iter().zip(values) {
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
