//! Cards: the rendering that events carry, the card as it was sent (JSON 1.0 and 2.0), and the raw form.
//!
//! A card may hold another form of itself as JSON inside a string; each form is read.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::harvest::Harvest;
use super::walk::Walk;
use super::{Unreadable, markdown};
use crate::domain::resource::Role;
use crate::feishu::json;

/// Members that hold a whole card as JSON text: the sender's card beside the rendering, and the raw form.
const CARD_TEXTS: [&str; 2] = ["user_dsl", "json_card"];

/// Members that show words.
const WORDS: [&str; 4] = ["title", "subtitle", "text", "content"];

/// The components of both card versions and of the rendering.
#[rustfmt::skip]
const KNOWN_TAGS: [&str; 50] = [
    "a", "action", "at", "audio", "button", "chart", "checker", "code_block", "code_span", "collapsible_panel",
    "column", "column_set", "custom_icon", "date_picker", "div", "emotion", "fallback_text", "form", "hr",
    "img", "img_combination", "input", "interactive_container", "lark_md", "link", "list", "markdown", "md",
    "media", "multi_select_person", "multi_select_static", "note", "number_tag", "overflow", "person",
    "person_list", "picker_datetime", "picker_time", "plain_text", "progress", "repeat", "select_img",
    "select_person", "select_static", "standard_icon", "table", "text", "text_tag", "time", "video",
];

/// Reads a card in whatever forms the content holds.
pub(super) fn read(body: &Map<String, Value>, harvest: &mut Harvest) -> Result<(), Unreadable> {
    Walk::of(body).for_each(|component| take_component(component, harvest));
    let mut sent_cards = Vec::new();
    for member in CARD_TEXTS {
        sent_cards.extend(read_inner(body, member, harvest));
    }
    for component in sent_cards.iter().flat_map(|card| Walk::through(card)) {
        take_component(component, harvest);
    }
    if let Some(attachment) = read_inner(body, "json_attachment", harvest) {
        take_attached_images(&attachment, harvest);
    }
    // The rendering of a newer card may be no more than a request to update the client.
    match sent_cards.iter().find_map(|card| card.as_object()) {
        Some(card) => read_words(card, harvest),
        None => read_words(body, harvest),
    }
    Ok(())
}

/// A member that is JSON inside a string; the plain object is accepted as well.
fn read_inner<'a>(body: &'a Map<String, Value>, member: &str, harvest: &mut Harvest) -> Option<Cow<'a, Value>> {
    match body.get(member)? {
        Value::String(text) if !text.is_empty() => match json::read(text) {
            Ok(inner) => Some(Cow::Owned(inner)),
            Err(reason) => {
                harvest.note(format!("{member} {reason}"));
                None
            }
        },
        object @ Value::Object(_) => Some(Cow::Borrowed(object)),
        _ => None,
    }
}

/// Takes what one component carries: `img_key` in cards as they are sent, `image_key` in the
/// rendering, a file or its older id in players, images in Markdown.
fn take_component(component: &Map<String, Value>, harvest: &mut Harvest) {
    let tag = component.get("tag").and_then(Value::as_str);
    if let Some(tag) = tag.filter(|tag| !KNOWN_TAGS.contains(tag)) {
        harvest.note_unknown("card tag", tag);
    }
    let (file_role, older_id) = match tag {
        Some("video" | "media") => (Role::Video, Some("video_id")),
        Some("audio") => (Role::Audio, Some("audio_id")),
        _ => (Role::File, None),
    };
    if !harvest.take(file_role, component, "file_key") {
        older_id.map(|member| harvest.take(file_role, component, member));
    }
    harvest.take(Role::CardImage, component, "img_key");
    harvest.take(Role::CardImage, component, "image_key");
    if matches!(tag, Some("markdown" | "lark_md" | "md")) {
        for words in ["content", "text"].iter().filter_map(|member| component.get(*member)?.as_str()) {
            for key in markdown::image_keys(words) {
                harvest.add(Role::CardImage, key, None);
            }
        }
    }
}

/// Takes the images of the raw form, which lie beside the card: `images: {id: {token}}`.
fn take_attached_images(attachment: &Value, harvest: &mut Harvest) {
    let images = attachment.get("images");
    for image in images.into_iter().flat_map(Walk::through) {
        harvest.take(Role::CardImage, image, "token");
    }
}

/// The header's words first, then the others in order.
fn read_words(card: &Map<String, Value>, harvest: &mut Harvest) {
    let header = card.get("header").into_iter().flat_map(Walk::through);
    let others = card.iter().filter(|(member, _)| *member != "header").flat_map(|(_, value)| Walk::through(value));
    for component in std::iter::once(card).chain(header).chain(others) {
        for words in WORDS.iter().filter_map(|member| component.get(*member)?.as_str()) {
            harvest.text.line(words);
        }
    }
}
