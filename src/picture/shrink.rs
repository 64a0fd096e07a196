//! Shrinking: any picture in, a small WebP out.
//!
//! The first frame of what moves, turned the way its camera was held, transparent where it was.

use std::io::{BufRead, Seek, SeekFrom};

use image::metadata::Orientation;
use image::{
    DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Limits, RgbaImage, imageops::FilterType,
};

use super::{Refusal, jpeg};

/// The longest side of what is made, in pixels: a tile of a gallery on a fine screen.
pub const LONGEST_SIDE: u16 = 320;
/// The most bytes that are read. Photographs have a tenth of it.
pub const MAX_BYTES: u64 = 64 << 20;
/// The most bytes that a decoded picture may take: 25 million pixels in four colours, which is more
/// than four screens full. JPEG has limits of its own.
const MAX_DECODED_BYTES: u64 = 96 << 20;
/// From how many times the wanted size on a picture is first reduced by plain averages: fast, and no
/// worse to look at.
const COARSE: u32 = 3;
/// How much is kept of what could be seen, from 0 to 100.
const QUALITY: f32 = 75.0;

/// Makes a small picture of a picture. One that is small already stays as large as it is.
///
/// # Errors
/// Why there is none.
pub fn shrink(mut picture: impl BufRead + Seek) -> Result<Vec<u8>, Refusal> {
    let bytes = picture.seek(SeekFrom::End(0)).and_then(|bytes| picture.rewind().map(|()| bytes));
    if bytes.map_err(|_| Refusal::Unreadable)? > MAX_BYTES {
        return Err(Refusal::TooLarge);
    }
    let (image, orientation) = decode(picture)?;
    let mut small = reduce(image);
    small.apply_orientation(orientation);
    encode(&small)
}

fn decode(picture: impl BufRead + Seek) -> Result<(DynamicImage, Orientation), Refusal> {
    let mut reader = ImageReader::new(picture).with_guessed_format().map_err(|_| Refusal::Unreadable)?;
    if reader.format() == Some(ImageFormat::Jpeg) {
        return jpeg::decode(reader.into_inner(), LONGEST_SIDE);
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|error| refusal(&error))?;
    limits.reserve(decoder.total_bytes()).map_err(|error| refusal(&error))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(|error| refusal(&error))?;
    Ok((image, orientation))
}

fn refusal(error: &ImageError) -> Refusal {
    match error {
        ImageError::Limits(_) => Refusal::TooLarge,
        _ => Refusal::Unreadable,
    }
}

/// Reduces a picture to the wanted size, in eight bits for each colour.
fn reduce(image: DynamicImage) -> DynamicImage {
    if !image.color().has_alpha() {
        return DynamicImage::ImageRgb8(scaled(image).into_rgb8());
    }
    let mut image = image.into_rgba8();
    premultiply(&mut image);
    let mut small = scaled(image.into()).into_rgba8();
    unpremultiply(&mut small);
    small.into()
}

fn scaled(mut image: DynamicImage) -> DynamicImage {
    let side = u32::from(LONGEST_SIDE);
    if longest_side(&image) > side * COARSE {
        image = image.thumbnail(side * COARSE, side * COARSE);
    }
    if longest_side(&image) > side {
        image = image.resize(side, side, FilterType::CatmullRom);
    }
    image
}

fn longest_side(image: &DynamicImage) -> u32 {
    image.width().max(image.height())
}

/// Weighs colours by how much is seen of them: the average of red and of nothing is a fainter red,
/// not a darker one.
fn premultiply(image: &mut RgbaImage) {
    for pixel in image.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let weighed = |colour: u8| (u16::from(colour) * u16::from(alpha) / 255) as u8;
        pixel.0 = [weighed(red), weighed(green), weighed(blue), alpha];
    }
}

fn unpremultiply(image: &mut RgbaImage) {
    for pixel in image.pixels_mut() {
        let [red, green, blue, alpha] = pixel.0;
        let full = |colour: u8| (u16::from(colour) * 255).checked_div(alpha.into()).unwrap_or(0).min(255) as u8;
        pixel.0 = [full(red), full(green), full(blue), alpha];
    }
}

fn encode(image: &DynamicImage) -> Result<Vec<u8>, Refusal> {
    let (width, height) = (image.width(), image.height());
    let encoder = match image {
        DynamicImage::ImageRgba8(pixels) => webp::Encoder::from_rgba(pixels, width, height),
        other => webp::Encoder::from_rgb(other.as_bytes(), width, height),
    };
    let encoded = encoder.encode_simple(false, QUALITY).map_err(|_| Refusal::Unreadable)?;
    Ok(encoded.to_vec())
}
