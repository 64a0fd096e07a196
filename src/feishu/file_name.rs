//! What headers say about a file: its name and its type.
//!
//! The platform spells the name in `Content-Disposition` in at least four ways: raw UTF-8 bytes in
//! quotes, a bare token, RFC 5987 `filename*`, and percent-encoding inside plain `filename`. Names
//! are only ever shown to people; nothing here is used as a path.

use std::borrow::Cow;

use encoding_rs::{Encoding, GBK};
use percent_encoding::percent_decode;

/// The longest name that is kept, in characters; file systems stop at 255 too.
const MAX_CHARS: usize = 255;
/// The longest header that is looked at: a name of 255 characters, percent-encoded twice over, fits.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// The file's name in a `Content-Disposition` header, if it holds a usable one: the last component
/// of what may be a path, without control characters. `filename*` goes before `filename`.
#[must_use]
pub fn from_content_disposition(header: &[u8]) -> Option<String> {
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let parameters = parameters(header);
    let value_of = |wanted: &str| {
        let mut named = parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        named.next().map(|(_, value)| value.as_ref())
    };
    let extended = value_of("filename*").and_then(decode_extended).and_then(|name| last_component(&name));
    extended.or_else(|| value_of("filename").map(decode_plain).and_then(|name| last_component(&name)))
}

/// The MIME type in a `Content-Type` header: without parameters, in lower case; none if it is no type.
#[must_use]
pub fn mime_of(content_type: &str) -> Option<String> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = essence.split_once('/')?;
    let is_token = |text: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !text.is_empty() && text.len() <= 127 && text.bytes().all(known)
    };
    (is_token(kind) && is_token(subtype)).then(|| essence.to_ascii_lowercase())
}

/// Splits `attachment; name=value; name="value"` into its parameters, in order.
fn parameters(header: &[u8]) -> Vec<(&[u8], Cow<'_, [u8]>)> {
    let mut found = Vec::new();
    let mut rest = after(header, b';');
    while let Some(text) = rest {
        let (name, value) = split_at(text, b'=');
        let name = name.trim_ascii();
        // A parameter without `=` is skipped, so that what follows it is still read.
        if name.contains(&b';') || value.is_none() {
            rest = after(text, b';');
            continue;
        }
        let value = value.unwrap_or_default().trim_ascii_start();
        let (value, remaining) = match value.strip_prefix(b"\"") {
            Some(quoted) => unquote(quoted),
            None => {
                let (bare, remaining) = split_at(value, b';');
                (Cow::Borrowed(bare.trim_ascii()), remaining)
            }
        };
        found.push((name, value));
        rest = remaining;
    }
    found
}

/// Reads up to the closing quote (or the end, if it is missing), and returns what follows the next
/// semicolon. Only `\"` and `\\` are escapes: other backslashes are separators of a careless path.
fn unquote(text: &[u8]) -> (Cow<'_, [u8]>, Option<&[u8]>) {
    let mut value = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (value.into(), text.get(at..).and_then(|rest| after(rest, b';'))),
            b'\\' => {
                let escaped = bytes.next_if(|(_, next)| matches!(next, b'"' | b'\\'));
                value.push(escaped.map_or(byte, |(_, next)| next));
            }
            _ => value.push(byte),
        }
    }
    (value.into(), None)
}

fn split_at(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    let mut halves = text.splitn(2, |byte| *byte == separator);
    (halves.next().unwrap_or_default(), halves.next())
}

fn after(text: &[u8], separator: u8) -> Option<&[u8]> {
    split_at(text, separator).1
}

/// Decodes RFC 5987: `charset'language'percent-encoded`. None if the charset is unknown or the
/// bytes are not text in it.
fn decode_extended(value: &[u8]) -> Option<String> {
    let (charset, rest) = split_at(value, b'\'');
    let encoded = after(rest?, b'\'')?;
    let encoding = Encoding::for_label(charset)?;
    let bytes: Vec<u8> = percent_decode(encoded).collect();
    encoding.decode_without_bom_handling_and_without_replacement(&bytes).map(Cow::into_owned)
}

/// Decodes plain `filename`: UTF-8, which may be percent-encoded; else GBK, as old Chinese clients
/// write it; else Latin-1, which every byte is.
fn decode_plain(value: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(value) {
        return decode_percent(text).unwrap_or_else(|| text.to_owned());
    }
    let gbk = GBK.decode_without_bom_handling_and_without_replacement(value);
    gbk.map_or_else(|| value.iter().map(|byte| char::from(*byte)).collect(), Cow::into_owned)
}

/// The text behind percent-encoding, if every `%` starts an escape and they make up UTF-8. A name
/// such as `100%.txt` has none.
fn decode_percent(text: &str) -> Option<String> {
    let is_escape = |piece: &str| piece.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    percent_decode(text.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}

fn last_component(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    let short: String = clean.trim().chars().take(MAX_CHARS).collect();
    (!matches!(short.as_str(), "" | "." | "..")).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: impl AsRef<[u8]>, name: Option<&str>) {
        let header = header.as_ref();
        let shown = String::from_utf8_lossy(header);
        assert_eq!(from_content_disposition(header).as_deref(), name, "{shown}");
    }

    #[test]
    fn a_name_is_read_in_every_spelling_the_platform_uses() {
        check("attachment; filename=\"会议纪要 2026.pdf\"", Some("会议纪要 2026.pdf"));
        check("attachment; filename=FileName.pdf", Some("FileName.pdf"));
        check(
            "attachment; filename*=UTF-8''java%E5%B9%B6%E5%8F%91%E7%BC%96%E7%A8%8B%E4%B9%8B%E7%BE%8E.pdf",
            Some("java并发编程之美.pdf"),
        );
        check("attachment; filename=\"%E4%BC%9A%E8%AE%AE.pdf\"", Some("会议.pdf"));
        check(b"attachment; filename=\"\xbb\xe1\xd2\xe9.pdf\"", Some("会议.pdf"));
        check(b"attachment; filename=\"caf\xe9.pdf\"", Some("café.pdf"));
        check("attachment; filename*=gb18030''%BB%E1%D2%E9.pdf", Some("会议.pdf"));
    }

    #[test]
    fn the_extended_name_goes_first_if_it_can_be_read() {
        check("attachment; filename=\"a.pdf\"; filename*=UTF-8''%E4%BC%9A.pdf", Some("会.pdf"));
        check("attachment; filename*=UTF-8''%E4.pdf; filename=\"a.pdf\"", Some("a.pdf"));
        check("attachment; filename*=klingon''x.pdf; FileName = a.pdf ", Some("a.pdf"));
    }

    #[test]
    fn quotes_semicolons_and_percent_signs_are_part_of_names() {
        check(r#"attachment; filename="a; \"b\".txt"; size=3"#, Some("a; \"b\".txt"));
        check("attachment; filename=\"100%.txt\"", Some("100%.txt"));
        check("attachment; filename=\"never closed.txt", Some("never closed.txt"));
        check("attachment; creation; filename=my file.txt; size=3", Some("my file.txt"));
        check("attachment;;; filename==a.txt", Some("=a.txt"));
    }

    #[test]
    fn a_name_is_never_a_path() {
        check("attachment; filename=\"../../etc/passwd\"", Some("passwd"));
        check(r#"attachment; filename="C:\temp\evil.exe""#, Some("evil.exe"));
        check("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpass%00wd%0A", Some("passwd"));
        check(format!("attachment; filename={}", "名".repeat(400)), Some(&"名".repeat(255)));
        for nothing in [
            "",
            "attachment",
            "attachment; filename",
            "attachment; filename=",
            "inline; filename=\"..\"",
            "; filename=a/",
        ] {
            check(nothing, None);
        }
    }

    #[test]
    fn a_mime_type_comes_without_parameters() {
        assert_eq!(mime_of("Image/PNG; charset=binary").as_deref(), Some("image/png"));
        assert_eq!(
            mime_of("application/vnd.openxmlformats-officedocument.wordprocessingml.document").as_deref(),
            Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        );
        for bad in ["", "png", "image/", "/png", "image/p ng", "a/b/c"] {
            assert_eq!(mime_of(bad), None, "{bad}");
        }
    }
}
