//! An example as a picture.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, RgbImage};
use kiln_data::{Raw, Split};

/// The levels 0 to 255 of the image at `position` of `split`, plane by plane.
fn levels(split: &Split, position: usize) -> Vec<u8> {
    let greatest = u32::from(split.greatest_pixel().unwrap_or(u8::MAX));
    match split.raw(position) {
        Raw::Bytes(pixels) => pixels.iter().map(|&pixel| (u32::from(pixel) * 255 / greatest) as u8).collect(),
        Raw::Floats(values) => values.iter().map(|&value| (value.clamp(0.0, 1.0) * 255.0) as u8).collect(),
        Raw::Cells(_) => Vec::new(),
    }
}

/// The image of `image_size` (height and width) at `position` of `split`, as a PNG file, grey or in colour: what a
/// network sees of it before scaling.
///
/// # Panics
/// Where `split` has no such position, or its examples another size.
#[must_use]
pub fn picture_seen(split: &Split, position: usize, image_size: [usize; 2]) -> Vec<u8> {
    png(&image(&levels(split, position), image_size))
}

/// Pictures in a gallery are at most so many pixels high and wide: a report carries more than a thousand.
const MOST_SIDE: usize = 96;

/// The same in base64, shrunk where it is large.
pub(super) fn base64_png(split: &Split, position: usize, image_size: [usize; 2]) -> String {
    let [height, width] = shown_size(image_size);
    let whole = image(&levels(split, position), image_size);
    if [height, width] == image_size {
        return STANDARD.encode(png(&whole));
    }
    STANDARD.encode(png(&whole.thumbnail_exact(width as u32, height as u32)))
}

/// Height and width of a picture in a gallery.
pub(super) fn shown_size([height, width]: [usize; 2]) -> [usize; 2] {
    let longer = height.max(width);
    if longer <= MOST_SIDE {
        return [height, width];
    }
    [height, width].map(|side| (side * MOST_SIDE / longer).max(1))
}

/// One plane as a grey picture, three as one in colour.
fn image(levels: &[u8], [height, width]: [usize; 2]) -> DynamicImage {
    let (columns, rows) = (width as u32, height as u32);
    let plane = height * width;
    let image = if levels.len() == 3 * plane {
        let pixels = (0..plane).flat_map(|at| [levels[at], levels[plane + at], levels[2 * plane + at]]);
        RgbImage::from_raw(columns, rows, pixels.collect()).map(DynamicImage::from)
    } else {
        GrayImage::from_raw(columns, rows, levels.to_vec()).map(DynamicImage::from)
    };
    image.expect("examples have the image size of their data")
}

/// `image`, grey or in colour with 8 bits, as a PNG file.
fn png(image: &DynamicImage) -> Vec<u8> {
    let colours = if image.color().has_color() { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(image.as_bytes(), image.width(), image.height(), colours)
        .expect("memory takes all that is written to it, and the image has its size");
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_come_together_in_pixels() {
        let seen = |levels: &[u8]| image::load_from_memory(&png(&super::image(levels, [1, 2]))).unwrap();
        let colour = seen(&[255, 0, 51, 102, 0, 255]);
        assert_eq!(colour.as_rgb8().unwrap().as_raw(), &[255, 51, 0, 0, 102, 255]);
        assert_eq!(seen(&[255, 51]).as_luma8().unwrap().as_raw(), &[255, 51]);
    }
}
