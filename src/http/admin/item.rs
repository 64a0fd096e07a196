//! A resource among others: a tile of the gallery, a row of the table, a mark beside a message.

use super::language::Language;
use super::vocabulary::{self, Time};
use crate::catalogue::listing::resource::Resource;
use crate::domain::chat::Title;
use crate::domain::download::State;
use crate::domain::id::{ChatId, OpenId, ResourceKey};
use crate::domain::readable::{human_bytes, visible};
use crate::domain::resource::Role;

/// What is shown of a resource in a list.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    /// Its file name, or what it is if nobody named it.
    pub(super) name: String,
    pub(super) role: &'static str,
    /// The sign for its kind, a symbol of `marks.html`.
    pub(super) mark: &'static str,
    pub(super) state: State,
    pub(super) state_name: &'static str,
    pub(super) size: Option<String>,
    pub(super) sent_at: Time,
    pub(super) chat: Option<Named>,
    pub(super) sender: Option<Named>,
    /// Whether the title of the chat is the sender's name already.
    pub(super) chat_tells_sender: bool,
    /// Whether there may be a small picture of it.
    pub(super) has_thumbnail: bool,
    /// The key that its message names it by.
    pub(super) key: ResourceKey,
}

/// A chat or a person: what people know it by, else the id.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: String,
}

impl Named {
    /// A person, with their name if it is known.
    pub(super) fn person(id: &OpenId, name: Option<&str>) -> Self {
        Self { id: id.to_string(), name: visible(name.unwrap_or(id.as_str())) }
    }

    /// A chat, with its title.
    pub(super) fn chat(id: &ChatId, title: Title<'_>, language: Language) -> Self {
        Self { id: id.to_string(), name: visible(&title.told(vocabulary::direct_chat(language))) }
    }

    /// The chat of a resource.
    pub(super) fn chat_of(resource: &Resource, language: Language) -> Option<Self> {
        Some(Self::chat(resource.chat_id.as_ref()?, resource.chat_title()?, language))
    }

    /// The sender of a resource.
    pub(super) fn sender_of(resource: &Resource) -> Option<Self> {
        Some(Self::person(resource.sender.open_id.as_ref()?, resource.sender.name.as_deref()))
    }

    /// The id, where something else is shown.
    pub(super) fn id_behind_name(&self) -> Option<&str> {
        (self.id != self.name).then_some(&self.id)
    }
}

impl Item {
    pub(super) fn new(resource: &Resource, language: Language) -> Self {
        let role = vocabulary::role(resource.role, language);
        Self {
            id: resource.id.to_string(),
            name: name(resource, language),
            role,
            mark: mark(resource),
            state: resource.state,
            state_name: vocabulary::state(resource.state, language),
            size: resource.size_bytes.map(human_bytes),
            sent_at: resource.listed_at.into(),
            chat: Named::chat_of(resource, language),
            sender: Named::sender_of(resource),
            chat_tells_sender: chat_tells_sender(resource),
            has_thumbnail: has_thumbnail(resource),
            key: resource.key.clone(),
        }
    }
}

fn chat_tells_sender(resource: &Resource) -> bool {
    match resource.chat_title() {
        Some(Title::Direct { person: Some(person), .. }) => resource.sender.name.as_deref() == Some(person),
        _ => false,
    }
}

/// What a resource is called on pages.
pub(super) fn name(resource: &Resource, language: Language) -> String {
    let named = resource.file_name.as_deref().filter(|name| !name.trim().is_empty());
    named.map_or_else(|| vocabulary::role(resource.role, language).to_owned(), visible)
}

/// Whether it may have a small picture: a video by its cover, a picture of a common type by itself.
fn has_thumbnail(resource: &Resource) -> bool {
    let pictured = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    let is_picture = resource.mime.as_deref().is_some_and(|mime| pictured.contains(&mime));
    resource.state == State::Stored && (is_picture || resource.role == Role::Video)
}

/// The sign for the kind of a resource.
pub(super) fn mark(resource: &Resource) -> &'static str {
    match resource.role {
        Role::Image | Role::Cover | Role::CardImage => "image",
        Role::Audio => "audio",
        Role::Video => "video",
        Role::Sticker => "sticker",
        Role::Folder => "folder",
        Role::Forward => "forward",
        Role::File => mark_of_type(resource.mime.as_deref().unwrap_or_default()),
    }
}

fn mark_of_type(mime: &str) -> &'static str {
    match mime.split_once('/') {
        Some(("image", _)) => "image",
        Some(("audio", _)) => "audio",
        Some(("video", _)) => "video",
        Some(("text", _)) | Some(("application", "json")) => "text",
        Some(("application", "pdf")) => "pdf",
        Some(("application", "zip" | "gzip" | "x-tar" | "x-7z-compressed" | "vnd.rar")) => "archive",
        _ => "file",
    }
}
