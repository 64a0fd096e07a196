//! Messages that are one thing with bytes: image, file, voice, video, sticker, folder.

use serde_json::{Map, Value};

use super::harvest::Harvest;
use super::walk::Walk;
use super::{Unreadable, post};
use crate::domain::resource::Role;

/// What a message type of this family carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    role: Role,
    key_member: &'static str,
}

/// What a message type carries, if it belongs to this family.
pub(super) fn kind(message_type: &str) -> Option<Kind> {
    let (role, key_member) = match message_type {
        "image" => (Role::Image, "image_key"),
        "file" => (Role::File, "file_key"),
        "audio" => (Role::Audio, "file_key"),
        // The documentation says `media`; official clients take `video` as well.
        "media" | "video" => (Role::Video, "file_key"),
        "sticker" => (Role::Sticker, "file_key"),
        "folder" => (Role::Folder, "file_key"),
        _ => return None,
    };
    Some(Kind { role, key_member })
}

/// Takes the one resource, and the cover beside a video.
pub(super) fn read(kind: Kind, body: &Map<String, Value>, harvest: &mut Harvest) -> Result<(), Unreadable> {
    let Kind { role, key_member } = kind;
    let found = match role {
        Role::Video => harvest.take_video(body, key_member),
        _ => harvest.take(role, body, key_member),
    };
    if !matches!(role, Role::Image | Role::Video) {
        harvest.take(Role::Cover, body, "image_key");
    }
    if found {
        return Ok(());
    }
    // A key that is not in its place may be in another. It is taken, and the message is still reported.
    Walk::of(body).for_each(|object| post::take_element(object, harvest));
    Err(Unreadable(format!("the content has no {key_member}")))
}
