//! Noise: any number of bytes that follow from a seed, readable from any place.

/// The odd constant that steps through a 64-bit counter without repeating (2^64 divided by the golden ratio).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stretch of noise. Nothing of it is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    /// What the bytes follow from.
    pub seed: u64,
    /// How many there are.
    pub size_bytes: u64,
}

impl Noise {
    /// Writes the bytes from `position` on into the whole of `out`.
    pub fn fill(&self, position: u64, out: &mut [u8]) {
        let inside_word = (position % 8) as usize;
        let head_bytes = out.len().min((8 - inside_word) % 8);
        let (head, rest) = out.split_at_mut(head_bytes);
        let first_word = self.word(position / 8).to_le_bytes();
        for (byte, made) in head.iter_mut().zip(first_word.iter().skip(inside_word)) {
            *byte = *made;
        }
        let (words, tail) = rest.as_chunks_mut::<8>();
        let mut index = position.div_ceil(8);
        for word in words {
            *word = self.word(index).to_le_bytes();
            index += 1;
        }
        for (byte, made) in tail.iter_mut().zip(self.word(index).to_le_bytes()) {
            *byte = made;
        }
    }

    fn word(&self, index: u64) -> u64 {
        mixed(self.seed.wrapping_add(index.wrapping_mul(GOLDEN)))
    }
}

/// Spreads a number over all 64 bits; different numbers stay different. For ids and bytes that
/// only have to look random.
#[must_use]
pub fn mixed(number: u64) -> u64 {
    let folded = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let folded = (folded ^ (folded >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    folded ^ (folded >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_of_noise_agrees_with_the_whole() {
        let noise = Noise { seed: 7, size_bytes: 64 };
        let mut whole = [0; 64];
        noise.fill(0, &mut whole);
        for from in 0..64 {
            for to in from..=64 {
                let mut part = vec![0; to - from];
                noise.fill(from as u64, &mut part);
                assert_eq!(part, whole[from..to], "{from}..{to}");
            }
        }
    }
}
