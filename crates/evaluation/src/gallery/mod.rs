//! Which examples of an evaluation are worth looking at.

mod choice;
mod image;

use std::collections::BTreeMap;
use std::path::Path;

use kiln_artifacts::replace_file;
use kiln_data::{Shape, Split};
use serde::{Deserialize, Serialize};

use crate::json_file::read_json;
use crate::{EvaluationError, Predictions};

use self::choice::{cells, least_certain, most_confident_mistakes, random};
pub use self::image::picture_seen;
use self::image::{base64_png, shown_size};

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
}
