//! Resources: the things in messages that have bytes, or ought to.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::id::{ResourceKey, path_segment};
use super::reason::ReasonCode;

/// The `type` parameter of the message-resource API. It knows only these two; `audio` and
/// `video` are refused with HTTP 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceType {
    /// Images, images in posts, covers of videos.
    Image,
    /// Files, voice, videos.
    File,
}

/// What a resource is in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A picture.
    Image,
    /// A file.
    File,
    /// A voice message.
    Audio,
    /// A video.
    Video,
    /// The still picture of a video.
    Cover,
    /// A sticker; the platform hands out none.
    Sticker,
    /// A folder; the platform hands out none.
    Folder,
    /// A picture inside a card.
    CardImage,
    /// A forward that is not opened yet; it goes when its children are listed.
    Forward,
}

macro_rules! names {
    ($enum:ident, $error:ident, $hint:literal, $($variant:ident = $name:literal),* $(,)?) => {
        impl $enum {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),*];

            /// The stable name in JSON, views and filters.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $enum {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[doc = concat!("A text that names no ", $hint, ".")]
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{0:?} is no {what}; there are {all}", what = $hint, all = [$($name),*].join(", "))]
        pub struct $error(String);

        impl FromStr for $enum {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                match text {
                    $($name => Ok(Self::$variant),)*
                    other => Err($error(other.to_owned())),
                }
            }
        }
    };
}
pub(crate) use names;

names!(ResourceType, UnknownResourceType, "type of resource", Image = "image", File = "file");
names!(
    Role,
    UnknownRole,
    "role",
    Image = "image",
    File = "file",
    Audio = "audio",
    Video = "video",
    Cover = "cover",
    Sticker = "sticker",
    Folder = "folder",
    CardImage = "card_image",
    Forward = "forward",
);

/// A resource as message content shows it: named, not fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is in its message.
    pub role: Role,
    /// How the API wants it asked; none for what is never handed out.
    pub kind: Option<ResourceType>,
    /// Its key.
    pub key: ResourceKey,
    /// The name that the message gives it.
    pub file_name: Option<String>,
    /// The key of the image in the same message that stands for it, if it is a video with one.
    pub cover: Option<ResourceKey>,
}

impl Found {
    /// The reason why nobody can ask for these bytes, known without asking; none if one can.
    #[must_use]
    pub fn hopeless(&self) -> Option<ReasonCode> {
        match self.role {
            Role::Sticker => Some(ReasonCode::StickerNotOffered),
            Role::Folder => Some(ReasonCode::FolderNotOffered),
            _ => path_segment(self.key.as_str()).is_none().then_some(ReasonCode::KeyUnusable),
        }
    }
}
