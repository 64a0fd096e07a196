//! Store apps: a token for each tenant, bought with the ticket that the platform pushes.

use std::collections::BTreeSet;
use std::time::Duration;

use larkive::domain::app::AppKind;
use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::event::{self, MessageEvent};
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, Sandbox};
use serde_json::{Value, json};

use crate::apps::{Neighbour, app_at, archive_of, fault, platform};
use crate::life::{MANY, album};
use crate::program::Workplace;
use crate::support::{APP_ID, ENCRYPT_KEY, TestApp, until, until_called};

/// The store app.
const STORE: &str = "cli_store";

/// An archive of a store app beside the usual app, and the platform that it lives on.
async fn store_app() -> (Neighbour, Sandbox, TestApp) {
    let platform = platform().await;
    let mut setup = app_at(&platform, STORE, Some(ENCRYPT_KEY));
    setup.kind = AppKind::Store;
    let archive = archive_of(vec![setup]).await;
    (Neighbour::new(STORE, Some(ENCRYPT_KEY)), platform, archive)
}

#[tokio::test]
async fn a_store_app_has_a_token_for_each_tenant_and_asks_for_its_ticket_once() {
    let (store, platform, archive) = store_app().await;
    for (nth, tenant_key) in ["tenant_a", "tenant_b", "tenant_a"].into_iter().enumerate() {
        let message = event::image(&format!("om_{tenant_key}_{nth}"), &Media::Png.key(nth as u64));
        store.deliver_from_tenant(&archive, tenant_key, &message).await;
    }
    archive.drain().await;
    for resource in archive.resources().await {
        assert_eq!((resource.state, resource.reason_code), (State::Blocked, Some(ReasonCode::AppTicketMissing)));
    }
    assert_eq!(platform.requests_of(Route::TicketResend), 1, "however many wait for it");
    assert_eq!(platform.journal().len(), 1, "nothing else can be asked without a ticket");

    store.deliver_ticket(&archive, "ticket-1").await;
    archive.drain().await;
    for resource in archive.resources().await {
        assert_eq!(resource.state, State::Stored, "{:?} {:?}", resource.reason_code, resource.upstream);
    }
    assert_eq!((platform.requests_of(Route::AppToken), platform.requests_of(Route::TenantToken)), (1, 2));
    let downloads = platform.journal().into_iter().filter(|entry| entry.route == Route::Resource);
    let asked: Vec<_> = downloads.map(|entry| (entry.message_id.unwrap(), entry.tenant_key.unwrap())).collect();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|(message_id, tenant_key)| message_id.contains(tenant_key.as_str())), "{asked:?}");
    let shown = archive.api("/api/v1/events").await.text().await.unwrap();
    assert!(shown.contains("app_ticket") && !shown.contains("ticket-1"), "{shown}");
}

#[tokio::test]
async fn a_ticket_outlives_a_restart_and_an_older_one_does_not_replace_it() {
    let (store, platform, archive) = store_app().await;
    let late = event::app_ticket(&store.app, "e_late", "ticket-old", archive.clock.now());
    archive.clock.set(archive.clock.now().after(Duration::from_secs(6 * 3600)));
    store.deliver_ticket(&archive, "ticket-new").await;
    assert_eq!(store.deliver_to(&archive, "", &late).await.status, 200);
    archive.drain().await;
    let archive = archive.restart().await;
    let kept: String =
        sqlx::query_scalar("SELECT ticket FROM app_tickets").fetch_one(archive.catalogue.read()).await.unwrap();
    assert_eq!(kept, "ticket-new");
    let key = Media::Png.key(1);
    store.deliver(&archive, &event::image("om_1", &key)).await;
    archive.drain().await;
    archive.assert_stored(&key).await;
    assert_eq!(platform.requests_of(Route::TicketResend), 0);
}

#[tokio::test]
async fn a_refused_ticket_is_not_shown_again_and_the_next_one_is() {
    let (store, platform, archive) = store_app().await;
    store.deliver_ticket(&archive, "ticket-1").await;
    let refused = json!({"answer": {"status": 200, "code": 10_012, "msg": "app_ticket is invalid"}});
    fault(&platform, json!({"route": "app_token", "times": 1, "do": refused}));
    for seed in 0..5 {
        store.deliver(&archive, &event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    archive.drain().await;
    for resource in archive.resources().await {
        assert_eq!((resource.state, resource.reason_code), (State::Blocked, Some(ReasonCode::AppTicketMissing)));
    }
    assert_eq!((platform.requests_of(Route::AppToken), platform.requests_of(Route::TicketResend)), (1, 1));
    store.deliver_ticket(&archive, "ticket-2").await;
    archive.drain().await;
    for seed in 0..5 {
        archive.assert_stored(&Media::Png.key(seed)).await;
    }
}

#[tokio::test]
async fn a_try_that_was_overtaken_by_its_ticket_does_not_wait_for_the_next_one() {
    let (store, platform, archive) = store_app().await;
    fault(&platform, json!({"route": "ticket_resend", "times": 1, "delay_ms": 300}));
    let key = Media::Png.key(1);
    store.deliver(&archive, &event::image("om_1", &key)).await;
    // The try has found no ticket and asks for one; the ticket comes before the try has ended.
    until_called(&platform, Route::TicketResend, 1).await;
    store.deliver_ticket(&archive, "ticket-1").await;
    archive.drain().await;
    archive.assert_stored(&key).await;
}

#[tokio::test]
async fn however_many_wait_for_a_ticket_all_go_on_with_it() {
    let (store, _platform, archive) = store_app().await;
    store.deliver(&archive, &album()).await;
    archive.drain().await;
    assert_eq!(archive.count("SELECT COUNT(*) FROM resources WHERE state = 'blocked'").await, MANY);
    store.deliver_ticket(&archive, "ticket-1").await;
    archive.drain().await;
    assert_eq!(archive.count("SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, MANY);
}

#[tokio::test]
async fn what_is_wrong_with_a_store_app_is_said_and_not_looped() {
    for (route, code, reason) in [
        ("ticket_resend", 10_016, ReasonCode::AppTicketMissing),
        ("ticket_resend", 10_015, ReasonCode::CredentialsRejected),
        ("app_token", 10_015, ReasonCode::CredentialsRejected),
        ("tenant_token", 99_991_673, ReasonCode::AppNotInstalled),
        ("tenant_token", 99_991_664, ReasonCode::CredentialsRejected),
        ("resource", 99_991_663, ReasonCode::CredentialsRejected),
    ] {
        let (store, platform, archive) = store_app().await;
        if route != "ticket_resend" {
            store.deliver_ticket(&archive, "ticket-1").await;
        }
        fault(&platform, json!({"route": route, "do": {"answer": {"status": 400, "code": code, "msg": "no"}}}));
        let key = Media::Png.key(1);
        store.deliver(&archive, &event::image("om_1", &key)).await;
        archive.drain().await;
        let found = archive.resource(&key).await.resource;
        assert_eq!((found.state, found.reason_code), (State::Blocked, Some(reason)), "{route} {code}");
        let is_about_a_name = |route| matches!(route, Route::Chat | Route::Members | Route::Users);
        let journal: Vec<_> = platform.journal().into_iter().filter(|entry| !is_about_a_name(entry.route)).collect();
        assert!(journal.len() <= 6, "{route} {code}: {journal:?}");
    }
}

/// A picture in a chat and from a person of one tenant, named after it.
fn picture_in(tenant_key: &str, seed: u64) -> MessageEvent {
    MessageEvent {
        chat_id: format!("oc_{tenant_key}"),
        sender_open_id: format!("ou_{tenant_key}"),
        ..event::image(&format!("om_{tenant_key}"), &Media::Png.key(seed))
    }
}

#[tokio::test]
async fn names_are_asked_for_in_the_name_of_the_tenant_whose_they_are() {
    let (store, platform, archive) = store_app().await;
    store.deliver_ticket(&archive, "ticket-1").await;
    // One company has not allowed it, which is no reason not to ask another.
    let refused = json!({"answer": {"status": 400, "code": 99_991_672, "msg": "Access denied."}});
    fault(&platform, json!({"route": "chat", "key": "oc_tenant_a", "do": refused}));
    for (seed, tenant_key) in ["tenant_a", "tenant_b"].into_iter().enumerate() {
        store.deliver_from_tenant(&archive, tenant_key, &picture_in(tenant_key, seed as u64)).await;
    }
    until("everybody has a name, and so has one chat", async || {
        archive.count("SELECT COUNT(*) FROM senders WHERE name IS NOT NULL").await == 2
            && archive.count("SELECT COUNT(*) FROM chats WHERE name IS NOT NULL").await == 1
    })
    .await;
    let journal = platform.journal();
    for route in [Route::Chat, Route::Members] {
        for entry in journal.iter().filter(|entry| entry.route == route) {
            assert_eq!(entry.key, entry.tenant_key.as_ref().map(|tenant_key| format!("oc_{tenant_key}")), "{entry:?}");
        }
    }
    let users = journal.iter().filter(|entry| entry.route == Route::Users).filter_map(|entry| entry.tenant_key.clone());
    assert_eq!(users.collect::<BTreeSet<_>>(), BTreeSet::from(["tenant_a".to_owned(), "tenant_b".to_owned()]));
}

/// A picture in a message that the archive has never seen.
fn unseen(seed: u64) -> (String, Value) {
    let key = Media::Png.key(1000 + seed);
    let message = format!("om_unseen_{seed}");
    (key.clone(), json!({"source": "resource", "app_id": STORE, "message": message, "key": key, "type": "image"}))
}

/// The tenant in whose name a key was asked for.
fn asked_for(platform: &Sandbox, key: &str) -> Option<String> {
    platform.journal().into_iter().rfind(|entry| entry.key.as_deref() == Some(key))?.tenant_key
}

#[tokio::test]
async fn what_no_message_tells_of_is_fetched_for_the_only_tenant_or_for_the_one_that_is_named() {
    let (store, platform, archive) = store_app().await;
    store.deliver_ticket(&archive, "ticket-1").await;
    let (first, order) = unseen(1);
    let (status, problem) = archive.post_fetch(&order).await;
    assert_eq!((status, &problem["code"]), (400, &json!("missing_value")), "{problem}");
    assert!(archive.resources().await.is_empty(), "what cannot be asked for makes no row");

    store.deliver_from_tenant(&archive, "tenant_a", &picture_in("tenant_a", 1)).await;
    archive.drain().await;
    assert_eq!(archive.post_fetch(&order).await.0, 202);
    archive.drain().await;
    archive.assert_stored(&first).await;
    assert_eq!(asked_for(&platform, &first).as_deref(), Some("tenant_a"));

    store.deliver_from_tenant(&archive, "tenant_b", &picture_in("tenant_b", 2)).await;
    archive.drain().await;
    let (second, mut order) = unseen(2);
    let (status, problem) = archive.post_fetch(&order).await;
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().contains("tenant_a, tenant_b"), "{problem}");
    order["tenant"] = "tenant_b".into();
    assert_eq!(archive.post_fetch(&order).await.0, 202);
    archive.drain().await;
    archive.assert_stored(&second).await;
    assert_eq!(asked_for(&platform, &second).as_deref(), Some("tenant_b"));
    // What is known is known, also by its message.
    order.as_object_mut().unwrap().remove("tenant");
    assert_eq!(archive.post_fetch(&order).await.1["state"], "stored");
    order["message"] = "om_tenant_a".into();
    order["key"] = Media::Png.key(7).into();
    assert_eq!(archive.post_fetch(&order).await.1["tenant_key"], "tenant_a");
    archive.drain().await;
}

#[tokio::test]
async fn a_tenant_that_was_named_by_mistake_is_put_right_by_naming_another() {
    let (store, platform, archive) = store_app().await;
    store.deliver_ticket(&archive, "ticket-1").await;
    let refused = json!({"answer": {"status": 400, "code": 99_991_673, "msg": "not installed"}});
    fault(&platform, json!({"route": "tenant_token", "times": 1, "do": refused}));
    let (key, mut order) = unseen(1);
    for (tenant_key, state) in [("tenant_wrong", State::Blocked), ("tenant_right", State::Stored)] {
        order["tenant"] = tenant_key.into();
        assert_eq!(archive.post_fetch(&order).await.0, 202);
        archive.drain().await;
        assert_eq!(archive.resource(&key).await.resource.state, state, "{tenant_key}");
    }
    order["app_id"] = APP_ID.into();
    let (status, problem) = archive.post_fetch(&order).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_value")), "a custom app has one tenant only");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_asks_in_the_name_of_a_tenant_too() {
    let (store, platform, archive) = store_app().await;
    store.deliver_ticket(&archive, "ticket-1").await;
    for (seed, tenant_key) in ["tenant_a", "tenant_b"].into_iter().enumerate() {
        store.deliver_from_tenant(&archive, tenant_key, &picture_in(tenant_key, seed as u64)).await;
    }
    archive.drain().await;
    let configuration = format!(
        "[[apps]]\napp_id = \"{STORE}\"\napp_secret = \"secret\"\nkind = \"store\"\nbase_url = \"{}\"
         helpdesk_id = \"12345\"\nhelpdesk_token = \"ht-sometoken\"\n",
        platform.base_url()
    );
    let larkive = Workplace::bare()
        .with("LARKIVE_CONFIG", "larkive.toml")
        .with("LARKIVE_DATA_DIR", archive.layout.directory.to_str().unwrap())
        .with("LARKIVE_MIN_FREE_BYTES", "0")
        .with("RUST_LOG", "error");
    std::fs::write(larkive.path("larkive.toml"), configuration).unwrap();
    let run = |words: &str| tokio::task::block_in_place(|| larkive.run(&words.split(' ').collect::<Vec<_>>()));
    let key = Media::Png.key(1001);
    let fetch = format!("fetch resource --message om_unseen --key {key} --type image");
    run(&fetch).refused("(tenant_a, tenant_b); name the one to ask for: --tenant");
    let fetched = run(&format!("{fetch} --tenant tenant_b")).ended(0);
    assert_eq!(
        (&fetched.rows()[0]["state"], asked_for(&platform, &key).as_deref()),
        (&json!("stored"), Some("tenant_b"))
    );
    run(&fetch).ended(0);
    run("fetch lingo --all").refused("custom apps only");
    let subscribed = run("helpdesk subscribe").ended(1);
    let subscription = &subscribed.rows()[0];
    assert_eq!(
        (&subscription["subscribed"], &subscription["reason_code"]),
        (&json!(false), &json!("custom_apps_only"))
    );
    let asked: Vec<Route> = platform.journal().into_iter().map(|entry| entry.route).collect();
    assert!(!asked.contains(&Route::HelpdeskSubscribe) && !asked.contains(&Route::LingoEntities), "{asked:?}");
}
