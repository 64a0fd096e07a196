//! Where a digest's bytes lie: the only place that turns a digest into a path.

use std::path::PathBuf;

use crate::domain::digest::Digest;

/// The path of a blob relative to its store: `sha256/ab/cd/<64 hex>`.
pub(super) fn relative_path(digest: &Digest) -> PathBuf {
    let hex = digest.to_string();
    let (first, second) = fan(&hex);
    ["sha256", first, second, &hex].iter().collect()
}

/// The path of a blob's thumbnail relative to all of them: `ab/cd/<64 hex>.webp`.
pub(super) fn thumbnail_path(digest: &Digest) -> PathBuf {
    let hex = digest.to_string();
    let (first, second) = fan(&hex);
    [first, second, &format!("{hex}.webp")].iter().collect()
}

/// The two directories that a digest's file lies in: no directory gets many entries.
fn fan(hex: &str) -> (&str, &str) {
    (hex.get(..2).unwrap_or_default(), hex.get(2..4).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_lies_two_directories_deep_under_its_digest() {
        let hex = "abcd".repeat(16);
        let path = relative_path(&hex.parse().unwrap());
        assert_eq!(path.to_str(), Some(format!("sha256/ab/cd/{hex}").as_str()));
    }
}
