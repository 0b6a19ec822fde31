//! An example as a picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use kiln_data::{Raw, Split};

/// The grey levels 0 to 255 of the image at `position` of `split`.
fn grey_levels(split: &Split, position: usize) -> Vec<u8> {
    let greatest = u32::from(split.greatest_pixel().unwrap_or(u8::MAX));
    match split.raw(position) {
        Raw::Bytes(pixels) => pixels.iter().map(|&pixel| (u32::from(pixel) * 255 / greatest) as u8).collect(),
        Raw::Floats(values) => values.iter().map(|&value| (value.clamp(0.0, 1.0) * 255.0) as u8).collect(),
    }
}

/// The image of `image_size` (height and width) at `position` of `split`, as a PNG file: what a network sees of it
/// before scaling.
///
/// # Panics
/// Where `split` has no such position, or its examples another size.
#[must_use]
pub fn picture_seen(split: &Split, position: usize, image_size: [usize; 2]) -> Vec<u8> {
    png(&grey_levels(split, position), image_size)
}

/// The same in base64.
pub(super) fn base64_png(split: &Split, position: usize, image_size: [usize; 2]) -> String {
    STANDARD.encode(picture_seen(split, position, image_size))
}

/// Grey levels, row by row, as a PNG file.
fn png(levels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(levels, width as u32, height as u32, ExtendedColorType::L8)
        .expect("memory takes all that is written to it, and the image has its size");
    file
}
