//! Where the head of a request ends in the bytes of a connection: at its first empty line.

/// Looks for the end of a head in bytes that come piece by piece.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum HeadEnd {
    /// Nothing has come but line ends, which may stand before a request.
    #[default]
    Before,
    /// In the middle of a line.
    InLine,
    /// Behind a line's end.
    AtLineStart,
}

impl HeadEnd {
    /// How many of these bytes belong to the head, if it ends in them. The next bytes are those of
    /// another head then.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            *self = match (*self, byte) {
                (Self::Before, b'\r' | b'\n') => Self::Before,
                (Self::AtLineStart, b'\n') => {
                    *self = Self::Before;
                    return Some(at + 1);
                }
                (Self::InLine, b'\n') | (Self::AtLineStart, b'\r') => Self::AtLineStart,
                _ => Self::InLine,
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_first_empty_line_however_it_is_cut() {
        for (bytes, end) in [
            (&b"GET / HTTP/1.1\r\n\r\nGET"[..], Some(18)),
            (b"GET / HTTP/1.1\nHost: a\n\nGET", Some(24)),
            (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(31)),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
            (b"\r\n\r\n\r\n", None),
            (b"GET / HTTP/1.1\r\n\rHost: a\r\n", None),
        ] {
            assert_eq!(HeadEnd::default().find(bytes), end, "{}", bytes.escape_ascii());
            let mut byte_by_byte = HeadEnd::default();
            let found = bytes.iter().position(|byte| byte_by_byte.find(&[*byte]).is_some());
            assert_eq!(found.map(|at| at + 1), end, "{}", bytes.escape_ascii());
        }
    }
}
