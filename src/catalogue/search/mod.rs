//! The text index: which resources have which pieces of text in their file name and message, and
//! who is called how.
//!
//! Triggers note what the index does not know yet; here it is brought up to date, a bounded portion
//! at a time. What is read from it is next door, in `listing`.

mod beginnings;
mod names;
mod pieces;
mod writing;

pub(in crate::catalogue) use beginnings::{Asked, ask};
pub(super) use names::{NameRow, chats_with_id, named_like, senders_with_id};
pub(super) use pieces::{chat_piece, quoted, role_piece, sender_piece};
pub use writing::{Progress, catch_up, index_newest};

use sqlx::AssertSqlSafe;

use super::CatalogueError;
use crate::catalogue::connections::Connections;

/// Characters of a message's text that can be searched: more than people write, and a bound on what
/// one row can cost.
pub(super) const SEARCHED_CHARACTERS: u32 = 10_000;

/// Rows of the index that can share a millisecond: the low bits of their numbers, below the time.
pub(super) const SHARERS_BITS: u32 = 15;

/// Whether there is anything that the index does not know yet, as SQL.
pub(super) const BEHIND: &str = "(EXISTS (SELECT 1 FROM search_pending) OR EXISTS (SELECT 1 FROM name_pending))";

/// Whether there is anything that the index does not know yet.
///
/// # Errors
/// If SQLite fails.
pub async fn is_behind(read: &Connections) -> Result<bool, CatalogueError> {
    let behind = format!("SELECT {BEHIND}");
    Ok(sqlx::query_scalar(AssertSqlSafe(behind)).fetch_one(read).await?)
}
