//! The message that a resource came with, among its neighbours in the chat.

use super::failure::Failure;
use super::item::Item;
use super::language::Language;
use super::pictured::{self, Piece};
use super::vocabulary::{self, Time, visible_lines};
use crate::catalogue::listing::message::{self, Message};
use crate::catalogue::listing::resource::Resource;
use crate::catalogue::listing::{self, PageRequest};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::clock::Clock;
use crate::domain::filter::Filter;
use crate::domain::message::Problem;
use crate::domain::readable::visible;
use crate::domain::resource::Role;

/// Messages shown before and after the one that matters.
const EACH: u32 = 3;
/// Resources shown with all of them.
const MAX_RESOURCES: u32 = 60;
/// The type of messages whose text is what somebody typed.
const PLAIN: &str = "text";
/// How much of a message's text is shown.
const MAX_CHARS: usize = 2000;

/// A message as the page shows it.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) sender: Option<String>,
    /// What it is, where nothing that is shown of it tells.
    pub(super) kind: Option<String>,
    pub(super) text: Vec<Piece>,
    pub(super) sent_at: Time,
    /// What came with it, but for the pictures that stand in its text.
    pub(super) items: Vec<Item>,
    /// Whether it is the message that the resource came with.
    pub(super) is_own: bool,
    pub(super) is_recalled: bool,
    pub(super) is_unreadable: bool,
}

/// The messages around a resource, oldest first; none if it came with no message that was seen.
pub(super) async fn around(
    catalogue: &Catalogue,
    resource: &Resource,
    clock: &Clock,
    language: Language,
) -> Result<Vec<Turn>, Failure> {
    let Some(own) = own_message(catalogue, resource).await? else { return Ok(Vec::new()) };
    let messages = message::around(catalogue, &own, EACH).await?;
    let filter = Filter {
        app_id: vec![own.app_id.clone()],
        message_id: messages.iter().map(|message| message.message_id.clone()).collect(),
        ..Filter::default()
    };
    let wanted = PageRequest { limit: MAX_RESOURCES, cursor: None };
    let resources = listing::resources(catalogue, &filter, &wanted, clock.now()).await?.items;
    Ok(messages.iter().map(|message| turn(message, &own, &resources, language)).collect())
}

async fn own_message(catalogue: &Catalogue, resource: &Resource) -> Result<Option<Message>, CatalogueError> {
    let Some(id) = &resource.message_id else { return Ok(None) };
    let seen = message::find(catalogue, id).await?;
    Ok(seen.into_iter().find(|message| message.app_id == resource.app_id))
}

fn turn(message: &Message, own: &Message, resources: &[Resource], language: Language) -> Turn {
    let of_message = |resource: &&Resource| resource.message_id.as_ref() == Some(&message.message_id);
    // Listings are newest first; within a message that is the last one first.
    let mut attached: Vec<&Resource> = resources.iter().rev().filter(of_message).collect();
    let text = text(message, &mut attached, language);
    // A forward that is still to be opened shows nothing of what is in it.
    let tells_nothing = text.is_empty() && attached.iter().all(|resource| resource.role == Role::Forward);
    let items = attached.into_iter().map(|resource| Item::new(resource, language)).collect();
    let sender = message.sender.name.as_deref().or(message.sender.open_id.as_ref().map(|id| id.as_str()));
    Turn {
        sender: sender.map(visible),
        kind: tells_nothing.then(|| vocabulary::message_type(&message.message_type, language)),
        text,
        sent_at: message.sent_at.unwrap_or(message.seen_at).into(),
        items,
        is_own: message.message_id == own.message_id,
        is_recalled: message.recalled_at.is_some(),
        is_unreadable: message.problem == Some(Problem::ContentUnreadable),
    }
}

/// What a message says, with the pictures that stand in it, which are taken from what is attached. What people type as
/// plain text means what it says.
fn text(message: &Message, attached: &mut Vec<&Resource>, language: Language) -> Vec<Piece> {
    let text = message.text.as_deref().map(shortened).filter(|text| !text.trim().is_empty()).unwrap_or_default();
    if message.message_type == PLAIN {
        return if text.is_empty() { Vec::new() } else { vec![Piece::Words(text)] };
    }
    let all = attached.clone();
    pictured::pieces(&text, |key| {
        let resource = pictured::with_key(&all, key)?;
        attached.retain(|other| other.id != resource.id);
        Some(Item::new(resource, language))
    })
}

fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(MAX_CHARS).map(|(end, _)| end);
    let shown = visible_lines(end.and_then(|end| text.get(..end)).unwrap_or(text));
    if end.is_some() { format!("{shown}…") } else { shown }
}
