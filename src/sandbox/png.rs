//! A little picture for every seed: a mirrored pattern of cells in two colours, as a real PNG file.
//!
//! Written by hand because a thousand different pictures are wanted in an instant and nothing but
//! the container is needed: one bit per pixel, stored without compression.

use super::noise::mixed;

/// Cells from edge to edge, the right half mirroring the left.
const CELLS: usize = 8;
/// Rows of pixels in a cell; a cell is as wide as one byte of pixels.
const CELL_PIXELS: usize = 8;
/// The width and the height of the picture.
const SIDE_PIXELS: u32 = 64;
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The picture of a seed. Two seeds never give the same bytes: the file also carries its seed as a comment.
pub(super) fn identicon(seed: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(13);
    header.extend(SIDE_PIXELS.to_be_bytes());
    header.extend(SIDE_PIXELS.to_be_bytes());
    // One bit per pixel, palette colours, the only compression and filtering there are, not interlaced.
    header.extend([1, 3, 0, 0, 0]);
    let mut file = SIGNATURE.to_vec();
    chunk(&mut file, *b"IHDR", &header);
    chunk(&mut file, *b"PLTE", &palette(seed));
    chunk(&mut file, *b"tEXt", format!("Comment\0Larkive sample {seed:016x}").as_bytes());
    chunk(&mut file, *b"IDAT", &stored(&rows(seed)));
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// A light background and a strong foreground.
fn palette(seed: u64) -> [u8; 6] {
    let [red, green, blue, ..] = mixed(seed ^ 1).to_le_bytes();
    [0xf4, 0xf4, 0xf0, red % 0xb0, green % 0xb0, blue % 0xb0]
}

/// The pixels, each row behind the byte that says "no filter".
fn rows(seed: u64) -> Vec<u8> {
    let pattern = mixed(seed);
    let mut rows = Vec::with_capacity(CELLS * CELL_PIXELS * (CELLS + 1));
    for cell_row in 0..CELLS {
        let cells = (0..CELLS).map(|column| {
            let mirrored = column.min(CELLS - 1 - column);
            let bit = cell_row * (CELLS / 2) + mirrored;
            if pattern >> bit & 1 == 1 { 0xff } else { 0x00 }
        });
        for _ in 0..CELL_PIXELS {
            rows.push(0);
            rows.extend(cells.clone());
        }
    }
    rows
}

/// A zlib stream of one stored block. The pixels of [`rows`] fit its 16-bit length.
fn stored(plain: &[u8]) -> Vec<u8> {
    let length = plain.len() as u16;
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(plain);
    stream.extend(adler32(plain).to_be_bytes());
    stream
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    file.extend((content.len() as u32).to_be_bytes());
    let checked_from = file.len();
    file.extend(name);
    file.extend(content);
    let check = crc32(file.iter().skip(checked_from));
    file.extend(check.to_be_bytes());
}

fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789".iter()), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }
}
