//! Messages of words only: texts, calendars, shares, places, votes, system lines.

use serde_json::Value;

use super::harvest::Harvest;

/// Where the words of a message type stand, as JSON pointers, if it belongs to this family.
pub(super) fn paths(message_type: &str) -> Option<&'static [&'static str]> {
    Some(match message_type {
        "text" | "hongbao" => &["/text"],
        "share_calendar_event" | "calendar" | "general_calendar" => &["/summary"],
        "share_chat" | "share_user" => &[],
        "system" => &["/template", "/from_user", "/to_chatters", "/divider_text/text"],
        "location" => &["/name"],
        "video_chat" => &["/topic"],
        "vote" => &["/topic", "/options"],
        _ => return None,
    })
}

/// Gathers the words; a list of words is one line.
pub(super) fn read(paths: &[&str], body: &Value, harvest: &mut Harvest) {
    for value in paths.iter().filter_map(|path| body.pointer(path)) {
        let words: Vec<&str> = match value {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            single => single.as_str().into_iter().collect(),
        };
        harvest.text.line(&words.join(" "));
    }
}
