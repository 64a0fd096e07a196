//! Names: what chats and people are called, for whoever reads the archive. No byte depends on them.
//!
//! Documented at `/document/uAjLw4CM/ukTMukTMukTM/reference/im-v1/chat/get`, `…/im-v1/chat-members/get`
//! and `…/contact-v3/user/basic_batch`. Whom to ask about, and when, is up to the caller.

use serde_json::{Value, json};

use super::answer::{Refusal, Rejection};
use super::client::{Api, Call, Client};
use super::code::Class;
use crate::domain::download::Upstream;
use crate::domain::id::{ChatId, OpenId, path_segment};
use crate::domain::reason::ReasonCode;

/// The most people that one call may ask about.
pub const PEOPLE_PER_CALL: usize = 10;
/// How many members are listed on a page; the most that the platform gives.
const MEMBERS_PER_PAGE: &str = "100";
/// The longest answer that is read. A page of members has some ten kilobytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// The longest name that is kept. The platform's own limit for chats is lower.
const MAX_NAME_CHARS: usize = 200;
/// The languages of a translated name, in the order in which they are tried.
const LANGUAGES: [&str; 3] = ["zh_cn", "en_us", "ja_jp"];

/// A person and what they are called.
pub type Named = (OpenId, String);

/// Some of the people in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The people on this page; the platform leaves out bots.
    pub people: Vec<Named>,
    /// What to ask the next page with; none on the last one.
    pub next_page: Option<String>,
}

impl Client {
    /// What a chat is called; groups may have no name, and chats of one person with the bot have none.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means.
    pub async fn chat_name(&self, chat_id: &ChatId) -> Result<Option<String>, Refusal> {
        let url = self.url(&["open-apis", "im", "v1", "chats", segment(chat_id)?]);
        let data = self.ask(&Call::get(Api::Chat, url), MAX_ANSWER_BYTES).await?;
        Ok(name_in(&data, "name", "i18n_names"))
    }

    /// Who is in a chat: the first page, or the one that a page before it named.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means.
    pub async fn members(&self, chat_id: &ChatId, page: Option<&str>) -> Result<Members, Refusal> {
        let mut url = self.url(&["open-apis", "im", "v1", "chats", segment(chat_id)?, "members"]);
        url.query_pairs_mut().append_pair("member_id_type", "open_id").append_pair("page_size", MEMBERS_PER_PAGE);
        if let Some(page) = page {
            url.query_pairs_mut().append_pair("page_token", page);
        }
        let data = self.ask(&Call::get(Api::Chat, url), MAX_ANSWER_BYTES).await?;
        let more = data.get("has_more").and_then(Value::as_bool).unwrap_or(false);
        let next_page = data.get("page_token").and_then(Value::as_str).filter(|token| more && !token.is_empty());
        let named = |item: &Value| Some((id_in(item, "member_id")?, name_in(item, "name", "i18n_names")?));
        Ok(Members { people: people_in(&data, "items", named), next_page: next_page.map(str::to_owned) })
    }

    /// What people are called, at most [`PEOPLE_PER_CALL`] of them; who is missing has no name to be had.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means.
    pub async fn people(&self, open_ids: &[OpenId]) -> Result<Vec<Named>, Refusal> {
        let mut url = self.url(&["open-apis", "contact", "v3", "users", "basic_batch"]);
        url.query_pairs_mut().append_pair("user_id_type", "open_id");
        let ids: Vec<&str> = open_ids.iter().map(OpenId::as_str).collect();
        let call = Call::post(Api::User, url, &json!({ "user_ids": ids }));
        let data = self.ask(&call, MAX_ANSWER_BYTES).await?;
        let named = |user: &Value| Some((id_in(user, "user_id")?, name_in(user, "name", "i18n_name")?));
        Ok(people_in(&data, "users", named))
    }
}

fn segment(chat_id: &ChatId) -> Result<&str, Rejection> {
    let class = Class::End(ReasonCode::KeyUnusable);
    path_segment(chat_id.as_str()).ok_or_else(|| Rejection::new(class, &Upstream::default(), "nothing was asked"))
}

fn people_in(data: &Value, member: &str, named: impl Fn(&Value) -> Option<Named>) -> Vec<Named> {
    data.get(member).and_then(Value::as_array).into_iter().flatten().filter_map(named).collect()
}

fn id_in(value: &Value, member: &str) -> Option<OpenId> {
    value.get(member)?.as_str()?.parse().ok()
}

/// The name itself, else its first translation.
fn name_in(value: &Value, plain: &str, translated: &str) -> Option<String> {
    let translations = value.get(translated);
    let translation = |language| translations?.get(language)?.as_str();
    let candidates = std::iter::once(value.get(plain).and_then(Value::as_str)).chain(LANGUAGES.map(translation));
    candidates.flatten().map(shown).find(|name| !name.is_empty())
}

/// A name on one line: others choose it, and it stands in lists and on pages.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Platform, json};
    use super::*;

    async fn answering(body: &'static str) -> (Platform, Client) {
        let platform = Platform::start(move |head, _| (!head.contains("/auth/")).then(|| json(200, body))).await;
        let (client, _) = platform.client();
        (platform, client)
    }

    #[tokio::test]
    async fn a_chat_has_its_name_or_a_translation_or_none() {
        let check = async |body, expected: Option<&str>| {
            let (_platform, client) = answering(body).await;
            assert_eq!(client.chat_name(&"oc_1".parse().unwrap()).await.unwrap().as_deref(), expected, "{body}");
        };
        check(r#"{"code":0,"data":{"name":" 报销\u0000群\n "}}"#, Some("报销群")).await;
        check(r#"{"code":0,"data":{"name":"","i18n_names":{"ja_jp":"","en_us":"Team"}}}"#, Some("Team")).await;
        check(r#"{"code":0,"data":{"name":7,"i18n_names":[]}}"#, None).await;
    }

    #[tokio::test]
    async fn members_and_people_are_read_leniently() {
        let page = r#"{"code":0,"data":{"has_more":true,"page_token":"p2","items":[
            {"member_id":"ou_1","name":"王芳"},{"member_id":"","name":"x"},{"member_id":"ou_2"},7]}}"#;
        let (_platform, client) = answering(page).await;
        let members = client.members(&"oc_1".parse().unwrap(), None).await.unwrap();
        let wang = ("ou_1".parse().unwrap(), "王芳".to_owned());
        assert_eq!(members, Members { people: vec![wang], next_page: Some("p2".into()) });

        let users = r#"{"code":0,"data":{"users":[{"user_id":"ou_2","name":null,"i18n_name":{"zh_cn":"\ud83d李"}}]}}"#;
        let (_platform, client) = answering(users).await;
        let people = client.people(&["ou_2".parse().unwrap()]).await.unwrap();
        assert_eq!(people, [("ou_2".parse().unwrap(), "\u{fffd}李".to_owned())]);
    }

    #[tokio::test]
    async fn what_is_no_answer_or_cannot_be_asked_is_refused() {
        let (_platform, client) = answering(r#"{"code":0,"msg":"ok"}"#).await;
        assert!(client.chat_name(&"oc_1".parse().unwrap()).await.is_err());
        assert!(client.chat_name(&"../oc_1".parse().unwrap()).await.is_err());
    }
}
