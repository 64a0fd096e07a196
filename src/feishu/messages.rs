//! One message by its id; a forward comes with every message inside it.
//!
//! Documented at `/document/uAjLw4CM/ukTMukTMukTM/reference/im-v1/message/get`: the messages inside a
//! forward are listed flat, whatever their level, and name the forward they lie in directly.

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::answer::{Refusal, Rejection};
use super::client::{Api, Call, Client, JSON_WITHIN};
use super::code::Class;
use super::event::{Item, read_item};
use super::json;
use crate::domain::download::Upstream;
use crate::domain::id::{AppId, ChatId, MessageId, TenantKey, path_segment};
use crate::domain::reason::ReasonCode;

/// The longest answer that is read. A message has up to 150 KB of text, usually under one; this
/// is room for well over ten thousand usual ones.
const MAX_LISTING_BYTES: usize = 16 << 20;

/// A message and what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The messages, in the order of the platform.
    pub items: Vec<Item>,
    /// How many items were no messages.
    pub unreadable: usize,
}

#[derive(Deserialize)]
struct Envelope {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    /// Unread, so that one odd item spoils no other, and memory stays near the text's length.
    items: Vec<Box<RawValue>>,
}

impl Client {
    /// Asks for a message. Cards come as they were sent, because only that form names all its
    /// images. Items that name no tenant or chat are taken to be in the one given.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means for the message.
    pub async fn message(
        &self,
        app_id: &AppId,
        message_id: &MessageId,
        surroundings: (Option<&TenantKey>, Option<&ChatId>),
    ) -> Result<Listing, Refusal> {
        let nothing = Upstream::default();
        let unusable = || Rejection::new(Class::End(ReasonCode::KeyUnusable), &nothing, "nothing was asked");
        let segment = path_segment(message_id.as_str()).ok_or_else(unusable)?;
        let mut url = self.url(&["open-apis", "im", "v1", "messages", segment]);
        url.query_pairs_mut().append_pair("card_msg_content_type", "user_card_content");
        let answer = self.send(&Call::get(Api::Message, url)).await?;
        let upstream = answer.upstream.clone();
        let text = timeout(JSON_WITHIN, answer.text(MAX_LISTING_BYTES)).await;
        let text = text.unwrap_or_else(|_| Err(Rejection::broken(&upstream, "the answer is too slow")))?;
        let too_large = || Rejection::new(Class::End(ReasonCode::TooLarge), &upstream, "the listing is too long");
        let text = text.ok_or_else(too_large)?;
        let (app_id, surroundings) = (app_id.clone(), (surroundings.0.cloned(), surroundings.1.cloned()));
        let reading = tokio::task::spawn_blocking(move || {
            read(&app_id, (surroundings.0.as_ref(), surroundings.1.as_ref()), &text)
        });
        let listing = reading.await.map_err(|_| "reading the answer was broken off".to_owned()).and_then(|read| read);
        Ok(listing.map_err(|reason| Rejection::not_a_file(&upstream, reason))?)
    }
}

fn read(app_id: &AppId, surroundings: (Option<&TenantKey>, Option<&ChatId>), text: &str) -> Result<Listing, String> {
    let envelope: Envelope = json::read(text).map_err(|reason| format!("the answer {reason}"))?;
    let items = envelope.data.items.iter().map(|item| {
        let item = json::read(item.get()).ok()?;
        read_item(app_id, surroundings, &item).ok()
    });
    let items: Vec<Option<Item>> = items.collect();
    let all = items.len();
    let items: Vec<Item> = items.into_iter().flatten().collect();
    if items.is_empty() {
        return Err("the answer holds no message".to_owned());
    }
    Ok(Listing { unreadable: all - items.len(), items })
}
