//! A picture of something drawn, made like the digits of MNIST.

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};

use serde::Serialize;

use crate::Profile;

/// Fainter than this share of the strongest ink is paper: cameras and JPEG leave such traces.
const FAINT: f64 = 1.0 / 8.0;
/// Ink that decides how far the drawing reaches; what is fainter may be a shadow.
const FIRM: u8 = 96;
/// Standard deviations that the paper's own noise may reach.
const NOISE: f64 = 5.0;
/// A picture whose strongest ink is less than this off its background shows nothing.
const LEAST_CONTRAST: u8 = 32;

/// The picture that a drawing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Pixels from top to bottom.
    pub height: u32,
    /// Pixels from left to right.
    pub width: u32,
    /// Height of the box that the drawing is fitted into.
    pub box_height: u32,
    /// Its width.
    pub box_width: u32,
    /// Whether the centre of mass goes into the middle; else the middle of the drawing does.
    pub by_mass: bool,
}

impl Frame {
    /// MNIST's frame of 20 in 28 pixels, for images of any size. The digits of UCI fill their 8x8 pixels.
    pub(super) fn of(profile: &Profile, [height, width]: [usize; 2]) -> Self {
        let fills = profile.source == "digits";
        let fit = |side: usize| if fills { side } else { (side * 20 / 28).max(1) };
        let [box_height, box_width] = [fit(height), fit(width)].map(|side| side as u32);
        Self { height: height as u32, width: width as u32, box_height, box_width, by_mass: !fills }
    }
}

/// True where the picture's border is lighter than the middle grey.
pub(super) fn is_dark_on_light(grey: &GrayImage) -> bool {
    border_median(grey) > u8::MAX / 2
}

/// The drawing on `grey`, light on dark, fitted into `frame`; none where nothing is drawn.
pub(super) fn framed(grey: &GrayImage, frame: Frame) -> Option<GrayImage> {
    let ink = ink(grey)?;
    let [left, top, width, height] = bounds(&ink)?;
    let drawing = imageops::crop_imm(&ink, left, top, width, height).to_image();
    let scale =
        (f64::from(frame.box_width) / f64::from(width)).min(f64::from(frame.box_height) / f64::from(height));
    let side = |length: u32, most: u32| ((f64::from(length) * scale).round() as u32).clamp(1, most);
    let [width, height] = [side(width, frame.box_width), side(height, frame.box_height)];
    let drawing = imageops::resize(&drawing, width, height, FilterType::Triangle);
    Some(placed(&drawing, frame))
}

/// How much darker or lighter than the background each pixel is, the most of them 255.
fn ink(grey: &GrayImage) -> Option<GrayImage> {
    let background = border_median(grey);
    let is_dark_on_light = is_dark_on_light(grey);
    let distance = |pixel: u8| {
        if is_dark_on_light { background.saturating_sub(pixel) } else { pixel.saturating_sub(background) }
    };
    let most = grey.as_raw().iter().map(|&pixel| distance(pixel)).max()?;
    if most < LEAST_CONTRAST {
        return None;
    }
    let faint = (f64::from(most) * FAINT).max(NOISE * noise(grey, background));
    let stretched = |pixel: u8| {
        let distance = distance(pixel);
        if f64::from(distance) < faint { 0 } else { (u32::from(distance) * 255 / u32::from(most)) as u8 }
    };
    let pixels = grey.as_raw().iter().map(|&pixel| stretched(pixel)).collect();
    GrayImage::from_raw(grey.width(), grey.height(), pixels)
}

/// The standard deviation of the border's levels, by their median absolute deviation: a drawing that reaches the
/// border does not change it.
fn noise(grey: &GrayImage, background: u8) -> f64 {
    let mut deviations: Vec<u8> = border(grey).map(|level| level.abs_diff(background)).collect();
    deviations.sort_unstable();
    1.4826 * f64::from(deviations[deviations.len() / 2])
}

fn border_median(grey: &GrayImage) -> u8 {
    let mut levels: Vec<u8> = border(grey).collect();
    levels.sort_unstable();
    levels[levels.len() / 2]
}

/// The levels of the outermost pixels.
fn border(grey: &GrayImage) -> impl Iterator<Item = u8> {
    let (width, height) = grey.dimensions();
    let rows = (0..width).flat_map(move |x| [(x, 0), (x, height - 1)]);
    let columns = (0..height).flat_map(move |y| [(0, y), (width - 1, y)]);
    rows.chain(columns).map(|(x, y)| grey.get_pixel(x, y)[0])
}

/// Left, top, width and height of what is drawn firmly.
fn bounds(ink: &GrayImage) -> Option<[u32; 4]> {
    let drawn = || ink.enumerate_pixels().filter(|(_, _, pixel)| pixel[0] >= FIRM);
    let [left, right] = [drawn().map(|(x, _, _)| x).min()?, drawn().map(|(x, _, _)| x).max()?];
    let [top, bottom] = [drawn().map(|(_, y, _)| y).min()?, drawn().map(|(_, y, _)| y).max()?];
    Some([left, top, right - left + 1, bottom - top + 1])
}

/// The drawing on a dark ground of the frame's size, wholly within it.
fn placed(drawing: &GrayImage, frame: Frame) -> GrayImage {
    let (width, height) = drawing.dimensions();
    let [middle_x, middle_y] = if frame.by_mass {
        center_of_mass(drawing)
    } else {
        [f64::from(width) / 2.0, f64::from(height) / 2.0]
    };
    let offset = |side: u32, middle: f64, length: u32| {
        ((f64::from(side) / 2.0 - middle).round().max(0.0) as u32).min(side - length)
    };
    let mut canvas = GrayImage::from_pixel(frame.width, frame.height, Luma([0]));
    let x = offset(frame.width, middle_x, width);
    let y = offset(frame.height, middle_y, height);
    imageops::replace(&mut canvas, drawing, i64::from(x), i64::from(y));
    canvas
}

/// In pixels from the left and from the top.
fn center_of_mass(drawing: &GrayImage) -> [f64; 2] {
    let (mut mass, mut x_moment, mut y_moment) = (0.0, 0.0, 0.0);
    for (x, y, pixel) in drawing.enumerate_pixels() {
        let weight = f64::from(pixel[0]);
        mass += weight;
        x_moment += weight * (f64::from(x) + 0.5);
        y_moment += weight * (f64::from(y) + 0.5);
    }
    [x_moment / mass, y_moment / mass]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MNIST: Frame = Frame { height: 28, width: 28, box_height: 20, box_width: 20, by_mass: true };

    /// A bar of `ink` on `paper`.
    fn bar(paper: u8, ink: u8) -> GrayImage {
        GrayImage::from_fn(120, 90, |x, y| {
            Luma([if (70..80).contains(&x) && (20..70).contains(&y) { ink } else { paper }])
        })
    }

    #[test]
    fn a_drawing_of_any_polarity_and_place_lies_in_the_middle() {
        let expected = framed(&bar(0, 255), MNIST).unwrap();
        assert_eq!(bounds(&expected), Some([12, 4, 4, 20]));
        assert_eq!(expected.get_pixel(14, 14)[0], 255);
        for (paper, ink) in [(255, 0), (200, 90), (30, 160)] {
            assert_eq!(framed(&bar(paper, ink), MNIST).unwrap(), expected);
        }
    }

    #[test]
    fn noise_on_the_paper_does_not_make_the_drawing_larger() {
        let mut noisy = bar(170, 90);
        for (index, pixel) in noisy.pixels_mut().enumerate() {
            pixel[0] = pixel[0].saturating_add((index * 7919 % 17) as u8).saturating_sub(8);
        }
        let framed = framed(&noisy, MNIST).unwrap();
        assert_eq!(bounds(&framed), Some([12, 4, 4, 20]));
    }

    #[test]
    fn a_heavy_side_is_drawn_to_the_middle() {
        // An L: its mass lies below and left of its middle.
        let letter = GrayImage::from_fn(60, 60, |x, y| {
            Luma([
                if ((10..20).contains(&x) && (10..50).contains(&y))
                    || ((10..50).contains(&x) && (40..50).contains(&y))
                {
                    255
                } else {
                    0
                },
            ])
        });
        let framed = framed(&letter, MNIST).unwrap();
        let [x, y] = center_of_mass(&framed);
        assert!((x - 14.0).abs() <= 0.5 && (y - 14.0).abs() <= 0.5, "{x} {y}");
        assert_ne!(bounds(&framed), Some([4, 4, 20, 20]));
    }

    #[test]
    fn an_empty_sheet_has_nothing_to_frame() {
        assert_eq!(framed(&GrayImage::from_pixel(9, 9, Luma([250])), MNIST), None);
        assert_eq!(framed(&bar(120, 130), MNIST), None);
    }

    #[test]
    fn one_pixel_is_a_drawing_too() {
        let mut dot = GrayImage::from_pixel(1, 5, Luma([0]));
        dot.put_pixel(0, 2, Luma([255]));
        assert!(framed(&dot, MNIST).is_some());
    }
}
