//! Names that the platform and the catalogue give to things, one type for each kind.
//!
//! The platform's ids are opaque: no prefix is checked and nothing is refused here for its looks.
//! What may travel inside a URL path is a separate question, answered by [`path_segment`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest key or id that is sent to the platform, in bytes. Real ones have under 100.
pub const MAX_PATH_SEGMENT_BYTES: usize = 256;

/// Returns `text` if it can stand as one segment of a URL path: not empty, not `.` or `..`,
/// no slash, backslash or control character, at most [`MAX_PATH_SEGMENT_BYTES`] long. Nor a U+FFFD:
/// it stands for something that could not be carried, so the text is not the name that was meant.
#[must_use]
pub fn path_segment(text: &str) -> Option<&str> {
    let harmless = !text.is_empty()
        && text != "."
        && text != ".."
        && text.len() <= MAX_PATH_SEGMENT_BYTES
        && !text.chars().any(|c| matches!(c, '/' | '\\' | char::REPLACEMENT_CHARACTER) || c.is_control());
    harmless.then_some(text)
}

/// An id without a single character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id is empty")]
pub struct EmptyId;

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as the platform wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = EmptyId;

            /// Accepts every text but the empty one. NUL, which SQLite cannot carry whole, becomes U+FFFD.
            fn from_str(text: &str) -> Result<Self, EmptyId> {
                if text.is_empty() {
                    return Err(EmptyId);
                }
                Ok(Self(text.replace('\0', "\u{fffd}")))
            }
        }

        impl TryFrom<String> for $name {
            type Error = EmptyId;

            fn try_from(text: String) -> Result<Self, EmptyId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_id! {
    /// An app of the open platform, `cli_…`.
    AppId;
    /// A tenant (company), as seen by one app.
    TenantKey;
    /// A message, `om_…`. Two bots in one chat see the same id.
    MessageId;
    /// A chat, `oc_…` (helpdesk events carry plain digits).
    ChatId;
    /// A user as one app sees them, `ou_…`.
    OpenId;
    /// An `image_key`, `file_key` or `file_token`: names bytes held by the platform.
    ResourceKey;
}

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident($letter:literal);)*) => {$(
        $(#[$doc])*
        ///
        /// Its text form is fixed in width, so that ids compare as text the way they compare as numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{:012x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotARowId;

            fn from_str(text: &str) -> Result<Self, NotARowId> {
                let digits = text.strip_prefix($letter).ok_or(NotARowId)?;
                let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                if digits.len() != 12 || !digits.bytes().all(lower_hex) {
                    return Err(NotARowId);
                }
                i64::from_str_radix(digits, 16).map(Self).map_err(|_| NotARowId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

/// A text that is no id of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind")]
pub struct NotARowId;

row_id! {
    /// A resource in the catalogue, shown as `r` and twelve hexadecimal digits.
    ResourceId("r");
    /// A delivery in the inbox, shown as `e` and twelve hexadecimal digits.
    EventRowId("e");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_segment_cannot_leave_its_place() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\u{0}b", "a\nb", "a\u{fffd}b", &"k".repeat(257)] {
            assert_eq!(path_segment(bad), None, "{bad:?}");
        }
        for good in ["img_v3_02ab", "75235e0c-4f92-430a-a99b-8446610223cg", "...", "图片", "a%2fb?c#d"] {
            assert_eq!(path_segment(good), Some(good));
        }
    }

    #[test]
    fn row_ids_sort_as_text_like_numbers_and_read_back() {
        assert!(ResourceId(9).to_string() < ResourceId(10).to_string());
        assert_eq!("r00000000002a".parse(), Ok(ResourceId(42)));
        for bad in ["42", "r2a", "e00000000002a", "r00000000002A", "r+0000000002a"] {
            assert_eq!(bad.parse::<ResourceId>(), Err(NotARowId), "{bad}");
        }
    }
}
