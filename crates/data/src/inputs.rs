//! A user's own examples, without labels, in the form that a trained network takes: pictures and IDX files, rows of
//! tables, or plain values. A drawing can be framed like the digits of MNIST.

use std::io::ErrorKind;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};
use kiln_table::{Blocks, GZIP, Preparation, Treatment, quoted};
use serde::Serialize;

use crate::source::picture::{self, OpenedPicture, planes, with_channels};
use crate::source::{IdxFile, IdxImages, idx, reader, start_of, unlabelled_rows};
use crate::values::Storage;
use crate::{DataError, Mismatch, Profile, Shape, Split};

/// Pixels fainter than this share of the strongest ink count as paper: cameras and JPEG leave such traces.
const FAINT: f64 = 1.0 / 8.0;
/// The least ink that counts for the bounding box of the drawing; fainter pixels may be a shadow.
const FIRM: u8 = 96;
/// Pixels within this many standard deviations of the paper's noise count as paper.
const NOISE: f64 = 5.0;
/// If even the strongest ink differs less than this from the background, the picture is empty.
const LEAST_CONTRAST: u8 = 32;

/// Examples from one file.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The examples. Their labels are all 0, without meaning.
    pub examples: Split,
    /// Whether a picture was changed: inverted to light on dark, cropped, resized or centred.
    pub is_prepared: bool,
    /// Remarks for the user, a sentence each.
    pub notices: Vec<String>,
}

/// How a picture is fitted to the size that the network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As MNIST's digits were made: light on dark, cropped, fitted into 20 of 28 pixels with the aspect ratio kept, and
    /// placed with the centre of mass in the middle (the MNIST page of Y. `LeCun` and others).
    Handwriting,
    /// Resized without keeping the aspect ratio, as `image-folder` does.
    Resize,
}

impl Framing {
    /// The framing that the training pictures of `profile` had.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        profile.source.parse().map_or(Self::Resize, |source| reader(source).framing())
    }

    /// The frame for drawings; `None` if pictures are only resized, or the examples are not pictures.
    #[must_use]
    pub fn frame(self, profile: &Profile) -> Option<Frame> {
        profile.image_size().filter(|_| self == Self::Handwriting).map(|size| Frame::of(profile, size))
    }
}

/// Reads the examples in the file at `path`. For a network on images it is a picture or an IDX file, plain or compressed:
/// the first bytes tell which. For a network on tables it is a csv file.
///
/// A picture that has the network's size already and is light on dark is not changed.
pub fn inputs(path: &Path, profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    if !path.is_file() {
        let found = match path {
            _ if path.is_dir() => "a folder",
            _ if path.exists() => "something else",
            _ => "nothing",
        };
        return Err(DataError::unfit("missing data", Mismatch::new(path, "a file", found)));
    }
    match profile.shape {
        Shape::Columns(_) => {
            let (examples, notices) = unlabelled_rows(path, profile)?;
            Ok(Inputs { examples, is_prepared: false, notices })
        }
        Shape::Image { height, width, channels } if is_idx(path)? => {
            images_of_idx(path, [height, width, channels], profile)
        }
        Shape::Image { .. } => picture_of(&picture::content(path)?, path, profile, framing),
    }
}

/// Whether the file at `path` is an IDX file, plain or compressed. No format of pictures begins with the same bytes.
fn is_idx(path: &Path) -> Result<bool, DataError> {
    let start = start_of(path, 4).map_err(DataError::read(path))?;
    Ok(idx::begins_as_idx(&start) || start.starts_with(&GZIP))
}

/// The example in the bytes of a picture file; see [`inputs`].
pub fn inputs_of_picture(bytes: &[u8], profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    let place = Path::new("the picture");
    if profile.image_size().is_some() {
        return picture_of(bytes, place, profile, framing);
    }
    let mismatch =
        Mismatch::new(place, "the columns of a table, on which the network was trained", "a picture");
    Err(DataError::unfit("unreadable picture", mismatch))
}

/// The examples in consecutive `pixels`: plane by plane and row by row, at the levels of the training pictures. Their
/// labels are all 0, without meaning.
pub fn examples_of_pixels(pixels: Vec<u8>, profile: &Profile) -> Result<Split, DataError> {
    let (width, place) = (profile.shape.features(), "the pixels");
    if profile.image_size().is_none() {
        let mismatch =
            Mismatch::new(place, "the columns of a table, on which the network was trained", "pixels");
        return Err(DataError::unfit("unreadable picture", mismatch));
    }
    if pixels.is_empty() || !pixels.len().is_multiple_of(width) {
        let mismatch =
            Mismatch::new(place, format!("{width} for each picture"), format!("{} in all", pixels.len()));
        return Err(DataError::unfit("unreadable picture", mismatch));
    }
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    if let Some(at) = pixels.iter().position(|&pixel| pixel > greatest) {
        let mismatch = Mismatch::new(place, format!("levels from 0 to {greatest}"), pixels[at].to_string());
        return Err(DataError::unfit("unreadable picture", mismatch.place(format!("pixel {at}"))));
    }
    let labels = vec![0; pixels.len() / width];
    Ok(Split::new(Storage::bytes(width, pixels, greatest), labels))
}

/// The examples in consecutive raw `values`: pixels from 0 to 255, plane by plane and row by row, or the columns of a
/// table in their order. All values must be finite.
pub fn inputs_of_values(values: &[f32], profile: &Profile) -> Result<Inputs, DataError> {
    let place = Path::new("the values");
    let rows = profile.row_preparation();
    let features = match &rows {
        Some(preparation) => number_columns(preparation)?,
        None => profile.shape.features(),
    };
    if values.is_empty() || !values.len().is_multiple_of(features) {
        let expected = format!("{features} values for each example");
        return Err(DataError::unfit(
            "wrong number of values",
            Mismatch::new(place, expected, format!("{} in all", values.len())),
        ));
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let mismatch = Mismatch::new(place, "finite numbers", values[index].to_string());
        return Err(DataError::unfit("not a number", mismatch.place(format!("value {index}"))));
    }
    // The pixels of `digits` range from 0 to 16.
    let scale = profile.greatest_pixel.map_or(1.0, |greatest| f32::from(greatest) / f32::from(u8::MAX));
    let count = values.len() / features;
    if let Some(preparation) = rows {
        let mut cells = Blocks::new(features);
        values.chunks_exact(features).for_each(|row| cells.push(row.iter().copied().map(f64::from)));
        let lines = (1..=count as u32).collect();
        return Ok(unlabelled(Storage::cells(cells, preparation, lines), count, false));
    }
    let values = values.iter().map(|value| value * scale).collect();
    Ok(unlabelled(Storage::floats(features, values), count, false))
}

/// The number of columns that a network on tables uses; an error unless all are numeric.
fn number_columns(preparation: &Preparation) -> Result<usize, DataError> {
    for (column, treatment) in preparation.used() {
        if !matches!(treatment, Treatment::Number { .. }) {
            let found = format!("column {}, which is a {}", quoted(&column.name), column.kind.name());
            let mismatch = Mismatch::new("the values", "a network that uses numeric columns only", found);
            let remedy = "give the rows as a table, in a file";
            return Err(DataError::unfit("not a number", mismatch.remedy(remedy)));
        }
    }
    Ok(preparation.raw_width())
}

fn unlabelled(storage: Storage, count: usize, is_prepared: bool) -> Inputs {
    Inputs { examples: Split::new(storage, vec![0; count]), is_prepared, notices: Vec::new() }
}

fn images_of_idx(path: &Path, size: [usize; 3], profile: &Profile) -> Result<Inputs, DataError> {
    let file = IdxFile::of(path).ok_or_else(|| DataError::read(path)(ErrorKind::NotFound.into()))?;
    let images = IdxImages::new(&file, idx::read(&file, idx::IdxContent::Images)?, profile.reading)?;
    images.check_size(&file, size)?;
    let IdxImages { count, mut pixels, .. } = images;
    profile.to_own_levels(&mut pixels);
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    Ok(unlabelled(Storage::bytes(size.iter().product(), pixels, greatest), count, false))
}

fn picture_of(content: &[u8], path: &Path, profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    let Shape::Image { height, width, channels } = profile.shape else {
        unreachable!("the network takes pictures")
    };
    let OpenedPicture { picture, .. } = picture::opened(content, path, profile.reading.picture_white)?;
    let has_size = (picture.width(), picture.height()) == (width as u32, height as u32);
    let (levels, is_prepared) = match framing {
        Framing::Resize => (planes(picture, [height, width], channels > 1), !has_size),
        Framing::Handwriting => {
            let grey = picture.into_luma8();
            if has_size && !is_dark_on_light(&grey) {
                (grey.into_raw(), false)
            } else {
                let frame = Frame::of(profile, [height, width]);
                let framed = framed(&grey, frame).ok_or_else(|| nothing_to_see(path))?;
                (framed.into_raw(), true)
            }
        }
    };
    let mut pixels = with_channels(levels, height * width, channels);
    profile.to_own_levels(&mut pixels);
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    Ok(unlabelled(Storage::bytes(profile.shape.features(), pixels, greatest), 1, is_prepared))
}

fn nothing_to_see(path: &Path) -> DataError {
    let mismatch = Mismatch::new(path, "something drawn on a plain background", "one grey level all over");
    DataError::unfit("unreadable picture", mismatch.remedy("give a picture with more contrast"))
}

/// The size of the picture that a drawing becomes, and the position of the drawing in it.
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
    /// Whether the drawing is centred by its centre of mass; otherwise by its bounding box.
    pub by_mass: bool,
}

impl Frame {
    /// MNIST's frame of 20 in 28 pixels, scaled to images of any size. The UCI digits fill their 8x8 pixels.
    fn of(profile: &Profile, [height, width]: [usize; 2]) -> Self {
        let fills = profile.source == "digits";
        let fit = |side: usize| if fills { side } else { (side * 20 / 28).max(1) };
        let [box_height, box_width] = [fit(height), fit(width)].map(|side| side as u32);
        Self { height: height as u32, width: width as u32, box_height, box_width, by_mass: !fills }
    }
}

/// Whether the picture's border is lighter than the middle grey.
fn is_dark_on_light(grey: &GrayImage) -> bool {
    border_median(grey) > u8::MAX / 2
}

/// The drawing on `grey`, light on dark, fitted into `frame`; `None` if the picture is empty.
fn framed(grey: &GrayImage, frame: Frame) -> Option<GrayImage> {
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

/// The difference of each pixel from the background, scaled so that the strongest is 255; `None` if the picture is empty.
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

/// The standard deviation of the border's levels, estimated by the median absolute deviation, so that a drawing that
/// touches the border does not change it.
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

/// The bounding box of the firm ink: left, top, width and height.
fn bounds(ink: &GrayImage) -> Option<[u32; 4]> {
    let drawn = || ink.enumerate_pixels().filter(|(_, _, pixel)| pixel[0] >= FIRM);
    let [left, right] = [drawn().map(|(x, _, _)| x).min()?, drawn().map(|(x, _, _)| x).max()?];
    let [top, bottom] = [drawn().map(|(_, y, _)| y).min()?, drawn().map(|(_, y, _)| y).max()?];
    Some([left, top, right - left + 1, bottom - top + 1])
}

/// The drawing on a black ground of the frame's size; it stays completely inside.
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

/// The centre of mass, in pixels from the left and from the top.
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
    fn a_drawing_of_any_polarity_and_position_is_centred() {
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
    fn the_centre_of_mass_is_in_the_middle() {
        // An L: its centre of mass is below and left of the centre of its bounding box.
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
    fn an_empty_sheet_has_no_drawing() {
        assert_eq!(framed(&GrayImage::from_pixel(9, 9, Luma([250])), MNIST), None);
        assert_eq!(framed(&bar(120, 130), MNIST), None);
    }

    #[test]
    fn a_single_pixel_is_a_drawing() {
        let mut dot = GrayImage::from_pixel(1, 5, Luma([0]));
        dot.put_pixel(0, 2, Luma([255]));
        assert!(framed(&dot, MNIST).is_some());
    }
}
