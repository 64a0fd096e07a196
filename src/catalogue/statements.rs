//! Rows dealt out to statements.
//!
//! One statement writes many rows, because each is a trip to the connection's thread. Batches come in every
//! size, and the statement for each size is another one, which to prepare costs as much as a good part of its
//! rows: so there are few sizes that are kept prepared, and what they do not fill takes what is left.

use super::BATCH;

/// Rows in a statement of a large change. Before a statement changes a page, SQLite keeps what it was, in case
/// that the statement fails: one for a thousand rows keeps a third of what sixteen for the same rows do.
const MANY_ROWS: usize = BATCH;
/// Rows in any other statement. One that is kept prepared must stay small.
const ROWS: usize = 64;
/// Up to so many rows a statement of any size is kept prepared, which most are that are not part of a batch.
const FEW_ROWS: usize = 16;

/// These rows, by the statements that write them.
pub(super) fn by_statement<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let (many, rest) = rows.split_at(rows.len() / MANY_ROWS * MANY_ROWS);
    many.chunks(MANY_ROWS).chain(rest.chunks(ROWS))
}

/// Whether the statement for so many rows is worth keeping prepared.
pub(super) fn is_usual(rows: usize) -> bool {
    rows <= FEW_ROWS || rows == ROWS || rows == MANY_ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_statement_and_most_statements_are_usual() {
        let rows: Vec<_> = (0..2 * MANY_ROWS + 3 * ROWS + 20).collect();
        let sizes: Vec<_> = by_statement(&rows).map(<[_]>::len).collect();
        assert_eq!(sizes, [MANY_ROWS, MANY_ROWS, ROWS, ROWS, ROWS, 20]);
        assert_eq!(by_statement(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(sizes.into_iter().filter(|size| !is_usual(*size)).collect::<Vec<_>>(), [20]);
        assert_eq!(by_statement::<u8>(&[]).count(), 0);
    }
}
