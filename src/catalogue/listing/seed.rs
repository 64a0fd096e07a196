//! A catalogue filled by plain SQL, for tests of everything that reads it.

use sqlx::sqlite::SqliteQueryResult;
use tempfile::TempDir;

use crate::catalogue::search::{self, Progress};
use crate::catalogue::{Catalogue, FILE_NAME};
use crate::domain::download::State;
use crate::domain::id::{EventRowId, ResourceId};
use crate::domain::time::Timestamp;

/// The time at which tests take place: 2026-03-01T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_772_366_400_000;

/// The time at which tests take place.
pub(crate) fn noon() -> Timestamp {
    Timestamp::from_unix_ms(NOON_MS).unwrap()
}

/// A catalogue in a directory of its own.
pub(crate) struct Seeded {
    pub(crate) catalogue: Catalogue,
    pub(crate) directory: TempDir,
}

/// One resource and the message around it.
#[derive(Clone)]
pub(crate) struct Seed {
    pub(crate) app_id: &'static str,
    pub(crate) message_id: String,
    pub(crate) message_type: &'static str,
    pub(crate) chat_id: &'static str,
    pub(crate) sender: &'static str,
    pub(crate) text: Option<&'static str>,
    pub(crate) role: &'static str,
    pub(crate) file_name: Option<&'static str>,
    pub(crate) mime: Option<&'static str>,
    pub(crate) size_bytes: Option<i64>,
    pub(crate) sha256: Option<String>,
    pub(crate) state: State,
    pub(crate) reason_code: Option<&'static str>,
    pub(crate) next_attempt_at: Option<i64>,
    pub(crate) sent_at: i64,
    pub(crate) hidden: i64,
}

impl Default for Seed {
    /// A picture that waits for its first try.
    fn default() -> Self {
        Self {
            app_id: "cli_a",
            message_id: "om_1".to_owned(),
            message_type: "image",
            chat_id: "oc_1",
            sender: "ou_1",
            text: None,
            role: "image",
            file_name: None,
            mime: None,
            size_bytes: None,
            sha256: None,
            state: State::Pending,
            reason_code: None,
            next_attempt_at: None,
            sent_at: NOON_MS,
            hidden: 0,
        }
    }
}

impl Seed {
    /// The picture, stored with this digest.
    pub(crate) fn stored(sha256: &str, size_bytes: i64) -> Self {
        let sha256 = Some(sha256.to_owned());
        Self { state: State::Stored, sha256, size_bytes: Some(size_bytes), mime: Some("image/png"), ..Self::default() }
    }

    /// The picture, ended in a state for a reason.
    pub(crate) fn ended(state: State, reason_code: &'static str) -> Self {
        Self { state, reason_code: Some(reason_code), ..Self::default() }
    }
}

impl Seeded {
    /// An empty catalogue.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::open(&directory.path().join(FILE_NAME)).await.unwrap();
        Self { catalogue, directory }
    }

    /// Adds a resource, and its message and sender unless they are there; `key` tells resources of a message apart.
    pub(crate) async fn add(&self, key: &str, seed: Seed) -> ResourceId {
        sqlx::query(
            "INSERT INTO messages (app_id, message_id, chat_id, chat_type, sender_open_id, sender_type,
                message_type, text, sent_at, seen_at, hidden)
            VALUES (?, ?, ?, 'group', ?, 'user', ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(seed.app_id)
        .bind(&seed.message_id)
        .bind(seed.chat_id)
        .bind(seed.sender)
        .bind(seed.message_type)
        .bind(seed.text)
        .bind(seed.sent_at)
        .bind(seed.sent_at + 5)
        .bind(seed.hidden)
        .execute(self.catalogue.write().unwrap())
        .await
        .unwrap();
        sqlx::query("INSERT INTO senders (app_id, open_id) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(seed.app_id)
            .bind(seed.sender)
            .execute(self.catalogue.write().unwrap())
            .await
            .unwrap();
        self.add_resource(key, &seed).await
    }

    async fn add_resource(&self, key: &str, seed: &Seed) -> ResourceId {
        let stored_at = (seed.state == State::Stored).then_some(seed.sent_at + 9);
        if let Some(sha256) = &seed.sha256 {
            sqlx::query(
                "INSERT INTO blobs (digest, size_bytes, mime, stored_at, verified_at) VALUES (unhex(?1), ?2, ?3, ?4, ?4)
                 ON CONFLICT DO NOTHING",
            )
            .bind(sha256)
            .bind(seed.size_bytes)
            .bind(seed.mime)
            .bind(seed.sent_at + 9)
            .execute(self.catalogue.write().unwrap())
            .await
            .unwrap();
        }
        let lease = (seed.state == State::Running).then_some("worker");
        let done = sqlx::query(
            "INSERT INTO resources (app_id, source, type, key, role, message_row_id, chat_id,
                sender_open_id, message_type, file_name, mime, size_bytes, blob_row_id, state, reason_code, upstream_code, next_attempt_at, lease_owner, lease_until,
                listed_at, seen_at, stored_at)
            SELECT ?, 'message', 'image', ?, ?, m.message_row_id, m.chat_id, m.sender_open_id, m.message_type, ?,
                ?, ?, (SELECT blob_row_id FROM blobs WHERE digest = unhex(?)), ?, ?, ?, ?, ?, ?, ?, ?, ?
            FROM messages AS m WHERE m.app_id = ? AND m.message_id = ?",
        )
        .bind(seed.app_id)
        .bind(key)
        .bind(seed.role)
        .bind(seed.file_name)
        .bind(seed.mime)
        .bind(seed.size_bytes)
        .bind(&seed.sha256)
        .bind(seed.state.as_str())
        .bind(seed.reason_code)
        .bind(seed.reason_code.map(|_| 234_038))
        .bind(seed.next_attempt_at)
        .bind(lease)
        .bind(lease.map(|_| NOON_MS))
        .bind(seed.sent_at)
        .bind(seed.sent_at + 5)
        .bind(stored_at)
        .bind(seed.app_id)
        .bind(&seed.message_id)
        .execute(self.catalogue.write().unwrap())
        .await
        .unwrap();
        self.index().await;
        ResourceId(done.last_insert_rowid())
    }

    /// Brings the text index up to date.
    pub(crate) async fn index(&self) {
        let mut transaction = self.catalogue.begin().await.unwrap();
        while search::catch_up(&mut transaction).await.unwrap() == Progress::More {}
        transaction.commit().await.unwrap();
    }

    /// Adds a delivery, with an outcome if it has one of its own.
    pub(crate) async fn add_delivery(&self, outcome: Option<&str>) -> EventRowId {
        let done = self.run("INSERT INTO events (app_id, received_at, payload) VALUES ('cli_a', 1772366400000, '{}')");
        let id = done.await.last_insert_rowid();
        if let Some(outcome) = outcome {
            sqlx::query("INSERT INTO event_outcomes (event_row_id, result, error) VALUES (?, ?, 'why')")
                .bind(id)
                .bind(outcome)
                .execute(self.catalogue.write().unwrap())
                .await
                .unwrap();
        }
        EventRowId(id)
    }

    /// Runs one statement, and indexes what it has changed.
    pub(crate) async fn run(&self, sql: &'static str) -> SqliteQueryResult {
        let done = sqlx::query(sql).execute(self.catalogue.write().unwrap()).await.unwrap();
        self.index().await;
        done
    }
}
