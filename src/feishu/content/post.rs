//! Rich text: posts in all their shapes, and the summaries of tasks, which are built like them.
//!
//! Keys and words are gathered separately. Keys are taken wherever they are, so that neither a
//! locale nor a wrapping nor an unknown element hides one; words come from the places that show them.

use serde_json::{Map, Value};

use super::harvest::Harvest;
use super::walk::Walk;
use super::{Unreadable, markdown};
use crate::domain::resource::Role;

/// The elements that are known, those with resources first.
#[rustfmt::skip]
const KNOWN_TAGS: [&str; 13] = [
    "img", "media", "video", "audio", "file", "folder", "md", "text", "a", "at", "emotion", "hr", "code_block",
];

/// Reads a post: flat, by locale, or wrapped in `post` as it is sent.
pub(super) fn read(body: &Map<String, Value>, harvest: &mut Harvest) -> Result<(), Unreadable> {
    Walk::of(body).for_each(|object| take_element(object, harvest));
    for text_body in text_bodies(body) {
        read_words(text_body, harvest);
    }
    Ok(())
}

/// Reads a task: `summary` is a post.
pub(super) fn read_summary(body: &Map<String, Value>, harvest: &mut Harvest) -> Result<(), Unreadable> {
    match body.get("summary") {
        Some(Value::Object(summary)) => read(summary, harvest),
        Some(Value::String(words)) => {
            harvest.text.line(words);
            Ok(())
        }
        _ => Err(Unreadable("the content has no summary".to_owned())),
    }
}

/// Takes what one element carries. An unknown element, or an object that is none (an entry of
/// `files`, say), carries keys under the names that every known one uses.
pub(super) fn take_element(element: &Map<String, Value>, harvest: &mut Harvest) {
    let tag = element.get("tag").and_then(Value::as_str);
    if let Some(tag) = tag.filter(|tag| !KNOWN_TAGS.contains(tag)) {
        harvest.note_unknown("tag", tag);
    }
    let is_folder = element.get("is_folder").and_then(Value::as_bool) == Some(true);
    let file_role = match tag {
        _ if is_folder => Role::Folder,
        Some("media" | "video") => Role::Video,
        Some("audio") => Role::Audio,
        Some("folder") => Role::Folder,
        _ => Role::File,
    };
    if file_role == Role::Video {
        harvest.take_video(element, "file_key");
    } else {
        harvest.take(file_role, element, "file_key");
        harvest.take(Role::Image, element, "image_key");
    }
    if tag == Some("md") {
        let words = element.get("text").and_then(Value::as_str).unwrap_or_default();
        for key in markdown::image_keys(words) {
            harvest.add(Role::Image, key, None);
        }
    }
}

/// The objects with a title and paragraphs: the post itself, or one per locale.
fn text_bodies(body: &Map<String, Value>) -> Vec<&Map<String, Value>> {
    let unwrapped = body.get("post").and_then(Value::as_object).unwrap_or(body);
    let is_body = |object: &Map<String, Value>| object.contains_key("content") || object.contains_key("content_v2");
    if is_body(unwrapped) {
        return vec![unwrapped];
    }
    unwrapped.values().filter_map(Value::as_object).filter(|object| is_body(object)).collect()
}

fn read_words(text_body: &Map<String, Value>, harvest: &mut Harvest) {
    let paragraphs_of = |member| text_body.get(member).and_then(Value::as_array).filter(|list| !list.is_empty());
    harvest.text.line(text_body.get("title").and_then(Value::as_str).unwrap_or_default());
    // `content_v2` says the same as `content`, only more richly.
    let paragraphs = paragraphs_of("content_v2").or_else(|| paragraphs_of("content"));
    for paragraph in paragraphs.into_iter().flatten() {
        for element in paragraph.as_array().into_iter().flatten() {
            harvest.text.push(words_of(element));
        }
        harvest.text.end_line();
    }
}

fn words_of(element: &Value) -> &str {
    let member = if element.get("tag").and_then(Value::as_str) == Some("at") { "user_name" } else { "text" };
    element.get(member).and_then(Value::as_str).unwrap_or_default()
}
