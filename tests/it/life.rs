//! The life of messages and chats: recalls in every order, causes that clear, names.

use std::time::Duration;

use larkive::domain::download::State;
use larkive::domain::message::OnRecall;
use larkive::domain::reason::ReasonCode;
use larkive::domain::time::Timestamp;
use larkive::sandbox::Route;
use larkive::sandbox::directory::{chat_name, person_name};
use larkive::sandbox::event::{self, GROUP_CHAT, Notice, NoticeEvent, SENDER};
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use crate::patience::Patience;
use crate::support::{Options, TestApp, spawn_app, spawn_app_with, until_called};

const MINUTE: Duration = Duration::from_secs(60);

/// Tells the archive that something happened at a time.
async fn tell_at(app: &TestApp, notice: Notice, at: Timestamp) {
    let event = NoticeEvent { event_id: format!("{:032x}", fastrand::u128(..)), notice };
    let reply = app.deliver_payload(&event.payload(app.sender.app(), at)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

async fn tell(app: &TestApp, notice: Notice) {
    tell_at(app, notice, app.clock.now()).await;
}

fn recall(message_id: &str) -> Notice {
    Notice::Recalled { message_id: message_id.to_owned() }
}

fn group() -> String {
    GROUP_CHAT.to_owned()
}

fn refusal(code: i64) -> Value {
    json!({"answer": {"status": 400, "code": code, "msg": "no"}})
}

async fn get(app: &TestApp, path: &str) -> Value {
    serde_json::from_slice(&app.api(path).await.bytes().await.unwrap()).unwrap()
}

/// Waits until the catalogue answers a question as it should.
async fn until<T>(app: &TestApp, sql: &'static str, expected: T)
where
    T: PartialEq + std::fmt::Debug + Unpin + Send + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let mut patience = Patience::new();
    loop {
        let found: T = sqlx::query_scalar(sql).fetch_one(app.catalogue.read()).await.unwrap();
        if found == expected {
            return;
        }
        patience.note(&format!("{sql} is {expected:?}"), found);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// More pictures in one message than are made due at once.
pub const MANY: i64 = 1_100;

/// A message with that many.
pub fn album() -> event::MessageEvent {
    let picture = |seed| json!({"tag": "img", "image_key": Media::Png.key(seed)});
    let pictures: Vec<_> = (0..MANY.unsigned_abs()).map(picture).collect();
    event::post("om_album", &json!({"content": [pictures]}))
}

#[tokio::test]
async fn stored_bytes_stay_when_the_message_is_recalled() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    app.advance(MINUTE).await;
    tell(&app, recall("om_1")).await;
    let first = app.clock.now();
    app.advance(MINUTE).await;
    tell(&app, recall("om_1")).await;
    app.deliver(&event::image("om_1", &key).redelivered("again")).await;
    app.drain().await;

    let resource = app.assert_stored(&key).await.resource;
    assert_eq!(resource.recalled_at, Some(first), "the first recall counts");
    assert_eq!(resource.recalled_by.as_deref(), Some("message_owner"));
    for view in ["v_resources", "v_messages"] {
        let others = format!("SELECT COUNT(*) FROM {view} WHERE recalled_by IS NOT 'message_owner'");
        let others: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(others)).fetch_one(app.catalogue.read()).await.unwrap();
        assert_eq!(others, 0, "{view}");
    }
    let message = &get(&app, "/api/v1/messages/om_1").await["items"][0];
    assert_eq!((&message["recalled_at"], &message["recalled_by"]), (&json!(first), &json!("message_owner")));
    assert_eq!(app.platform.requests_for(&key), 1);
}

#[tokio::test]
async fn a_message_that_comes_after_its_recall_is_tried_and_stays_recalled() {
    let app = spawn_app().await;
    let key = Media::Png.key(2);
    tell(&app, recall("om_1")).await;
    app.drain().await;
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    assert!(app.assert_stored(&key).await.resource.recalled_at.is_some());
}

#[tokio::test]
async fn what_is_refused_of_a_recalled_message_is_gone_in_whichever_order_it_is_told() {
    for code in [234_003, 230_110] {
        for order in ["recall first", "recall during the try", "recall last"] {
            let app = spawn_app().await;
            let key = Media::Png.key(3);
            let delay_ms = if order == "recall during the try" { 200 } else { 0 };
            app.fault(json!({"route": "resource", "delay_ms": delay_ms, "do": refusal(code)}));
            if order == "recall first" {
                tell(&app, recall("om_1")).await;
                app.drain().await;
            }
            app.deliver(&event::image("om_1", &key)).await;
            match order {
                "recall during the try" => until_called(&app.platform, Route::Resource, 1).await,
                _ => app.drain().await,
            }
            if order != "recall first" {
                tell(&app, recall("om_1")).await;
            }
            app.drain().await;
            let resource = app.resource(&key).await.resource;
            let ended = (resource.state, resource.reason_code);
            assert_eq!(ended, (State::Gone, Some(ReasonCode::MessageDeleted)), "{code}, {order}");
            assert_eq!(resource.upstream.unwrap().code, Some(code), "{order}");
            assert_eq!(app.platform.requests_for(&key), 1, "{code}, {order}");
        }
    }
}

#[tokio::test]
async fn a_transfer_that_is_under_way_goes_on_after_the_recall() {
    let app = spawn_app().await;
    let key = Media::Png.key(4);
    app.fault(json!({"route": "resource", "do": {"drip": {"bytes": 16, "every_ms": 5}}}));
    app.deliver(&event::image("om_1", &key)).await;
    until_called(&app.platform, Route::Resource, 1).await;
    tell(&app, recall("om_1")).await;
    app.drain().await;
    assert!(app.assert_stored(&key).await.resource.recalled_at.is_some());
}

#[tokio::test]
async fn the_recall_of_one_message_says_nothing_of_another() {
    let app = spawn_app().await;
    let key = Media::Png.key(5);
    app.fault(json!({"route": "resource", "do": refusal(234_003)}));
    tell(&app, recall("om_1")).await;
    app.deliver(&event::image("om_2", &key)).await;
    app.drain().await;
    let resource = app.resource(&key).await.resource;
    assert_eq!((resource.state, resource.recalled_at), (State::Impossible, None));
}

#[tokio::test]
async fn hidden_means_neither_shown_nor_served_but_kept_and_counted() {
    let options = Options { on_recall: OnRecall::Hide, ..Options::default() };
    let mut app = spawn_app_with(options).await;
    let (early, late, kept) = (Media::Png.key(6), Media::Png.key(7), Media::Png.key(8));
    tell(&app, recall("om_early")).await;
    app.drain().await;
    app.deliver(&event::image("om_early", &early)).await;
    app.deliver(&event::image("om_late", &late)).await;
    app.deliver(&event::image("om_kept", &kept)).await;
    app.drain().await;
    let id = app.resource(&late).await.resource.id;
    tell(&app, recall("om_late")).await;
    app.drain().await;

    let shown: Vec<String> = app.resources().await.iter().map(|resource| resource.key.to_string()).collect();
    assert_eq!(shown, [kept.as_str()]);
    for path in [
        format!("/api/v1/resources/{id}"),
        format!("/api/v1/resources/{id}/content"),
        "/api/v1/messages/om_late".to_owned(),
    ] {
        assert_eq!(app.api(&path).await.status(), 404, "{path}");
    }
    let stats = get(&app, "/api/v1/stats").await;
    assert_eq!((&stats["states"]["stored"], &stats["messages"]), (&json!(3), &json!(3)));
    until(&app, "SELECT COUNT(*) FROM v_resources WHERE hidden = 1 AND state = 'stored'", 2_i64).await;

    app.options.on_recall = OnRecall::Keep;
    let mut app = app.restart().await;
    assert_eq!(app.resources().await.len(), 3);
    assert!(app.assert_stored(&early).await.resource.recalled_at.is_some());
    app.options.on_recall = OnRecall::Hide;
    let app = app.restart().await;
    assert_eq!(app.resources().await.len(), 1);
}

#[tokio::test]
async fn what_a_chat_had_blocked_is_due_again_when_the_cause_clears() {
    let allowed = Notice::ChatRestricted { chat_id: group(), downloads: "all_members" };
    for (code, blocked_by, unrelated, cleared_by) in [
        (234_004, ReasonCode::AppNotInChat, allowed.clone(), Notice::BotAdded { chat_id: group() }),
        (234_038, ReasonCode::RestrictedMode, Notice::BotAdded { chat_id: group() }, allowed),
    ] {
        let app = spawn_app().await;
        let (here, elsewhere) = (Media::Png.key(9), Media::Png.key(10));
        app.fault(json!({"route": "resource", "key": here, "times": 1, "do": refusal(code)}));
        app.fault(json!({"route": "resource", "key": elsewhere, "do": refusal(code)}));
        app.deliver(&event::image("om_1", &here)).await;
        let other_chat = event::MessageEvent { chat_id: "oc_other".into(), ..event::image("om_2", &elsewhere) };
        app.deliver(&other_chat).await;
        app.drain().await;
        assert_eq!(app.resource(&here).await.resource.reason_code, Some(blocked_by));

        app.advance(MINUTE).await;
        tell(&app, unrelated).await;
        app.drain().await;
        assert_eq!(app.platform.requests_for(&here), 1, "{blocked_by}: another cause cleared");
        app.advance(MINUTE).await;
        tell(&app, cleared_by).await;
        app.drain().await;
        app.assert_stored(&here).await;
        assert_eq!(app.resource(&elsewhere).await.resource.state, State::Blocked, "{blocked_by}: another chat");
        assert_eq!(app.platform.requests_for(&elsewhere), 1);
    }
}

#[tokio::test]
async fn however_much_the_configuration_had_blocked_a_start_tries_all_of_it_again() {
    let app = spawn_app().await;
    app.fault(json!({"route": "resource", "do": refusal(99_991_672)}));
    app.deliver(&album()).await;
    app.drain().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE reason_code = 'scope_missing'").await, MANY);
    app.platform.clear_faults();
    let app = app.restart().await;
    app.drain().await;
    assert_eq!(app.count("SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, MANY);
}

#[tokio::test]
async fn a_cause_that_clears_during_the_try_is_made_good_once() {
    let app = spawn_app().await;
    let key = Media::Png.key(11);
    app.fault(json!({"route": "resource", "delay_ms": 300, "times": 1, "do": refusal(234_004)}));
    app.fault(json!({"route": "resource", "do": refusal(234_004)}));
    app.deliver(&event::image("om_1", &key)).await;
    until_called(&app.platform, Route::Resource, 1).await;
    app.clock.set(app.clock.now().after(MINUTE));
    tell(&app, Notice::BotAdded { chat_id: group() }).await;
    app.drain().await;
    assert_eq!(app.resource(&key).await.resource.state, State::Blocked, "the second refusal is believed");
    assert_eq!(app.platform.requests_for(&key), 2);
}

#[tokio::test]
async fn events_of_a_chat_are_believed_by_when_they_happened_not_by_when_they_came() {
    let app = spawn_app().await;
    let renamed = |name: &str| Notice::ChatRenamed { chat_id: group(), name: name.to_owned() };
    let at = |minutes| app.clock.now().after(MINUTE * minutes);
    app.fault(json!({"route": "chat", "do": refusal(232_006)}));
    tell_at(&app, Notice::BotDeleted { chat_id: group() }, at(3)).await;
    tell_at(&app, Notice::BotAdded { chat_id: group() }, at(1)).await;
    tell_at(&app, renamed("new"), at(5)).await;
    tell_at(&app, renamed("old"), at(4)).await;
    tell_at(&app, Notice::ChatRestricted { chat_id: group(), downloads: "not_anyone" }, at(2)).await;
    app.drain().await;
    let chat = &get(&app, "/api/v1/chats").await["items"][0];
    assert_eq!((&chat["bot_in_chat"], &chat["chat_name"]), (&json!(false), &json!("new")));
    assert_eq!((&chat["downloads"], &chat["disbanded_at"]), (&json!("forbidden"), &json!(null)));

    tell_at(&app, Notice::BotAdded { chat_id: group() }, at(6)).await;
    tell_at(&app, Notice::ChatDisbanded { chat_id: group() }, at(7)).await;
    app.drain().await;
    let chat = &get(&app, "/api/v1/chats").await["items"][0];
    assert_eq!((&chat["bot_in_chat"], &chat["disbanded_at"]), (&json!(false), &json!(at(7))));
    let events = get(&app, "/api/v1/events").await;
    assert!(events["items"].as_array().unwrap().iter().all(|event| event["result"] == "expanded"), "{events}");
}

#[tokio::test]
async fn names_of_chats_and_people_come_by_themselves() {
    let app = spawn_app().await;
    let stranger = "ou_of_no_list";
    let key = Media::Png.key(12);
    app.deliver(&event::image("om_1", &key)).await;
    let message = event::image("om_2", &Media::Png.key(13));
    app.deliver(&event::MessageEvent { sender_open_id: stranger.to_owned(), ..message }).await;
    app.drain().await;
    until(&app, "SELECT COUNT(*) FROM senders WHERE name IS NULL", 0_i64).await;
    until(&app, "SELECT COUNT(*) FROM v_chats WHERE chat_name IS NULL", 0_i64).await;

    let named = "SELECT chat_name || ' ' || sender_name FROM v_resources ORDER BY message_id LIMIT 1";
    until(&app, named, format!("{} {}", chat_name(GROUP_CHAT), person_name(SENDER))).await;
    let resource = app.resource(&key).await.resource;
    assert_eq!(resource.sender.name.as_deref(), Some(person_name(SENDER).as_str()));
    let message = &get(&app, "/api/v1/messages/om_2").await["items"][0];
    assert_eq!(message["sender"]["name"], json!(person_name(stranger)), "from the list of contacts");
    assert_eq!(app.platform.requests_of(Route::Users), 1, "who is on the list of members needs no other");
    assert_eq!(app.platform.requests_of(Route::Chat), 1);

    app.advance(MINUTE * 60 * 24 * 8).await;
    app.deliver(&event::image("om_3", &Media::Png.key(14))).await;
    until_called(&app.platform, Route::Chat, 2).await;
}

#[tokio::test]
async fn no_download_waits_for_a_name() {
    let app = spawn_app_with(Options { download_concurrency: 1, ..Options::default() }).await;
    for route in ["chat", "members", "users"] {
        app.fault(json!({"route": route, "do": "hang"}));
    }
    app.deliver(&event::image("om_1", &Media::Png.key(15))).await;
    until_called(&app.platform, Route::Chat, 1).await;
    for seed in 16..20 {
        app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
    }
    app.drain().await;
    for seed in 15..20 {
        app.assert_stored(&Media::Png.key(seed)).await;
    }
    assert_eq!(app.platform.requests_of(Route::Chat), 1, "the question about the name still hangs");
}

#[tokio::test]
async fn a_missing_permission_for_names_concerns_names_only_and_is_not_asked_about_all_the_time() {
    let app = spawn_app().await;
    for route in ["chat", "members", "users"] {
        app.fault(json!({"route": route, "do": refusal(99_991_672)}));
    }
    for place in 0..5 {
        let message = event::image(&format!("om_{place}"), &Media::Png.key(20 + place));
        let chat_id = format!("oc_{place}");
        let sender_open_id = format!("ou_{place}");
        app.deliver(&event::MessageEvent { chat_id, sender_open_id, ..message }).await;
        app.drain().await;
    }
    until_called(&app.platform, Route::Users, 1).await;
    until(&app, "SELECT COUNT(*) FROM senders WHERE name_due_at = 0", 0_i64).await;
    until(&app, "SELECT COUNT(*) FROM resources WHERE state = 'stored'", 5_i64).await;
    for route in [Route::Chat, Route::Members, Route::Users] {
        assert_eq!(app.platform.requests_of(route), 1, "{route:?}");
    }

    app.platform.clear_faults();
    app.advance(MINUTE * 120).await;
    until(&app, "SELECT COUNT(*) FROM senders WHERE name IS NULL", 0_i64).await;
    until(&app, "SELECT COUNT(*) FROM chats WHERE name IS NULL", 0_i64).await;
}

#[tokio::test]
async fn one_id_that_the_platform_does_not_take_spoils_no_other_name() {
    let app = spawn_app().await;
    for (place, sender) in ["ou_1", "not-an-id", "ou_2"].into_iter().enumerate() {
        let message = event::image(&format!("om_{place}"), &Media::Png.key(30));
        app.deliver(&event::MessageEvent { sender_open_id: sender.to_owned(), ..message }).await;
    }
    until(&app, "SELECT COUNT(*) FROM senders WHERE name IS NOT NULL", 2_i64).await;
    until(&app, "SELECT COUNT(*) FROM senders WHERE name IS NULL AND name_due_at > 0", 1_i64).await;
}
