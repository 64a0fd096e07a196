//! Message types that nobody told us about: what looks like a key is taken, and the type is noted.

use serde_json::Value;

use super::harvest::Harvest;
use super::walk::Walk;
use super::{plain, post};

/// Where words stand in most message types.
const USUAL_WORDS: [&str; 4] = ["/title", "/text", "/summary", "/topic"];

/// Takes every `image_key` and `file_key`, as if the content were rich text.
pub(super) fn read(message_type: &str, body: &Value, harvest: &mut Harvest) {
    harvest.note_unknown("message type", message_type);
    Walk::through(body).for_each(|object| post::take_element(object, harvest));
    plain::read(&USUAL_WORDS, body, harvest);
}
