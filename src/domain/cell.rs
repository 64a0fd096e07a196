//! Cells of CSV: programs read them, and people open them in a spreadsheet.
//!
//! A spreadsheet computes a text that begins like a formula, and most texts here were written by strangers.

/// What a spreadsheet takes for the beginning of a formula, also in its wide form.
const FORMULA_SIGNS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
/// What a spreadsheet takes for a text, whatever follows; it shows what follows.
const TEXT_SIGN: char = '\'';

/// A value of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A number, which may be less than nothing.
    Number(String),
    /// Everything else, nothing included.
    Text(String),
}

impl Cell {
    /// A number; nothing for nothing.
    #[must_use]
    pub fn number(number: Option<impl ToString>) -> Self {
        Self::Number(number.map_or_else(String::new, |number| number.to_string()))
    }

    /// A text; nothing for nothing.
    #[must_use]
    pub fn text(text: Option<impl ToString>) -> Self {
        Self::Text(text.map_or_else(String::new, |text| text.to_string()))
    }

    /// The value itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(value) | Self::Text(value) => value,
        }
    }

    /// The value as CSV has it: a text that begins like a formula has a sign before it that says that it is
    /// a text.
    #[must_use]
    pub fn in_csv(self) -> String {
        match self {
            Self::Text(text) if is_like_formula(&text) => format!("{TEXT_SIGN}{text}"),
            Self::Number(value) | Self::Text(value) => value,
        }
    }
}

/// Some programs pass over blanks and quotes before they look at what a cell begins with.
fn is_like_formula(text: &str) -> bool {
    let is_passed_over = |c: char| c.is_whitespace() || matches!(c, '"' | '\u{feff}');
    text.starts_with(FORMULA_SIGNS) || text.trim_start_matches(is_passed_over).starts_with(FORMULA_SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_like_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n", "＝1", " =1", "\"=1", " \" -1", "\u{feff}@a"]
        {
            assert_eq!(Cell::text(Some(text)).in_csv(), format!("'{text}"));
        }
        for text in ["", "a=b", "1-1", "第四课.pdf", " a", "'=1", "\"a\""] {
            assert_eq!(Cell::text(Some(text)).in_csv(), text);
        }
    }

    #[test]
    fn numbers_stay_numbers() {
        assert_eq!(Cell::number(Some(-1.5)).in_csv(), "-1.5");
        assert_eq!(Cell::number(None::<u64>).in_csv(), "");
    }
}
