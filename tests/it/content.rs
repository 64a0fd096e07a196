//! Content through the webhook: what `extract` finds in a body is what the archive records of it.

use std::fs;

use larkive::catalogue::listing::Walk;
use larkive::catalogue::listing::resource::Resource;
use larkive::domain::download::State;
use larkive::domain::filter::Filter;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::sender::Sender;
use serde_json::{Value, json};

use crate::corpus;
use crate::support::{TestApp, spawn_app};

/// Events of the corpus that carry a message; fewer mean that they were not recognised.
const LEAST_EVENTS: usize = 95;

/// A body of the corpus as an event of the test's app under a message id of its own, and the rows
/// that belong to it; nothing for what is no pushed message.
fn delivery(name: &str, body: &str, expected: &str, sender: &Sender) -> Option<(Value, Vec<Value>)> {
    let mut payload: Value = serde_json::from_str(body).ok()?;
    let is_message = payload.pointer("/header/event_type")? == "im.message.receive_v1";
    let message = payload.pointer("/event/message").filter(|_| is_message)?;
    // An unopened forward has a row of its own, which is another story.
    let is_forward = message["message_type"] == "merge_forward";
    let rows: Vec<Value> = serde_json::from_str(expected).unwrap();
    payload["header"]["app_id"] = json!(sender.app().app_id);
    payload["header"]["token"] = json!(sender.app().verification_token.reveal());
    payload["event"]["message"]["message_id"] = json!(format!("om_{name}"));
    (!is_forward).then_some((payload, rows))
}

async fn recorded(app: &TestApp) -> Vec<Resource> {
    let mut walk = Walk::new(&app.catalogue, Filter::default(), app.clock.now());
    let mut resources = Vec::new();
    loop {
        let stretch = walk.next().await.unwrap();
        if stretch.is_empty() {
            return resources;
        }
        resources.extend(stretch);
    }
}

/// What identifies and describes a resource, apart from its message.
fn essence(role: Value, kind: Value, key: Value, file_name: Value) -> String {
    json!([role, kind, key, file_name]).to_string()
}

#[tokio::test]
async fn the_archive_records_what_extract_finds() {
    let app = spawn_app().await;
    let mut deliveries = Vec::new();
    for (body, expected) in corpus::bodies() {
        let name = body.file_stem().unwrap().to_str().unwrap().to_owned();
        let (body, expected) = (fs::read_to_string(&body).unwrap(), fs::read_to_string(&expected).unwrap());
        if let Some((payload, rows)) = delivery(&name, &body, &expected, &app.sender) {
            assert_eq!(app.deliver_payload(&payload).await.status, 200, "{name}");
            deliveries.push((name, rows));
        }
    }
    assert!(deliveries.len() >= LEAST_EVENTS, "only {} events", deliveries.len());
    app.drain().await;

    let recorded = recorded(&app).await;
    for (name, rows) in &deliveries {
        let owner = format!("om_{name}");
        let of_message =
            || recorded.iter().filter(|row| row.message_id.as_ref().is_some_and(|id| id.as_str() == owner));
        let mut found: Vec<_> = of_message()
            .map(|row| essence(json!(row.role), json!(row.kind), json!(row.key), json!(row.file_name)))
            .collect();
        let wanted = |row: &Value| {
            essence(row["role"].clone(), row["type"].clone(), row["key"].clone(), row["file_name"].clone())
        };
        let mut expected: Vec<_> = rows.iter().map(wanted).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{name}");
        for row in of_message() {
            let expected = rows.iter().find(|expected| expected["key"] == json!(row.key)).unwrap();
            let reason = expected["reason_code"].as_str().unwrap_or(ReasonCode::NotInMessage.as_str());
            assert_eq!(row.state, State::Impossible, "{name}: nobody has sent {}", row.key);
            assert_eq!(row.reason_code.map(ReasonCode::as_str), Some(reason), "{name}: {}", row.key);
        }
    }
}
