//! Relevance: the newest hits, those first that fit the words best.
//!
//! What can be ranked is bounded. A page goes on where the page before it ended, among the hits
//! that were there when the first page was asked for.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::stretch::{BLOCK, Found, Reader, Stretch};
use super::{NOTHING, Position};
use crate::catalogue::{CatalogueError, search};
use crate::domain::folding::{Needle, fold};
use crate::domain::query::Search;

/// How many hits are ranked. Their texts lie all over the file: with nothing of it in memory each hit costs two
/// reads of the disk, and a first answer is to come within a fifth of a second.
const RANKED: usize = 1000;
/// Low bits of a place: the last resource that there was when the first page was asked for. Above
/// them is the score.
const LAST_ROW_BITS: u32 = 48;

/// What a word is worth in a file name, in the text of a message, and in the names of chat and sender.
const WORTH: [i64; 4] = [8, 3, 1, 1];
/// What it is worth more at the beginning of a file name.
const WORTH_AT_THE_BEGINNING: i64 = 4;

/// A hit and how well it fits.
struct Ranked {
    score: i64,
    search_row: i64,
}

/// Reads up to `limit` rows behind a place, the best first.
pub(super) async fn read(reader: Reader<'_>, after: Option<Position>, limit: usize) -> Result<Stretch, CatalogueError> {
    let last_row = match after {
        Some(after) => after.sort & ((1 << LAST_ROW_BITS) - 1),
        None => last_row(&reader).await?,
    };
    let mut ranked = rank(reader, last_row).await?;
    if let Some(after) = after {
        let place = (Reverse(after.sort >> LAST_ROW_BITS), Reverse(after.row));
        ranked.retain(|hit| (Reverse(hit.score), Reverse(hit.search_row)) > place);
    }
    let more = ranked.len() > limit;
    ranked.truncate(limit);
    let found = rows(reader, &ranked, last_row).await?;
    let rest = ranked.last().filter(|_| more).map(|last| place_of(last, last_row));
    Ok(Stretch { found, rest, misses_texts: search::is_behind(reader.catalogue.read()).await? })
}

fn place_of(hit: &Ranked, last_row: i64) -> Position {
    Position { sort: hit.score << LAST_ROW_BITS | last_row, row: hit.search_row }
}

async fn last_row(reader: &Reader<'_>) -> Result<i64, CatalogueError> {
    let last = sqlx::query_scalar("SELECT COALESCE(MAX(resource_row_id), 0) FROM resources");
    Ok(last.fetch_one(reader.catalogue.read()).await?)
}

/// The newest hits among the resources up to a row, the best first.
async fn rank(reader: Reader<'_>, last_row: i64) -> Result<Vec<Ranked>, CatalogueError> {
    let Some(search) = reader.plan.search() else { return Ok(Vec::new()) };
    let reader = Reader { value: NOTHING, ..reader };
    let mut ranked = Vec::new();
    // A block at a time, so that their texts need not be in memory together.
    for block in reader.hits(None, RANKED).await?.chunks(BLOCK) {
        for Found { position, texts, .. } in reader.rows_of(block).await? {
            if position.row <= last_row {
                ranked.push(Ranked { score: score(search, &texts), search_row: position.sort });
            }
        }
    }
    ranked.sort_by_key(|hit| (Reverse(hit.score), Reverse(hit.search_row)));
    Ok(ranked)
}

/// The rows of some hits, in their order.
async fn rows(reader: Reader<'_>, ranked: &[Ranked], last_row: i64) -> Result<Vec<Found>, CatalogueError> {
    let search_rows: Vec<i64> = ranked.iter().map(|hit| hit.search_row).collect();
    let found = reader.rows_of(&search_rows).await?;
    let mut by_search_row: HashMap<i64, Found> = found.into_iter().map(|found| (found.position.sort, found)).collect();
    let in_order = ranked.iter().filter_map(|hit| {
        let found = by_search_row.remove(&hit.search_row)?;
        Some(Found { position: place_of(hit, last_row), ..found })
    });
    Ok(in_order.collect())
}

fn score(search: &Search, texts: &[Option<String>]) -> i64 {
    let folded: Vec<String> = texts.iter().map(|text| text.as_deref().map(fold).unwrap_or_default()).collect();
    search.words.iter().map(|word| worth(word, &folded)).sum()
}

fn worth(word: &Needle, folded: &[String]) -> i64 {
    let found = folded.iter().zip(WORTH).filter(|(text, _)| word.is_in(text)).map(|(_, worth)| worth).sum::<i64>();
    let begins = folded.first().is_some_and(|file_name| file_name.starts_with(word.as_str()));
    found + if begins { WORTH_AT_THE_BEGINNING } else { 0 }
}
