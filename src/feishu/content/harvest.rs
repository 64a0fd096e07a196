//! What a reading of content gathers: resources without repetition, words, notes.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::text::SearchText;
use super::{Content, MAX_NOTES, MAX_RESOURCES_PER_MESSAGE};
use crate::domain::id::ResourceKey;
use crate::domain::message::Problem;
use crate::domain::resource::{Found, ResourceType, Role};

/// The most foreign words that are noted, so that notes of every other kind still find room.
const MAX_FOREIGN_WORDS: usize = MAX_NOTES / 2;
/// Where the key of a video's cover stands.
const COVER_MEMBER: &str = "image_key";
/// How much of a foreign word a note quotes, in characters.
const MAX_QUOTED_CHARS: usize = 40;

/// Gathers what one message yields.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    /// The words found so far.
    pub(super) text: SearchText,
    resources: Vec<Found>,
    /// Where each type and key stands in `resources`.
    places: HashMap<(Option<ResourceType>, ResourceKey), usize>,
    notes: Vec<String>,
}

impl Harvest {
    /// Takes the key that `member` of `object` holds, with the object's `file_name` where the role
    /// has one. An absent member is nothing; one that holds no key is noted. Says whether there was a key.
    pub(super) fn take(&mut self, role: Role, object: &Map<String, Value>, member: &str) -> bool {
        let key = match object.get(member) {
            Some(Value::String(key)) if !key.is_empty() => key,
            None | Some(Value::Null) => return false,
            Some(Value::String(_)) => {
                self.note(format!("{member} is empty"));
                return false;
            }
            Some(_) => {
                self.note(format!("{member} is not a text"));
                return false;
            }
        };
        let file_name = match role {
            Role::File | Role::Audio | Role::Video | Role::Sticker | Role::Folder => object.get("file_name"),
            // A cover stands beside its video's name, which is not its own.
            Role::Image | Role::Cover | Role::CardImage | Role::Forward => None,
        };
        self.add(role, key, file_name.and_then(Value::as_str));
        true
    }

    /// Takes a video, whose key `member` of `object` holds, and the image beside it as its cover. Says whether
    /// there was a video.
    pub(super) fn take_video(&mut self, object: &Map<String, Value>, member: &str) -> bool {
        let found = self.take(Role::Video, object, member);
        if self.take(Role::Cover, object, COVER_MEMBER) && found {
            self.tie_cover(object, member);
        }
        found
    }

    /// Writes into a video which image is its cover, unless another was named before, or one of both was not taken.
    fn tie_cover(&mut self, object: &Map<String, Value>, member: &str) {
        let place = |role: Role, member: &str| {
            let key = object.get(member)?.as_str()?.parse::<ResourceKey>().ok()?;
            self.places.get(&(api_type(role), key)).copied()
        };
        let (Some(video), Some(cover)) = (place(Role::Video, member), place(Role::Cover, COVER_MEMBER)) else { return };
        let cover = self.resources.get(cover).map(|cover| cover.key.clone());
        if let Some(video) = self.resources.get_mut(video).filter(|video| video.role == Role::Video) {
            video.cover = video.cover.take().or(cover);
        }
    }

    /// Adds a resource. If its type and key are known already, only a missing file name is filled in.
    pub(super) fn add(&mut self, role: Role, key: &str, file_name: Option<&str>) {
        let Ok(key) = key.parse::<ResourceKey>() else {
            return;
        };
        let file_name = file_name.map(|name| name.replace('\0', "")).filter(|name| !name.is_empty());
        let kind = api_type(role);
        let place = self.places.get(&(kind, key.clone())).copied();
        if let Some(known) = place.and_then(|place| self.resources.get_mut(place)) {
            known.file_name = known.file_name.take().or(file_name);
            return;
        }
        if self.resources.len() == MAX_RESOURCES_PER_MESSAGE {
            self.note(format!("only the first {MAX_RESOURCES_PER_MESSAGE} resources are taken"));
            return;
        }
        self.places.insert((kind, key.clone()), self.resources.len());
        self.resources.push(Found { role, kind, key, file_name, cover: None });
    }

    /// Notes something that was not understood, once, as long as there is room for notes.
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Notes a foreign word, quoted and cut, since it may hold anything.
    pub(super) fn note_unknown(&mut self, what: &str, word: &str) {
        if self.notes.len() >= MAX_FOREIGN_WORDS {
            return;
        }
        let quoted: String = word.chars().take(MAX_QUOTED_CHARS).collect();
        self.note(format!("unknown {what} {quoted:?}"));
    }

    /// Everything gathered.
    pub(super) fn into_content(self, problem: Option<Problem>) -> Content {
        Content { resources: self.resources, text: self.text.finish(), problem, notes: self.notes, forward: false }
    }
}

/// The download API's `type` for a role; none for what it does not hand out.
fn api_type(role: Role) -> Option<ResourceType> {
    match role {
        Role::Image | Role::Cover | Role::CardImage => Some(ResourceType::Image),
        Role::File | Role::Audio | Role::Video => Some(ResourceType::File),
        Role::Sticker | Role::Folder | Role::Forward => None,
    }
}
