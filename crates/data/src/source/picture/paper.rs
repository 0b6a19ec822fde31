//! What a transparent picture is laid on.

use image::{DynamicImage, Rgba, RgbaImage};

/// Ink lighter than this cannot be told from white paper.
const LIGHT: u64 = 191;

/// `picture` without transparency: on white paper, or on black where what is drawn is so light that white would
/// swallow it. Each picture decides for itself, so that one that comes to the trained network alone is laid on the
/// same ground.
pub(super) fn on_paper(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let drawn = picture.into_rgba8();
    let paper = if is_light(&drawn) { 0 } else { u8::MAX };
    let mut paper =
        RgbaImage::from_pixel(drawn.width(), drawn.height(), Rgba([paper, paper, paper, u8::MAX]));
    image::imageops::overlay(&mut paper, &drawn, 0, 0);
    DynamicImage::ImageRgba8(paper)
}

/// Whether what is drawn is light: its mean luma (ITU-R BT.709), each pixel by its opacity. What is opaque all over
/// needs no paper.
fn is_light(drawn: &RgbaImage) -> bool {
    let (mut luma, mut opacity, mut is_opaque) = (0, 0, true);
    for &Rgba([red, green, blue, alpha]) in drawn.pixels() {
        let [red, green, blue, alpha] = [red, green, blue, alpha].map(u64::from);
        luma += alpha * (2126 * red + 7152 * green + 722 * blue) / 10_000;
        opacity += alpha;
        is_opaque &= alpha == 255;
    }
    !is_opaque && luma > LIGHT * opacity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey_on_paper(ink: [u8; 3]) -> Vec<u8> {
        let [red, green, blue] = ink;
        let drawn = RgbaImage::from_fn(4, 1, |x, _| Rgba([red, green, blue, if x < 2 { 255 } else { 0 }]));
        on_paper(DynamicImage::ImageRgba8(drawn)).into_luma8().into_raw()
    }

    #[test]
    fn light_ink_is_laid_on_black_and_any_other_on_white() {
        assert_eq!(grey_on_paper([255; 3]), [255, 255, 0, 0]);
        assert_eq!(grey_on_paper([0; 3]), [0, 0, 255, 255]);
        assert_eq!(grey_on_paper([128; 3]), [128, 128, 255, 255]);
        // Yellow is light.
        assert_eq!(grey_on_paper([255, 255, 0])[2..], [0, 0]);
    }

    #[test]
    fn without_anything_drawn_the_paper_is_white() {
        let nothing = RgbaImage::from_pixel(2, 1, Rgba([255, 255, 255, 0]));
        assert_eq!(on_paper(DynamicImage::ImageRgba8(nothing)).into_luma8().into_raw(), [255, 255]);
    }
}
