//! Folding: texts as they are compared in a search, and the pieces that an index knows them by.
//!
//! Upper and lower case, full and half width, and signs that nobody sees make no difference.
//! Scripts written without blanks (Chinese, Japanese, Korean, Thai …) are cut into single
//! characters and pairs of neighbours, so that any stretch of them is found; other words stay whole.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Longer words are known by their beginning: nobody types more, and an index should not keep it.
const MAX_WORD_BYTES: usize = 48;
/// Places inside one word where a further word may begin (`img2026q3`): enough for names of files,
/// few enough for digests.
const MAX_INNER_WORDS: usize = 4;

/// A text ready for comparison.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        text.chars().for_each(|c| push(&mut folded, c.to_ascii_lowercase()));
    } else {
        let seen = text.chars().filter(|c| !is_invisible(*c));
        ComposingNormalizerBorrowed::new_nfkc()
            .normalize_iter(seen)
            .flat_map(char::to_lowercase)
            .for_each(|c| push(&mut folded, c));
    }
    folded
}

/// Several blanks in a row are one.
fn push(folded: &mut String, c: char) {
    if !c.is_whitespace() && !c.is_control() {
        folded.push(c);
    } else if !folded.ends_with(' ') {
        folded.push(' ');
    }
}

/// Signs of width nothing: joiners, direction marks, the byte order mark, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// What a character is, for the question where words begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// Of a script without blanks, or a picture.
    Solid,
    Other,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' => Self::Letter,
            '0'..='9' => Self::Digit,
            '\0'..='\u{7f}' => Self::Other,
            '\u{e00}'..='\u{eff}' // Thai, Lao
            | '\u{1000}'..='\u{109f}' // Burmese
            | '\u{1100}'..='\u{11ff}' // Korean
            | '\u{1780}'..='\u{17ff}' // Khmer
            | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' // symbols
            | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30fa}' | '\u{30fc}'..='\u{31ff}' // Japanese, Bopomofo
            | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' // Chinese, Korean
            | '\u{1f000}'..='\u{1faff}' // pictures
            | '\u{20000}'..='\u{3ffff}' => Self::Solid,
            _ if c.is_numeric() => Self::Digit,
            _ if c.is_alphanumeric() => Self::Letter,
            _ => Self::Other,
        }
    }

    fn is_of_word(self) -> bool {
        matches!(self, Self::Letter | Self::Digit)
    }
}

/// A stretch of a folded text without anything between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run<'a> {
    /// Of a script without blanks.
    Solid(&'a str),
    /// Letters and digits.
    Word(&'a str),
}

fn runs(folded: &str) -> impl Iterator<Item = Run<'_>> {
    let mut rest = folded;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| Class::of(c) == Class::Other);
        let solid = Class::of(rest.chars().next()?) == Class::Solid;
        let belongs = |c: char| if solid { Class::of(c) == Class::Solid } else { Class::of(c).is_of_word() };
        let (run, after) = rest.split_at(rest.find(|c| !belongs(c)).unwrap_or(rest.len()));
        rest = after;
        Some(if solid { Run::Solid(run) } else { Run::Word(run) })
    })
}

/// The pieces that an index keeps of a folded text; some come more than once.
pub fn pieces(folded: &str) -> impl Iterator<Item = &str> {
    runs(folded).flat_map(|run| match run {
        Run::Solid(run) => [singles(run).collect::<Vec<_>>(), pairs(run).collect()].concat(),
        Run::Word(word) => {
            std::iter::once(word).chain(inner_words(word).take(MAX_INNER_WORDS)).map(beginning).collect()
        }
    })
}

fn singles(run: &str) -> impl Iterator<Item = &str> {
    run.char_indices().filter_map(|(at, c)| run.get(at..at + c.len_utf8()))
}

fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let next = run.char_indices().skip(1);
    run.char_indices().zip(next).filter_map(|((from, _), (to, c))| run.get(from..to + c.len_utf8()))
}

/// The rests of a word that begin where letters and digits meet.
fn inner_words(word: &str) -> impl Iterator<Item = &str> {
    let next = word.char_indices().skip(1);
    word.chars()
        .zip(next)
        .filter_map(|(before, (at, c))| (Class::of(before) != Class::of(c)).then(|| word.get(at..))?)
}

fn beginning(word: &str) -> &str {
    word.get(..word.floor_char_boundary(MAX_WORD_BYTES)).unwrap_or(word)
}

/// A piece that has to be in the index for a text to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Exactly this.
    Whole(&'a str),
    /// Something that begins so.
    Beginning(&'a str),
}

impl<'a> Piece<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Whole(text) | Self::Beginning(text) => text,
        }
    }
}

/// Something that is looked for: a word or a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    folded: String,
    end: End,
}

/// Where a text that is looked for may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Inside a longer word: `inv` finds `invoice`.
    Anywhere,
    /// Only with a word.
    WithWord,
}

impl Needle {
    /// What to look for; none if there is nothing in the text that could be found.
    #[must_use]
    pub fn new(text: &str, end: End) -> Option<Self> {
        let folded = fold(text).trim().to_owned();
        runs(&folded).next()?;
        Some(Self { folded, end })
    }

    /// The text, folded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.folded
    }

    /// Where it may end.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// The pieces that every text has in which this is found.
    #[must_use]
    pub fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        for run in runs(&self.folded) {
            match run {
                Run::Solid(run) if pairs(run).next().is_some() => pieces.extend(pairs(run).map(Piece::Whole)),
                Run::Solid(run) => pieces.push(Piece::Whole(run)),
                Run::Word(word) if self.may_go_on(word) => pieces.push(Piece::Beginning(beginning(word))),
                Run::Word(word) => pieces.push(Piece::Whole(beginning(word))),
            }
        }
        pieces
    }

    /// Whether a word at the end of this may be the beginning of a longer one.
    fn may_go_on(&self, word: &str) -> bool {
        let is_last = self.folded.as_bytes().as_ptr_range().end == word.as_bytes().as_ptr_range().end;
        is_last && (self.end == End::Anywhere || word.len() > MAX_WORD_BYTES)
    }

    /// Whether the pieces say less than the whole: then a text that has them all must be looked at.
    #[must_use]
    pub fn is_more_than_its_pieces(&self) -> bool {
        let pieces = self.pieces();
        !matches!(pieces.as_slice(), [piece] if piece.text().len() == self.folded.len())
    }

    /// Whether this is in a folded text.
    #[must_use]
    pub fn is_in(&self, folded: &str) -> bool {
        let mut from = 0;
        while let Some(found) = folded.get(from..).and_then(|rest| rest.find(&self.folded)) {
            let at = from + found;
            if self.begins_well(folded, at) && self.ends_well(folded, at + self.folded.len()) {
                return true;
            }
            from = folded.ceil_char_boundary(at + 1);
        }
        false
    }

    /// A word is found where a word begins.
    fn begins_well(&self, folded: &str, at: usize) -> bool {
        let first = self.folded.chars().next().map_or(Class::Other, Class::of);
        let before = folded.get(..at).and_then(|before| before.chars().next_back()).map_or(Class::Other, Class::of);
        !first.is_of_word() || !before.is_of_word() || before != first
    }

    fn ends_well(&self, folded: &str, at: usize) -> bool {
        let last = self.folded.chars().next_back().map_or(Class::Other, Class::of);
        let after = folded.get(at..).and_then(|after| after.chars().next()).map_or(Class::Other, Class::of);
        self.end == End::Anywhere || !last.is_of_word() || !after.is_of_word()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_alike_is_alike() {
        for (one, other) in [
            ("ＡＢＣ１２３", "abc123"),
            ("ｶﾞ", "ガ"),
            ("第四课＃１", "第四课#1"),
            ("INVOICE\u{202e}\u{200b}.pdf", "invoice.pdf"),
            ("a\t \u{3000}b", "A B"),
            ("ÀÉ", "àé"),
            ("e\u{301}", "é"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
    }

    #[test]
    fn texts_are_known_by_characters_pairs_and_words() {
        let check = |text: &str, expected: &[&str]| {
            let folded = fold(text);
            assert_eq!(pieces(&folded).collect::<Vec<_>>(), expected, "{text}");
        };
        check("第四课#1.pdf", &["第", "四", "课", "第四", "四课", "1", "pdf"]);
        check("IMG2026q3_final", &["img2026q3", "2026q3", "q3", "3", "final"]);
        check("票", &["票"]);
        check(" -_#?", &[]);
    }

    #[test]
    fn words_are_found_where_words_begin() {
        let check = |needle: &str, end, text: &str, expected: bool| {
            let needle = Needle::new(needle, end).unwrap();
            assert_eq!(needle.is_in(&fold(text)), expected, "{needle:?} in {text:?}");
        };
        check("inv", End::Anywhere, "the Invoice", true);
        check("voice", End::Anywhere, "invoice", false);
        check("2026", End::Anywhere, "report2026q3", true);
        check("026", End::Anywhere, "report2026q3", false);
        check("invoice", End::WithWord, "invoices", false);
        check("invoice", End::WithWord, "my-invoice.pdf", true);
        check("发票单", End::Anywhere, "电子发票单据", true);
        check("发票单", End::Anywhere, "发票和票单", false);
        check("课#1", End::Anywhere, "第四课＃12.pdf", true);
        check("please see", End::WithWord, "Please \n see this", true);
        assert_eq!(Needle::new("-#?", End::Anywhere), None);
    }

    proptest! {
        /// Otherwise the index would hide what a look at the text would find.
        #[test]
        fn what_is_found_in_a_text_has_all_its_pieces_in_the_index(
            text in "[a-z0-9 #.票发课가😀A]{0,30}", from in 0_usize..30, length in 1_usize..8, whole in any::<bool>(),
        ) {
            let part: String = text.chars().skip(from).take(length).collect();
            let end = if whole { End::WithWord } else { End::Anywhere };
            if let Some(needle) = Needle::new(&part, end) {
                let folded = fold(&text);
                let kept: HashSet<&str> = pieces(&folded).collect();
                let has = |piece: Piece<'_>| match piece {
                    Piece::Whole(text) => kept.contains(text),
                    Piece::Beginning(text) => kept.iter().any(|kept| kept.starts_with(text)),
                };
                let in_index = needle.pieces().into_iter().all(has);
                let within = inner_words(&folded).count() < MAX_INNER_WORDS;
                prop_assert!(!within || !needle.is_in(&folded) || in_index);
                prop_assert!(needle.is_more_than_its_pieces() || !in_index || needle.is_in(&folded));
            }
        }
    }
}
