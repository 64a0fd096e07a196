//! Properties of reading messages that hold for every input, however odd.

use std::collections::BTreeSet;
use std::fs;

use larkive::cli::extract::extract;
use larkive::feishu::content::{self, MAX_NOTES, MAX_RESOURCES_PER_MESSAGE, MAX_TEXT_CHARS};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use crate::corpus;

const TYPES: [&str; 12] = [
    "image",
    "file",
    "audio",
    "media",
    "sticker",
    "folder",
    "post",
    "interactive",
    "todo",
    "text",
    "merge_forward",
    "whiteboard",
];

const MEMBERS: [&str; 16] = [
    "image_key",
    "img_key",
    "file_key",
    "file_name",
    "tag",
    "text",
    "title",
    "content",
    "content_v2",
    "elements",
    "files",
    "is_folder",
    "post",
    "summary",
    "user_dsl",
    "x",
];

/// JSON that looks like content often enough to get past the first check.
fn contentlike() -> impl Strategy<Value = Value> {
    let word = || {
        prop_oneof![
            "[a-z_]{0,6}".prop_map(Value::from),
            select(vec!["img", "media", "md", "text", "markdown", "note", "video"]).prop_map(Value::from),
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word(),
        word()
    ];
    let object = |inner| proptest::collection::vec((select(MEMBERS.to_vec()), inner), 0..6);
    leaf.prop_recursive(6, 128, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            object(inner)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Every text that is not empty and stands in a member with one of these names, anywhere.
fn keys_in(value: &Value, names: &[&str], keys: &mut BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| keys_in(element, names, keys)),
        Value::Object(members) => {
            for (name, member) in members {
                keys.extend(
                    member.as_str().filter(|key| names.contains(&name.as_str()) && !key.is_empty()).map(str::to_owned),
                );
                keys_in(member, names, keys);
            }
        }
        _ => {}
    }
}

fn found(message_type: &str, body: &Value) -> BTreeSet<String> {
    let content = content::read(message_type, &body.to_string());
    content.resources.into_iter().map(|found| found.key.into()).collect()
}

proptest! {
    #[test]
    fn in_posts_cards_and_unknown_types_exactly_the_keys_are_found(body in contentlike()) {
        for (message_type, names) in [
            ("post", &["image_key", "file_key"][..]),
            ("whiteboard", &["image_key", "file_key"]),
            ("interactive", &["image_key", "file_key", "img_key"]),
        ] {
            let mut keys = BTreeSet::new();
            if body.is_object() || message_type == "whiteboard" {
                keys_in(&body, names, &mut keys);
            }
            prop_assert_eq!(found(message_type, &body), keys, "{}", message_type);
        }
    }

    #[test]
    fn no_type_yields_a_key_that_is_not_there(body in contentlike(), message_type in select(TYPES.to_vec())) {
        let mut keys = BTreeSet::new();
        keys_in(&body, &["image_key", "file_key", "img_key"], &mut keys);
        prop_assert!(found(message_type, &body).is_subset(&keys));
    }

    #[test]
    fn any_text_is_read_within_bounds(text in ".{0,200}", message_type in select(TYPES.to_vec())) {
        for text in [text.clone(), format!(r#"{{"text":{text:?},"image_key":"{text}"}}"#)] {
            let content = content::read(message_type, &text);
            prop_assert!(content.resources.len() <= MAX_RESOURCES_PER_MESSAGE);
            prop_assert!(content.notes.len() <= MAX_NOTES);
            prop_assert!(content.text.is_none_or(|text| text.chars().count() <= MAX_TEXT_CHARS && !text.contains('\0')));
        }
    }

    #[test]
    fn damaged_bodies_are_read_or_refused(body in any::<Index>(), damage in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..8)) {
        let bodies = corpus::bodies();
        let mut bytes = fs::read(&body.get(&bodies).0).unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let damaged = String::from_utf8_lossy(&bytes);
        if let Ok(extraction) = extract(&damaged) {
            for row in extraction.rows {
                prop_assert_eq!(row.state.as_str() == "impossible", row.reason_code.is_some());
            }
        }
    }
}
