//! What can be wrong with a search, each as a kind of its own: programs and the command line are told
//! in English, pages in the reader's language.

use super::MAX_WORDS;
use crate::domain::filter::MAX_VALUE_BYTES;

/// What is wrong at one place of a search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryProblem {
    /// It asks for nothing.
    #[error("there is no word to look for")]
    NoWord,
    /// It is too long.
    #[error("the search is longer than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// It has too many words and phrases.
    #[error("at most {MAX_WORDS} words and phrases are looked for")]
    TooManyWords,
    /// A phrase consists of signs.
    #[error("there is no letter or digit between the quotation marks")]
    EmptyPhrase,
    /// A phrase has no end.
    #[error("this quotation mark is never closed")]
    OpenPhrase,
    /// A dash stands before something that has no opposite.
    #[error("{name}: cannot be turned round with -")]
    NoOpposite {
        /// What the dash stands before.
        name: &'static str,
    },
    /// Nothing follows the colon.
    #[error("{name}: wants a value")]
    NoValue {
        /// What stands before the colon.
        name: &'static str,
    },
    /// A value does not fit.
    #[error("{allowed}")]
    BadValue {
        /// What it is a value of.
        name: &'static str,
        /// What would fit.
        allowed: String,
    },
    /// A name is mistyped.
    #[error("there is no {typed:?} to ask for; write {name}: or put the text into quotation marks")]
    UnknownName {
        /// What was typed.
        typed: String,
        /// What was probably meant.
        name: &'static str,
    },
    /// Something that can only be said once is said again.
    #[error("this is said twice")]
    Twice,
    /// There is nothing that could be more or less relevant.
    #[error("sort:relevance needs words to be relevant to")]
    NothingToRank,
}
