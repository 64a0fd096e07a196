//! Searching and listing through the API and the command line: what is found, and what is refused.

use std::process::{Command, Stdio};

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::Value;

use crate::support::{TestApp, spawn_app, until};

/// The file names that a search finds, newest first.
async fn found(app: &TestApp, q: &str) -> Vec<String> {
    let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
    let page = app.json(&format!("/api/v1/resources?q={q}")).await;
    assert!(page.get("stopped_early").is_none(), "{page}");
    names(page["items"].as_array().unwrap())
}

fn names(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["file_name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// An archive with a file of each name, the first one sent first.
async fn with_files(file_names: &[&str]) -> TestApp {
    let app = spawn_app().await;
    for (n, name) in (1_u64..).zip(file_names) {
        app.deliver(&event::file(&format!("om_{n}"), &Media::Pdf.key(n), name)).await;
    }
    app.drain().await;
    app
}

#[tokio::test]
async fn a_file_is_found_by_any_stretch_of_its_name() {
    let app = with_files(&["第四课 练习.pdf", "电子发票2026年11月.PDF", "Invoice_2026-11.pdf"]).await;
    for (q, expected) in [
        ("课", "第四课 练习.pdf"),
        ("四课", "第四课 练习.pdf"),
        ("第四课练", ""),
        ("\"第四课 练习\"", "第四课 练习.pdf"),
        ("子发票", "电子发票2026年11月.PDF"),
        ("电子发票2026", "电子发票2026年11月.PDF"),
        ("ＩＮＶ 2026", "Invoice_2026-11.pdf"),
        ("voice", ""),
        ("ext:pdf -2026", "第四课 练习.pdf"),
    ] {
        let expected: Vec<&str> = Some(expected).filter(|name| !name.is_empty()).into_iter().collect();
        assert_eq!(found(&app, q).await, expected, "{q}");
    }
    assert_eq!(found(&app, "11").await, ["Invoice_2026-11.pdf", "电子发票2026年11月.PDF"]);
}

#[tokio::test]
async fn a_resource_can_be_searched_as_soon_as_it_can_be_listed() {
    let app = spawn_app().await;
    for n in 1..=20_u64 {
        app.deliver(&event::file(&format!("om_{n}"), &Media::Pdf.key(n), &format!("合同{n}.pdf"))).await;
        let listed = app.json("/api/v1/resources?limit=200").await["items"].as_array().unwrap().len();
        assert!(found(&app, "合同").await.len() >= listed);
    }
    app.drain().await;
    assert_eq!(found(&app, "合同").await.len(), 20);
}

#[tokio::test]
async fn a_renamed_chat_is_found_by_its_new_name_only() {
    let app = with_files(&["预算.xlsx"]).await;
    let is_named = async || app.count("SELECT COUNT(*) FROM chats WHERE name IS NOT NULL").await == 1;
    until("the platform has told the chat's name", is_named).await;
    let rename = async |name: &'static str| {
        sqlx::query("UPDATE chats SET name = ?").bind(name).execute(app.catalogue.write().unwrap()).await.unwrap();
        app.drain().await;
    };
    rename("销售一部").await;
    assert_eq!(found(&app, "销售 预算").await, ["预算.xlsx"]);
    rename("市场部").await;
    assert!(found(&app, "销售").await.is_empty());
    assert_eq!(found(&app, "chat:市场").await, ["预算.xlsx"]);
    assert_eq!(app.count("SELECT COUNT(*) FROM search_rows").await, 1, "no resource was indexed anew");
}

#[tokio::test]
async fn pages_of_a_search_bring_everything_once() {
    let names: Vec<String> = (0..25).map(|n| format!("发票{n:02}.pdf")).collect();
    let app = with_files(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for q in ["%E5%8F%91%E7%A5%A8", "%E5%8F%91%E7%A5%A8%20sort:relevance", "ext:pdf"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.json(&format!("/api/v1/resources?q={q}&limit=10{cursor}")).await;
            seen.extend(self::names(page["items"].as_array().unwrap()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let expected: Vec<&String> = names.iter().rev().collect();
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{q}");
    }
    let page = app.json("/api/v1/resources?q=ext:pdf&limit=10").await;
    let path = format!("/api/v1/resources?q=ext:doc&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(app.api(&path).await.status(), 400);
}

#[tokio::test]
async fn a_search_that_cannot_be_understood_is_refused_at_its_place() {
    let app = spawn_app().await;
    for (q, position) in
        [("%22open", 1), ("a%20type:nothing", 8), ("a%20larger:big", 10), ("%20", 1), ("a%20tpye:x", 3)]
    {
        let answer = app.api(&format!("/api/v1/resources?q={q}")).await;
        assert_eq!(answer.status(), 400, "{q}");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(problem["code"], "bad_query");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("character {position}:")), "{problem}");
    }
}

#[tokio::test]
async fn the_command_line_speaks_the_same_language() {
    let app = with_files(&["第四课.pdf", "合同.docx"]).await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larkive"));
        command.args(arguments).env_clear().env("LARKIVE_DATA_DIR", &app.layout.directory);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = run(&["list", "--q", "四课 type:file ext:pdf", "--format", "json"]);
    let items: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(names(&items), ["第四课.pdf"]);
    let output = run(&["list", "--q", "课 \"开"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("character 3:"));
}

#[tokio::test]
async fn an_archive_from_before_the_index_is_indexed_in_the_background() {
    let app = with_files(&["旧文件.pdf"]).await;
    let mut outside = app.outside_connection().await;
    for forget in [
        "INSERT INTO search_pending SELECT resource_row_id, 1 FROM resources",
        "UPDATE search_rows SET resource_row_id = NULL",
    ] {
        sqlx::query(forget).execute(&mut outside).await.unwrap();
    }
    let app = app.restart().await;
    app.drain().await;
    assert_eq!(found(&app, "旧文件").await, ["旧文件.pdf"]);
}
