//! Several apps in one process, on two platforms, none in the others' way. Store apps are next door.

use std::collections::BTreeSet;

use larkive::app::AppSetup;
use larkive::catalogue::listing::resource::Resource;
use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event::{self, App as SampleApp, MessageEvent};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::{Reply, Sealing, seal};
use larkive::sandbox::{Route, Rule, Sandbox};
use serde_json::{Value, json};

use crate::support::{
    APP_ID, ENCRYPT_KEY, Options, TestApp, VERIFICATION_TOKEN, app_setup, spawn_app_with, until_called,
};

/// One platform's app, as its events show it.
pub struct Neighbour {
    pub app: SampleApp,
    encrypt_key: Option<&'static str>,
}

impl Neighbour {
    pub fn new(app_id: &str, encrypt_key: Option<&'static str>) -> Self {
        let app = SampleApp { app_id: app_id.to_owned(), verification_token: Secret::new(VERIFICATION_TOKEN) };
        Self { app, encrypt_key }
    }

    /// Delivers to the path that all apps share, or to an app's own.
    pub async fn deliver_to(&self, archive: &TestApp, path: &str, payload: &Value) -> Reply {
        let key = self.encrypt_key.map(|key| EncryptKey::new(Secret::new(key)));
        let delivery = seal(payload, key.as_ref(), Sealing::Proper, archive.clock.now());
        let url = format!("http://{}/webhook/event{path}", archive.address);
        let mut request = archive.http.post(url).header("Content-Type", "application/json").body(delivery.body);
        for (name, value) in delivery.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        Reply { status: response.status().as_u16(), body: response.text().await.unwrap() }
    }

    pub async fn deliver(&self, archive: &TestApp, message: &MessageEvent) {
        let payload = message.payload(&self.app, archive.clock.now());
        assert_eq!(self.deliver_to(archive, "", &payload).await.status, 200);
    }

    /// A picture from a company that has installed a store app.
    pub async fn deliver_from_tenant(&self, archive: &TestApp, tenant_key: &str, message: &MessageEvent) {
        let mut payload = message.payload(&self.app, archive.clock.now());
        payload["header"]["tenant_key"] = tenant_key.into();
        assert_eq!(self.deliver_to(archive, "", &payload).await.status, 200);
    }

    pub async fn deliver_ticket(&self, archive: &TestApp, ticket: &str) {
        let payload = event::app_ticket(&self.app, &event::hex_id(&[ticket]), ticket, archive.clock.now());
        assert_eq!(self.deliver_to(archive, "", &payload).await.status, 200);
    }
}

/// An archive of the usual app and these others.
pub async fn archive_of(neighbours: Vec<AppSetup>) -> TestApp {
    spawn_app_with(Options { neighbours, ..Options::default() }).await
}

/// A custom app at a platform, with the usual verification token.
pub fn app_at(platform: &Sandbox, app_id: &str, encrypt_key: Option<&'static str>) -> AppSetup {
    app_setup(&Options { encrypt_key, ..Options::default() }, app_id, platform)
}

pub async fn platform() -> Sandbox {
    Sandbox::start(larkive::sandbox::SandboxOptions::default()).await.unwrap()
}

pub fn fault(platform: &Sandbox, rule: Value) {
    platform.fault(serde_json::from_value::<Rule>(rule).unwrap());
}

/// The resource that an app has under a key.
async fn resource_of(archive: &TestApp, app_id: &str, key: &str) -> Resource {
    let mut found = archive.resources().await;
    found.retain(|resource| resource.app_id.as_str() == app_id && resource.key.as_str() == key);
    assert_eq!(found.len(), 1, "resources of {app_id} with key {key}");
    found.remove(0)
}

/// The apps that called a platform, and the tokens that it saw. Every token that it saw must be its own.
fn callers(platform: &Sandbox) -> (BTreeSet<String>, BTreeSet<String>) {
    let journal = platform.journal();
    let strangers: Vec<_> = journal.iter().filter(|entry| entry.token.is_some() && entry.app_id.is_none()).collect();
    assert!(strangers.is_empty(), "tokens of somewhere else: {strangers:?}");
    let apps = journal.iter().filter_map(|entry| entry.app_id.clone()).collect();
    (apps, journal.into_iter().filter_map(|entry| entry.token).collect())
}

#[tokio::test]
async fn two_platforms_and_a_wrong_secret_share_a_process_and_no_token() {
    let feishu = platform().await;
    let other = Neighbour::new("cli_feishu", None);
    let wrong = Neighbour::new("cli_wrong", Some("its-key"));
    let abroad = Neighbour::new(APP_ID, Some(ENCRYPT_KEY));
    let archive =
        archive_of(vec![app_at(&feishu, "cli_feishu", None), app_at(&feishu, "cli_wrong", Some("its-key"))]).await;
    // The usual app is the one abroad.
    let lark = &archive.platform;
    let rejects = json!({"answer": {"status": 200, "code": 10_015, "msg": "app secret invalid"}});
    fault(&feishu, json!({"route": "token", "app": "cli_wrong", "do": rejects}));

    for seed in 0..20 {
        for (nth, app) in [&other, &wrong, &abroad].into_iter().enumerate() {
            let key = Media::Png.key(seed * 10 + nth as u64);
            app.deliver(&archive, &event::image(&format!("om_{nth}_{seed}"), &key)).await;
        }
    }
    archive.drain().await;

    for resource in archive.resources().await {
        let (state, reason) = (resource.state, resource.reason_code);
        if resource.app_id.as_str() == "cli_wrong" {
            assert_eq!((state, reason), (State::Blocked, Some(ReasonCode::CredentialsRejected)));
        } else {
            assert_eq!((state, reason), (State::Stored, None), "{}: {:?}", resource.app_id, resource.upstream);
        }
    }
    assert_eq!(archive.resources().await.len(), 60);
    let (feishu_apps, feishu_tokens) = callers(&feishu);
    let (lark_apps, lark_tokens) = callers(lark);
    assert_eq!(feishu_apps, BTreeSet::from(["cli_feishu".to_owned(), "cli_wrong".to_owned()]));
    assert_eq!(lark_apps, BTreeSet::from([APP_ID.to_owned()]));
    assert_eq!((feishu_tokens.len(), lark_tokens.len()), (1, 1));
    assert!(feishu_tokens.is_disjoint(&lark_tokens));
    assert_eq!((feishu.requests_of(Route::Resource), lark.requests_of(Route::Resource)), (20, 20));
}

#[tokio::test]
async fn a_message_that_two_apps_see_is_kept_for_each_by_its_own() {
    let elsewhere = platform().await;
    let twin = Neighbour::new("cli_twin", Some(ENCRYPT_KEY));
    let archive = archive_of(vec![app_at(&elsewhere, "cli_twin", Some(ENCRYPT_KEY))]).await;
    let key = Media::Png.key(1);
    let message = event::image("om_seen_by_both", &key);
    archive.deliver(&message).await;
    twin.deliver(&archive, &message).await;
    archive.drain().await;
    for (app_id, platform) in [(APP_ID, &archive.platform), ("cli_twin", &elsewhere)] {
        assert_eq!(resource_of(&archive, app_id, &key).await.state, State::Stored);
        assert_eq!(platform.requests_for(&key), 1, "requests of {app_id}");
        assert_eq!(callers(platform).0, BTreeSet::from([app_id.to_owned()]));
    }
    let shown = archive.api("/api/v1/messages/om_seen_by_both").await.text().await.unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let apps: BTreeSet<_> =
        shown["items"].as_array().unwrap().iter().map(|item| item["app_id"].as_str().unwrap()).collect();
    assert_eq!(apps, BTreeSet::from([APP_ID, "cli_twin"]));
}

#[tokio::test]
async fn paths_and_tokens_belong_to_one_app() {
    let elsewhere = platform().await;
    let mut plain = app_at(&elsewhere, "cli_plain", None);
    plain.keys.verification_token = Secret::new("token-of-its-own");
    let archive = archive_of(vec![plain, app_at(&elsewhere, "cli_lark", Some("another-key"))]).await;
    let first = Neighbour::new(APP_ID, Some(ENCRYPT_KEY));
    let message = event::image("om_1", &Media::Png.key(1)).payload(&first.app, archive.clock.now());

    let status = async |neighbour: &Neighbour, path: &str, payload: &Value| {
        let reply = neighbour.deliver_to(&archive, path, payload).await;
        (reply.status, reply.body)
    };
    assert_eq!(status(&first, "/cli_nobody", &message).await.0, 404);
    assert_eq!(status(&first, &format!("/{APP_ID}"), &message).await.0, 200);
    // Somebody else's path, key or token; nor does a plain body open an app with an Encrypt Key.
    let refused = status(&first, "/cli_lark", &message).await;
    assert_eq!(refused.0, 401);
    let mut posing = Neighbour::new("cli_plain", None);
    let usual_token = event::image("om_2", &Media::Png.key(2)).payload(&posing.app, archive.clock.now());
    assert_eq!(status(&posing, "", &usual_token).await, refused);
    assert_eq!(status(&posing, "/cli_plain", &usual_token).await, refused);
    assert_eq!(status(&posing, "", &message).await, refused);
    posing.app.verification_token = Secret::new("token-of-its-own");
    let own_token = event::image("om_2", &Media::Png.key(2)).payload(&posing.app, archive.clock.now());
    assert_eq!(status(&posing, "", &own_token).await.0, 200);
    let mut in_its_name = own_token.clone();
    in_its_name["header"]["app_id"] = APP_ID.into();
    assert_eq!(status(&posing, "", &in_its_name).await, refused);
    archive.drain().await;
    let owners: Vec<_> = archive.resources().await.into_iter().map(|resource| resource.app_id.to_string()).collect();
    assert_eq!(owners.len(), 2, "{owners:?}");
}

#[tokio::test]
async fn an_app_whose_downloads_hang_leaves_room_for_the_others() {
    let elsewhere = platform().await;
    let quick = Neighbour::new("cli_quick", Some(ENCRYPT_KEY));
    let archive = archive_of(vec![app_at(&elsewhere, "cli_quick", Some(ENCRYPT_KEY))]).await;
    archive.fault(json!({"route": "resource", "do": "hang"}));
    for seed in 0..20 {
        archive.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    // The usual app holds its own slot and all that are shared: three of four.
    until_called(&archive.platform, Route::Resource, 3).await;
    for seed in 0..20 {
        quick.deliver(&archive, &event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    until_called(&elsewhere, Route::Resource, 20).await;
    assert_eq!(archive.platform.requests_of(Route::Resource), 3, "the others wait behind the three that hang");
}

#[tokio::test]
async fn a_rate_limit_concerns_one_app() {
    let elsewhere = platform().await;
    let other = Neighbour::new("cli_other", Some(ENCRYPT_KEY));
    let neighbours = vec![app_at(&elsewhere, "cli_other", Some(ENCRYPT_KEY))];
    let archive = archive_of(neighbours).await;
    archive.fault(json!({"route": "resource", "do": {"rate_limited": {"status": 429, "reset": 3000}}}));
    let key = Media::Png.key(1);
    archive.deliver(&event::image("om_1", &key)).await;
    other.deliver(&archive, &event::image("om_1", &key)).await;
    archive.drain().await;
    let limited = resource_of(&archive, APP_ID, &key).await;
    assert_eq!((limited.state, limited.reason_code), (State::Pending, Some(ReasonCode::RateLimited)));
    assert_eq!(resource_of(&archive, "cli_other", &key).await.state, State::Stored);
}

#[tokio::test]
async fn a_redirect_is_not_followed_to_another_host() {
    let elsewhere = platform().await;
    let key = Media::Png.key(1);
    let location = format!("{}/open-apis/im/v1/messages/om_1/resources/{key}?type=image", elsewhere.base_url());
    for route in ["resource", "token"] {
        let archive = archive_of(Vec::new()).await;
        let headers = json!({ "Location": location });
        let redirect = json!({"answer": {"status": 307, "code": 0, "msg": "", "headers": headers}});
        archive.fault(json!({"route": route, "do": redirect}));
        archive.deliver(&event::image("om_1", &key)).await;
        archive.drain().await;
        let found = resource_of(&archive, APP_ID, &key).await;
        assert_eq!((found.state, found.reason_code), (State::Pending, Some(ReasonCode::NotAFile)), "{route}");
    }
    assert!(elsewhere.journal().is_empty());
}
