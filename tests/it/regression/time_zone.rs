//! Days of people who do not live in Greenwich.

use std::time::Duration;

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::Value;

use crate::program::Workplace;
use crate::support::{Options, TestApp, spawn_app_with};

async fn days(app: &TestApp) -> Vec<String> {
    let stats = app.json("/api/v1/stats").await;
    let line = |day: &Value| format!("{} {}", day["day"].as_str().unwrap(), day["stored"]);
    stats["days"].as_array().unwrap().iter().map(line).collect()
}

async fn count(app: &TestApp, filter: &str) -> usize {
    app.json(&format!("/api/v1/resources?{filter}")).await["items"].as_array().unwrap().len()
}

#[test]
fn a_time_zone_was_no_setting() {
    let workplace = Workplace::configured("http://127.0.0.1:9").with("LARKIVE_TIME_ZONE", "Asia/Shanghai");
    let checked = workplace.run(&["config", "check"]).ended(0);
    assert!(checked.stdout.contains("LARKIVE_TIME_ZONE=Asia/Shanghai"), "{}", checked.stdout);
    let refused = workplace.with("LARKIVE_TIME_ZONE", "Asia/Shangai").run(&["serve"]);
    refused.refused("\"Asia/Shangai\" is not the IANA name of a time zone").keeps_secrets();
}

#[tokio::test]
async fn days_were_those_of_greenwich_wherever_people_lived() {
    let mut app = spawn_app_with(Options { time_zone: "Asia/Shanghai", ..Options::default() }).await;
    // At 08:00 on the 1st in Shanghai, and at 01:00 on the 2nd.
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    app.advance(Duration::from_secs(17 * 3600)).await;
    app.deliver(&event::image("om_2", &Media::Png.key(2))).await;
    app.drain().await;

    assert_eq!(days(&app).await, ["2026-01-02 1", "2026-01-01 1"]);
    for (filter, found) in [
        ("from=2026-01-02", 1),
        ("to=2026-01-02", 1),
        ("from=2026-01-03", 0),
        ("from=2026-01-01&to=2026-01-02", 1),
        ("from=2026-01-01T17:00:00Z", 1),
        ("q=after:2026-01-02", 1),
    ] {
        assert_eq!(count(&app, filter).await, found, "{filter}");
    }
    let newest = app.json("/api/v1/resources?limit=1").await;
    assert_eq!(newest["items"][0]["sent_at"], "2026-01-01T17:00:00.000Z", "times of the API are in UTC");

    app.options.time_zone = "America/New_York";
    let app = app.restart().await;
    assert_eq!(days(&app).await, ["2026-01-01 1", "2025-12-31 1"]);
    assert_eq!(count(&app, "to=2026-01-01").await, 1);
}
