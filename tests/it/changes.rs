//! The change feed as another system follows it.

use std::collections::BTreeMap;

use larkive::domain::message::OnRecall;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use crate::support::{Options, TestApp, spawn_app, spawn_app_with};

/// A system that follows the feed and keeps the last that it was told of each resource.
#[derive(Default)]
struct Follower {
    after: i64,
    known: BTreeMap<String, Value>,
}

impl Follower {
    /// Reads on until there is nothing new; returns how many items it was told.
    async fn follow(&mut self, app: &TestApp, limit: u32) -> usize {
        let mut told = 0;
        loop {
            let page = app.json(&format!("/api/v1/changes?after={}&limit={limit}", self.after)).await;
            let next = page["next_after"].as_i64().unwrap();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit as usize, "{page}");
            assert_eq!(items.is_empty(), next == self.after, "{page}");
            for item in items {
                let seq = item["seq"].as_i64().unwrap();
                assert!(self.after < seq && seq <= next, "{page}");
                self.known.insert(item["resource"]["id"].as_str().unwrap().to_owned(), item["resource"].clone());
            }
            if items.is_empty() {
                return told;
            }
            (told, self.after) = (told + items.len(), next);
        }
    }

    /// Asserts that it knows exactly what the archive shows, but for names, which make no change.
    async fn assert_knows_all(&self, app: &TestApp) {
        let listed = app.json("/api/v1/resources?limit=200").await;
        let listed: BTreeMap<String, Value> = listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["id"].as_str().unwrap().to_owned(), nameless(item)))
            .collect();
        let mut known = self.nameless();
        known.retain(|_, resource| resource["hidden"] != json!(true));
        assert_eq!(known, listed);
    }

    /// What it knows, but for names.
    fn nameless(&self) -> BTreeMap<String, Value> {
        self.known.iter().map(|(id, resource)| (id.clone(), nameless(resource))).collect()
    }
}

/// A resource without the names of chat and sender, which are looked up at some time after it came.
fn nameless(resource: &Value) -> Value {
    let mut resource = resource.clone();
    // Of what is hidden there is nothing but an id.
    if resource["hidden"] != json!(true) {
        resource["chat_name"] = Value::Null;
        resource["sender"]["name"] = Value::Null;
    }
    resource
}

#[tokio::test]
async fn a_follower_knows_everything_whenever_it_reads_and_whatever_happens() {
    let app = spawn_app().await;
    let mut follower = Follower::default();
    assert_eq!(follower.follow(&app, 50).await, 0);

    app.fault(
        json!({"key": Media::Png.key(1), "times": 1, "do": {"answer": {"status": 400, "code": 234_038, "msg": "no"}}}),
    );
    for seed in 1..=6 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
        follower.follow(&app, 2).await;
    }
    app.drain().await;
    follower.follow(&app, 2).await;
    follower.assert_knows_all(&app).await;
    assert_eq!(follower.follow(&app, 2).await, 0, "what was read is not told again");

    assert_eq!(app.post("/api/v1/resources/retry?state=blocked").await, json!({"queued": 1}));
    app.drain().await;
    assert!(follower.follow(&app, 200).await > 0);
    follower.assert_knows_all(&app).await;

    let app = app.restart().await;
    app.deliver(&event::sticker("om_7", "file_v3_sticker")).await;
    app.drain().await;
    assert_eq!(follower.follow(&app, 1).await, 1);
    follower.assert_knows_all(&app).await;

    let mut late = Follower::default();
    late.follow(&app, 3).await;
    assert_eq!(late.nameless(), follower.nameless(), "replayed from the beginning");
}

#[tokio::test]
async fn each_resource_is_told_once_and_again_only_when_something_can_be_seen() {
    let app = spawn_app().await;
    let keys = [1, 2, 3].map(|seed| Media::Png.key(seed));
    let post = json!({"content": [keys.each_ref().map(|key| json!({"tag": "img", "image_key": key}))]});
    app.deliver(&event::post("om_1", &post)).await;
    app.drain().await;
    let mut follower = Follower::default();
    assert_eq!(follower.follow(&app, 1).await, 3, "what was found, claimed and stored stands in one place");
    follower.assert_knows_all(&app).await;

    for delivery in app.json("/api/v1/events").await["items"].as_array().unwrap() {
        let replayed = format!("/api/v1/events/{}/replay", delivery["id"].as_str().unwrap());
        assert_eq!(app.post(&replayed).await, json!({"queued": 1}));
    }
    app.drain().await;
    assert_eq!(follower.follow(&app, 1).await, 0, "a replay tells nothing new");

    app.post_fetch(&json!({"source": "resource", "message": "om_1", "key": keys[0], "type": "image", "force": true}))
        .await;
    app.drain().await;
    assert_eq!(follower.follow(&app, 1).await, 1);
    assert_eq!(Follower::default().follow(&app, 1).await, 3, "the newest place of each is the only one");
    follower.assert_knows_all(&app).await;
}

#[tokio::test]
async fn what_is_hidden_or_goes_is_told_with_nothing_but_its_id() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    let mut follower = Follower::default();
    follower.follow(&app, 50).await;
    let id = app.resource(&Media::Png.key(1)).await.resource.id.to_string();

    let recalled = json!({"schema": "2.0",
        "header": {"event_id": "ev_recall", "event_type": "im.message.recalled_v1", "app_id": app.sender.app().app_id,
            "token": app.sender.app().verification_token.reveal(), "tenant_key": event::TENANT_KEY,
            "create_time": "1767225600000"},
        "event": {"message_id": "om_1", "chat_id": event::GROUP_CHAT, "recall_time": "1767225600000",
            "recall_type": "message_owner"}});
    assert_eq!(app.deliver_payload(&recalled).await.status, 200);
    app.drain().await;
    assert_eq!(follower.follow(&app, 50).await, 1);
    assert_eq!(follower.known[&id], json!({"id": id, "hidden": true}));
    follower.assert_knows_all(&app).await;
}

#[tokio::test]
async fn what_is_no_place_in_the_feed_is_refused() {
    let app = spawn_app().await;
    for (query, code) in [
        ("after=-1", "bad_value"),
        ("after=x", "bad_value"),
        ("after=9223372036854775808", "bad_value"),
        ("after=0&after=0", "bad_value"),
        ("limit=0", "bad_value"),
        ("limit=201", "bad_value"),
        ("cursor=1", "unknown_parameter"),
    ] {
        let answer = app.api(&format!("/api/v1/changes?{query}")).await;
        assert_eq!(answer.status(), 400, "{query}");
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(problem["code"], code, "{query}: {problem}");
    }
    assert_eq!(app.json("/api/v1/changes").await, json!({"items": [], "next_after": 0}));
}

#[tokio::test]
async fn who_was_told_more_than_is_here_hears_that_the_feed_began_anew() {
    let app = spawn_app().await;
    let answer = app.api("/api/v1/changes?after=1").await;
    assert_eq!(answer.status(), 410);
    let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "feed_restarted", "{problem}");
}
