//! Older events: a catalogue that has been at work for long before it is measured.

use std::path::Path;

use anyhow::Context;
use larkive::catalogue::Catalogue;
use sqlx::SqliteConnection;

use crate::process::catalogue_path;

/// Rows in one transaction.
const STEP: u32 = 50_000;
/// Bytes of a payload: about what an image event has.
const PAYLOAD_BYTES: u32 = 850;

/// What each step writes, `?1` being the first row's number and `?2` the last one's. Ids are random, as
/// the platform's are, because where a row lands in an index is what makes a large one slow.
const STATEMENTS: [&str; 5] = [
    "WITH RECURSIVE n (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
     INSERT INTO events (event_row_id, app_id, event_id, event_type, message_id, received_at, payload)
     SELECT i, 'cli_a1b2c3d4e5f60708', lower(hex(randomblob(16))), 'im.message.receive_v1',
         'om_' || lower(hex(randomblob(16))), 1700000000000 + i * 1000, hex(randomblob(?3 / 2)) FROM n",
    "INSERT INTO messages (message_row_id, app_id, message_id, tenant_key, chat_id, chat_type, sender_open_id,
         sender_type, message_type, event_row_id, sent_at, seen_at)
     SELECT event_row_id, app_id, message_id, '2ca1d211f64f6438', 'oc_' || (event_row_id % 300), 'group',
         'ou_' || (event_row_id % 3000), 'user', 'image', event_row_id, received_at, received_at
     FROM events WHERE event_row_id BETWEEN ?1 AND ?2",
    "INSERT INTO blobs (blob_row_id, digest, size_bytes, mime, stored_at, verified_at)
     SELECT message_row_id, randomblob(32), 100000, 'image/png', seen_at, seen_at
     FROM messages WHERE message_row_id BETWEEN ?1 AND ?2",
    "INSERT INTO resources (resource_row_id, app_id, tenant_key, source, type, key, role, message_row_id,
         chat_id, mime, size_bytes, blob_row_id, state, attempts, listed_at, seen_at, stored_at)
     SELECT message_row_id, app_id, tenant_key, 'message', 'image',
         'img_v3_02ab_' || lower(hex(randomblob(16))) || 'g', 'image', message_row_id, chat_id, 'image/png', 100000,
         message_row_id, 'stored', 1, sent_at, seen_at, seen_at
     FROM messages WHERE message_row_id BETWEEN ?1 AND ?2",
    "INSERT INTO tries (resource_row_id, started_at, ended_at, result)
     SELECT resource_row_id, seen_at, stored_at, 'stored' FROM resources WHERE resource_row_id BETWEEN ?1 AND ?2",
];

/// Fills the catalogue of a directory with so many events that were expanded and stored.
pub(crate) fn fill(directory: &Path, count: u32) -> anyhow::Result<()> {
    eprintln!("filling a catalogue with {count} older events");
    let path = catalogue_path(directory);
    std::fs::create_dir_all(path.parent().context("no directory")?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let catalogue = Catalogue::open(&path).await?;
        let mut connection = catalogue.write()?.acquire().await?;
        // For filling only: the server opens its own connection.
        for pragma in ["PRAGMA synchronous = OFF", "PRAGMA cache_size = -400000"] {
            sqlx::query(pragma).execute(&mut *connection).await?;
        }
        for first in (1..=count).step_by(STEP as usize) {
            fill_step(&mut connection, first, count.min(first + STEP - 1)).await?;
        }
        sqlx::query("UPDATE inbox_cursor SET expanded_through = ?").bind(count).execute(&mut *connection).await?;
        drop(connection);
        catalogue.close().await;
        Ok(())
    })
}

async fn fill_step(connection: &mut SqliteConnection, first: u32, last: u32) -> anyhow::Result<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for statement in STATEMENTS {
        sqlx::query(statement).bind(first).bind(last).bind(PAYLOAD_BYTES).execute(&mut *connection).await?;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}
