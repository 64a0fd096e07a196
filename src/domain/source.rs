//! Where bytes come from: the download APIs of the platform.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::id::{MessageId, ResourceKey, path_segment};
use super::resource::ResourceType;

/// A download API, and with it the namespace its keys belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `/im/v1/messages/:message_id/resources/:file_key`: what people sent.
    Message,
    /// `/im/v1/images/:image_key`: images that this app uploaded.
    Image,
    /// `/im/v1/files/:file_key`: files that this app uploaded.
    File,
    /// `/baike/v1/files/:file_token/download`: dictionary images, old API.
    Baike,
    /// `/lingo/v1/files/:file_token/download`: dictionary images.
    Lingo,
    /// `/helpdesk/v1/ticket_images`: images in helpdesk tickets.
    TicketImage,
}

impl Source {
    /// Every source.
    pub const ALL: [Source; 6] = [Self::Message, Self::Image, Self::File, Self::Baike, Self::Lingo, Self::TicketImage];

    /// The name in JSON, views and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Image => "image",
            Self::File => "file",
            Self::Baike => "baike",
            Self::Lingo => "lingo",
            Self::TicketImage => "ticket_image",
        }
    }

    /// Whether the platform offers it to custom apps only.
    #[must_use]
    pub fn is_for_custom_apps(self) -> bool {
        match self {
            Self::Baike | Self::Lingo | Self::TicketImage => true,
            Self::Message | Self::Image | Self::File => false,
        }
    }

    /// Reads a name as JSON writes it or as the command line does: `resource`, `ticket-image`.
    ///
    /// # Errors
    /// If it names no source.
    pub fn from_words(text: &str) -> Result<Self, UnknownSource> {
        match text {
            "resource" => Ok(Self::Message),
            "ticket-image" => Ok(Self::TicketImage),
            text => text.parse(),
        }
    }
}

/// A text that names no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no source; there are message, image, file, baike, lingo and ticket_image")]
pub struct UnknownSource(String);

impl FromStr for Source {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        let known = Self::ALL.into_iter().find(|source| source.as_str() == text);
        known.ok_or_else(|| UnknownSource(text.to_owned()))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing to download: a source with everything its API wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A resource in a message that somebody sent.
    MessageResource {
        /// The message (or the container of a forward) that is asked.
        message_id: MessageId,
        /// The `image_key` or `file_key` found in it.
        key: ResourceKey,
        /// The API's `type` parameter.
        kind: ResourceType,
    },
    /// An image that this app uploaded.
    Image {
        /// Its `image_key`.
        key: ResourceKey,
    },
    /// A file that this app uploaded.
    File {
        /// Its `file_key`.
        key: ResourceKey,
    },
    /// A dictionary image by the old API.
    Baike {
        /// Its `file_token`.
        key: ResourceKey,
    },
    /// A dictionary image.
    Lingo {
        /// Its `file_token`.
        key: ResourceKey,
    },
    /// An image of a helpdesk ticket.
    TicketImage {
        /// The ticket's id.
        ticket_id: String,
        /// The ticket message's id.
        msg_id: String,
        /// The position in a post, from 0; none for a message that is an image.
        index: Option<u32>,
    },
}

impl Target {
    /// The API that this target is asked from.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::MessageResource { .. } => Source::Message,
            Self::Image { .. } => Source::Image,
            Self::File { .. } => Source::File,
            Self::Baike { .. } => Source::Baike,
            Self::Lingo { .. } => Source::Lingo,
            Self::TicketImage { .. } => Source::TicketImage,
        }
    }

    /// Whether every part can stand in a request; if not, nothing is ever sent.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        let sendable = |text: &str| path_segment(text).is_some();
        match self {
            Self::MessageResource { message_id, key, .. } => sendable(message_id.as_str()) && sendable(key.as_str()),
            Self::Image { key } | Self::File { key } | Self::Baike { key } | Self::Lingo { key } => {
                sendable(key.as_str())
            }
            Self::TicketImage { ticket_id, msg_id, .. } => sendable(ticket_id) && sendable(msg_id),
        }
    }
}
