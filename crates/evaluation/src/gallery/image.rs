//! An example as a picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, GrayImage, ImageEncoder, imageops};
use kiln_data::{Raw, Split};

/// The grey levels 0 to 255 of the image at `position` of `split`.
fn grey_levels(split: &Split, position: usize) -> Vec<u8> {
    let greatest = u32::from(split.greatest_pixel().unwrap_or(u8::MAX));
    match split.raw(position) {
        Raw::Bytes(pixels) => pixels.iter().map(|&pixel| (u32::from(pixel) * 255 / greatest) as u8).collect(),
        Raw::Floats(values) => values.iter().map(|&value| (value.clamp(0.0, 1.0) * 255.0) as u8).collect(),
        Raw::Cells(_) => Vec::new(),
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

/// Pictures in a gallery are at most so many pixels high and wide: a report carries more than a thousand.
const MOST_SIDE: usize = 96;

/// The same in base64, shrunk where it is large.
pub(super) fn base64_png(split: &Split, position: usize, image_size: [usize; 2]) -> String {
    let [height, width] = shown_size(image_size);
    if [height, width] == image_size {
        return STANDARD.encode(picture_seen(split, position, image_size));
    }
    let whole = GrayImage::from_raw(image_size[1] as u32, image_size[0] as u32, grey_levels(split, position));
    let whole = whole.expect("examples have the image size of their data");
    let small = imageops::thumbnail(&whole, width as u32, height as u32);
    STANDARD.encode(png(small.as_raw(), [height, width]))
}

/// Height and width of a picture in a gallery.
pub(super) fn shown_size([height, width]: [usize; 2]) -> [usize; 2] {
    let longer = height.max(width);
    if longer <= MOST_SIDE {
        return [height, width];
    }
    [height, width].map(|side| (side * MOST_SIDE / longer).max(1))
}

/// Grey levels, row by row, as a PNG file.
fn png(levels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(levels, width as u32, height as u32, ExtendedColorType::L8)
        .expect("memory takes all that is written to it, and the image has its size");
    file
}
