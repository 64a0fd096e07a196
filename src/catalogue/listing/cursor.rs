//! Cursors: where a page ended, as an opaque text that only fits the list it came from.

use std::hash::Hasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fnv::FnvHasher;

use crate::domain::time::Timestamp;

/// The first byte of every cursor; another one belongs to another program version.
const VERSION: u8 = 1;
/// Version, check and three numbers.
const LENGTH: usize = 1 + 4 * 8;

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// When the first page was asked for: what "7 days ago" counts from on every page.
    pub(super) asked_at: Timestamp,
    /// The value that the list is ordered by, of the last row shown.
    pub(super) sort: i64,
    /// The last row shown.
    pub(super) row: i64,
}

/// What a cursor belongs to: a list, and the filter that made it.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// The list's name.
    pub(super) list: &'static str,
    /// The filter's canonical names and values.
    pub(super) filter: &'a [(&'static str, String)],
}

impl Cursor {
    /// The text that a caller gets.
    pub(super) fn encode(&self, scope: &Scope<'_>) -> String {
        let numbers = self.numbers();
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend(check(scope, &numbers));
        bytes.extend(numbers);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor back; `None` if it is made up, damaged or from another list or filter.
    pub(super) fn decode(text: &str, scope: &Scope<'_>) -> Option<Self> {
        // Longer texts are refused before anything is allocated for them.
        let bytes = (text.len() == LENGTH.div_ceil(3) * 4).then(|| URL_SAFE_NO_PAD.decode(text).ok())??;
        let (version, rest) = bytes.split_first()?;
        let (found, numbers) = rest.split_at_checked(8)?;
        if *version != VERSION || found != check(scope, numbers) {
            return None;
        }
        let mut numbers = numbers.chunks_exact(8).map(|eight| eight.try_into().map(i64::from_be_bytes).ok());
        let asked_at = Timestamp::from_unix_ms(numbers.next()??)?;
        Some(Self { asked_at, sort: numbers.next()??, row: numbers.next()?? })
    }

    fn numbers(&self) -> Vec<u8> {
        [self.asked_at.unix_ms(), self.sort, self.row].iter().flat_map(|number| number.to_be_bytes()).collect()
    }
}

/// Ties the numbers to their list and filter. It catches mistakes, not forgers: a forged cursor
/// shows nothing that another filter would not show. The standard library's hasher may change between
/// versions, and a cursor must outlive an upgrade: hence FNV-1a.
fn check(scope: &Scope<'_>, numbers: &[u8]) -> [u8; 8] {
    let mut sum = FnvHasher::default();
    add(&mut sum, scope.list.as_bytes());
    for (name, value) in scope.filter {
        add(&mut sum, name.as_bytes());
        add(&mut sum, value.as_bytes());
    }
    add(&mut sum, numbers);
    sum.finish().to_be_bytes()
}

/// Adds one part and its length, so that parts cannot run into each other.
fn add(sum: &mut FnvHasher, part: &[u8]) {
    sum.write(part);
    sum.write(&(part.len() as u64).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_its_own_list_only() {
        let filter = [("state", "gone".to_owned())];
        let scope = Scope { list: "resources", filter: &filter };
        let asked_at = Timestamp::from_unix_ms(1_700_000_000_000).unwrap();
        let cursor = Cursor { asked_at, sort: -7, row: i64::MAX };
        let text = cursor.encode(&scope);
        assert_eq!(Cursor::decode(&text, &scope), Some(cursor));
        assert_eq!(text, "ARea4R-DILpoAAABi8_laAD_________-X__________", "a cursor outlives an upgrade");

        assert_eq!(Cursor::decode(&text, &Scope { list: "chats", filter: &filter }), None);
        assert_eq!(Cursor::decode(&text, &Scope { list: "resources", filter: &[] }), None);
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(Cursor::decode(&String::from_utf8(damaged).unwrap(), &scope), None, "at {at}");
        }
        for made_up in ["", "x", "1700000000000", &text[1..], &format!("{text}AAAA")] {
            assert_eq!(Cursor::decode(made_up, &scope), None, "{made_up}");
        }
    }
}
