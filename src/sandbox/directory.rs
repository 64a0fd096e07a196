//! The directory: what chats and people are called at the stand-in. Names follow from the ids.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::call::{Call, Route};
use super::event::{GROUP_CHAT, P2P_CHAT, SENDER, hex_id};
use super::wire::Request;

/// The most people that one call may ask about.
const MAX_PEOPLE: usize = 10;
/// What the usual group is called.
const GROUP_NAME: &str = "产品讨论组";
/// What the usual sender is called.
const SENDER_NAME: &str = "王芳";
/// The other member that every group has, and what she is called.
const COLLEAGUE: &str = "ou_0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5";
const COLLEAGUE_NAME: &str = "李娜";

#[derive(Deserialize)]
struct People {
    user_ids: Vec<String>,
}

/// What a chat is called.
#[must_use]
pub fn chat_name(chat_id: &str) -> String {
    match chat_id {
        GROUP_CHAT => GROUP_NAME.to_owned(),
        other => format!("群 {}", short(other)),
    }
}

/// What a person is called.
#[must_use]
pub fn person_name(open_id: &str) -> String {
    match open_id {
        SENDER => SENDER_NAME.to_owned(),
        COLLEAGUE => COLLEAGUE_NAME.to_owned(),
        other => format!("同事 {}", short(other)),
    }
}

/// The data of an answer to a question about chats or people.
pub(super) fn answer(request: &Request, call: &Call) -> Result<Value, Refusal> {
    let chat_id = call.key.as_deref().unwrap_or_default();
    match call.route {
        Route::Users => people(request),
        _ if !chat_id.starts_with("oc_") => {
            Err(Refusal::new(400, 232006, "Your request specifies a chat_id which is invalid."))
        }
        Route::Members => members(request, chat_id),
        _ if chat_id == P2P_CHAT => Ok(json!({"name": "", "chat_mode": "p2p"})),
        _ => Ok(json!({"name": chat_name(chat_id), "chat_mode": "group", "user_count": "2", "chat_status": "normal"})),
    }
}

/// The members of a group, one on a page: every reader has to turn pages.
fn members(request: &Request, chat_id: &str) -> Result<Value, Refusal> {
    if chat_id == P2P_CHAT {
        return Err(Refusal::new(400, 232010, "Operator and chat can NOT be in different tenants."));
    }
    let (open_id, next_page) = match request.parameter("page_token").as_deref() {
        None => (COLLEAGUE, "2"),
        _ => (SENDER, ""),
    };
    let item = json!({"member_id_type": "open_id", "member_id": open_id, "name": person_name(open_id)});
    Ok(json!({"items": [item], "has_more": !next_page.is_empty(), "page_token": next_page, "member_total": 2}))
}

fn people(request: &Request) -> Result<Value, Refusal> {
    let asked: Option<People> = serde_json::from_slice(&request.body).ok();
    let asked = asked.filter(|people| (1..=MAX_PEOPLE).contains(&people.user_ids.len()));
    let asked = asked.ok_or_else(|| Refusal::new(400, 99992402, "field validation failed"))?;
    if asked.user_ids.iter().any(|open_id| !open_id.starts_with("ou_")) {
        return Err(Refusal::new(400, 41012, "invalid user id"));
    }
    let named = |open_id: &String| json!({"user_id": open_id, "name": person_name(open_id)});
    Ok(json!({"users": asked.user_ids.iter().map(named).collect::<Vec<_>>()}))
}

fn short(id: &str) -> String {
    hex_id(&["name", id]).chars().take(4).collect()
}
