//! Exports from a page: what was ticked, or everything that matches, as one ZIP.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use larkive::domain::id::ResourceId;
use reqwest::{Method, Response};
use serde_json::Value;
use zip::ZipArchive;

use super::browser::{Browser, between, shelved, text};
use crate::support::{spawn_app, until};

/// The files of a ZIP that was answered, under their paths.
pub async fn unzipped(answer: Response) -> BTreeMap<String, Vec<u8>> {
    assert_eq!((answer.status().as_u16(), text(answer.headers(), "content-type")), (200, "application/zip"));
    let mut zip = ZipArchive::new(Cursor::new(answer.bytes().await.unwrap())).unwrap();
    let mut files = BTreeMap::new();
    for place in 0..zip.len() {
        let mut file = zip.by_index(place).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(file.name().unwrap().into_owned(), bytes);
    }
    files
}

fn originals(files: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    files.keys().filter_map(|path| path.strip_prefix("files/2026-01-01/")).collect()
}

#[tokio::test]
async fn what_is_selected_or_matches_is_exported_as_a_zip() {
    let app = spawn_app().await;
    let mut ids = Vec::new();
    for (key, name) in [("file_1", "发票 一.txt"), ("file_2", "我的发票.txt"), ("file_3", "other.txt")] {
        ids.push(shelved(&app, key, name, name.as_bytes()).await.rsplit('/').next().unwrap().to_owned());
    }
    let browser = Browser::signed_in(&app).await;
    let html = browser.page("/resources?q=%E5%8F%91%E7%A5%A8&view=table").await;
    let address = between(&html, "id=\"export-all\" method=\"post\" action=\"", "\"").pop().unwrap();
    let answer = browser.post(&address.replace("&#38;", "&"), &[("extent", "matching")]).await;
    let headers = answer.headers().clone();
    assert_eq!(text(&headers, "content-disposition"), "attachment; filename=\"larkive-20260101T000000Z.zip\"");
    assert!(text(&headers, "content-security-policy").starts_with("sandbox"));
    let files = unzipped(answer).await;
    assert_eq!(originals(&files), ["发票 一.txt", "我的发票.txt"]);
    assert_eq!(files["files/2026-01-01/发票 一.txt"], "发票 一.txt".as_bytes());
    assert!(files.contains_key("manifest.jsonl") && files.contains_key("SHA256SUMS"), "{:?}", files.keys());

    let ranked = browser.post("/export?q=%E5%8F%91%E7%A5%A8+sort:relevance", &[("extent", "matching")]).await;
    assert_eq!(unzipped(ranked).await["manifest.jsonl"], files["manifest.jsonl"], "an export has one order");

    let selected = [("extent", "selected"), ("id", ids[2].as_str()), ("id", &ids[0]), ("back", "/resources")];
    let files = unzipped(browser.post("/export", &selected).await).await;
    assert_eq!(originals(&files), ["other.txt", "发票 一.txt"]);
    let files = unzipped(browser.post("/export", &[("extent", "matching")]).await).await;
    assert_eq!(originals(&files).len(), 3);
}

/// A form in which a resource was ticked so many times.
fn ticked<'a>(extent: &'a str, id: &'a str, times: usize) -> Vec<(&'a str, &'a str)> {
    [("extent", extent)].into_iter().chain(std::iter::repeat_n(("id", id), times)).collect()
}

#[tokio::test]
async fn as_many_as_were_ticked_are_exported_newest_first() {
    let app = spawn_app().await;
    let rows: Vec<i64> = sqlx::query_scalar(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200)
         INSERT INTO resources (app_id, source, owner, type, key, role, state, reason_code, listed_at, seen_at)
         SELECT 'cli_test', 'message', 'om_' || n, 'image', n, 'image', 'gone', 'message_deleted', n, n FROM n
         RETURNING resource_row_id",
    )
    .fetch_all(app.catalogue.write().unwrap())
    .await
    .unwrap();
    let ids: Vec<String> = rows.into_iter().map(|row| ResourceId(row).to_string()).collect();
    let twice = ids.iter().chain(&ids).map(|id| ("id", id.as_str()));
    let form: Vec<_> = [("extent", "selected")].into_iter().chain(twice).collect();
    let files = unzipped(Browser::signed_in(&app).await.post("/export", &form).await).await;
    let manifest = str::from_utf8(&files["manifest.jsonl"]).unwrap();
    let key = |line: &str| serde_json::from_str::<Value>(line).unwrap()["key"].as_str().unwrap().parse().unwrap();
    let keys: Vec<u32> = manifest.lines().map(key).collect();
    assert_eq!(keys, (1..=1200).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn an_export_is_asked_for_by_a_page_of_ours_and_says_what_it_takes() {
    let app = spawn_app().await;
    let path = shelved(&app, "file_1", "a.txt", b"hello").await;
    let browser = Browser::signed_in(&app).await;
    let matching: &[(&str, &str)] = &[("extent", "matching")];
    let elsewhere = browser.ask(Method::POST, "/export", &[("origin", "http://evil.test")], Some(matching)).await;
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(Browser::new(&app).post("/export", matching).await.status(), 303);
    assert_eq!(browser.get("/export").await.status(), 404);
    let id = path.rsplit('/').next().unwrap();
    for (address, form, says) in [
        ("/export", vec![("extent", "selected")], "Nothing was selected"),
        ("/export", vec![("extent", "selected"), ("id", "nonsense")], "cannot be understood"),
        ("/export", ticked("selected", id, 10_001), "At most 10,000"),
        ("/export", ticked("selected", id, 40_000), "At most 10,000"),
        ("/resources/retry", ticked("", id, 10_001), "At most 10,000"),
        ("/resources/retry", ticked("", id, 0), "Nothing was selected"),
        ("/export", vec![("extent", "x")], "cannot be understood"),
        ("/export?colour=red", vec![("extent", "matching")], "cannot be understood"),
    ] {
        let answer = browser.post(address, &form).await;
        assert_eq!(answer.status(), 400, "{address}");
        let html = answer.text().await.unwrap();
        assert!(html.contains(says), "{says}: {html}");
    }
}

#[tokio::test]
async fn only_a_few_exports_are_made_at_once() {
    let app = spawn_app().await;
    // More than waits to be taken in buffers on the way.
    shelved(&app, "file_1", "large.bin", &vec![7; 24 << 20]).await;
    let browser = Browser::signed_in(&app).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let answer = browser.post("/export", &[("extent", "matching")]).await;
        assert_eq!(answer.status(), 200);
        taken.push(answer);
    }
    let refused = browser.post("/export", &[("extent", "matching")]).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("Several exports"));
    drop(taken);
    until("a place for an export is free", async || {
        browser.post("/export", &[("extent", "matching")]).await.status() == 200
    })
    .await;
}
