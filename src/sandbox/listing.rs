//! Messages by their id, as the stand-in lists them: samples that follow from the id alone, and
//! whatever somebody has put there.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::noise::mixed;
use super::samples::Media;

/// The chat that some messages inside forwards come from; the bot is not in it.
pub const FOREIGN_CHAT: &str = "oc_5f6e7d8c9b0a41322f3e4d5c6b7a8091";
/// When the messages inside forwards were sent: 2026-01-01T00:00:00Z and later.
const SENT_FROM_MS: u64 = 1_767_225_600_000;
/// Every so many messages of a crowd one is a picture, the others are words.
pub const CROWD_WORDS: u64 = 100;

/// A sample of what an id can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// A picture: for somebody to answer.
    Picture,
    /// A forward: a picture, a file, a card, the picture again, and a forward with a rich text.
    Album,
    /// A forward that lists itself again, with two forwards inside that contain each other.
    Cycle,
    /// A forward of very many messages.
    Crowd {
        /// How many.
        messages: u64,
    },
}

impl fmt::Display for Listed {
    /// The name inside an id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picture => f.write_str("picture"),
            Self::Album => f.write_str("album"),
            Self::Cycle => f.write_str("cycle"),
            Self::Crowd { messages } => write!(f, "crowd{messages}"),
        }
    }
}

/// The pictures and files inside an album, in the order of the listing.
#[derive(Debug, Clone)]
pub struct AlbumKeys {
    /// The picture that comes twice.
    pub picture: String,
    /// The file.
    pub file: String,
    /// The picture on the card.
    pub card_image: String,
    /// The picture in the rich text of the forward inside.
    pub inner_picture: String,
}

impl Listed {
    /// The message id that stands for it.
    #[must_use]
    pub fn id(self, seed: u64) -> String {
        format!("om_sbx_{self}_{seed:016x}")
    }

    /// The id of the nth message inside it, counted from 1.
    #[must_use]
    pub fn child(self, seed: u64, n: u64) -> String {
        format!("{}_{n}", self.id(seed))
    }

    /// What lies in an album.
    #[must_use]
    pub fn album_keys(seed: u64) -> AlbumKeys {
        let seed = mixed(seed);
        AlbumKeys {
            picture: Media::Png.key(seed),
            file: Media::Zip.key(seed),
            card_image: Media::Webp.key(seed),
            inner_picture: Media::Png.key(mixed(seed)),
        }
    }

    fn named(name: &str) -> Option<Self> {
        if let Some(messages) = name.strip_prefix("crowd") {
            return messages.parse().ok().map(|messages| Self::Crowd { messages });
        }
        [Self::Picture, Self::Album, Self::Cycle].into_iter().find(|listed| listed.to_string() == name)
    }

    fn of(id: &str) -> Option<(Self, u64)> {
        let (name, seed) = id.strip_prefix("om_sbx_")?.split_once('_')?;
        let (listed, seed) = (Self::named(name)?, u64::from_str_radix(seed, 16).ok()?);
        (listed.id(seed) == id).then_some((listed, seed))
    }

    /// What the platform answers; cards only come whole to whoever asks for that.
    fn items(self, seed: u64, cards: Cards) -> Vec<Value> {
        let own = self.id(seed);
        let picture = |n, upper: &str, key: &str| item(&self.child(seed, n), n, upper, "image", &image(key));
        let forward = |n, upper: &str| item(&self.child(seed, n), n, upper, "merge_forward", FORWARDED);
        match self {
            Self::Picture => {
                let mut picture = item(&own, 0, "", "image", &image(&Media::Png.key(mixed(seed))));
                picture["chat_id"] = json!(super::event::GROUP_CHAT);
                vec![picture]
            }
            Self::Album => self.album(seed, cards),
            Self::Cycle => {
                let (first, second) = (self.child(seed, 1), self.child(seed, 2));
                let mut again = picture(3, &second, &Media::Png.key(mixed(seed)));
                again["chat_id"] = json!(FOREIGN_CHAT);
                let container = item(&own, 0, "", "merge_forward", FORWARDED);
                vec![container.clone(), forward(1, &second), forward(2, &first), again, container, forward(1, &own)]
            }
            Self::Crowd { messages } => {
                let member = |n| match n % CROWD_WORDS {
                    0 => picture(n, &own, &Media::Png.key(seed.wrapping_add(n))),
                    _ => item(&self.child(seed, n), n, &own, "text", &json!({"text": format!("{n}")}).to_string()),
                };
                let container = item(&own, 0, "", "merge_forward", FORWARDED);
                std::iter::once(container).chain((1..=messages).map(member)).collect()
            }
        }
    }

    fn album(self, seed: u64, cards: Cards) -> Vec<Value> {
        let (own, inner, keys) = (self.id(seed), self.child(seed, 5), Self::album_keys(seed));
        let file = json!({"file_key": keys.file, "file_name": Media::Zip.file_name(0)});
        let card = match cards {
            Cards::AsSent => {
                json!({"schema": "2.0", "body": {"elements": [{"tag": "img", "img_key": keys.card_image}]}})
            }
            Cards::Rendered => json!({"title": "请升级至最新版本客户端，以查看内容", "elements": []}),
        };
        let post = json!({"title": "周报", "content": [[{"tag": "img", "image_key": keys.inner_picture}]]});
        let child = |n, upper: &str, msg_type, content: &str| item(&self.child(seed, n), n, upper, msg_type, content);
        vec![
            item(&own, 0, "", "merge_forward", FORWARDED),
            child(1, &own, "image", &image(&keys.picture)),
            child(2, &own, "file", &file.to_string()),
            child(3, &own, "interactive", &card.to_string()),
            child(4, &own, "image", &image(&keys.picture)),
            child(5, &own, "merge_forward", FORWARDED),
            child(6, &inner, "post", &post.to_string()),
        ]
    }
}

/// The content of every forward: bare words, no JSON.
const FORWARDED: &str = "Merged and Forwarded Message";

/// How cards are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cards {
    /// As they were sent.
    AsSent,
    /// As an old client shows them.
    Rendered,
}

fn image(key: &str) -> String {
    json!({"image_key": key}).to_string()
}

fn item(id: &str, n: u64, upper: &str, msg_type: &str, content: &str) -> Value {
    let mut item = json!({
        "message_id": id,
        "msg_type": msg_type,
        "create_time": (SENT_FROM_MS + n * 1000).to_string(),
        "update_time": (SENT_FROM_MS + n * 1000).to_string(),
        "deleted": false,
        "updated": false,
        "sender": {"id": super::event::SENDER, "id_type": "open_id", "sender_type": "user", "tenant_key": super::event::TENANT_KEY},
        "body": {"content": content},
    });
    if !upper.is_empty() {
        item["upper_message_id"] = json!(upper);
    }
    item
}

/// Every message that can be asked for.
#[derive(Debug, Default)]
pub(super) struct Messages(Mutex<HashMap<String, Vec<Value>>>);

impl Messages {
    /// Puts a message there, with everything that is listed with it.
    pub(super) fn put(&self, id: &str, items: Vec<Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), items);
    }

    /// What is listed for a message, if there is one.
    pub(super) fn list(&self, id: &str, cards: Cards) -> Option<Vec<Value>> {
        let put = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        put.or_else(|| Listed::of(id).map(|(listed, seed)| listed.items(seed, cards)))
    }

    /// Whether this is a message inside a sample forward: it hands nothing out itself.
    pub(super) fn is_inside_forward(&self, id: &str) -> bool {
        id.rsplit_once('_').is_some_and(|(container, _)| Listed::of(container).is_some())
    }
}
