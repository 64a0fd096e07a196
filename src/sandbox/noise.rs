//! Noise: any number of bytes that follow from a seed, readable from any place.

use std::ops::Range;

/// The odd constant that steps through a 64-bit counter without repeating (2^64 divided by the golden ratio).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes that are made at a time: few enough to stay close to the processor.
const BLOCK_BYTES: usize = 4096;
/// What all blocks are made of, so that making one costs an exclusive or for each word.
static PATTERN: [u64; BLOCK_BYTES / 8] = pattern();

/// A stretch of noise. Nothing of it is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    /// What the bytes follow from.
    pub seed: u64,
    /// How many there are.
    pub size_bytes: u64,
}

impl Noise {
    /// Appends the bytes of a range to `out`.
    pub fn append(&self, range: Range<u64>, out: &mut Vec<u8>) {
        let mut position = range.start;
        while position < range.end {
            let (block, from) = (position / BLOCK_BYTES as u64, (position % BLOCK_BYTES as u64) as usize);
            let left = usize::try_from(range.end - position).unwrap_or(usize::MAX);
            let taken = left.min(BLOCK_BYTES - from);
            out.extend_from_slice(self.block(block).get(from..from + taken).unwrap_or_default());
            position += taken as u64;
        }
    }

    fn block(&self, number: u64) -> [u8; BLOCK_BYTES] {
        let mask = mixed(self.seed.wrapping_add(number.wrapping_mul(GOLDEN)));
        let mut block = [0; BLOCK_BYTES];
        for (made, word) in block.as_chunks_mut::<8>().0.iter_mut().zip(&PATTERN) {
            *made = (word ^ mask).to_le_bytes();
        }
        block
    }
}

const fn pattern() -> [u64; BLOCK_BYTES / 8] {
    let mut words = [0; BLOCK_BYTES / 8];
    let mut index = 0;
    while index < words.len() {
        words[index] = mixed((index as u64).wrapping_mul(GOLDEN));
        index += 1;
    }
    words
}

/// Spreads a number over all 64 bits; different numbers stay different. For ids and bytes that
/// only have to look random.
#[must_use]
pub const fn mixed(number: u64) -> u64 {
    let folded = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let folded = (folded ^ (folded >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    folded ^ (folded >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_of_noise_agrees_with_the_whole() {
        let noise = Noise { seed: 7, size_bytes: 3 * BLOCK_BYTES as u64 };
        let stretch = |range| {
            let mut bytes = Vec::new();
            noise.append(range, &mut bytes);
            bytes
        };
        let whole = stretch(0..noise.size_bytes);
        let edges = [0, 1, 7, 8, 4095, 4096, 4097, 8191, 8192, 12287, 12288];
        for (place, from) in edges.into_iter().enumerate() {
            for to in &edges[place..] {
                assert_eq!(stretch(from..*to), whole[from as usize..*to as usize], "{from}..{to}");
            }
        }
    }

    #[test]
    fn no_two_places_and_no_two_seeds_give_the_same_bytes() {
        let noise = |seed| Noise { seed, size_bytes: 16 * BLOCK_BYTES as u64 };
        let mut seen = std::collections::HashSet::new();
        for seed in [0, 1, 2, u64::MAX] {
            let mut bytes = Vec::new();
            noise(seed).append(0..noise(seed).size_bytes, &mut bytes);
            assert!(bytes.as_chunks::<16>().0.iter().all(|piece| seen.insert(*piece)), "{seed}");
        }
    }
}
