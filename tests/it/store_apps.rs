//! Store apps: a token for each tenant, bought with the ticket that the platform pushes.

use std::collections::BTreeSet;
use std::time::Duration;

use larkive::domain::app::AppKind;
use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::event::{self, MessageEvent};
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, Sandbox};
use serde_json::json;

use crate::apps::{Neighbour, app_at, archive_of, fault, platform};
use crate::support::{ENCRYPT_KEY, TestApp, until};

/// An archive of a store app beside the usual app, and the platform that it lives on.
async fn store_app() -> (Neighbour, Sandbox, TestApp) {
    let platform = platform().await;
    let mut setup = app_at(&platform, "cli_store", Some(ENCRYPT_KEY));
    setup.kind = AppKind::Store;
    let archive = archive_of(vec![setup]).await;
    (Neighbour::new("cli_store", Some(ENCRYPT_KEY)), platform, archive)
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
    platform.until_called(Route::TicketResend, 1).await;
    store.deliver_ticket(&archive, "ticket-1").await;
    archive.drain().await;
    archive.assert_stored(&key).await;
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
