//! Charts: columns of stacked pieces, in the coordinates of an SVG that is stretched to its place.
//!
//! Geometry only: words around it are HTML, which stays readable when the picture is stretched.

/// The height of the picture in its own units; the width follows from the number of columns.
pub(super) const HEIGHT: u64 = 1000;
/// The width of one column with its gap.
const SLOT: usize = 100;
/// The gap on either side of a column.
const GAP: usize = 12;
/// How many kinds of pieces the style sheet has colours for.
pub(super) const MAX_SERIES: usize = 5;

/// One column as it is given.
#[derive(Debug)]
pub(super) struct Column {
    /// What is said of it.
    pub(super) title: String,
    /// The value of each series, the lowest piece first.
    pub(super) values: Vec<u64>,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) width: usize,
    /// The value at the top edge.
    pub(super) top: u64,
}

/// One column as it is drawn.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) title: String,
    /// Where its slot begins.
    pub(super) slot: usize,
    pub(super) x: usize,
    pub(super) width: usize,
    pub(super) pieces: Vec<Piece>,
}

/// One piece of a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which series it belongs to, counted from 1.
    pub(super) series: usize,
    pub(super) y: u64,
    pub(super) height: u64,
}

impl Chart {
    /// Lays out columns; the highest one reaches near the top.
    pub(super) fn new(columns: Vec<Column>) -> Self {
        let highest = columns.iter().map(|column| column.values.iter().sum()).max().unwrap_or(0);
        let top = round_up(highest);
        let width = columns.len().max(1) * SLOT;
        let bars = columns.into_iter().enumerate().map(|(index, column)| Bar {
            slot: index * SLOT,
            x: index * SLOT + GAP,
            width: SLOT - 2 * GAP,
            pieces: pieces(&column.values, top),
            title: column.title,
        });
        Self { bars: bars.collect(), width, top }
    }

    /// The value at half the height.
    pub(super) fn half(&self) -> u64 {
        self.top / 2
    }
}

/// The pieces of a column. Their edges are rounded, not their heights, so that they touch.
fn pieces(values: &[u64], top: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut below = 0u64;
    for (index, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
        let (from, to) = (height(below, top), height(below.saturating_add(*value), top));
        below = below.saturating_add(*value);
        pieces.push(Piece {
            series: index % MAX_SERIES + 1,
            y: HEIGHT.saturating_sub(to),
            height: to.saturating_sub(from),
        });
    }
    pieces
}

/// How high a value reaches. What is not nothing is never invisible.
fn height(value: u64, top: u64) -> u64 {
    let height = (u128::from(value) * u128::from(HEIGHT)).div_ceil(u128::from(top.max(1)));
    u64::try_from(height).unwrap_or(HEIGHT).min(HEIGHT)
}

/// What an axis may end at, times a power of ten: steps small enough to leave little empty, with halves
/// that are as easily read.
const ROUND: [u64; 10] = [10, 12, 16, 20, 24, 30, 40, 50, 60, 80];

/// The next number that an axis may end at: 2, 4, 6, 8, then [`ROUND`].
fn round_up(value: u64) -> u64 {
    if value < 10 {
        return value.next_multiple_of(2).max(2);
    }
    let mut scale = 1u64;
    loop {
        if let Some(round) = ROUND.iter().map(|step| scale.saturating_mul(*step)).find(|round| *round >= value) {
            return round;
        }
        scale = scale.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[u64]) -> Column {
        Column { title: String::new(), values: values.to_vec() }
    }

    #[test]
    fn the_axis_ends_at_a_round_number() {
        for (value, top) in [
            (0, 2),
            (2, 2),
            (3, 4),
            (9, 10),
            (11, 12),
            (41, 50),
            (81, 100),
            (101, 120),
            (229_700_000, 240_000_000),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(round_up(value), top, "{value}");
        }
    }

    #[test]
    fn pieces_stand_on_each_other_without_a_gap() {
        let chart = Chart::new(vec![column(&[1, 0, 2]), column(&[]), column(&[4])]);
        assert_eq!((chart.top, chart.half(), chart.width), (4, 2, 300));
        let first: Vec<_> = chart.bars[0].pieces.iter().map(|piece| (piece.series, piece.y, piece.height)).collect();
        assert_eq!(first, [(1, 750, 250), (3, 250, 500)]);
        assert_eq!(chart.bars[1].pieces, []);
        assert_eq!(chart.bars[2].pieces, [Piece { series: 1, y: 0, height: HEIGHT }]);
        assert_eq!((chart.bars[2].slot, chart.bars[2].x, chart.bars[2].width), (200, 212, 76));
    }

    #[test]
    fn a_little_beside_a_lot_is_seen_and_nothing_overflows() {
        let chart = Chart::new(vec![column(&[1]), column(&[u64::MAX / 2])]);
        assert_eq!(chart.bars[0].pieces, [Piece { series: 1, y: HEIGHT - 1, height: 1 }]);
        assert!(chart.bars[1].pieces[0].height <= HEIGHT);
        assert_eq!(Chart::new(Vec::new()).width, SLOT);
    }
}
