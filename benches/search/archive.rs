//! Archives that were never received: chats of very different sizes, Chinese names, and a tenth of the
//! history added out of order.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use fastrand::Rng;
use larkive::catalogue::search::{self, Progress};
use larkive::catalogue::{Catalogue, FILE_NAME};
use rustix::fs::{Advice, fadvise};
use serde_json::{Value, json};
use sqlx::SqliteConnection;
use tempfile::TempDir;

/// Resources in one transaction.
const STEP: u32 = 10_000;
/// Every so many steps, one adds older history.
const OUT_OF_ORDER_EVERY: u32 = 10;
/// The time of the first message, and between two of them.
const START_MS: i64 = 1_700_000_000_000;
const APART_MS: i64 = 10_000;
/// Digests, so many resources of each.
const COPIES: u32 = 20;

const SUBJECTS: [&str; 24] = [
    "发票",
    "合同",
    "报销",
    "课件",
    "预算",
    "总结",
    "方案",
    "说明",
    "通知",
    "清单",
    "报告",
    "计划",
    "简历",
    "照片",
    "截图",
    "录音",
    "会议纪要",
    "第四课",
    "设计稿",
    "采购单",
    "收据",
    "证书",
    "海报",
    "月报",
];
const ADJECTIVES: [&str; 12] =
    ["电子", "最终", "修改", "北京", "上海", "年度", "季度", "项目", "客户", "内部", "三月", "新版"];
const ENDINGS: [(&str, &str, &str); 6] = [
    ("file", ".pdf", "application/pdf"),
    ("file", ".docx", "application/msword"),
    ("image", ".png", "image/png"),
    ("image", ".jpg", "image/jpeg"),
    ("video", ".mp4", "video/mp4"),
    ("audio", ".opus", "audio/ogg"),
];

/// A generated archive.
pub(crate) struct Archive {
    pub(crate) size: u32,
    pub(crate) catalogue: Catalogue,
    path: PathBuf,
    _directory: Option<TempDir>,
}

impl Archive {
    /// An archive that goes with this value, or one that is kept for the next run, too.
    pub(crate) async fn of(size: u32, life: Life) -> anyhow::Result<Self> {
        let fresh = TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?;
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("archive-of-{size}"));
        if life == Life::OneRun || !kept.exists() {
            fill(fresh.path(), size).await?.close().await;
        }
        let (path, directory) = match life {
            Life::OneRun => (fresh.path().join(FILE_NAME), Some(fresh)),
            Life::Kept if kept.exists() => (kept.join(FILE_NAME), None),
            Life::Kept => {
                fs::rename(fresh.keep(), &kept)?;
                (kept.join(FILE_NAME), None)
            }
        };
        Ok(Self { size, catalogue: Catalogue::open(&path).await?, path, _directory: directory })
    }

    /// Closes the archive and opens it again, with nothing of it in any memory.
    pub(crate) async fn reopen(&mut self) -> anyhow::Result<()> {
        self.catalogue.close().await;
        let file = File::open(&self.path)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        self.catalogue = Catalogue::open(&self.path).await?;
        Ok(())
    }
}

/// How long an archive lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    OneRun,
    Kept,
}

async fn fill(directory: &Path, size: u32) -> anyhow::Result<Catalogue> {
    eprintln!("an archive of {size} resources");
    let catalogue = Catalogue::open(&directory.join(FILE_NAME)).await?;
    let mut connection = catalogue.write()?.acquire().await?;
    // For filling only; what is measured uses other connections.
    for pragma in ["PRAGMA synchronous = OFF", "PRAGMA cache_size = -400000"] {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    let mut rng = Rng::with_seed(u64::from(size));
    for first in (0..size).step_by(STEP as usize) {
        let rows: Vec<Value> = (first..size.min(first + STEP)).map(|number| row(number, &mut rng)).collect();
        insert(&mut connection, &Value::from(rows).to_string()).await?;
    }
    for statement in NAMES {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    drop(connection);
    index(&catalogue).await?;
    Ok(catalogue)
}

/// Brings the text index up to date in portions, as the program does.
async fn index(catalogue: &Catalogue) -> anyhow::Result<()> {
    loop {
        let mut transaction = catalogue.begin().await?;
        let progress = search::catch_up(&mut transaction).await?;
        transaction.commit().await?;
        if progress == Progress::Done {
            return Ok(());
        }
    }
}

/// One resource and its message.
fn row(number: u32, rng: &mut Rng) -> Value {
    let is_late = number / STEP % OUT_OF_ORDER_EVERY == OUT_OF_ORDER_EVERY - 1;
    let place = if is_late { rng.u32(0..=number) } else { number };
    let (role, ending, mime) = ENDINGS[rng.usize(..ENDINGS.len())];
    let role = if rng.u32(..200) == 0 { "sticker" } else { role };
    let state = if rng.u32(..50) == 0 { "blocked" } else { "stored" };
    let rare = if rng.u32(..200) == 0 { "琉璃瓦" } else { "" };
    let subject = SUBJECTS[rng.usize(..SUBJECTS.len())];
    let name = format!("{}{rare}{subject}{number}{ending}", ADJECTIVES[rng.usize(..ADJECTIVES.len())]);
    json!({
        "row": number + 1,
        "app": if rng.u32(..10) == 0 { "cli_b" } else { "cli_a" },
        "chat": format!("oc_{}", skewed(300, rng)),
        "sender": format!("ou_{}", skewed(3000, rng)),
        "message_type": if rng.u32(..10) == 0 { "post" } else { role },
        "text": (rng.u32(..4) == 0).then(|| format!("请看一下{subject}，谢谢")),
        "role": role,
        "state": state,
        "name": name,
        "mime": mime,
        "size": rng.u32(1000..10_000_000),
        "digest": format!("{:064x}", u64::from(number / COPIES)),
        "sent_at": START_MS + i64::from(place) * APART_MS + i64::from(rng.u32(..10_000)),
    })
}

/// A number below `count`, small ones much more often: the first is a quarter of 300, an eighth of 3000.
fn skewed(count: u32, rng: &mut Rng) -> u32 {
    (f64::from(count) * rng.f64().powi(4)) as u32
}

const INSERT: [&str; 3] = [
    "INSERT INTO messages (message_row_id, app_id, message_id, chat_id, chat_type, sender_open_id, sender_type,
         message_type, text, sent_at, seen_at)
     SELECT value ->> 'row', value ->> 'app', 'om_' || lower(hex(randomblob(16))), value ->> 'chat', 'group',
         value ->> 'sender', 'user', value ->> 'message_type', value ->> 'text', value ->> 'sent_at',
         value ->> 'sent_at'
     FROM json_each(?)",
    "INSERT INTO blobs (digest, size_bytes, mime, stored_at, verified_at)
     SELECT unhex(value ->> 'digest'), value ->> 'size', value ->> 'mime', value ->> 'sent_at', value ->> 'sent_at'
     FROM json_each(?) WHERE TRUE ON CONFLICT DO NOTHING",
    "INSERT INTO resources (resource_row_id, app_id, source, type, key, role, message_row_id, chat_id,
         sender_open_id, message_type, file_name, mime, size_bytes, blob_row_id, state, reason_code, listed_at, seen_at,
         stored_at)
     SELECT m.message_row_id, m.app_id, 'message', 'file', lower(hex(randomblob(16))), value ->> 'role',
         m.message_row_id, m.chat_id, m.sender_open_id, m.message_type, value ->> 'name', value ->> 'mime',
         value ->> 'size', (SELECT blob_row_id FROM blobs WHERE digest = unhex(value ->> 'digest')), value ->> 'state', iif(value ->> 'state' = 'stored', NULL, 'scope_missing'),
         m.sent_at, m.sent_at, m.sent_at
     FROM json_each(?) CROSS JOIN messages AS m ON m.message_row_id = value ->> 'row'",
];

/// Who is called how; the hundredth chat is the only one with this name.
const NAMES: [&str; 2] = [
    "UPDATE chats SET name = iif(chat_id = 'oc_99', '琴棋书画社', '销售' || chat_row_id || '部')",
    "INSERT INTO senders (app_id, open_id, name)
     SELECT DISTINCT app_id, sender_open_id, '王' || substr(sender_open_id, 4) FROM messages",
];

async fn insert(connection: &mut SqliteConnection, rows: &str) -> anyhow::Result<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    for statement in INSERT {
        sqlx::query(statement).bind(rows).execute(&mut *connection).await.context(statement)?;
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}
