//! What bytes are, told by the bytes themselves.

/// How many bytes at the start are looked at: the signatures of archives lie deepest.
pub const HEAD_BYTES: usize = 8 * 1024;

/// The media type that the start of a file gives away; none if it could be anything.
#[must_use]
pub fn media_type(head: &[u8]) -> Option<&'static str> {
    infer::get(head).map(|kind| kind.mime_type())
}
