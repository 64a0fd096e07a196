//! Received messages become rows, whoever told them: an event, an opened forward, an answer to a question.

use std::collections::{BTreeMap, HashSet};

use super::names::GOOD_FOR;
use crate::catalogue::forwards::{self, ListedMessage};
use crate::catalogue::messages::{self, NewMessage, NewSender};
use crate::catalogue::quotes::{self, Quote};
use crate::catalogue::resources::{self, NewResource};
use crate::catalogue::{CatalogueError, Transaction, search};
use crate::domain::id::{AppId, EventRowId, MessageId, OpenId, path_segment};
use crate::domain::message::Message;
use crate::domain::resource::{Found, Role};
use crate::domain::time::Timestamp;
use crate::feishu::content::{self, Content};
use crate::feishu::event::Item;

/// A message with its content read.
pub(super) struct Received {
    origin: Origin,
    received_at: Timestamp,
    message: Message,
    content: Content,
}

/// Who told a message.
enum Origin {
    /// A delivery.
    Event(EventRowId),
    /// The platform, when it was asked for this message.
    Asked,
    /// The platform, when it was asked for the forward that the message lies in.
    Forward(MessageId),
}

impl Received {
    /// A message that a delivery told. A forward is still to be opened.
    pub(super) fn from_event(event: EventRowId, received_at: Timestamp, message: Message) -> Self {
        let mut content = content::read(&message.message_type, &message.content);
        if content.forward
            && let Ok(key) = message.message_id.as_str().parse()
        {
            content.resources.push(Found { role: Role::Forward, kind: None, key, file_name: None, cover: None });
        }
        Self { origin: Origin::Event(event), received_at, message, content }
    }

    /// A message that the platform listed when it was asked for `asked`: that message, or one of
    /// those inside it. Forwards among them are open, because the platform lists all levels at once.
    pub(super) fn listed(asked: &MessageId, received_at: Timestamp, item: Item) -> Self {
        let Item { message, deleted, .. } = item;
        let origin = if message.message_id == *asked { Origin::Asked } else { Origin::Forward(asked.clone()) };
        let content = match deleted {
            true => Content::default(),
            false => content::read(&message.message_type, &message.content),
        };
        Self { origin, received_at, message, content }
    }

    fn event(&self) -> Option<EventRowId> {
        match self.origin {
            Origin::Event(event) => Some(event),
            Origin::Asked | Origin::Forward(_) => None,
        }
    }

    fn container(&self) -> Option<&MessageId> {
        match &self.origin {
            Origin::Forward(container) => Some(container),
            Origin::Event(_) | Origin::Asked => None,
        }
    }

    fn listed_for(&self) -> Option<ListedMessage<'_>> {
        let Message { app_id, message_id, .. } = &self.message;
        match &self.origin {
            Origin::Event(_) => None,
            Origin::Asked => Some(ListedMessage { app_id, asked: message_id, message_id }),
            Origin::Forward(container) => Some(ListedMessage { app_id, asked: container, message_id }),
        }
    }

    fn row(&self) -> NewMessage<'_> {
        NewMessage {
            event: self.event(),
            message: &self.message,
            text: self.content.text.as_deref(),
            problem: self.content.problem,
            seen_at: self.received_at,
        }
    }

    fn resources(&self) -> impl Iterator<Item = NewResource<'_>> {
        self.content.resources.iter().map(|found| NewResource {
            app_id: &self.message.app_id,
            message_id: &self.message.message_id,
            found,
            container: self.container(),
            seen_at: self.received_at,
        })
    }

    /// The message that a delivered one answers. What forwards and answers quote is left alone:
    /// otherwise one message could lead through the whole history of a chat.
    fn quote(&self) -> Option<Quote<'_>> {
        self.event()?;
        Some(Quote {
            app_id: &self.message.app_id,
            quoted: self.message.parent_id.as_deref().and_then(path_segment)?,
            by: &self.message.message_id,
            chat_id: &self.message.chat_id,
            seen_at: self.received_at,
        })
    }
}

/// Writes messages with their senders and resources, and notes what they quote. Returns the events
/// that own their message: it is new, or was told by this very event before (a replay).
pub(super) async fn write(
    transaction: &mut Transaction,
    received: &[&Received],
) -> Result<HashSet<EventRowId>, CatalogueError> {
    let ours = write_messages(transaction, received).await?;
    let listed: Vec<_> = received.iter().filter_map(|received| received.listed_for()).collect();
    forwards::note_listed(transaction, &listed).await?;
    let owns = |received: &Received| received.event().is_none_or(|event| ours.contains(&event));
    let owning: Vec<&Received> = received.iter().copied().filter(|received| owns(received)).collect();
    write_senders(transaction, &owning).await?;
    let rows: Vec<_> = owning.iter().flat_map(|received| received.resources()).collect();
    resources::insert(transaction, &rows).await?;
    search::index_newest(transaction, rows.len()).await?;
    let quoted: Vec<_> = owning.iter().filter_map(|received| received.quote()).collect();
    quotes::insert_unseen(transaction, &quoted).await?;
    Ok(ours)
}

/// Records messages; returns the events that own theirs. A replayed message's text and problem
/// are read anew, and a listing tells what a delivery did not.
async fn write_messages(
    transaction: &mut Transaction,
    received: &[&Received],
) -> Result<HashSet<EventRowId>, CatalogueError> {
    let rows: Vec<_> = received.iter().map(|received| received.row()).collect();
    let mut ours = messages::insert(transaction, &rows).await?;
    for row in &rows {
        let Some(event) = row.event else {
            if row.problem.is_none() {
                messages::read_elsewhere(transaction, row).await?;
            }
            continue;
        };
        if !ours.contains(&event) && messages::reread(transaction, row).await? {
            ours.insert(event);
        }
    }
    Ok(ours)
}

async fn write_senders(transaction: &mut Transaction, owning: &[&Received]) -> Result<(), CatalogueError> {
    let mut senders: BTreeMap<(&AppId, &OpenId), NewSender<'_>> = BTreeMap::new();
    for Received { message, received_at, .. } in owning {
        let (app_id, chat_id) = (&message.app_id, &message.chat_id);
        if let Some(open_id) = &message.sender.open_id {
            let sender = NewSender { app_id, open_id, chat_id, named: None };
            senders.entry((app_id, open_id)).or_insert(sender);
        }
        for (open_id, name) in &message.names {
            let named = Some((name.as_str(), received_at.after(GOOD_FOR)));
            senders.insert((app_id, open_id), NewSender { app_id, open_id, chat_id, named });
        }
    }
    let senders: Vec<_> = senders.into_values().collect();
    messages::note_senders(transaction, &senders).await
}
