//! Which examples of an evaluation are worth looking at.
//! ---
//! Choosing examples by what was predicted of them. Ties go to the earlier example, so that the choice is the same
//! every time.
//! ---
//! An example as a picture.
//! ---
//! The gallery as pictures of its own.
//! ---

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, RgbImage};
use kiln_artifacts::replace_file;
use kiln_config::random::{Purpose, Stream};
use kiln_data::{Raw, Shape, Split};
use kiln_plot::{Sheet, Tile};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluator::{read_json, remove_if_there};
use crate::{EvaluationError, Predictions};

/// The gallery in the folder of its evaluation.
pub const GALLERY_FILE: &str = "gallery.json";

/// Columns whose values are kept: a table may have thousands.
const COLUMNS: usize = 40;

/// Examples in each of the three rows.
const ROW: usize = 30;

/// Examples to look at: some at random, the most confident mistakes, the least certain, and some of each cell of
/// the confusion matrix. Kept with the evaluation, so that a report needs no data set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gallery {
    /// Height and width of the pictures in pixels; none where the examples are no images.
    pub image_size: Option<[usize; 2]>,
    /// The columns that the values of the examples are of, the first 40; none of images, and of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Up to 30 examples drawn by the seed, in the split's order.
    pub random: Vec<u32>,
    /// Up to 30 examples predicted wrong, the most probable prediction first.
    pub most_confident_mistakes: Vec<u32>,
    /// Up to 30 examples with the smallest distance between the two greatest probabilities, that distance
    /// rising.
    pub least_certain: Vec<u32>,
    /// Cells of the confusion matrix that have examples, with some of them.
    pub cells: Vec<GalleryCell>,
    /// Every example named above, by its position in the split.
    pub examples: BTreeMap<u32, GalleryExample>,
}

/// A cell of the confusion matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GalleryCell {
    /// The true class, by number.
    pub truth: u32,
    /// The predicted class, by number.
    pub predicted: u32,
    /// Some of its examples, the most probable prediction first.
    pub examples: Vec<u32>,
}

/// An example as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GalleryExample {
    /// The true class, by number.
    pub truth: u32,
    /// The predicted class, by number.
    pub predicted: u32,
    /// The probability of the predicted class, in [0, 1]; none where it is not a number.
    pub probability: Option<f32>,
    /// The image as PNG in base64; none where the example is no image.
    pub png: Option<String>,
    /// The line of the user's file on which it begins; none where it is no row of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The value of each of the gallery's columns, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Gallery {
    /// Chooses from `predictions` of `split`, whose examples have `shape`.
    #[must_use]
    pub fn new(predictions: &Predictions, split: &Split, shape: &Shape, seed: u64) -> Self {
        let image_size = match *shape {
            Shape::Image { height, width, .. } => Some([height, width]),
            Shape::Columns(_) => None,
        };
        let mut gallery = Self {
            image_size: image_size.map(shown_size),
            columns: Vec::new(),
            random: random(predictions, ROW, seed),
            most_confident_mistakes: most_confident_mistakes(predictions, ROW),
            least_certain: least_certain(predictions, ROW),
            // What is no image has nothing to look at.
            cells: if image_size.is_some() { cells(predictions) } else { Vec::new() },
            examples: BTreeMap::new(),
        };
        let rows = [&gallery.random, &gallery.most_confident_mistakes, &gallery.least_certain];
        let rows = rows.into_iter().chain(gallery.cells.iter().map(|cell| &cell.examples));
        let example = |&position: &u32| (position, example(predictions, split, shape, position));
        gallery.examples = rows.flatten().map(example).collect();
        if !split.is_empty() {
            gallery.columns = columns(split, 0, shape).map(|(name, _)| name).collect();
        }
        gallery
    }

    /// Reads the gallery in the folder of an evaluation; none where it was not made.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, EvaluationError> {
        let path = folder.join(GALLERY_FILE);
        if !path.is_file() {
            return Ok(None);
        }
        read_json(&path, "a gallery of examples").map(Some)
    }

    /// Holds the gallery in `folder` to the predictions beside it.
    pub(crate) fn check(&self, folder: &Path, predictions: &Predictions) -> Result<(), EvaluationError> {
        let fits = |(&position, example): (&u32, &GalleryExample)| {
            let at = position as usize;
            at < predictions.len()
                && (predictions.truth()[at], predictions.predicted()[at])
                    == (example.truth, example.predicted)
        };
        let classes = predictions.class_count() as u32;
        let is_class = |cell: &GalleryCell| cell.truth < classes && cell.predicted < classes;
        if self.examples.iter().all(fits) && self.cells.iter().all(is_class) {
            return Ok(());
        }
        Err(EvaluationError::Malformed {
            path: folder.join(GALLERY_FILE),
            line: 1,
            expected: "a gallery of the predictions beside it".to_owned(),
            found: "other examples; `kiln evaluate` makes both anew".to_owned(),
        })
    }

    /// Writes the gallery into the folder of its evaluation.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), EvaluationError> {
        let text = serde_json::to_vec(self).expect("a gallery is plain data");
        Ok(replace_file(&folder.join(GALLERY_FILE), &text)?)
    }
}

fn example(predictions: &Predictions, split: &Split, shape: &Shape, position: u32) -> GalleryExample {
    let at = position as usize;
    let predicted = predictions.predicted()[at];
    let probability = predictions.probabilities(at)[predicted as usize];
    GalleryExample {
        truth: predictions.truth()[at],
        predicted,
        probability: probability.is_finite().then_some(probability),
        png: match *shape {
            Shape::Image { height, width, .. } => Some(base64_png(split, at, [height, width])),
            Shape::Columns(_) => None,
        },
        line: split.line(at),
        values: columns(split, at, shape).map(|(_, value)| value).collect(),
    }
}

/// The columns that are kept of the example `at`, with their values.
fn columns(split: &Split, at: usize, shape: &Shape) -> impl Iterator<Item = (String, String)> {
    split.words(at, shape).into_iter().take(COLUMNS)
}

/// Examples of a cell, and of all cells together: a picture of 28x28 pixels takes half a kilobyte of the report.
const MOST_OF_A_CELL: usize = 24;
const MOST_OF_ALL_CELLS: usize = 1200;

/// Resamples are numbered from 0; no such number is drawn from here.
const GALLERY_STREAM: u64 = u64::MAX;

/// `count` positions at random, in order.
pub(super) fn random(predictions: &Predictions, count: usize, seed: u64) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..predictions.len() as u32).collect();
    Stream::new(seed, Purpose::Sampling, &[GALLERY_STREAM]).shuffle(&mut positions);
    positions.truncate(count);
    positions.sort_unstable();
    positions
}

/// The `count` wrong predictions of the greatest probability.
pub(super) fn most_confident_mistakes(predictions: &Predictions, count: usize) -> Vec<u32> {
    let is_wrong = |at: &usize| predictions.truth()[*at] != predictions.predicted()[*at];
    first(count, (0..predictions.len()).filter(is_wrong), |at| -confidence(predictions, at))
}

/// The `count` predictions whose two greatest probabilities are nearest to each other.
pub(super) fn least_certain(predictions: &Predictions, count: usize) -> Vec<u32> {
    let is_sure = |at: &usize| predictions.probabilities(*at).iter().all(|value| value.is_finite());
    first(count, (0..predictions.len()).filter(is_sure), |at| margin(predictions.probabilities(at)))
}

/// Every cell of the confusion matrix that has examples, by true and then by predicted class. Where there are more
/// than can be shown, each gets the same share.
pub(super) fn cells(predictions: &Predictions) -> Vec<GalleryCell> {
    let mut members: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (at, pair) in predictions.truth().iter().zip(predictions.predicted()).enumerate() {
        members.entry((*pair.0, *pair.1)).or_default().push(at);
    }
    let share = (MOST_OF_ALL_CELLS / members.len().max(1)).clamp(1, MOST_OF_A_CELL);
    let shown = members.into_iter().take(MOST_OF_ALL_CELLS);
    shown
        .map(|((truth, predicted), positions)| GalleryCell {
            truth,
            predicted,
            examples: first(share, positions.into_iter(), |at| -confidence(predictions, at)),
        })
        .collect()
}

/// The `count` positions of the least keys, in their order.
fn first(count: usize, positions: impl Iterator<Item = usize>, key: impl Fn(usize) -> f32) -> Vec<u32> {
    let mut keyed: Vec<(f32, u32)> = positions.map(|at| (key(at), at as u32)).collect();
    keyed.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    keyed.truncate(count);
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// The probability of the predicted class; 0 where it is not a number.
fn confidence(predictions: &Predictions, at: usize) -> f32 {
    let probability = predictions.probabilities(at)[predictions.predicted()[at] as usize];
    if probability.is_nan() { 0.0 } else { probability }
}

/// The distance of the two greatest probabilities.
fn margin(probabilities: &[f32]) -> f32 {
    let mut greatest = [0.0_f32; 2];
    for &value in probabilities {
        if value > greatest[0] {
            greatest = [value, greatest[0]];
        } else {
            greatest[1] = greatest[1].max(value);
        }
    }
    greatest[0] - greatest[1]
}

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

/// Writes `random.png`, `most_confident_mistakes.png` and `least_certain.png` into `folder`, as far as there are
/// such examples. What is no image has no pictures.
pub(crate) fn write_sheets(
    gallery: &Gallery,
    classes: &[String],
    folder: &Path,
) -> Result<(), EvaluationError> {
    let Some(image_size) = gallery.image_size else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|cause| EvaluationError::Io {
        action: "create",
        path: folder.to_owned(),
        cause,
    })?;
    let sheets = [
        ("random.png", "Images at random", &gallery.random),
        ("most_confident_mistakes.png", "The most confident mistakes", &gallery.most_confident_mistakes),
        ("least_certain.png", "The least certain predictions", &gallery.least_certain),
    ];
    sheets.into_par_iter().try_for_each(|(name, title, positions)| {
        if positions.is_empty() {
            return remove_if_there(&folder.join(name));
        }
        let examples = positions.iter().filter_map(|at| Some((*at, gallery.examples.get(at)?)));
        let tiles = examples.map(|(at, example)| tile(at, example, image_size, classes)).collect();
        let path = folder.join(name);
        let png = Sheet { title: title.to_owned(), image_size, tiles }
            .to_png()
            .map_err(|problem| EvaluationError::Plot { path: path.clone(), problem: problem.to_string() })?;
        Ok(replace_file(&path, &png)?)
    })
}

fn tile(at: u32, example: &GalleryExample, [height, width]: [usize; 2], classes: &[String]) -> Tile {
    let [truth, predicted] = [example.truth, example.predicted].map(|class| &classes[class as usize]);
    let percent =
        example.probability.map_or_else(String::new, |probability| format!(" {:.0} %", probability * 100.0));
    let is_marked = truth != predicted;
    let said = if is_marked { format!("said {predicted}{percent}") } else { format!("right{percent}") };
    Tile {
        pixels: pixels(example).unwrap_or_else(|| vec![[0; 3]; height * width]),
        lines: vec![format!("#{at}: {truth}"), said],
        is_marked,
    }
}

/// The colours of an example's own picture; none where that is damaged.
fn pixels(example: &GalleryExample) -> Option<Vec<[u8; 3]>> {
    let png = STANDARD.decode(example.png.as_ref()?).ok()?;
    Some(image::load_from_memory(&png).ok()?.into_rgb8().pixels().map(|pixel| pixel.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallery_from_before_rows_had_values_is_read() {
        let text = r#"{"image_size":null,"random":[0],"most_confident_mistakes":[],"least_certain":[],"cells":[],
            "examples":{"0":{"truth":0,"predicted":1,"probability":0.5,"png":null}}}"#;
        let gallery: Gallery = serde_json::from_str(text).unwrap();
        assert!(gallery.columns.is_empty() && gallery.examples[&0].line.is_none());
        assert_eq!(serde_json::to_string(&gallery).unwrap(), text.replace("\n            ", ""));
    }

    fn predictions() -> Predictions {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let rows = vec![0.9, 0.1, 0.2, 0.8, 0.45, 0.55, 0.05, 0.95];
        Predictions::new(names, vec![0, 0, 0, 0], vec![0, 1, 1, 1], rows, vec![0.0; 4]).unwrap()
    }

    #[test]
    fn mistakes_come_by_confidence_and_the_least_certain_by_margin() {
        let predictions = predictions();
        assert_eq!(most_confident_mistakes(&predictions, 2), [3, 1]);
        assert_eq!(least_certain(&predictions, 2), [2, 1]);
    }

    #[test]
    fn a_random_choice_is_the_same_every_time_and_another_for_another_seed() {
        let many = {
            let names = vec!["a".to_owned()];
            Predictions::new(names, vec![0; 500], vec![0; 500], vec![1.0; 500], vec![0.0; 500]).unwrap()
        };
        let chosen = random(&many, 30, 1);
        assert_eq!(chosen.len(), 30);
        assert!(chosen.is_sorted());
        assert_eq!(chosen, random(&many, 30, 1));
        assert_ne!(chosen, random(&many, 30, 2));
    }

    #[test]
    fn cells_have_their_examples_by_confidence() {
        let cells = cells(&predictions());
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0], GalleryCell { truth: 0, predicted: 0, examples: vec![0] });
        assert_eq!(cells[1], GalleryCell { truth: 0, predicted: 1, examples: vec![3, 1, 2] });
    }

    #[test]
    fn planes_come_together_in_pixels() {
        let seen = |levels: &[u8]| image::load_from_memory(&png(&super::image(levels, [1, 2]))).unwrap();
        let colour = seen(&[255, 0, 51, 102, 0, 255]);
        assert_eq!(colour.as_rgb8().unwrap().as_raw(), &[255, 51, 0, 0, 102, 255]);
        assert_eq!(seen(&[255, 51]).as_luma8().unwrap().as_raw(), &[255, 51]);
    }
}
