//! Message content: which resources a message names, and what it says.
//!
//! Pure: nothing is asked and nothing is stored. Content comes from outside and may be anything;
//! reading it never fails, takes time and memory in proportion to its length, and tells in
//! [`Content::notes`] and [`Content::problem`] what it did not understand. One file per family of
//! message types. Shapes: the platform's documentation,
//! `/document/uAjLw4CM/ukTMukTMukTM/im-v1/message/events/message_content`, and what official clients accept.

mod card;
mod harvest;
mod markdown;
mod media;
mod plain;
mod post;
mod text;
mod unknown;
mod walk;

use serde_json::{Map, Value};

use self::harvest::Harvest;
use super::json;
use crate::domain::message::Problem;
use crate::domain::resource::Found;

/// The most resources that one message yields. Far more than a client can send; a body made to
/// hurt stops here.
pub const MAX_RESOURCES_PER_MESSAGE: usize = 10_000;
/// The longest text kept for searching, in characters. The platform takes 150 KB of text.
pub const MAX_TEXT_CHARS: usize = 100_000;
/// The most notes about one message; they are for a person to read.
pub const MAX_NOTES: usize = 40;

/// What was found in a message's content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Everything that has bytes, or ought to, in the order of the message; each type and key once.
    pub resources: Vec<Found>,
    /// What a person would search for: at most [`MAX_TEXT_CHARS`], without NUL; none if it says nothing.
    pub text: Option<String>,
    /// Why the resources cannot be known, if they cannot.
    pub problem: Option<Problem>,
    /// What was not understood, one English sentence each. Names tags and types, never says what people wrote.
    pub notes: Vec<String>,
    /// Whether this is a forward: its messages have to be listed before anything in them can be known.
    pub forward: bool,
}

/// Reads the content of a message of the given type, as events (`message_type`, `content`) and
/// listings (`msg_type`, `body.content`) carry them.
#[must_use]
pub fn read(message_type: &str, content: &str) -> Content {
    let family = Family::of(message_type);
    if family == Family::Forward {
        // The content is a fixed text, bare or in JSON, or nothing: the messages inside are listed by another call.
        return Content { forward: true, ..Content::default() };
    }
    let mut harvest = Harvest::default();
    let outcome = read_body(family, message_type, content, &mut harvest);
    if let Err(Unreadable(reason)) = &outcome {
        harvest.note(reason.clone());
    }
    harvest.into_content(outcome.err().map(|_| Problem::ContentUnreadable))
}

/// Message types whose content has the same build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// One thing with bytes.
    Media(media::Kind),
    /// Rich text.
    Post,
    /// A card in one of its forms.
    Card,
    /// A task, whose summary is rich text.
    Todo,
    /// Words only; the paths lead to them.
    Plain(&'static [&'static str]),
    /// Other messages, forwarded together.
    Forward,
    /// A type from after our time.
    Unknown,
}

impl Family {
    fn of(message_type: &str) -> Self {
        match message_type {
            "post" => Self::Post,
            // A sample in the documentation of listings spells it `card`.
            "interactive" | "card" => Self::Card,
            "todo" => Self::Todo,
            "merge_forward" => Self::Forward,
            _ => media::kind(message_type)
                .map(Self::Media)
                .or_else(|| plain::paths(message_type).map(Self::Plain))
                .unwrap_or(Self::Unknown),
        }
    }

    /// Whether content of this family may be missing without anything being lost. It is missing
    /// when a message was recalled before its event was sent.
    fn may_be_empty(self) -> bool {
        matches!(self, Self::Plain(_) | Self::Forward | Self::Unknown)
    }
}

/// Content that is not what its message type promises; carries the reason.
struct Unreadable(String);

fn read_body(family: Family, message_type: &str, content: &str, harvest: &mut Harvest) -> Result<(), Unreadable> {
    if content.trim().is_empty() {
        return if family.may_be_empty() { Ok(()) } else { Err(Unreadable("the content is empty".to_owned())) };
    }
    let body: Value = json::read(content).map_err(|reason| Unreadable(format!("the content {reason}")))?;
    match family {
        Family::Media(kind) => media::read(kind, members(&body)?, harvest),
        Family::Post => post::read(members(&body)?, harvest),
        Family::Card => card::read(members(&body)?, harvest),
        Family::Todo => post::read_summary(members(&body)?, harvest),
        Family::Plain(paths) => {
            members(&body)?;
            plain::read(paths, &body, harvest);
            Ok(())
        }
        Family::Forward => Ok(()),
        Family::Unknown => {
            unknown::read(message_type, &body, harvest);
            Ok(())
        }
    }
}

fn members(body: &Value) -> Result<&Map<String, Value>, Unreadable> {
    body.as_object().ok_or_else(|| Unreadable("the content is no JSON object".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text_of(message_type: &str, body: &Value) -> Option<String> {
        read(message_type, &body.to_string()).text
    }

    #[test]
    fn words_are_kept_for_searching() {
        let check = |message_type, body: Value, text: &str| {
            assert_eq!(text_of(message_type, &body).as_deref(), Some(text), "{message_type}");
        };
        let post = json!({"title": "Plan", "content": [[{"tag": "text", "text": "a "}, {"tag": "a", "text": "b"}],
            [{"tag": "at", "user_id": "@_user_1", "user_name": "Tom"}, {"tag": "img", "image_key": "img_1"}], []]});
        check("text", json!({"text": "@_user_1 he\u{0}llo"}), "@_user_1 hello");
        check("post", post.clone(), "Plan\na b\nTom");
        check(
            "post",
            json!({"post": {"en_us": {"content": [[{"tag": "text", "text": "x"}]]}, "zh_cn": post}}),
            "x\nPlan\na b\nTom",
        );
        check("post", json!({"content": [[{"text": "x"}]], "content_v2": [[{"tag": "md", "text": "**x**"}]]}), "**x**");
        check("todo", json!({"summary": {"title": "", "content": [[{"tag": "text", "text": "milk"}]]}}), "milk");
        check(
            "system",
            json!({"template": "{from_user} left", "from_user": ["A", "B"], "divider_text": {"text": "new"}}),
            "{from_user} left\nA B\nnew",
        );
        check("vote", json!({"topic": "lunch", "options": ["rice", "noodles"]}), "lunch\nrice noodles");
        check(
            "interactive",
            json!({"title": "t", "elements": [[{"tag": "text", "text": "x"}, {"tag": "button", "text": "ok"}]]}),
            "t\nx\nok",
        );
        let sent = json!({"schema": "2.0", "header": {"title": {"tag": "plain_text", "content": "Sent"}},
            "body": {"elements": [{"tag": "markdown", "content": "**x**"}]}});
        check("interactive", json!({"title": "please update", "user_dsl": sent.to_string()}), "Sent\n**x**");
        assert_eq!(text_of("share_chat", &json!({"chat_id": "oc_1"})), None);
        assert_eq!(text_of("post", &json!({"title": " ", "content": []})), None);
    }

    #[test]
    fn only_content_that_breaks_its_promise_is_a_problem() {
        let check = |message_type, content, problem| {
            assert_eq!(read(message_type, content).problem, problem, "{message_type} {content}")
        };
        let unreadable = Some(Problem::ContentUnreadable);
        for message_type in
            ["image", "file", "audio", "media", "video", "sticker", "folder", "post", "interactive", "todo"]
        {
            for content in ["", "words", "[]", "null", "\"words\""] {
                check(message_type, content, unreadable);
            }
        }
        for message_type in ["text", "share_user", "merge_forward", "from_the_future"] {
            check(message_type, "", None);
            check(message_type, "{}", None);
        }
        check("text", "words", unreadable);
        check("image", r#"{"image_key":""}"#, unreadable);
        check("post", "{}", None);
        check("from_the_future", "[]", None);
        check("from_the_future", "words", unreadable);
    }

    #[test]
    fn a_forward_is_marked_and_nothing_else() {
        for content in ["Merged and Forwarded Message", r#"{"content":"Merged and Forwarded Message"}"#, ""] {
            assert_eq!(read("merge_forward", content), Content { forward: true, ..Content::default() });
        }
    }

    #[test]
    fn what_one_message_yields_is_bounded() {
        let element = |n: usize| json!({"tag": format!("new_{n}"), "image_key": format!("img_{n}"), "text": "words and more words "});
        let elements: Vec<Value> = (0..2 * MAX_RESOURCES_PER_MESSAGE).map(element).collect();
        let content = read("post", &json!({"content": [elements]}).to_string());
        assert_eq!(content.resources.len(), MAX_RESOURCES_PER_MESSAGE);
        assert!(content.notes.len() <= MAX_NOTES);
        assert_eq!(content.notes.last().unwrap(), "only the first 10000 resources are taken");
        assert!(content.text.is_some_and(|text| (MAX_TEXT_CHARS - 1..=MAX_TEXT_CHARS).contains(&text.len())));
    }
}
