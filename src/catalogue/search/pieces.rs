//! Pieces as the index spells them: those of texts as they are, and marks for what a resource is.
//!
//! Marks begin with a sign that no piece of a text has.

use std::collections::BTreeSet;

use crate::domain::folding::{Needle, Piece, fold, pieces};
use crate::domain::resource::Role;

/// The mark of everything in a chat.
pub(in crate::catalogue) fn chat_piece(chat_row: i64) -> String {
    format!("_c{chat_row}")
}

/// The mark of everything from a sender.
pub(in crate::catalogue) fn sender_piece(sender_row: i64) -> String {
    format!("_s{sender_row}")
}

/// The mark of everything in a role.
pub(in crate::catalogue) fn role_piece(role: Role) -> String {
    format!("_r{role}")
}

/// All pieces of some texts and some marks, as the index reads them.
pub(super) fn joined(texts: &[&str], marks: &[String]) -> String {
    let folded: Vec<String> = texts.iter().map(|text| fold(text)).collect();
    let all: BTreeSet<&str> =
        folded.iter().flat_map(|text| pieces(text)).chain(marks.iter().map(String::as_str)).collect();
    all.into_iter().collect::<Vec<_>>().join(" ")
}

/// A piece in the index's own query language. No piece has a quotation mark.
pub(in crate::catalogue) fn quoted(piece: &str) -> String {
    format!("\"{piece}\"")
}

/// What a row of the index has to have so that a needle may be found in it.
pub(super) fn expression(needle: &Needle) -> String {
    let spell = |piece: Piece<'_>| match piece {
        Piece::Whole(text) => quoted(text),
        Piece::Beginning(text) => format!("{} *", quoted(text)),
    };
    needle.pieces().into_iter().map(spell).collect::<Vec<_>>().join(" AND ")
}
