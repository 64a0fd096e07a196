//! Who brought a catalogue to another version, and under whose hands.

use std::fs::{self, File};
use std::path::Path;

use larkive::sandbox::samples::Media;
use larkive::sandbox::{Sandbox, SandboxOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::program::Workplace;

/// A catalogue that a program made the file of, and ended before its first migration: the oldest there can be.
async fn older_catalogue(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut catalogue = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal).connect().await.unwrap();
    sqlx::query("PRAGMA user_version = 1").execute(&mut catalogue).await.unwrap();
    catalogue.close().await.unwrap();
}

async fn tables(path: &Path) -> i64 {
    let mut catalogue = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema").fetch_one(&mut catalogue).await.unwrap();
    catalogue.close().await.unwrap();
    count
}

/// The lock that says that somebody serves the directory.
fn serve(data: &Path) -> File {
    let lock = File::create(data.join("serve.lock")).unwrap();
    lock.try_lock().unwrap();
    lock
}

fn fetch(key: &str) -> [&str; 8] {
    ["fetch", "resource", "--message", "om_1", "--key", key, "--type", "image"]
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_and_fetch_migrated_a_catalogue_under_a_running_older_serve() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let (data, path) = (workplace.path("data"), workplace.path("data/larkive.db"));
    older_catalogue(&path).await;
    let older_serve = serve(&data);
    let key = Media::Png.key(1);
    workplace.run(&["retry", "--all"]).refused("older than this program's");
    workplace.run(&fetch(&key)).refused("another version serves this directory");
    assert_eq!(tables(&path).await, 0);

    drop(older_serve);
    workplace.run(&["retry", "--all"]).refused("older than this program's");
    assert_eq!(tables(&path).await, 0, "whoever only changes rows migrates nothing, alone as well");
    workplace.run(&fetch(&key)).ended(0);
    assert!(tables(&path).await > 1);
    serve(&data);
}

#[test]
fn a_retry_made_a_catalogue_where_there_was_none() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    workplace.run(&["retry", "--all"]).refused("there is no catalogue");
    assert_eq!(workplace.contents(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_meet_no_catalogue_get_one() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::configured(&platform.base_url());
    let keys = [Media::Png.key(1), Media::Png.key(2)];
    let started = keys.each_ref().map(|key| workplace.start(&fetch(key)));
    for fetching in started {
        fetching.wait().ended(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_of_a_development_version_is_refused_with_what_to_do() {
    let workplace = Workplace::configured("http://127.0.0.1:9");
    let path = workplace.path("data/larkive.db");
    older_catalogue(&path).await;
    let mut catalogue = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
            checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
        INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (20261120000000, 'create catalogue', TRUE, x'00', 0)",
    )
    .execute(&mut catalogue)
    .await
    .unwrap();
    catalogue.close().await.unwrap();
    for words in [&["serve"][..], &["list"], &["retry", "--all"], &fetch("img_1")] {
        let refused = workplace.run(words).ended(2);
        let line = refused.stderr.lines().last().unwrap();
        assert!(refused.stdout.is_empty() && line.contains("made by a development version"), "{words:?}: {line}");
    }
}
