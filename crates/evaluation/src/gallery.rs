//! The gallery: examples of an evaluation to look at, chosen by their predictions, with their images or values. Of equal
//! examples, the earlier one is chosen, so that the choice is reproducible.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, RgbImage};
use kiln_artifacts::replace_file;
use kiln_config::random::{Purpose, Stream};
use kiln_data::{RawValues, Shape, Split};
use kiln_plot::{ImageGrid, Tile};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluator::{read_json, remove_if_there};
use crate::{EvaluationError, Predictions};

/// Its file in the folder of the evaluation.
pub const GALLERY_FILE: &str = "gallery.json";

/// The gallery stores at most this many columns; a table may have thousands.
const COLUMNS: usize = 40;

/// The number of examples of each of the three selections.
const ROW: usize = 30;

/// Examples to look at: random ones, the most confident mistakes, the least certain predictions, and some of each cell of
/// the confusion matrix. It is stored with the evaluation, so that a report does not need the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gallery {
    /// Height and width of the images in pixels; null if the examples are not images.
    pub image_size: Option<[usize; 2]>,
    /// The columns of the examples' values, at most 40; empty for images, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Up to 30 random examples, in the split's order.
    pub random: Vec<u32>,
    /// Up to 30 wrong predictions, the most probable first.
    pub most_confident_mistakes: Vec<u32>,
    /// Up to 30 examples with the smallest distance between the two largest probabilities, the smallest first.
    pub least_certain: Vec<u32>,
    /// The cells of the confusion matrix that have examples, with some of them.
    pub cells: Vec<GalleryCell>,
    /// All of these examples, by their position in the split.
    pub examples: BTreeMap<u32, GalleryExample>,
}

/// A cell of the confusion matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GalleryCell {
    /// The true class, by number.
    pub truth: u32,
    /// The predicted class, by number.
    pub predicted: u32,
    /// Positions of some of its examples, the most probable prediction first.
    pub examples: Vec<u32>,
}

/// An example of the gallery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GalleryExample {
    /// The true class, by number.
    pub truth: u32,
    /// The predicted class, by number.
    pub predicted: u32,
    /// The probability of the predicted class, in [0, 1]; null if it is NaN.
    pub probability: Option<f32>,
    /// The image as PNG in base64; null if the example is not an image.
    pub png: Option<String>,
    /// The line of the user's file where it begins; absent if it is not a row of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The values of the gallery's columns, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl Gallery {
    /// Chooses examples by the `predictions` of `split`, whose examples have this `shape`.
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
            // The report shows cells by their images only.
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

    /// Reads the gallery in the folder of an evaluation; `None` if it does not exist.
    pub fn read(folder: &Path) -> Result<Option<Self>, EvaluationError> {
        let path = folder.join(GALLERY_FILE);
        if !path.is_file() {
            return Ok(None);
        }
        read_json(&path, "a gallery of examples").map(Some)
    }

    /// Checks that the gallery in `folder` belongs to the predictions there.
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
            expected: "examples of the predictions in the same folder".to_owned(),
            found: "other examples; run `kiln evaluate` to write both files again".to_owned(),
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

/// The stored columns of the example `at`, with their values.
fn columns(split: &Split, at: usize, shape: &Shape) -> impl Iterator<Item = (String, String)> {
    split.words(at, shape).into_iter().take(COLUMNS)
}

/// The largest number of examples of a cell.
const MOST_OF_A_CELL: usize = 24;
/// The largest number of examples of all cells together; an image of 28x28 pixels takes half a kilobyte of the report.
const MOST_OF_ALL_CELLS: usize = 1200;

/// The number of the random stream. Resamples use the numbers from 0, so the streams differ.
const GALLERY_STREAM: u64 = u64::MAX;

/// `count` random positions, in order.
fn random(predictions: &Predictions, count: usize, seed: u64) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..predictions.len() as u32).collect();
    Stream::new(seed, Purpose::Sampling, &[GALLERY_STREAM]).shuffle(&mut positions);
    positions.truncate(count);
    positions.sort_unstable();
    positions
}

/// The `count` wrong predictions with the largest probabilities.
fn most_confident_mistakes(predictions: &Predictions, count: usize) -> Vec<u32> {
    let is_wrong = |at: &usize| predictions.truth()[*at] != predictions.predicted()[*at];
    first(count, (0..predictions.len()).filter(is_wrong), |at| -confidence(predictions, at))
}

/// The `count` predictions with the smallest distance between the two largest probabilities.
fn least_certain(predictions: &Predictions, count: usize) -> Vec<u32> {
    let is_finite = |at: &usize| predictions.probabilities(*at).iter().all(|value| value.is_finite());
    first(count, (0..predictions.len()).filter(is_finite), |at| margin(predictions.probabilities(at)))
}

/// The cells of the confusion matrix that have examples, by true and then by predicted class. With many cells, each has
/// fewer examples.
fn cells(predictions: &Predictions) -> Vec<GalleryCell> {
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

/// The `count` positions with the smallest keys, in the order of the keys.
fn first(count: usize, positions: impl Iterator<Item = usize>, key: impl Fn(usize) -> f32) -> Vec<u32> {
    let mut keyed: Vec<(f32, u32)> = positions.map(|at| (key(at), at as u32)).collect();
    keyed.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    keyed.truncate(count);
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// The probability of the predicted class; 0 if it is NaN.
fn confidence(predictions: &Predictions, at: usize) -> f32 {
    let probability = predictions.probabilities(at)[predictions.predicted()[at] as usize];
    if probability.is_nan() { 0.0 } else { probability }
}

/// The distance between the two largest probabilities.
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

/// The pixel values, from 0 to 255, of the image at `position` of `split`, plane by plane.
fn levels(split: &Split, position: usize) -> Vec<u8> {
    let greatest = u32::from(split.greatest_pixel().unwrap_or(u8::MAX));
    match split.raw(position) {
        RawValues::Bytes(pixels) => {
            pixels.iter().map(|&pixel| (u32::from(pixel) * 255 / greatest) as u8).collect()
        }
        RawValues::Floats(values) => {
            values.iter().map(|&value| (value.clamp(0.0, 1.0) * 255.0) as u8).collect()
        }
        RawValues::Cells(_) => Vec::new(),
    }
}

/// The image at `position` of `split` as a PNG file, in grey or colour, as the network receives it before scaling.
/// `image_size` is its height and width.
///
/// # Panics
/// If `position` is not in `split`, or its examples have another size.
#[must_use]
pub fn picture_seen(split: &Split, position: usize, image_size: [usize; 2]) -> Vec<u8> {
    png(&image(&levels(split, position), image_size))
}

/// Images in a gallery have at most this height and width in pixels, because a report may contain more than a thousand.
const MOST_SIDE: usize = 96;

/// The image as a PNG file in base64, shrunk if it is large.
fn base64_png(split: &Split, position: usize, image_size: [usize; 2]) -> String {
    let [height, width] = shown_size(image_size);
    let whole = image(&levels(split, position), image_size);
    if [height, width] == image_size {
        return STANDARD.encode(png(&whole));
    }
    STANDARD.encode(png(&whole.thumbnail_exact(width as u32, height as u32)))
}

/// Height and width of an image in the gallery.
fn shown_size([height, width]: [usize; 2]) -> [usize; 2] {
    let longer = height.max(width);
    if longer <= MOST_SIDE {
        return [height, width];
    }
    [height, width].map(|side| (side * MOST_SIDE / longer).max(1))
}

/// An image from one plane (grey) or three planes (red, green, blue).
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

/// `image` as a PNG file with 8 bits per channel.
fn png(image: &DynamicImage) -> Vec<u8> {
    let colours = if image.color().has_color() { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(image.as_bytes(), image.width(), image.height(), colours)
        .expect("writing to memory does not fail, and the buffer has the size of the image");
    file
}

/// Writes `random.png`, `most_confident_mistakes.png` and `least_certain.png` into `folder`, if there are such examples and
/// they are images.
pub(crate) fn write_image_grids(
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
    let grids = [
        ("random.png", "Random examples", &gallery.random),
        ("most_confident_mistakes.png", "Most confident mistakes", &gallery.most_confident_mistakes),
        ("least_certain.png", "Least certain predictions", &gallery.least_certain),
    ];
    grids.into_par_iter().try_for_each(|(name, title, positions)| {
        if positions.is_empty() {
            return remove_if_there(&folder.join(name));
        }
        let examples = positions.iter().filter_map(|at| Some((*at, gallery.examples.get(at)?)));
        let tiles = examples.map(|(at, example)| tile(at, example, image_size, classes)).collect();
        let path = folder.join(name);
        let png = ImageGrid { title: title.to_owned(), image_size, tiles }
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
    let prediction =
        if is_marked { format!("predicted {predicted}{percent}") } else { format!("correct{percent}") };
    Tile {
        pixels: pixels(example).unwrap_or_else(|| vec![[0; 3]; height * width]),
        lines: vec![format!("#{at}: {truth}"), prediction],
        is_marked,
    }
}

/// The colours of an example's image; `None` if the stored PNG is damaged.
fn pixels(example: &GalleryExample) -> Option<Vec<[u8; 3]>> {
    let png = STANDARD.decode(example.png.as_ref()?).ok()?;
    Some(image::load_from_memory(&png).ok()?.into_rgb8().pixels().map(|pixel| pixel.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallery_of_an_earlier_version_without_values_is_read() {
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
    fn mistakes_are_sorted_by_confidence_and_the_least_certain_by_margin() {
        let predictions = predictions();
        assert_eq!(most_confident_mistakes(&predictions, 2), [3, 1]);
        assert_eq!(least_certain(&predictions, 2), [2, 1]);
    }

    #[test]
    fn the_random_choice_depends_on_the_seed_alone() {
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
    fn the_examples_of_a_cell_are_sorted_by_confidence() {
        let cells = cells(&predictions());
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0], GalleryCell { truth: 0, predicted: 0, examples: vec![0] });
        assert_eq!(cells[1], GalleryCell { truth: 0, predicted: 1, examples: vec![3, 1, 2] });
    }

    #[test]
    fn planes_are_combined_into_pixels() {
        let seen = |levels: &[u8]| image::load_from_memory(&png(&super::image(levels, [1, 2]))).unwrap();
        let colour = seen(&[255, 0, 51, 102, 0, 255]);
        assert_eq!(colour.as_rgb8().unwrap().as_raw(), &[255, 51, 0, 0, 102, 255]);
        assert_eq!(seen(&[255, 51]).as_luma8().unwrap().as_raw(), &[255, 51]);
    }
}
