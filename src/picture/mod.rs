//! Pictures: a small one made of whatever somebody sent. Knows bytes only, no rows and no places.
//!
//! A file may be made to break whoever reads it. So it is read in a process of its own, [`apart`],
//! which may take little memory and time and nothing else of the machine; [`shrink`] is what happens there.

pub mod apart;
#[cfg(target_os = "linux")]
mod confinement;
mod jpeg;
pub mod shrink;

use std::fmt;

/// The types that a small picture is made of. Others are decoded by code that is less tried (HEIC, TIFF),
/// or are no pictures but documents (SVG, PDF).
const READABLE: [&str; 6] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/x-ms-bmp"];

/// Whether a small picture may be made of bytes of this type.
#[must_use]
pub fn is_readable(mime: &str) -> bool {
    READABLE.contains(&mime)
}

/// Why no small picture is made of something. The same bytes would be refused again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has more bytes or pixels than we are willing to decode.
    TooLarge,
    /// It is not a picture of a readable type, or is damaged.
    Unreadable,
    /// Its reader ended before its time: by a fault, or because it took more than it may.
    Broke,
}

impl Refusal {
    /// One word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Broke => "broke",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
