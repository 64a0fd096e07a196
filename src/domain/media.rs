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

/// Families of media types that nothing is run from, but for what is written in XML.
const INERT_FAMILIES: [&str; 3] = ["audio/", "image/", "video/"];
const XML: &str = "xml";
/// Further types that nothing is run from.
const INERT: [&str; 24] = [
    "application/epub+zip",
    "application/gzip",
    "application/json",
    "application/msword",
    "application/octet-stream",
    "application/pdf",
    "application/rtf",
    "application/vnd.android.package-archive",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-tar",
    "application/x-xz",
    "application/zip",
    "text/csv",
    "text/plain",
];

/// Whether a browser that is given bytes of this type, and told to believe it, runs nothing of them. Whatever is
/// not known to be so is not.
#[must_use]
pub fn is_inert(mime: &str) -> bool {
    INERT.contains(&mime) || INERT_FAMILIES.iter().any(|family| mime.starts_with(family)) && !mime.contains(XML)
}

/// The ending of a media type's files, with its dot; none if it is not known.
#[must_use]
pub fn ending_of(mime: &str) -> Option<&'static str> {
    ENDINGS.iter().find(|(known, _)| *known == mime).map(|(_, ending)| *ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_run_is_not_inert() {
        for mime in ["image/png", "audio/ogg", "video/mp4", "application/pdf", "text/plain", "application/zip"] {
            assert!(is_inert(mime), "{mime}");
        }
        for mime in [
            "text/javascript",
            "application/javascript",
            "text/html",
            "text/css",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/wasm",
            "TEXT/HTML",
            "text/plain; charset=utf-7",
            "",
        ] {
            assert!(!is_inert(mime), "{mime}");
        }
    }
}
