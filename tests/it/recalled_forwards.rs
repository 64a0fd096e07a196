//! Recalled forwards: what was only seen inside them is recalled with them, in whichever order things come.

use larkive::domain::download::State;
use larkive::domain::message::OnRecall;
use larkive::domain::reason::ReasonCode;
use larkive::sandbox::event::{self, MessageEvent, Notice, NoticeEvent};
use larkive::sandbox::samples::Media;
use serde_json::{Value, json};

use crate::support::{Options, TestApp, spawn_app, spawn_app_with};

const FORWARD: &str = "om_forward";
const WORDS: &str = "om_words";
const PICTURE: &str = "om_picture";

fn key() -> String {
    Media::Png.key(1)
}

fn item(message_id: &str, msg_type: &str, content: &Value) -> Value {
    json!({"message_id": message_id, "msg_type": msg_type, "body": {"content": content.to_string()}})
}

/// Puts a forward of some words and a picture on the platform, and delivers it.
async fn deliver_forward(app: &TestApp, id: &str) {
    let items = [
        item(id, "merge_forward", &json!("Merged and Forwarded Message")),
        item(WORDS, "text", &json!({"text": "what was said"})),
        item(PICTURE, "image", &json!({"image_key": key()})),
    ];
    app.platform.put_message(id, items.into());
    app.deliver(&event::merge_forward(id)).await;
    app.drain().await;
}

async fn recall(app: &TestApp, message_id: &str) {
    let notice = Notice::Recalled { message_id: message_id.to_owned() };
    let event = NoticeEvent { event_id: format!("e-{message_id}"), notice };
    let reply = app.deliver_payload(&event.payload(app.sender.app(), app.clock.now())).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    app.drain().await;
}

fn words() -> MessageEvent {
    MessageEvent::new(WORDS, "text", json!({"text": "what was said"}).to_string())
}

async fn hiding_app() -> TestApp {
    spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await
}

/// Which of the messages inside are shown.
async fn shown(app: &TestApp) -> Vec<&'static str> {
    let mut shown = Vec::new();
    for id in [WORDS, PICTURE] {
        if app.api(&format!("/api/v1/messages/{id}")).await.status() == 200 {
            shown.push(id);
        }
    }
    let listed = app.resources().await.into_iter().any(|resource| resource.key.as_str() == key());
    assert_eq!(listed, shown.contains(&PICTURE), "the picture and its message go together");
    shown
}

#[tokio::test]
async fn words_and_pictures_inside_are_hidden_before_and_after_the_forward_is_opened() {
    for (recalled_first, handed_out_by) in [(true, FORWARD), (false, FORWARD), (true, PICTURE), (false, PICTURE)] {
        let app = hiding_app().await;
        if handed_out_by == PICTURE {
            let refusal = json!({"answer": {"status": 400, "code": 234_003}});
            app.fault(json!({"route": "resource", "message": FORWARD, "do": refusal}));
        }
        if recalled_first {
            recall(&app, FORWARD).await;
        }
        deliver_forward(&app, FORWARD).await;
        if !recalled_first {
            assert_eq!(shown(&app).await, [WORDS, PICTURE]);
            let content = format!("/api/v1/resources/{}/content", app.assert_stored(&key()).await.resource.id);
            recall(&app, FORWARD).await;
            assert_eq!(app.api(&content).await.status(), 404);
        }
        assert_eq!(shown(&app).await, [""; 0], "recalled first: {recalled_first}, handed out by {handed_out_by}");
        let kept = "SELECT COUNT(*) FROM v_resources WHERE hidden = 1 AND recalled_at IS NOT NULL AND state = 'stored'";
        assert_eq!(app.count(kept).await, 1);
        let marked = "SELECT COUNT(*) FROM v_messages WHERE recalled_at IS NOT NULL";
        assert_eq!(app.count(marked).await, 3, "the forward and what is inside");
    }
}

#[tokio::test]
async fn what_was_also_told_by_itself_stays_visible_whenever_it_was_told() {
    for told in ["before the forward", "before the recall", "after the recall"] {
        let app = hiding_app().await;
        if told == "before the forward" {
            app.deliver(&words()).await;
            app.drain().await;
        }
        deliver_forward(&app, FORWARD).await;
        if told == "before the recall" {
            app.deliver(&words()).await;
            app.drain().await;
        }
        recall(&app, FORWARD).await;
        if told == "after the recall" {
            assert_eq!(shown(&app).await, [""; 0]);
            app.deliver(&words()).await;
            app.drain().await;
        }
        assert_eq!(shown(&app).await, [WORDS], "told {told}");
        let message = &app.json(&format!("/api/v1/messages/{WORDS}")).await["items"][0];
        assert_eq!(message["recalled_at"], json!(null), "told {told}");

        recall(&app, WORDS).await;
        assert_eq!(shown(&app).await, [""; 0], "its own recall counts, told {told}");
    }
}

#[tokio::test]
async fn what_lies_in_two_forwards_is_hidden_when_both_are_recalled() {
    for second_comes in ["before the recall", "after the recall"] {
        let app = hiding_app().await;
        deliver_forward(&app, FORWARD).await;
        if second_comes == "before the recall" {
            deliver_forward(&app, "om_second").await;
        }
        recall(&app, FORWARD).await;
        if second_comes == "after the recall" {
            assert_eq!(shown(&app).await, [""; 0]);
            deliver_forward(&app, "om_second").await;
        }
        assert_eq!(shown(&app).await, [WORDS, PICTURE], "the second came {second_comes}");
        recall(&app, "om_second").await;
        assert_eq!(shown(&app).await, [""; 0], "the second came {second_comes}");
    }
}

#[tokio::test]
async fn a_quoted_message_that_also_lies_in_a_recalled_forward_stays_visible() {
    let app = hiding_app().await;
    app.platform.put_message(WORDS, vec![item(WORDS, "text", &json!({"text": "what was said"}))]);
    app.deliver(&event::reply("om_answer", WORDS)).await;
    app.drain().await;
    deliver_forward(&app, FORWARD).await;
    recall(&app, FORWARD).await;
    assert_eq!(shown(&app).await, [WORDS]);
}

#[tokio::test]
async fn what_a_forward_refused_is_gone_when_the_forward_is_recalled() {
    for recalled_first in [true, false] {
        let app = spawn_app().await;
        app.fault(json!({"route": "resource", "do": {"answer": {"status": 400, "code": 234_003}}}));
        if recalled_first {
            recall(&app, FORWARD).await;
        }
        deliver_forward(&app, FORWARD).await;
        if !recalled_first {
            let ended = app.resource(&key()).await.resource;
            assert_eq!((ended.state, ended.reason_code), (State::Impossible, Some(ReasonCode::NotInMessage)));
            recall(&app, FORWARD).await;
        }
        let ended = app.resource(&key()).await.resource;
        let expected = (State::Gone, Some(ReasonCode::MessageDeleted));
        assert_eq!((ended.state, ended.reason_code), expected, "recalled first: {recalled_first}");
    }
}
