//! JPEG, decoded at a fraction of its size.
//!
//! The format keeps pictures in blocks of eight by eight pixels, and a block can be turned into one,
//! four or sixteen pixels as well. So a photograph of any size takes little memory, unless it is a
//! progressive one: those have to be held as a whole before the first block is complete.

use std::io::Read;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

use super::Refusal;

/// The most pixels that are read: what the largest camera of a telephone makes.
const MAX_PIXELS: u32 = 200_000_000;
/// The most bytes of the reduced picture: it can be far from reduced where one side is very short.
const MAX_REDUCED_BYTES: usize = 32 << 20;

/// Reads a picture at the smallest size that still has `longest_side` pixels in a row, if it has that many.
pub(super) fn decode(bytes: impl Read, longest_side: u16) -> Result<(DynamicImage, Orientation), Refusal> {
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(MAX_REDUCED_BYTES);
    decoder.read_info().map_err(|_| Refusal::Unreadable)?;
    let whole = decoder.info().ok_or(Refusal::Unreadable)?;
    if u32::from(whole.width) * u32::from(whole.height) > MAX_PIXELS {
        return Err(Refusal::TooLarge);
    }
    let orientation = decoder.exif_data().and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    let (width, height) = decoder.scale(longest_side, longest_side).map_err(|_| Refusal::Unreadable)?;
    let pixels = decoder.decode().map_err(|_| Refusal::Unreadable)?;
    let (width, height) = (u32::from(width), u32::from(height));
    let image = match whole.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        PixelFormat::CMYK32 => RgbImage::from_raw(width, height, rgb_of_cmyk(&pixels)).map(DynamicImage::from),
        // Only lossless JPEG has these: pictures out of medical devices.
        PixelFormat::L16 => None,
    };
    Ok((image.ok_or(Refusal::Unreadable)?, orientation))
}

/// Ink to light, without regard to what ink it was: near enough for a small picture.
fn rgb_of_cmyk(pixels: &[u8]) -> Vec<u8> {
    let (inks, _) = pixels.as_chunks::<4>();
    let light = |ink: u8, black: u8| (u16::from(255 - ink) * u16::from(255 - black) / 255) as u8;
    inks.iter().flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| light(ink, k))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ink_is_white_and_black_is_black_whatever_lies_under_it() {
        let light = rgb_of_cmyk(&[0, 0, 0, 0, 0, 255, 255, 0, 0, 255, 255, 255]);
        assert_eq!(light, [255, 255, 255, 255, 0, 0, 0, 0, 0]);
    }
}
