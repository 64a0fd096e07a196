//! Media types, as far as anything is known of them here.

/// The endings that files of a media type usually have.
const ENDINGS: [(&str, &str); 20] = [
    ("application/json", ".json"),
    ("application/pdf", ".pdf"),
    ("application/zip", ".zip"),
    ("audio/amr", ".amr"),
    ("audio/mpeg", ".mp3"),
    ("audio/ogg", ".ogg"),
    ("audio/opus", ".opus"),
    ("audio/wav", ".wav"),
    ("audio/x-wav", ".wav"),
    ("image/bmp", ".bmp"),
    ("image/gif", ".gif"),
    ("image/heic", ".heic"),
    ("image/heif", ".heif"),
    ("image/jpeg", ".jpg"),
    ("image/png", ".png"),
    ("image/tiff", ".tif"),
    ("image/webp", ".webp"),
    ("text/plain", ".txt"),
    ("video/mp4", ".mp4"),
    ("video/quicktime", ".mov"),
];

/// The ending of a media type's files, with its dot; none if it is not known.
#[must_use]
pub fn ending_of(mime: &str) -> Option<&'static str> {
    ENDINGS.iter().find(|(known, _)| *known == mime).map(|(_, ending)| *ending)
}
