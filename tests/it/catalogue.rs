//! The catalogue as others see it: its views, its values, its counters, its version.

use std::collections::BTreeMap;

use larkive::app::App;
use larkive::catalogue::listing::delivery::DeliveryResult;
use larkive::catalogue::{Catalogue, CatalogueError};
use larkive::domain::download::State;
use larkive::domain::resource::{ResourceType, Role};
use larkive::domain::source::Source;
use larkive::sandbox::event;
use larkive::sandbox::kind::{Kind, sample_events};
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::support::{TestApp, spawn_app};

const V_RESOURCES: &str = "id app_id tenant_key source message_id download_message_id chat_id chat_name chat_type \
     thread_id sender_open_id sender_name sender_type message_type role key type file_name mime size_bytes sha256 \
     blob_path state reason_code reason remedy_zh remedy_en upstream_http_status upstream_code upstream_msg \
     upstream_log_id attempts next_attempt_at sent_at seen_at stored_at recalled_at hidden recalled_by";
const V_MESSAGES: &str = "app_id tenant_key message_id chat_id chat_name chat_type thread_id parent_id sender_open_id \
     sender_name sender_type message_type text problem resources sent_at seen_at recalled_at recalled_by";
const V_CHATS: &str =
    "app_id chat_id chat_name chat_type bot_in_chat messages resources stored pending failed bytes last_message_at";

/// Something of everything: stored, gone, blocked, impossible, waiting for another try.
async fn mixed_run(app: &TestApp) {
    let refuse = |seed: u64, code: i64| json!({"key": Media::Png.key(seed), "do": {"answer": {"status": 400, "code": code, "msg": "no"}}});
    app.fault(refuse(101, 230_110));
    app.fault(refuse(102, 234_038));
    app.fault(refuse(103, 234_019));
    for seed in 101..=103 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::Big);
    for event in kinds.flat_map(|kind| sample_events(*kind, 1, app.sender.app(), app.clock.now())) {
        app.sender.send(event).await.unwrap();
    }
    app.drain().await;
}

#[tokio::test]
async fn the_views_have_the_promised_columns_in_the_promised_order() {
    let app = spawn_app().await;
    let columns = async |view: &str| -> Vec<String> {
        let names = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)").bind(view);
        names.fetch_all(app.catalogue.read()).await.unwrap()
    };
    for (view, promised) in
        [("v_resources", V_RESOURCES), ("v_failed", V_RESOURCES), ("v_messages", V_MESSAGES), ("v_chats", V_CHATS)]
    {
        assert_eq!(columns(view).await, promised.split_whitespace().collect::<Vec<_>>(), "{view}");
    }
}

#[tokio::test]
async fn what_the_tables_allow_is_what_the_program_knows() {
    let app = spawn_app().await;
    let schema: String = sqlx::query_scalar("SELECT group_concat(sql) FROM sqlite_schema")
        .fetch_one(app.catalogue.read())
        .await
        .unwrap();
    let check = |column: &str, names: Vec<&str>| {
        let list = format!("CHECK ({column} IN ('{}'))", names.join("', '"));
        assert!(schema.contains(&list), "{list} in {schema}");
    };
    check("state", State::ALL.iter().map(|state| state.as_str()).collect());
    check("role", Role::ALL.iter().map(|role| role.as_str()).collect());
    check("source", Source::ALL.iter().map(|source| source.as_str()).collect());
    check("type", ResourceType::ALL.iter().map(|kind| kind.as_str()).chain([""]).collect());
    // What was simply expanded has no row.
    let outcomes = DeliveryResult::ALL.iter().filter(|result| **result != DeliveryResult::Expanded);
    check("result", outcomes.map(|result| result.as_str()).collect());
}

#[tokio::test]
async fn an_outside_reader_sees_in_the_views_what_the_api_says() {
    let app = spawn_app().await;
    mixed_run(&app).await;
    let options = SqliteConnectOptions::new().filename(&app.layout.catalogue).read_only(true);
    let mut outside = options.connect().await.unwrap();
    let rows = sqlx::query("SELECT * FROM v_resources ORDER BY id").fetch_all(&mut outside).await.unwrap();
    let listed = app.json("/api/v1/resources?limit=200").await;
    let mut listed: Vec<Value> = listed["items"].as_array().unwrap().clone();
    listed.sort_by_key(|resource| resource["id"].to_string());
    assert_eq!(rows.len(), listed.len());
    for (row, shown) in rows.iter().zip(&listed) {
        let text = |column: &str| json!(row.get::<Option<String>, _>(column));
        for column in [
            "id",
            "app_id",
            "tenant_key",
            "source",
            "message_id",
            "chat_id",
            "chat_type",
            "message_type",
            "role",
            "key",
            "type",
            "file_name",
            "mime",
            "sha256",
            "state",
            "reason_code",
            "reason",
        ] {
            assert_eq!(text(column), shown[column], "{column} of {}", shown["key"]);
        }
        assert_eq!(text("sender_open_id"), shown["sender"]["open_id"]);
        assert_eq!(json!(row.get::<Option<i64>, _>("upstream_code")), shown["upstream"]["code"]);
        assert_eq!(text("remedy_zh"), shown["remedy"]["zh"]);
        let size = row.get::<Option<i64>, _>("size_bytes");
        assert_eq!(json!(size), shown["size_bytes"]);
        if let Some(path) = row.get::<Option<String>, _>("blob_path") {
            assert_eq!(std::fs::metadata(app.layout.store.join(path)).unwrap().len(), size.unwrap() as u64);
        }
    }
    let failed = sqlx::query("SELECT state, reason_code FROM v_failed").fetch_all(&mut outside).await.unwrap();
    let expected = listed.iter().filter(|resource| !resource["reason_code"].is_null()).count();
    assert_eq!(failed.len(), expected);
    assert!(expected >= 5, "the run was mixed");
}

#[tokio::test]
async fn the_counters_are_what_counting_would_give() {
    let app = spawn_app().await;
    mixed_run(&app).await;
    let pairs = async |sql: &'static str| -> BTreeMap<String, (i64, i64)> {
        let rows = sqlx::query(sql).fetch_all(app.catalogue.read()).await.unwrap();
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
    };
    let kept = pairs("SELECT role || '/' || state, resources, bytes FROM tallies WHERE resources > 0").await;
    let counted =
        pairs("SELECT role || '/' || state, COUNT(*), SUM(COALESCE(size_bytes, 0)) FROM resources GROUP BY 1").await;
    assert_eq!(kept, counted);
    let kept = pairs("SELECT chat_id || '/' || state, resources, bytes FROM chat_tallies WHERE resources > 0").await;
    let counted =
        pairs("SELECT chat_id || '/' || state, COUNT(*), SUM(COALESCE(size_bytes, 0)) FROM resources GROUP BY 1").await;
    assert_eq!(kept, counted);
    let statistics = app.json("/api/v1/stats").await;
    for (member, sql) in [
        ("messages", "SELECT COUNT(*) FROM messages"),
        ("chats", "SELECT COUNT(*) FROM chats"),
        ("resources", "SELECT COUNT(*) FROM resources"),
        ("bytes", "SELECT SUM(size_bytes) FROM resources WHERE state = 'stored'"),
        ("blobs", "SELECT COUNT(*) FROM blobs WHERE damage IS NULL"),
        ("blob_bytes", "SELECT SUM(size_bytes) FROM blobs WHERE damage IS NULL"),
    ] {
        assert_eq!(statistics[member], app.count(sql).await, "{member}");
    }
    let states: i64 = statistics["states"].as_object().unwrap().values().map(|count| count.as_i64().unwrap()).sum();
    assert_eq!(states, app.count("SELECT COUNT(*) FROM resources").await);
}

#[tokio::test]
async fn a_newer_catalogue_is_refused_in_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("larkive.db");
    Catalogue::open(&path).await.unwrap().close().await;
    let mut outside = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    outside
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
             SELECT 99991231000000, 'from the future', installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
        )
        .await
        .unwrap();
    outside.close().await.unwrap();
    let opened = [Catalogue::open(&path).await, Catalogue::open_read_only(&path).await];
    for refused in opened.map(Result::unwrap_err) {
        assert!(matches!(refused, CatalogueError::Newer { found: 99_991_231_000_000, .. }), "{refused:?}");
        let line = refused.to_string();
        assert!(line.contains("newer") && !line.contains('\n'), "{line}");
    }
}

#[tokio::test]
async fn reading_creates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let refused = Catalogue::open_read_only(&directory.path().join("larkive.db")).await.unwrap_err();
    assert!(matches!(refused, CatalogueError::Missing(_)), "{refused:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn one_directory_is_served_once() {
    let app = spawn_app().await;
    let refused = App::open(app.setup(), app.clock.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("another larkive serves"), "{refused}");
}
