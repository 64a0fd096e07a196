//! Pages: text that a gateway or a login wall sends in place of an image, told by how it begins.
//!
//! No image begins with a tag, a declaration or a JSON value. One byte would do but for the few old
//! formats without a magic number, whose headers may begin with anything; so the next one counts too.

/// How bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// As a page of this kind.
    Page(&'static str),
    /// As something else.
    Other,
}

const MARKUP: Beginning = Beginning::Page("a page of HTML or XML");
const JSON: Beginning = Beginning::Page("JSON");

/// How these bytes begin; none while there are too few to tell.
pub(super) fn begins(start: &[u8]) -> Option<Beginning> {
    match start {
        [0xff, 0xfe, rest @ ..] => text_begins(rest.iter().copied().step_by(2)),
        [0xfe, 0xff, rest @ ..] => text_begins(rest.iter().copied().skip(1).step_by(2)),
        [0xef, 0xbb, 0xbf, rest @ ..] => text_begins(rest.iter().copied()),
        // The beginning of one of these marks.
        [] | [0xff] | [0xfe] | [0xef] | [0xef, 0xbb] => None,
        bytes => text_begins(bytes.iter().copied()),
    }
}

fn text_begins(text: impl Iterator<Item = u8>) -> Option<Beginning> {
    let mut text = text.skip_while(u8::is_ascii_whitespace);
    Some(match text.next()? {
        b'<' => match text.next()? {
            b'!' | b'?' => MARKUP,
            next if next.is_ascii_alphabetic() => MARKUP,
            _ => Beginning::Other,
        },
        b'{' => match text.find(|byte| !byte.is_ascii_whitespace())? {
            b'"' | b'}' => JSON,
            _ => Beginning::Other,
        },
        b'[' => match text.find(|byte| !byte.is_ascii_whitespace())? {
            b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => JSON,
            _ => Beginning::Other,
        },
        _ => Beginning::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_by_their_first_characters() {
        let check = |start: &[u8], expected| assert_eq!(begins(start), expected, "{start:?}");
        for page in ["<!DOCTYPE html>", "\r\n <html>", "<?xml version='1.0'?>", "\u{feff}<svg>", "<!-- x -->"] {
            check(page.as_bytes(), Some(MARKUP));
        }
        for json in ["{\"a\":1}", "{ }", "[1]", "[ [", " \n[\"a\"]", "[null]", "\u{feff}{\"a\""] {
            check(json.as_bytes(), Some(JSON));
        }
        let utf16 = |order: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect()
        };
        check(&utf16(u16::to_le_bytes, " <html>"), Some(MARKUP));
        check(&utf16(u16::to_be_bytes, "{\"a\":1}"), Some(JSON));
    }

    #[test]
    fn pictures_are_none_and_too_little_says_nothing() {
        let pictures: [&[u8]; 8] =
            [b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF", b"<\0\x02", b"{\0\x02", b"[\x01\x09"];
        for picture in pictures {
            assert_eq!(begins(picture), Some(Beginning::Other), "{picture:?}");
        }
        for little in [&b""[..], b"  ", b"\xef\xbb", b"\xef\xbb\xbf ", b"<", b"{ ", b"[", b"\xff\xfe<"] {
            assert_eq!(begins(little), None, "{little:?}");
        }
    }
}
