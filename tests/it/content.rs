//! Content through the webhook: what `extract` finds in a body is what the archive records of it.

use std::collections::BTreeSet;
use std::fs;

use larkive::catalogue::listing::Walk;
use larkive::catalogue::listing::resource::Resource;
use larkive::domain::filter::Filter;
use larkive::domain::reason::ReasonCode;
use larkive::feishu::json;
use larkive::sandbox::event;
use serde_json::{Value, json};

use crate::corpus;
use crate::support::{APP_ID, Options, TestApp, spawn_app_with};

/// The token in the events of the corpus; their app is the tests'.
const TOKEN: &str = "v-token";
/// The ticket in the events of the corpus.
const TICKET: &str = "6948728206392295400";

/// Bodies that reach no archive, and why.
const NOT_DELIVERED: [(&str, &str); 2] = [
    ("payload_after_byte_order_mark", "an editor put the mark there; the webhook takes it for no JSON"),
    ("forward_listed_alone", "to `extract` this forward is still closed; a platform that lists it so has opened it"),
];

/// How a body of the corpus comes into the archive.
enum Way {
    /// As an event, word for word.
    Event(String),
    /// As what the platform lists for a forward.
    Forward(String, Vec<Value>),
}

/// The corpus uses the same few ids over and over: each body gets its own, and so do its rows.
fn with_own_ids(name: &str, number: usize, text: &str) -> String {
    text.replace("\"om_", &format!("\"om_{name}_")).replace(TICKET, &format!("69487{number:014}"))
}

fn way(name: &str, text: &str) -> Way {
    let body: Value = json::read(text).unwrap();
    let is_event = body.get("schema").is_some() || body["type"] == "event_callback";
    if is_event && text.contains(TOKEN) {
        return Way::Event(text.to_owned());
    }
    if is_event {
        return Way::Event(receive_event(&body["event"]).to_string());
    }
    if let Some(items) = body.pointer("/data/items").or(body.get("items")) {
        return forward(name, items.as_array().unwrap().clone());
    }
    if body.get("msg_type").is_some() {
        return forward(name, vec![body]);
    }
    if body.get("message").is_some() {
        return Way::Event(receive_event(&body).to_string());
    }
    let mut message = json!({"message_id": own_id(name), "chat_id": event::GROUP_CHAT, "chat_type": "group"});
    message.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    Way::Event(receive_event(&json!({"message": message})).to_string())
}

/// The id of a message that brings none.
fn own_id(name: &str) -> String {
    format!("om_{name}_own")
}

fn receive_event(event: &Value) -> Value {
    let header = json!({"event_id": "e", "event_type": "im.message.receive_v1", "token": TOKEN, "app_id": APP_ID, "create_time": "1763625600000"});
    json!({"schema": "2.0", "header": header, "event": event})
}

/// The items as what lies in a forward: in the one among them that lies in no other, else in one
/// around them all.
fn forward(name: &str, mut items: Vec<Value>) -> Way {
    let is_outermost = |item: &&Value| item["msg_type"] == "merge_forward" && item.get("upper_message_id").is_none();
    let found = items.iter().find(is_outermost).map(|item| item["message_id"].as_str().unwrap().to_owned());
    let id = found.unwrap_or_else(|| {
        items.insert(0, json!({"message_id": own_id(name), "msg_type": "merge_forward", "body": {"content": "words"}}));
        own_id(name)
    });
    Way::Forward(id, items)
}

async fn post(app: &TestApp, body: String) -> u16 {
    let request = app.http.post(format!("http://{}/webhook/event", app.address));
    request.header("content-type", "application/json").body(body).send().await.unwrap().status().as_u16()
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

/// What a row of the archive says, in the words of `extract`. Nobody has sent what the corpus names,
/// so all of it is refused; that is none of the message's business.
fn as_extracted(row: &Resource) -> String {
    let refused = [ReasonCode::NotInMessage, ReasonCode::AppNotInChat, ReasonCode::TicketMismatch];
    let told = row.reason_code.filter(|reason| !refused.contains(reason));
    json!([row.message_id, row.role, row.kind, row.key, row.file_name, told]).to_string()
}

fn as_expected(name: &str, row: &Value) -> String {
    let owner = row["message_id"].as_str().map_or_else(|| own_id(name), str::to_owned);
    json!([owner, row["role"], row["type"], row["key"], row["file_name"], row["reason_code"]]).to_string()
}

#[tokio::test]
async fn the_archive_records_what_extract_finds() {
    let app = spawn_app_with(Options { verification_token: TOKEN, encrypt_key: None, ..Options::default() }).await;
    let mut expected = BTreeSet::new();
    let mut left: BTreeSet<_> = NOT_DELIVERED.iter().map(|(name, _)| *name).collect();
    for (number, (body, rows)) in corpus::bodies().into_iter().enumerate() {
        let name = body.file_stem().unwrap().to_str().unwrap();
        if left.remove(name) {
            continue;
        }
        let own = |path| with_own_ids(name, number, &fs::read_to_string(path).unwrap());
        let delivered = match way(name, &own(&body)) {
            Way::Event(payload) => payload,
            Way::Forward(id, items) => {
                app.platform.put_message(&id, items);
                event::merge_forward(&id).payload(app.sender.app(), app.clock.now()).to_string()
            }
        };
        assert_eq!(post(&app, delivered).await, 200, "{name}");
        let rows: Vec<Value> = serde_json::from_str(&own(&rows)).unwrap();
        expected.extend(rows.iter().map(|row| as_expected(name, row)));
    }
    assert!(left.is_empty(), "no longer in the corpus: {left:?}");
    app.drain().await;

    let found: BTreeSet<_> = recorded(&app).await.iter().map(as_extracted).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}\nsurplus: {surplus:#?}");
    assert_eq!(app.count("SELECT COUNT(*) FROM event_outcomes WHERE result = 'unparsed'").await, 0);
}

#[tokio::test]
async fn what_an_editor_puts_before_the_text_is_refused() {
    let app = spawn_app_with(Options { verification_token: TOKEN, encrypt_key: None, ..Options::default() }).await;
    let payload = event::image("om_1", "img_1").payload(app.sender.app(), app.clock.now()).to_string();
    assert_eq!(post(&app, format!("\u{feff}{payload}")).await, 400);
    assert_eq!(post(&app, payload).await, 200);
}
