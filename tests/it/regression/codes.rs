//! Codes of the platform without a meaning, and remedies that did not say what its pages say.

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, Sandbox, SandboxOptions};
use serde_json::{Value, json};

use crate::program::Workplace;
use crate::support::{TestApp, spawn_app};

/// State and reason of a resource.
async fn outcome(app: &TestApp, key: &str) -> (String, Option<&'static str>) {
    let resource = app.resource(key).await.resource;
    (resource.state.to_string(), resource.reason_code.map(|reason| reason.as_str()))
}

#[tokio::test]
async fn credentials_that_do_not_exist_were_an_unknown_code() {
    for (code, reason) in [
        (99_991_543, "credentials_rejected"),
        (20_002, "credentials_rejected"),
        (20_048, "credentials_rejected"),
        (20_008, "upstream_error"),
        (20_050, "upstream_error"),
    ] {
        for status in [200, 400] {
            let app = spawn_app().await;
            app.fault(json!({"route": "token", "do": {"answer": {"status": status, "code": code, "msg": "no"}}}));
            let key = Media::Png.key(1);
            app.deliver(&event::image("om_1", &key)).await;
            app.drain().await;
            assert_eq!(outcome(&app, &key).await.1, Some(reason), "{code} under {status}");
            assert_eq!(app.platform.requests_of(Route::Resource), 0);
        }
    }
}

#[tokio::test]
async fn codes_of_late_2026_have_their_reasons() {
    let app = spawn_app().await;
    let cases = [
        (14_009, "dlp_denied", "blocked"),
        (230_011, "message_deleted", "gone"),
        (232_010, "external_chat", "blocked"),
    ];
    for (code, reason, state) in cases {
        let key = format!("img_{code}");
        app.fault(json!({"key": key, "do": {"answer": {"status": 200, "code": code, "msg": "no"}}}));
        app.deliver(&event::image(&format!("om_{code}"), &key)).await;
        app.drain().await;
        let (is, told) = outcome(&app, &key).await;
        assert_eq!((is.as_str(), told), (state, Some(reason)), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_app_asked_what_only_custom_apps_may_have() {
    let platform = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let workplace = Workplace::bare().with("LARKIVE_CONFIG", "larkive.toml").with("LARKIVE_MIN_FREE_BYTES", "0");
    let config = format!(
        "call_budget = \"off\"\n[[apps]]\napp_id = \"cli_store\"\napp_secret = \"secret\"\nkind = \"store\"\n\
         base_url = \"{}\"\nhelpdesk_id = \"1\"\nhelpdesk_token = \"ht-1\"\n",
        platform.base_url()
    );
    std::fs::write(workplace.path("larkive.toml"), config).unwrap();
    for words in [
        &["baike", "--key", "boxbc_1"][..],
        &["lingo", "--key", "boxbc_2"],
        &["ticket-image", "--ticket", "1", "--msg", "2"],
    ] {
        let fetched = workplace.run(&[&["fetch"], words, &["--format", "json"]].concat()).ended(1);
        let resource: Value = serde_json::from_str(&fetched.stdout).unwrap();
        let ended = (&resource["state"], &resource["reason_code"]);
        assert_eq!(ended, (&json!("impossible"), &json!("custom_apps_only")), "{words:?}");
        assert!(resource["remedy"]["zh"].as_str().unwrap().contains("自建应用"), "{resource}");
    }
    workplace.run(&["fetch", "lingo", "--all"]).refused("custom app");
    assert_eq!(platform.journal().len(), 0, "nothing was asked");
}

#[tokio::test]
async fn remedies_name_what_the_pages_of_the_platform_say() {
    let app = spawn_app().await;
    for (code, words) in [(154_000, "index"), (234_037, "100 MB"), (234_008, "vatar")] {
        let key = format!("img_{code}");
        app.fault(json!({"key": key, "do": {"answer": {"status": 400, "code": code, "msg": "no"}}}));
        app.deliver(&event::image(&format!("om_{code}"), &key)).await;
        app.drain().await;
        let remedy = app.resource(&key).await.resource.remedy.unwrap();
        assert!(remedy.en.contains(words) && remedy.zh.contains(words), "{code}: {remedy:?}");
    }
}
