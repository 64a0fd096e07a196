//! Beginnings of words: how the index is asked for everything that begins so.
//!
//! Asked for a beginning, the index puts together the rows of all words with it before the first comes
//! out, which for common words takes longer than anybody should wait. Asked for whole words, it gives
//! the newest rows at once. So a beginning becomes the words that begin so, if they are few; if they are
//! many and rare, the index may put them together; what is neither is looked for in the texts themselves.

use sqlx::Row as _;

use super::quoted;
use crate::catalogue::CatalogueError;
use crate::catalogue::connections::Connections;
use crate::domain::folding::{Needle, Piece};

/// How many words a beginning may stand for: each costs a look at the index of 0.05 ms.
const MOST_WORDS: u32 = 64;
/// How many pages of the index may be put together, of 4 KiB each: about 35 ms.
const MOST_PAGES: i64 = 40;

/// How the index is asked for a needle.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::catalogue) enum Asked {
    /// Every row that has all its pieces.
    Wholly(String),
    /// Rows that have some of its pieces, if any: the texts have to be looked at.
    Partly(Option<String>),
}

/// How to ask for a needle.
///
/// # Errors
/// If the catalogue cannot be read.
pub(in crate::catalogue) async fn ask(read: &Connections, needle: &Needle) -> Result<Asked, CatalogueError> {
    let (mut spelled, mut is_whole) = (Vec::new(), true);
    for piece in needle.pieces() {
        match piece {
            Piece::Whole(text) => spelled.push(quoted(text)),
            Piece::Beginning(text) => match words_with(read, text).await? {
                Some(words) => spelled.push(words),
                None => is_whole = false,
            },
        }
    }
    let expression = Some(spelled.join(" AND ")).filter(|expression| !expression.is_empty());
    Ok(match expression {
        Some(expression) if is_whole => Asked::Wholly(expression),
        expression => Asked::Partly(expression),
    })
}

/// What stands for a beginning in the index's own language; nothing if that would take too long.
async fn words_with(read: &Connections, beginning: &str) -> Result<Option<String>, CatalogueError> {
    let words = first_words(read, beginning).await?;
    if words.len() <= MOST_WORDS as usize {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        return Ok(Some(if words.is_empty() { quoted(beginning) } else { format!("({})", words.join(" OR ")) }));
    }
    let is_light = pages(read, beginning).await? <= MOST_PAGES;
    Ok(is_light.then(|| format!("{} *", quoted(beginning))))
}

/// The words in the index with a beginning, and one more than are wanted if there are more. Each is
/// looked up as the first one behind the one before, and a sign that no word has: reading on would
/// mean reading all rows of a word.
async fn first_words(read: &Connections, beginning: &str) -> Result<Vec<String>, CatalogueError> {
    let rows = sqlx::query(
        "WITH RECURSIVE words (word, number) AS (
             SELECT (SELECT term FROM search_pieces WHERE term >= ?1 LIMIT 1), 1
             UNION ALL
             SELECT (SELECT term FROM search_pieces WHERE term >= words.word || char(1) LIMIT 1), number + 1
             FROM words
             WHERE substr(word, 1, length(?1)) = ?1 AND number <= ?2
         )
         SELECT word FROM words WHERE substr(word, 1, length(?1)) = ?1",
    )
    .bind(beginning)
    .bind(MOST_WORDS)
    .fetch_all(read)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("word")?)).collect()
}

/// How many pages of the index hold nothing but words with a beginning. FTS5 keeps for each segment
/// which page begins with which word (`pgno` is twice the number of the page, and `term` has a 0 in
/// front of what is in the main index).
async fn pages(read: &Connections, beginning: &str) -> Result<i64, CatalogueError> {
    let first = [b"0", beginning.as_bytes()].concat();
    // Behind everything that begins so: no UTF-8 has this byte.
    let behind = [first.as_slice(), b"\xff"].concat();
    let pages: i64 = sqlx::query_scalar(
        "WITH RECURSIVE segments (segment) AS (
             SELECT MIN(segid) FROM search_index_idx
             UNION ALL
             SELECT (SELECT MIN(segid) FROM search_index_idx WHERE segid > segment) FROM segments
             WHERE segment IS NOT NULL
         ), bounds (first, behind) AS (
             SELECT
                 (SELECT pgno / 2 FROM search_index_idx WHERE segid = segment AND term <= ?1 ORDER BY term DESC LIMIT 1),
                 COALESCE(
                     (SELECT pgno / 2 FROM search_index_idx WHERE segid = segment AND term >= ?2 ORDER BY term LIMIT 1),
                     (SELECT (id & 0x7fffffff) + 1 FROM search_index_data
                      WHERE id BETWEEN segment << 37 AND (segment << 37) + 0x7fffffff ORDER BY id DESC LIMIT 1)
                 )
             FROM segments WHERE segment IS NOT NULL
         )
         SELECT COALESCE(SUM(MAX(behind - COALESCE(first, 1) - 1, 0)), 0) FROM bounds",
    )
    .bind(first)
    .bind(behind)
    .fetch_one(read)
    .await?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded};
    use crate::domain::folding::End;

    async fn asked(seeded: &Seeded, word: &str) -> Asked {
        ask(seeded.catalogue.read(), &Needle::new(word, End::Anywhere).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_beginning_becomes_the_words_that_begin_so_as_long_as_they_are_few() {
        let seeded = Seeded::new().await;
        for (key, name) in [("1", "Invoice.pdf"), ("2", "inventory 发票 invoice"), ("3", "in.pdfx"), ("4", "ärger")]
        {
            seeded.add(key, Seed { file_name: Some(name), message_id: format!("om_{key}"), ..Seed::default() }).await;
        }
        for (word, expected) in [
            ("inv", r#"("inventory" OR "invoice")"#),
            ("invoice", r#"("invoice")"#),
            ("in", r#"("in" OR "inventory" OR "invoice")"#),
            ("pdf", r#"("pdf" OR "pdfx")"#),
            ("är", r#"("ärger")"#),
            ("zebra", r#""zebra""#),
            ("发票", r#""发票""#),
            ("发票 in", r#""发票" AND ("in" OR "inventory" OR "invoice")"#),
        ] {
            assert_eq!(asked(&seeded, word).await, Asked::Wholly(expected.to_owned()), "{word}");
        }
    }

    #[tokio::test]
    async fn the_index_puts_many_rare_words_together() {
        let seeded = Seeded::new().await;
        let words: Vec<String> = (100..=100 + MOST_WORDS).map(|number| format!("{number}a")).collect();
        let text: &'static str = words.join(" ").leak();
        seeded.add("1", Seed { text: Some(text), ..Seed::default() }).await;
        assert_eq!(asked(&seeded, "1").await, Asked::Wholly(r#""1" *"#.to_owned()));
        assert_eq!(pages(seeded.catalogue.read(), "1").await.unwrap(), 0);
    }
}
