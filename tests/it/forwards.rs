//! Forwards are opened, whatever lies in them; quoted messages are asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use larkive::catalogue::listing::resource::Resource;
use larkive::domain::download::State;
use larkive::domain::reason::ReasonCode;
use larkive::domain::resource::Role;
use larkive::sandbox::event::{Notice, NoticeEvent};
use larkive::sandbox::listing::{CROWD_WORDS, FOREIGN_CHAT, Listed};
use larkive::sandbox::samples::Media;
use larkive::sandbox::{Route, event};
use serde_json::json;

use crate::support::{Options, TestApp, sha256, spawn_app, spawn_app_with, until_called};

async fn scalar<T>(app: &TestApp, sql: &'static str) -> T
where
    T: Send + Unpin + sqlx::Type<sqlx::Sqlite> + for<'r> sqlx::Decode<'r, sqlx::Sqlite>,
{
    sqlx::query_scalar(sql).fetch_one(app.catalogue.read()).await.unwrap()
}

fn owner(resource: &Resource) -> &str {
    resource.message_id.as_ref().unwrap().as_str()
}

#[tokio::test]
async fn a_forward_gives_way_to_everything_inside_it() {
    let app = spawn_app().await;
    let (forward, keys) = (Listed::Album.id(1), Listed::album_keys(1));
    app.deliver(&event::merge_forward(&forward)).await;
    app.drain().await;

    let resources = app.resources().await;
    let shown: BTreeSet<_> =
        resources.iter().map(|resource| (owner(resource).to_owned(), resource.role, resource.key.as_str())).collect();
    let child = |n| Listed::Album.child(1, n);
    let expected = [
        (child(1), Role::Image, keys.picture.as_str()),
        (child(2), Role::File, &keys.file),
        (child(3), Role::CardImage, &keys.card_image),
        (child(4), Role::Image, &keys.picture),
        (child(6), Role::Image, &keys.inner_picture),
    ];
    assert_eq!(shown, expected.into());
    for resource in &resources {
        assert_eq!(resource.state, State::Stored, "{resource:?}");
        assert_eq!(resource.download_message_id.as_ref().unwrap().as_str(), forward);
        assert_eq!(resource.chat_id.as_ref().unwrap().as_str(), event::GROUP_CHAT);
        let bytes = std::fs::read(app.blob_path(resource)).unwrap();
        let sample = larkive::sandbox::samples::digest_of(resource.key.as_str()).unwrap();
        assert_eq!(sha256(&bytes), sample.to_string());
    }
    assert_eq!(app.platform.requests_for(&keys.picture), 1, "equal bytes of one forward are asked for once");
    assert_eq!(app.platform.requests_of(Route::Message), 1);
    assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM messages").await, 7);
    assert_eq!(scalar::<i64>(&app, "SELECT SUM(resources) FROM tallies").await, 5);
}

#[tokio::test]
async fn forwards_that_contain_each_other_are_opened_once() {
    let app = spawn_app().await;
    app.deliver(&event::merge_forward(&Listed::Cycle.id(1))).await;
    app.drain().await;
    let resources = app.resources().await;
    assert_eq!(resources.len(), 1);
    assert_eq!((resources[0].state, owner(&resources[0])), (State::Stored, Listed::Cycle.child(1, 3).as_str()));
    assert_eq!(resources[0].chat_id.as_ref().unwrap().as_str(), FOREIGN_CHAT, "a message's own chat is kept");
    assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM messages").await, 4);
    assert_eq!(app.platform.requests_of(Route::Message), 1);
}

#[tokio::test]
async fn ten_thousand_messages_are_all_recorded() {
    let app = spawn_app().await;
    let messages = 10_000;
    app.deliver(&event::merge_forward(&Listed::Crowd { messages }.id(1))).await;
    app.drain().await;
    assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM messages").await, 10_001);
    let pictures = (messages / CROWD_WORDS) as i64;
    assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM resources WHERE state = 'stored'").await, pictures);
    assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM resources").await, pictures);
    assert_eq!(app.platform.requests_of(Route::Message), 1);
}

#[tokio::test]
async fn a_forward_that_cannot_be_opened_says_why_and_is_opened_when_that_is_mended() {
    for (code, state, reason) in [
        (230_110, State::Gone, ReasonCode::MessageDeleted),
        (230_002, State::Blocked, ReasonCode::AppNotInChat),
        (230_050, State::Blocked, ReasonCode::MessageInvisible),
        (230_027, State::Blocked, ReasonCode::ScopeMissing),
        (230_006, State::Blocked, ReasonCode::BotDisabled),
    ] {
        let app = spawn_app().await;
        let forward = Listed::Album.id(1);
        app.fault(json!({"route": "message", "times": 1, "do": {"answer": {"status": 400, "code": code}}}));
        app.deliver(&event::merge_forward(&forward)).await;
        app.drain().await;
        let row = app.resource(&forward).await.resource;
        assert_eq!((row.role, row.kind, row.state, row.reason_code), (Role::Forward, None, state, Some(reason)));
        assert_eq!(row.upstream.unwrap().code, Some(code));

        let id = row.id;
        let path = format!("http://{}/api/v1/resources/{id}/retry", app.address);
        let retried = app.http.post(path).bearer_auth(crate::support::ADMIN_TOKEN).send().await.unwrap();
        assert_eq!(retried.status(), 202);
        app.drain().await;
        assert!(app.resources().await.iter().all(|resource| resource.state == State::Stored));
        assert_eq!(app.resources().await.len(), 5);
    }
}

#[tokio::test]
async fn trouble_while_opening_is_tried_again_and_nothing_is_opened_by_halves() {
    let app = spawn_app_with(Options { idle_timeout: Duration::from_secs(1), ..Options::default() }).await;
    let forward = Listed::Album.id(1);
    for action in [json!({"page": {"status": 502}}), json!({"cut": {"after": 500}}), json!({"stall": {"after": 500}})] {
        app.fault(json!({"route": "message", "times": 1, "do": action}));
    }
    app.deliver(&event::merge_forward(&forward)).await;
    app.drain().await;
    for _ in 0..2 {
        let waiting = app.resource(&forward).await.resource;
        assert_eq!((waiting.state, app.resources().await.len()), (State::Pending, 1));
        app.advance(Duration::from_secs(10)).await;
    }
    app.advance(Duration::from_secs(10)).await;
    assert_eq!(app.resources().await.len(), 5);
    assert_eq!(app.platform.requests_of(Route::Message), 4);
}

#[tokio::test]
async fn a_listing_that_is_none_fails_like_a_page_of_a_proxy() {
    for items in [json!([]), json!([{"msg_type": "image"}, 7])] {
        let app = spawn_app().await;
        app.platform.put_message("om_odd", items.as_array().unwrap().clone());
        app.deliver(&event::merge_forward("om_odd")).await;
        app.drain().await;
        let row = app.resource("om_odd").await.resource;
        assert_eq!((row.state, row.reason_code), (State::Pending, Some(ReasonCode::NotAFile)), "{items}");
    }
}

#[tokio::test]
async fn what_the_forward_does_not_hand_out_is_asked_from_the_message_inside() {
    let (key, inside) = (Media::Png.key(5), "om_inside");
    let listing = |app: &TestApp| {
        let item = |id: &str, upper: Option<&str>, msg_type: &str, content: String| json!({"message_id": id, "upper_message_id": upper, "msg_type": msg_type, "body": {"content": content}});
        let picture = item(inside, Some("om_forward"), "image", json!({"image_key": key}).to_string());
        app.platform.put_message("om_forward", vec![item("om_forward", None, "merge_forward", String::new()), picture]);
    };
    let refuse = |app: &TestApp, message: &str| {
        app.fault(json!({"route": "resource", "message": message, "do": {"answer": {"status": 400, "code": 234_003}}}));
    };

    let app = spawn_app().await;
    listing(&app);
    refuse(&app, "om_forward");
    app.deliver(&event::merge_forward("om_forward")).await;
    app.drain().await;
    let stored = app.assert_stored(&key).await.resource;
    assert_eq!((owner(&stored), stored.download_message_id.as_ref(), stored.attempts), (inside, None, 1));

    let app = spawn_app().await;
    listing(&app);
    refuse(&app, "om_forward");
    refuse(&app, inside);
    app.deliver(&event::merge_forward("om_forward")).await;
    app.drain().await;
    let ended = app.resource(&key).await.resource;
    assert_eq!((ended.state, ended.reason_code), (State::Impossible, Some(ReasonCode::NotInMessage)));
    assert_eq!((ended.attempts, app.platform.requests_for(&key)), (1, 2));

    // The other way round: refused under its own id, then found inside a forward.
    let app = spawn_app().await;
    listing(&app);
    refuse(&app, inside);
    app.deliver(&event::image(inside, &key)).await;
    app.drain().await;
    assert_eq!(app.resource(&key).await.resource.reason_code, Some(ReasonCode::NotInMessage));
    app.deliver(&event::merge_forward("om_forward")).await;
    app.drain().await;
    let stored = app.assert_stored(&key).await.resource;
    assert_eq!(stored.download_message_id.unwrap().as_str(), "om_forward");
}

/// Every resource without the names of chat and sender, which are looked up at some time after it came.
async fn nameless(app: &TestApp) -> Vec<Resource> {
    let mut resources = app.resources().await;
    for resource in &mut resources {
        (resource.chat_name, resource.sender.name) = (None, None);
    }
    resources
}

#[tokio::test]
async fn a_replayed_forward_adds_nothing_twice() {
    let app = spawn_app().await;
    app.deliver(&event::merge_forward(&Listed::Album.id(1))).await;
    app.drain().await;
    let before = nameless(&app).await;
    let asked = app.platform.requests_of(Route::Resource);
    let id: i64 = scalar(&app, "SELECT event_row_id FROM events").await;
    let path = format!("http://{}/api/v1/events/{}/replay", app.address, larkive::domain::id::EventRowId(id));
    let replayed = app.http.post(path).bearer_auth(crate::support::ADMIN_TOKEN).send().await.unwrap();
    assert_eq!(replayed.status(), 202);
    app.drain().await;
    assert_eq!(app.platform.requests_of(Route::Message), 2);
    assert_eq!(nameless(&app).await, before);
    assert_eq!(app.platform.requests_of(Route::Resource), asked);
}

#[tokio::test]
async fn a_messages_own_event_knows_better_than_the_forward_it_was_found_in() {
    let app = spawn_app().await;
    app.deliver(&event::merge_forward(&Listed::Album.id(1))).await;
    app.drain().await;
    let (inside, key) = (Listed::Album.child(1, 1), Listed::album_keys(1).picture);
    let told = event::MessageEvent { chat_id: event::P2P_CHAT.into(), chat_type: "p2p", ..event::image(&inside, &key) };
    app.deliver(&told).await;
    app.drain().await;
    let resources = app.resources().await;
    assert_eq!(resources.len(), 5);
    let moved = resources.iter().find(|resource| owner(resource) == inside).unwrap();
    assert_eq!(moved.chat_id.as_ref().unwrap().as_str(), event::P2P_CHAT);
    assert_eq!(moved.state, State::Stored);
    let drift: i64 = scalar(
        &app,
        "SELECT COUNT(*) FROM chats AS c WHERE messages <> (
             SELECT COUNT(*) FROM messages AS m WHERE m.app_id = c.app_id AND m.chat_id = c.chat_id
         )",
    )
    .await;
    assert_eq!(drift, 0);
}

#[tokio::test]
async fn a_quoted_message_that_was_never_seen_is_asked_for_once() {
    let app = spawn_app().await;
    let quoted = Listed::Picture.id(3);
    app.deliver(&event::reply("om_1", &quoted)).await;
    app.deliver(&event::reply("om_2", &quoted)).await;
    app.deliver(&event::reply("om_3", "om_1")).await;
    app.drain().await;
    let resources = app.resources().await;
    assert_eq!(resources.len(), 1);
    assert_eq!((resources[0].state, owner(&resources[0])), (State::Stored, quoted.as_str()));
    assert_eq!(resources[0].download_message_id, None);
    assert_eq!(app.platform.requests_of(Route::Message), 1);
}

#[tokio::test]
async fn a_quoted_message_that_cannot_be_had_is_told_to_the_operator_and_is_no_failed_resource() {
    let app = spawn_app().await;
    app.fault(json!({"route": "message", "times": 1, "do": {"page": {"status": 502}}}));
    app.deliver(&event::reply("om_1", "om_never_seen")).await;
    app.drain().await;
    let reason = "SELECT reason_code FROM v_quoted_failed";
    assert_eq!(scalar::<String>(&app, reason).await, "upstream_error");
    app.advance(Duration::from_secs(10)).await;
    assert_eq!(scalar::<String>(&app, reason).await, "app_not_in_chat");
    assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM resources").await, 0);
    app.advance(Duration::from_secs(100_000)).await;
    assert_eq!(app.platform.requests_of(Route::Message), 2);
}

/// Puts a forward on the platform whose only message is a picture from another chat, and delivers it.
async fn deliver_foreign_picture(app: &TestApp, key: &str) {
    let content = json!({"image_key": key}).to_string();
    let picture =
        json!({"message_id": "om_inside", "msg_type": "image", "chat_id": FOREIGN_CHAT, "body": {"content": content}});
    let forward = json!({"message_id": "om_forward", "msg_type": "merge_forward", "body": {"content": "words"}});
    app.platform.put_message("om_forward", vec![forward, picture]);
    app.deliver(&event::merge_forward("om_forward")).await;
    app.drain().await;
}

async fn tell(app: &TestApp, notice: Notice) {
    app.clock.set(app.clock.now().after(Duration::from_secs(60)));
    let event = NoticeEvent { event_id: format!("{:032x}", fastrand::u128(..)), notice };
    app.deliver_payload(&event.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
}

#[tokio::test]
async fn what_the_forwards_chat_had_blocked_is_due_again_when_that_chat_clears_and_not_its_own() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    app.fault(json!({"route": "resource", "times": 1, "do": {"answer": {"status": 400, "code": 234_004}}}));
    deliver_foreign_picture(&app, &key).await;
    let blocked = app.resource(&key).await.resource;
    assert_eq!(blocked.reason_code, Some(ReasonCode::AppNotInChat));
    assert_eq!(blocked.chat_id.unwrap().as_str(), FOREIGN_CHAT);

    tell(&app, Notice::BotAdded { chat_id: FOREIGN_CHAT.to_owned() }).await;
    assert_eq!(app.resource(&key).await.resource.state, State::Blocked, "nobody asks that chat");
    tell(&app, Notice::BotAdded { chat_id: event::GROUP_CHAT.to_owned() }).await;
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_forwards_chat_that_clears_during_the_try_is_made_good_for() {
    let app = spawn_app().await;
    let key = Media::Png.key(1);
    let refusal = json!({"answer": {"status": 400, "code": 234_004}});
    app.fault(json!({"route": "resource", "times": 1, "delay_ms": 300, "do": refusal}));
    let delivering = deliver_foreign_picture(&app, &key);
    let adding = async {
        until_called(&app.platform, Route::Resource, 1).await;
        tell(&app, Notice::BotAdded { chat_id: event::GROUP_CHAT.to_owned() }).await;
    };
    tokio::join!(delivering, adding);
    app.assert_stored(&key).await;
}

#[tokio::test]
async fn a_quoted_message_is_asked_for_again_when_its_chat_clears() {
    for (code, unrelated, cleared_by) in [
        (230_002, "all_members", Notice::BotAdded { chat_id: event::GROUP_CHAT.to_owned() }),
        (
            231_203,
            "not_anyone",
            Notice::ChatRestricted { chat_id: event::GROUP_CHAT.to_owned(), downloads: "all_members" },
        ),
    ] {
        let app = spawn_app().await;
        let quoted = Listed::Picture.id(3);
        app.fault(json!({"route": "message", "times": 1, "do": {"answer": {"status": 400, "code": code}}}));
        app.deliver(&event::reply("om_1", &quoted)).await;
        app.drain().await;
        tell(&app, Notice::ChatRestricted { chat_id: event::GROUP_CHAT.to_owned(), downloads: unrelated }).await;
        tell(&app, Notice::BotAdded { chat_id: FOREIGN_CHAT.to_owned() }).await;
        assert_eq!(app.platform.requests_of(Route::Message), 1, "{code}: another cause, another chat");
        assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM v_quoted_failed").await, 1);

        tell(&app, cleared_by).await;
        assert_eq!(scalar::<i64>(&app, "SELECT COUNT(*) FROM v_quoted_failed").await, 0, "{code}");
        assert_eq!(app.resources().await[0].state, State::Stored, "{code}");
    }
}

#[tokio::test]
async fn a_quoted_message_whose_chat_clears_during_the_question_is_asked_for_once_more() {
    let app = spawn_app().await;
    let refusal = json!({"answer": {"status": 400, "code": 230_002}});
    app.fault(json!({"route": "message", "delay_ms": 300, "times": 2, "do": refusal}));
    app.deliver(&event::reply("om_1", &Listed::Picture.id(3))).await;
    until_called(&app.platform, Route::Message, 1).await;
    tell(&app, Notice::BotAdded { chat_id: event::GROUP_CHAT.to_owned() }).await;
    assert_eq!(app.platform.requests_of(Route::Message), 2, "the second refusal is believed");
    assert_eq!(scalar::<String>(&app, "SELECT reason_code FROM v_quoted_failed").await, "app_not_in_chat");
}

#[tokio::test]
async fn many_that_wait_for_the_same_bytes_go_on_at_once_when_they_are_refused() {
    let app = spawn_app().await;
    // A second each, if nobody were told, would be more than anybody waits for here.
    let messages = 60;
    app.fault(json!({"route": "resource", "do": {"answer": {"status": 400, "code": 234_003}}}));
    let content = json!({"image_key": Media::Png.key(1)}).to_string();
    let item =
        |id: &str, kind: &str, content: &str| json!({"message_id": id, "msg_type": kind, "body": {"content": content}});
    let inside = (0..messages).map(|n| item(&format!("om_inside_{n}"), "image", &content));
    let items = std::iter::once(item("om_forward", "merge_forward", "words")).chain(inside).collect();
    app.platform.put_message("om_forward", items);
    app.deliver(&event::merge_forward("om_forward")).await;
    app.drain().await;
    let refused = "SELECT COUNT(*) FROM resources WHERE reason_code = 'not_in_message'";
    assert_eq!(scalar::<i64>(&app, refused).await, messages);
}
