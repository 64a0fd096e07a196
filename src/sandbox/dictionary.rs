//! The stand-in's dictionary: a few entries, some with images, in pages.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::samples::{Media, Origin};
use super::wire::Request;

/// Entries on a page, however many are asked for, so that a few entries have several pages.
const PAGE: usize = 2;

/// The images of each entry, as seeds: some have none, and one image is in two entries.
const ENTRIES: [&[u64]; 5] = [&[1], &[], &[2, 3], &[1], &[4]];

/// The tokens of all images in the dictionary, each once.
#[must_use]
pub fn tokens() -> Vec<String> {
    (1..=4).map(token).collect()
}

fn token(seed: u64) -> String {
    Media::Png.key_from(Origin::Dictionary, seed)
}

/// Answers a listing of entries.
pub(super) fn page(request: &Request) -> Result<Answer, Refusal> {
    let bad = || Refusal::new(400, 2250001, "invalid param");
    let start = match request.parameter("page_token") {
        Some(token) => token.strip_prefix("entry-").and_then(|place| place.parse().ok()).ok_or_else(bad)?,
        None => 0_usize,
    };
    let rest = ENTRIES.get(start..).ok_or_else(bad)?;
    let entries: Vec<Value> = rest.iter().zip(start..).take(PAGE).map(|(seeds, place)| entry(place, seeds)).collect();
    let mut data = json!({ "entities": entries, "has_more": rest.len() > PAGE });
    if rest.len() > PAGE
        && let Some(data) = data.as_object_mut()
    {
        data.insert("page_token".to_owned(), format!("entry-{}", start + PAGE).into());
    }
    Ok(Answer::json(200, &json!({ "code": 0, "msg": "success", "data": data })))
}

fn entry(place: usize, seeds: &[u64]) -> Value {
    let images: Vec<Value> = seeds.iter().map(|seed| json!({ "token": token(*seed) })).collect();
    json!({
        "id": format!("enterprise_{place:08}"),
        "main_keys": [{ "key": format!("词条 {place}"), "display_status": { "allow_highlight": true, "allow_search": true } }],
        "aliases": [],
        "description": "一个示例词条",
        "related_meta": { "images": images },
    })
}
