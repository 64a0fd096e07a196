//! A little picture for every seed: a mirrored pattern of cells in two colours, as a real PNG file.
//!
//! One bit per pixel, stored without compression: a thousand different pictures are wanted in an instant.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError};

use super::noise::mixed;

/// Cells from edge to edge, the right half mirroring the left.
const CELLS: usize = 8;
/// Rows of pixels in a cell; a cell is as wide as one byte of pixels.
const CELL_PIXELS: usize = 8;
/// The width and the height of the picture.
const SIDE_PIXELS: u32 = 64;

/// The picture of a seed. Two seeds never give the same bytes: the file also carries its seed as a comment.
pub(super) fn identicon(seed: u64) -> Vec<u8> {
    // Memory takes every byte, and the shape is the same for every seed: what could fail fails in the test below.
    encoded(seed).unwrap_or_default()
}

fn encoded(seed: u64) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, SIDE_PIXELS, SIDE_PIXELS);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::One);
    encoder.set_palette(palette(seed).to_vec());
    encoder.set_compression(Compression::NoCompression);
    encoder.add_text_chunk("Comment".to_owned(), format!("Larkive sample {seed:016x}"))?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(seed))?;
    writer.finish()?;
    Ok(file)
}

/// A light background and a strong foreground.
fn palette(seed: u64) -> [u8; 6] {
    let [red, green, blue, ..] = mixed(seed ^ 1).to_le_bytes();
    [0xf4, 0xf4, 0xf0, red % 0xb0, green % 0xb0, blue % 0xb0]
}

/// The rows of pixels, from top to bottom.
fn pixels(seed: u64) -> Vec<u8> {
    let pattern = mixed(seed);
    let mut pixels = Vec::with_capacity(CELLS * CELL_PIXELS * CELLS);
    for cell_row in 0..CELLS {
        let cells = (0..CELLS).map(|column| {
            let mirrored = column.min(CELLS - 1 - column);
            let bit = cell_row * (CELLS / 2) + mirrored;
            if pattern >> bit & 1 == 1 { 0xff } else { 0x00 }
        });
        for _ in 0..CELL_PIXELS {
            pixels.extend(cells.clone());
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use png::Decoder;

    use super::*;

    #[test]
    fn every_seed_gives_a_file_that_can_be_read() {
        for seed in [0, 7, u64::MAX] {
            let mut reader = Decoder::new(Cursor::new(identicon(seed))).read_info().unwrap();
            let mut read = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut read).unwrap();
            let info = reader.info();
            assert_eq!(info.size(), (SIDE_PIXELS, SIDE_PIXELS));
            assert_eq!((read, info.palette.as_deref()), (pixels(seed), Some(palette(seed).as_slice())));
        }
    }
}
