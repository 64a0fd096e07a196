//! A message's text with its pictures in their places: the platform writes them as `![alt](key)`.

use super::item::Item;
use crate::catalogue::listing::resource::Resource;

/// What the keys of pictures begin with.
const KEY: &str = "img_";

/// A stretch of a text.
#[derive(Debug)]
pub(super) enum Piece {
    /// What was written.
    Words(String),
    /// A picture that came with the message.
    Picture(Box<Item>),
    /// A picture that is none of those that are shown with the message.
    Missing,
}

/// The pieces of a text. `item_of` finds the picture of a key, if there is one; what looks like a picture and has no key
/// of the platform's is left as it was written.
pub(super) fn pieces(text: &str, mut item_of: impl FnMut(&str) -> Option<Item>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("![") {
        let (before, marked) = rest.split_at(start);
        words.push_str(before);
        let found = picture(marked).and_then(|(key, after)| match item_of(key) {
            Some(item) => Some((Piece::Picture(Box::new(item)), after)),
            None => key.starts_with(KEY).then_some((Piece::Missing, after)),
        });
        rest = match found {
            Some((piece, after)) => {
                flush(&mut words, &mut pieces);
                pieces.push(piece);
                after
            }
            None => {
                words.push_str("![");
                marked.strip_prefix("![").unwrap_or_default()
            }
        };
    }
    words.push_str(rest);
    flush(&mut words, &mut pieces);
    pieces
}

fn flush(words: &mut String, pieces: &mut Vec<Piece>) {
    if !words.is_empty() {
        pieces.push(Piece::Words(std::mem::take(words)));
    }
}

/// The key of the picture that a text begins with, and what follows it. A title behind the key belongs to it.
fn picture(marked: &str) -> Option<(&str, &str)> {
    let (alt, target) = marked.split_once("](")?;
    let (target, after) = target.split_once(')')?;
    let key = target.split_whitespace().next()?.trim_matches(['<', '>']);
    // Where another picture begins in between, this one never ended.
    (!alt.contains('\n') && !alt.get(2..)?.contains("![")).then_some((key, after))
}

/// The picture of a key among the resources of a message.
pub(super) fn with_key<'r>(resources: &[&'r Resource], key: &str) -> Option<&'r Resource> {
    resources.iter().find(|resource| resource.key.as_str() == key).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as they are, pictures in braces.
    fn told(text: &str) -> String {
        let told = pieces(text, |_| None).into_iter().map(|piece| match piece {
            Piece::Words(words) => words,
            Piece::Picture(item) => item.id,
            Piece::Missing => "{}".to_owned(),
        });
        told.collect()
    }

    #[test]
    fn pictures_are_taken_out_and_nothing_else() {
        for (text, expected) in [
            ("", ""),
            ("words", "words"),
            ("a ![图](img_1) b ![](img_2)", "a {} b {}"),
            ("![a](img_1 \"title\")![b](<img_2>)", "{}{}"),
            ("[![thumb](img_1)](https://example.com)", "[{}](https://example.com)"),
            ("![web](https://example.com/a.png)", "![web](https://example.com/a.png)"),
            ("![open ![a](img_1)", "![open {}"),
            ("![](", "![]("),
            ("wow![] (img_1)", "wow![] (img_1)"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
