//! What operators watch: signs of life, readiness, and counters with their promised names.

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::Sealing;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{TestApp, spawn_app};

async fn checks(app: &TestApp, path: &str) -> (u16, Value) {
    let answer = app.http.get(format!("http://{}{path}", app.admin_address)).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn every_promised_metric_is_there_with_the_right_value() {
    let app = spawn_app().await;
    let (image, broken, gone) = (Media::Png.key(1), Media::Png.key(2), Media::Png.key(3));
    app.fault(json!({"key": broken, "times": 1, "do": {"cut": {"after": 10}}}));
    app.fault(json!({"key": gone, "do": {"answer": {"status": 400, "code": 230_110, "msg": "deleted"}}}));
    for (id, key) in [("om_1", &image), ("om_2", &broken), ("om_3", &gone)] {
        app.deliver(&event::image(id, key)).await;
    }
    app.deliver(&event::image("om_1", &image).redelivered("again")).await;
    app.deliver(&event::sticker("om_4", "sticker")).await;
    let question = event::url_verification(app.sender.app(), "c");
    for sealing in [Sealing::Unsigned, Sealing::BadSignature] {
        app.sender.post(&app.sender.sealed(&question, sealing)).await.unwrap();
    }
    app.drain().await;
    app.until_metric("larkive_events_total{result=\"duplicate\"}", 1.0).await;
    for (name, value) in [
        ("larkive_events_total{result=\"accepted\"}", 5.0),
        ("larkive_events_total{result=\"duplicate\"}", 1.0),
        ("larkive_events_total{result=\"challenge\"}", 1.0),
        ("larkive_events_total{result=\"signature\"}", 1.0),
        ("larkive_webhook_duration_seconds_count", 7.0),
        ("larkive_resources{state=\"stored\"}", 1.0),
        ("larkive_resources{state=\"pending\"}", 1.0),
        ("larkive_resources{state=\"running\"}", 0.0),
        ("larkive_resources{state=\"blocked\"}", 0.0),
        ("larkive_resources{state=\"gone\"}", 1.0),
        ("larkive_resources{state=\"impossible\"}", 1.0),
        ("larkive_queue_oldest_age_seconds", 0.0),
        ("larkive_downloads_total{result=\"stored\"}", 1.0),
        ("larkive_downloads_total{result=\"retry\"}", 1.0),
        ("larkive_downloads_total{result=\"gone\"}", 1.0),
        ("larkive_download_duration_seconds_count", 3.0),
        ("larkive_upstream_requests_total{api=\"token\",code=\"0\"}", 1.0),
        ("larkive_upstream_requests_total{api=\"resource\",code=\"200\"}", 2.0),
        ("larkive_upstream_requests_total{api=\"resource\",code=\"230110\"}", 1.0),
        ("larkive_token_refreshes_total", 1.0),
        ("larkive_rate_limit_wait_seconds_total", 0.0),
        ("larkive_last_event_timestamp_seconds", 1_767_225_600.0),
    ] {
        let found = app.metric(name).await;
        let near = |found: f64| (found - value).abs() < 0.01;
        assert!(found.is_some_and(near), "{name} is {found:?}, not {value}");
    }
    let size = Media::Png.sample(1).size_bytes() as f64;
    let received = app.metric("larkive_download_bytes_total").await.unwrap();
    assert!((size..=size + 10.0).contains(&received), "{received}");
    assert!(app.metric("larkive_store_free_bytes").await.unwrap() > 0.0);
}

#[tokio::test]
async fn a_healthy_archive_is_alive_and_ready() {
    let app = spawn_app().await;
    let (status, alive) = checks(&app, "/healthz").await;
    assert_eq!((status, &alive["process"]["ok"]), (200, &json!(true)));
    let (status, ready) = checks(&app, "/readyz").await;
    assert_eq!(status, 200, "{ready}");
    for (name, check) in ready.as_object().unwrap() {
        assert!(check["ok"] == true && check["detail"].is_string(), "{name}: {check}");
    }
}

#[tokio::test]
async fn an_archive_that_cannot_write_is_alive_and_not_ready() {
    let app = spawn_app().await;
    let mut other = app.outside_connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let (status, ready) = checks(&app, "/readyz").await;
    assert_eq!((status, &ready["catalogue"]["ok"], &ready["store"]["ok"]), (503, &json!(false), &json!(true)));
    assert_eq!(checks(&app, "/healthz").await.0, 200);
    lock.rollback().await.unwrap();
    assert_eq!(checks(&app, "/readyz").await.0, 200);
}
