//! Damage in the store: whoever comes upon it, the bytes are promised no longer, and fetched again.

use std::fs;

use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::pages::browser::Browser;
use crate::patience::Patience;
use crate::support::{ADMIN_TOKEN, TestApp, spawn_app};

/// Larger than what is read as a whole before it is sent.
const LARGE_BYTES: usize = 300_000;
const LARGE: &str = "file_large";

/// A way to damage a file.
type Harm = fn(&std::path::Path);

fn remove(path: &std::path::Path) {
    fs::remove_file(path).unwrap();
}

fn shorten(path: &std::path::Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

/// The last byte is another one, so that everything before it is right.
fn change(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, &bytes).unwrap();
}

const HARMS: [(&str, Harm); 3] = [("missing", remove), ("short", shorten), ("changed", change)];

async fn with_picture() -> (TestApp, String, String) {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    let id = app.resource(&key).await.resource.id;
    (app, key, format!("/api/v1/resources/{id}"))
}

async fn harm(app: &TestApp, key: &str, harm: Harm) {
    harm(&app.blob_path(&app.resource(key).await.resource));
}

fn refuse(app: &TestApp, key: &str, code: i64) {
    app.fault(json!({"route": "resource", "key": key, "do": {"answer": {"status": 400, "code": code, "msg": "no"}}}));
}

async fn not_stored(app: &TestApp, path: &str) {
    let answer = app.api(path).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    let problem: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "not_stored", "{path}");
}

#[tokio::test]
async fn the_content_of_a_damaged_blob_was_an_error_and_its_row_stayed_stored() {
    for (what, harmed) in HARMS {
        for method in [Method::GET, Method::HEAD] {
            let (app, key, path) = with_picture().await;
            harm(&app, &key, harmed).await;
            let url = format!("http://{}{path}/content", app.admin_address);
            let answer = app.http.request(method.clone(), &url).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{what} {method}");
            app.drain().await;
            app.assert_stored(&key).await;
            assert_eq!(app.platform.requests_for(&key), 2, "{what} {method}");
            assert_eq!(app.api(&format!("{path}/content")).await.status(), StatusCode::OK);
            assert_eq!(app.count("SELECT COUNT(*) FROM blobs WHERE damage IS NULL").await, 1);
        }
    }
}

#[tokio::test]
async fn a_part_of_a_damaged_blob_was_served() {
    for (what, harmed) in HARMS {
        let (app, key, path) = with_picture().await;
        harm(&app, &key, harmed).await;
        let url = format!("http://{}{path}/content", app.admin_address);
        let part = app.http.get(&url).bearer_auth(ADMIN_TOKEN).header("range", "bytes=0-3").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::NOT_FOUND, "{what}");
        app.drain().await;
        app.assert_stored(&key).await;
    }
}

#[tokio::test]
async fn a_large_blob_with_wrong_bytes_was_taken_for_whole() {
    let app = spawn_app().await;
    app.shelve(LARGE, &vec![7; LARGE_BYTES]);
    app.deliver(&event::file("om_1", LARGE, "large.bin")).await;
    app.drain().await;
    let path = format!("/api/v1/resources/{}/content", app.resource(LARGE).await.resource.id);
    harm(&app, LARGE, change).await;
    let answer = app.api(&path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.expect_err("the answer must not end well");
    app.drain().await;
    assert_eq!(app.platform.requests_for(LARGE), 2);
    assert_eq!(app.api(&path).await.bytes().await.unwrap(), vec![7; LARGE_BYTES]);

    for (what, harmed) in [("missing", remove as Harm), ("short", shorten)] {
        harm(&app, LARGE, harmed).await;
        let url = format!("http://{}{path}", app.admin_address);
        let part = app.http.get(&url).bearer_auth(ADMIN_TOKEN).header("range", "bytes=0-3").send().await.unwrap();
        assert_eq!(part.status(), StatusCode::NOT_FOUND, "{what}");
        app.drain().await;
        assert_eq!(app.resource(LARGE).await.resource.state, State::Stored, "{what}");
    }
}

#[tokio::test]
async fn what_was_lost_was_stored_again_by_a_try_without_bytes() {
    let (app, key, path) = with_picture().await;
    let whole = fs::read(app.blob_path(&app.resource(&key).await.resource)).unwrap();
    harm(&app, &key, remove).await;
    refuse(&app, &key, 230_110);
    not_stored(&app, &format!("{path}/content")).await;
    app.drain().await;
    let lost = app.resource(&key).await;
    assert_eq!((lost.resource.state, lost.resource.reason_code), (State::Gone, Some(ReasonCode::MessageDeleted)));
    assert_eq!((lost.resource.stored_at, lost.tries.len()), (None, 2));
    assert_eq!(app.count("SELECT COUNT(*) FROM blobs WHERE damage IS NULL").await, 0);

    // Nor by one that was ordered, whatever it ends in.
    let body = json!({"source": "resource", "message": "om_1", "key": key, "type": "image", "force": true});
    for code in [230_110, 99_991_400, 234_019] {
        app.platform.clear_faults();
        refuse(&app, &key, code);
        let url = format!("http://{}/api/v1/fetch", app.admin_address);
        let order = app.http.post(&url).bearer_auth(ADMIN_TOKEN).header("content-type", "application/json");
        let order = order.body(body.to_string()).send().await.unwrap();
        assert_eq!(order.status(), StatusCode::ACCEPTED);
        app.drain().await;
        assert_ne!(app.resource(&key).await.resource.state, State::Stored, "{code}");
        not_stored(&app, &format!("{path}/content")).await;
    }

    // Brought back from a backup, it is found, and nobody is asked for it.
    let asked = app.platform.requests_for(&key);
    let place = app.store.location(&larkive::sandbox::samples::bytes_of(&key).unwrap().digest());
    fs::write(&place, [&whole[..whole.len() - 1], b"?"].concat()).unwrap();
    app.post(&format!("{path}/retry")).await;
    app.drain().await;
    assert_ne!(app.resource(&key).await.resource.state, State::Stored);
    assert_eq!(app.platform.requests_for(&key), asked + 1);
    fs::write(&place, &whole).unwrap();
    app.post(&format!("{path}/retry")).await;
    app.drain().await;
    let found = app.assert_stored(&key).await.resource;
    assert_eq!((found.mime.as_deref(), found.reason_code), (Some("image/png"), None));
    assert_eq!(app.platform.requests_for(&key), asked + 1);
}

#[tokio::test]
async fn only_the_resource_that_somebody_looked_at_was_found_damaged() {
    let app = spawn_app().await;
    for (message, key) in [("om_1", "file_a"), ("om_2", "file_b"), ("om_3", "file_c")] {
        app.shelve(key, b"the same bytes");
        app.deliver(&event::file(message, key, "same.bin")).await;
    }
    app.drain().await;
    let id = app.resource("file_b").await.resource.id;
    harm(&app, "file_b", change).await;
    for key in ["file_a", "file_b", "file_c"] {
        refuse(&app, key, 230_110);
    }
    not_stored(&app, &format!("/api/v1/resources/{id}/content")).await;
    app.drain().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM v_resources WHERE state = 'gone' AND blob_path IS NULL").await, 3);
}

#[tokio::test]
async fn a_store_that_is_away_is_no_lost_blob() {
    let (app, key, path) = with_picture().await;
    let away = app.layout.store.with_extension("away");
    fs::rename(&app.layout.store, &away).unwrap();
    assert_eq!(app.api(&format!("{path}/content")).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    fs::rename(&away, &app.layout.store).unwrap();
    app.drain().await;
    app.assert_stored(&key).await;
    assert_eq!(app.platform.requests_for(&key), 1);
}

#[tokio::test]
async fn the_thumbnail_of_a_damaged_picture_failed_for_ever() {
    for (what, harmed) in HARMS {
        let app = spawn_app().await;
        let key = Media::Jpeg.key(1);
        app.deliver(&event::image("om_1", &key)).await;
        app.drain().await;
        let path = format!("/api/v1/resources/{}/thumbnail", app.resource(&key).await.resource.id);
        let settled = async || {
            let mut patience = Patience::new();
            loop {
                let answer = app.api(&path).await;
                if !answer.headers().contains_key("retry-after") {
                    return answer.status();
                }
                patience.note("a thumbnail, or that there is none", answer.status());
            }
        };
        assert_eq!(settled().await, StatusCode::OK);
        fs::remove_dir_all(&app.layout.thumbnails).unwrap();
        harm(&app, &key, harmed).await;
        refuse(&app, &key, 230_110);
        assert_eq!(settled().await, StatusCode::NOT_FOUND, "{what}");
        app.drain().await;
        assert_eq!(app.resource(&key).await.resource.state, State::Gone, "{what}");
        app.platform.clear_faults();
        app.post("/api/v1/resources/retry?all=true").await;
        app.drain().await;
        app.assert_stored(&key).await;
        assert_eq!(settled().await, StatusCode::OK, "{what}");
    }
}

#[tokio::test]
async fn pages_and_their_exports_came_upon_damage_and_told_nobody() {
    for (what, harmed) in HARMS {
        let (app, key, path) = with_picture().await;
        let browser = Browser::signed_in(&app).await;
        let page = path.strip_prefix("/api/v1").unwrap();
        refuse(&app, &key, 230_110);
        harm(&app, &key, harmed).await;
        if what == "changed" {
            // A page reads the beginning only: an export reads everything.
            let zip = browser.post("/export", &[("extent", "matching")]).await;
            assert_eq!(zip.status(), StatusCode::OK);
            zip.bytes().await.unwrap();
        } else {
            let html = browser.page(page).await;
            assert!(html.contains("The bytes are not here yet"), "{what}: {html}");
        }
        app.drain().await;
        assert_eq!(app.resource(&key).await.resource.state, State::Gone, "{what}");
        assert_eq!(browser.get(&format!("{page}/preview")).await.status(), StatusCode::NOT_FOUND);
    }
}
