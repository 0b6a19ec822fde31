//! The facts about a data set: its shape and files, a description for the user, and the profile that a run keeps so that
//! new examples can be read, checked and scaled without the training data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_config::{ClassWeights, Data, DecisionName, Evaluation};
use kiln_files::Hasher;
use kiln_table::{Column, Preparation, listed, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::{SourceContext, SourceLocation, reader};
use crate::{
    DataError, DataFolders, DataSet, Downloads, Mismatch, NoProgress, Normalizer, Split, TieBreak, load_with,
};

/// The features of an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ExampleShape")]
pub enum Shape {
    /// An image, row by row. A colour image has three planes, red, green and blue: (channels, height, width), as in
    /// `PyTorch`.
    Image {
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
        /// Planes: 1 for grey, 3 for red, green and blue.
        #[serde(default = "grey")]
        channels: usize,
    },
    /// Columns of a table, by name.
    Columns(Vec<String>),
}

impl Shape {
    /// The number of features.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Image { height, width, channels } => channels * height * width,
            Self::Columns(names) => names.len(),
        }
    }
}

/// The default for profiles that were written before Kiln could read colour.
fn grey() -> usize {
    1
}

/// A file of the data; for `image-folder`, all pictures of one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileRecord {
    /// Name within the data set, without `.gz`.
    pub name: String,
    /// Its path; for embedded data the name again.
    pub path: PathBuf,
    /// Size on disk.
    pub bytes: u64,
    /// SHA-256 of the uncompressed content, in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// The name that the user knows: for a table, the name of the file on disk.
    #[must_use]
    pub fn shown_name(&self) -> String {
        let is_table = Path::new(&self.name).extension().is_some_and(|extension| extension == "csv");
        let own = self.path.file_name().filter(|_| is_table);
        own.map_or_else(|| self.name.clone(), |own| own.to_string_lossy().into_owned())
    }
}

/// How pixel values are stored in the files of a data set. The files do not say it; it is derived from the training
/// images and applies to all later files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageEncoding {
    /// The white level of 16-bit pictures: 65,535, or 4,095 or 255 if the training pictures use only 12 or 8 bits.
    pub picture_white: u16,
    /// The white level in IDX files: 255, or 1 if the training images range from 0 to 1.
    pub idx_white: u8,
    /// Whether IDX images are transposed when they are read.
    pub is_transposed: bool,
}

impl Default for ImageEncoding {
    fn default() -> Self {
        Self { picture_white: u16::MAX, idx_white: u8::MAX, is_transposed: false }
    }
}

/// A data set as it is on this machine, or as it would be downloaded.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "DataDescription")]
pub struct DataDescription {
    /// The source, as `data.source` names it.
    #[serde(rename = "source")]
    pub name: String,
    /// Its authors and licence; null for the user's own data.
    pub origin: Option<String>,
    /// The folder or file of the data, or the folder for the download; null if embedded.
    pub location: Option<PathBuf>,
    /// Its content; null if it is not on this machine.
    pub content: Option<DataContent>,
    /// The size of the download in bytes; zero if the data is on this machine.
    pub download_bytes: u64,
}

/// The content of a data set, before classes are selected and examples are held out.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "DataContent")]
pub struct DataContent {
    /// The features of an example.
    pub shape: Shape,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// Training examples of each class.
    pub train: Vec<usize>,
    /// Test examples of each class; null if the test data is held out of the training data.
    pub test: Option<Vec<usize>>,
    /// Validation examples of each class; null if they are held out of the training data.
    pub validation: Option<Vec<usize>>,
    /// The files.
    pub files: Vec<FileRecord>,
    /// One hash over the names and contents of all files.
    pub sha256: String,
    /// Remarks about the data for the user, a sentence each.
    pub notices: Vec<String>,
    /// The columns of a table, as fitted on the training rows; absent if the data is not a table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
}

/// Describes the data of an experiment with this `seed`, without downloading anything. A published data set that is not
/// on this machine is described without content.
pub fn describe(data: &Data, seed: u64, folders: &DataFolders) -> Result<DataDescription, DataError> {
    let reader = reader(data.source);
    let SourceLocation { path, missing_bytes } = reader.location(data, folders);
    Ok(DataDescription {
        name: data.source.name().to_owned(),
        origin: reader.origin().map(str::to_owned),
        location: path,
        content: if missing_bytes == 0 { Some(content(data, seed, folders)?) } else { None },
        download_bytes: missing_bytes,
    })
}

fn content(data: &Data, seed: u64, folders: &DataFolders) -> Result<DataContent, DataError> {
    // No mirrors: a file that has vanished meanwhile is an error, not a download.
    let offline = Downloads { mirrors: Some(Vec::new()), ..Downloads::default() };
    let context = SourceContext { folders, downloads: &offline, progress: &NoProgress };
    let source = reader(data.source).read(data, &context)?;
    let class_count = source.classes.len();
    let (mut shape, mut notices, mut columns) = (source.shape, source.notices, Vec::new());
    if source.tables.is_some() {
        let set = load_with(data, seed, folders, &offline, &NoProgress)?;
        if let Normalizer::Table(preparation) = &set.normalizer {
            columns.clone_from(&preparation.columns);
        }
        (shape, notices) = (set.shape, set.notices);
    }
    Ok(DataContent {
        train: source.train.counts(class_count),
        test: source.test.map(|test| test.counts(class_count)),
        validation: source.validation.map(|validation| validation.counts(class_count)),
        shape,
        classes: source.classes,
        sha256: content_hash(&source.files),
        files: source.files,
        notices,
        columns,
    })
}

/// One hash over names and contents. It does not depend on the folder of the files, or on whether they are compressed.
pub(crate) fn content_hash(files: &[FileRecord]) -> String {
    let mut hasher = Hasher::default();
    for file in files {
        hasher.update(format!("{} {}\n", file.sha256, file.name).as_bytes());
    }
    hasher.finish()
}

/// All facts that are needed to prepare new examples for a trained network. The run keeps them in `data.json`, so that
/// predictions do not need the training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The source, as `data.source` names it.
    pub source: String,
    /// The features of an example.
    pub shape: Shape,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// The greatest value that a pixel can have; `None` for tables.
    pub greatest_pixel: Option<u8>,
    /// The scaling, fitted on the training data.
    pub normalizer: Normalizer,
    /// How pixel values are stored in the files.
    #[serde(default)]
    pub reading: ImageEncoding,
    /// The weight of each class in the loss; empty if all classes have the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
    /// How ties between classes were broken when examples were held out.
    #[serde(default)]
    pub ties: TieBreak,
    /// Remarks about the data for the user, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// The sizes of the splits; missing in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<ExampleCounts>,
}

/// The sizes of the splits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCounts {
    /// Training examples.
    pub train: usize,
    /// Validation examples.
    pub validation: usize,
    /// Test examples.
    pub test: usize,
}

impl Profile {
    /// The profile of `data`.
    #[must_use]
    pub fn of(data: &DataSet) -> Self {
        Self {
            source: data.name.clone(),
            shape: data.shape.clone(),
            classes: data.classes.clone(),
            greatest_pixel: data.train.greatest_pixel(),
            normalizer: data.normalizer.clone(),
            reading: data.reading,
            class_weights: Vec::new(),
            ties: data.ties,
            notices: data.notices.clone(),
            examples: Some(ExampleCounts {
                train: data.train.len(),
                validation: data.validation.as_ref().map_or(0, Split::len),
                test: data.test.len(),
            }),
        }
    }

    /// Adds the class weights; an error if `weights` name an unknown class.
    pub fn with_class_weights(self, weights: &ClassWeights, data: &DataSet) -> Result<Self, DataError> {
        let counts = data.train.counts(data.class_count());
        let class_weights = weights.of(&data.classes, &counts).map_err(|unknown| {
            let expected =
                format!("classes of this data: {}", listed(data.classes.iter().map(String::as_str), 12));
            let found = listed(unknown.iter().map(String::as_str), 5);
            DataError::unfit("unknown class", Mismatch::in_key("loss.class_weights", expected, found))
        })?;
        Ok(Self { class_weights, ..self })
    }

    /// Checks that a decision by threshold has exactly two classes, and that `evaluation.positive` is one of them.
    pub fn check_decision(&self, evaluation: &Evaluation) -> Result<(), DataError> {
        if evaluation.decision == DecisionName::MostProbable {
            return Ok(());
        }
        let classes = listed(self.classes.iter().map(String::as_str), 12);
        if self.classes.len() != 2 {
            let found = format!("{} classes: {classes}", self.classes.len());
            let expected = "data of two classes, or \"most-probable\"";
            return Err(DataError::unfit(
                "not two classes",
                Mismatch::in_key("evaluation.decision", expected, found),
            ));
        }
        match &evaluation.positive {
            Some(name) if !self.classes.contains(name) => {
                let mismatch =
                    Mismatch::in_key("evaluation.positive", format!("one of {classes}"), quoted(name));
                Err(DataError::unfit("unknown class", mismatch))
            }
            _ => Ok(()),
        }
    }

    /// How the columns of a table become features; `None` if the examples are not rows of a table.
    #[must_use]
    pub fn preparation(&self) -> Option<&Preparation> {
        match &self.normalizer {
            Normalizer::Table(preparation) => Some(preparation),
            _ => None,
        }
    }

    /// How the rows of a table are stored; `None` for images. In runs of the first version of Kiln the rows are plain
    /// numbers, and [`Normalizer::Columns`] scales them.
    #[must_use]
    pub fn row_preparation(&self) -> Option<Arc<Preparation>> {
        match (&self.normalizer, &self.shape) {
            (Normalizer::Table(preparation), _) => Some(Arc::new(preparation.clone())),
            (_, Shape::Columns(columns)) => Some(Arc::new(Preparation::numbers(columns))),
            (_, Shape::Image { .. }) => None,
        }
    }

    /// The indices of the numeric features; empty for images.
    #[must_use]
    pub fn numbers(&self) -> Vec<usize> {
        match (&self.normalizer, &self.shape) {
            (Normalizer::Table(preparation), _) => preparation.numbers_among_features(),
            (_, Shape::Columns(columns)) => (0..columns.len()).collect(),
            (_, Shape::Image { .. }) => Vec::new(),
        }
    }

    /// Height and width of the images; `None` for tables.
    #[must_use]
    pub fn image_size(&self) -> Option<[usize; 2]> {
        match self.shape {
            Shape::Image { height, width, .. } => Some([height, width]),
            Shape::Columns(_) => None,
        }
    }

    /// Planes of an image: 1 for grey, 3 for red, green and blue; `None` for tables.
    #[must_use]
    pub fn channels(&self) -> Option<usize> {
        match self.shape {
            Shape::Image { channels, .. } => Some(channels),
            Shape::Columns(_) => None,
        }
    }

    /// Converts levels from 0 to 255 to the levels of the training images (0 to 16 for `digits`).
    pub(crate) fn to_own_levels(&self, pixels: &mut [u8]) {
        let greatest = u32::from(self.greatest_pixel.unwrap_or(u8::MAX));
        for pixel in pixels {
            *pixel = ((u32::from(*pixel) * greatest + 127) / 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_scaled_to_those_of_the_training_images() {
        let profile = |greatest_pixel| Profile {
            source: "digits".to_owned(),
            shape: Shape::Image { height: 2, width: 2, channels: 1 },
            classes: vec!["0".to_owned(), "1".to_owned()],
            greatest_pixel,
            normalizer: Normalizer::Divide { divisor: 16.0 },
            reading: ImageEncoding::default(),
            class_weights: vec![1.0, 2.0],
            ties: TieBreak::Drawn,
            notices: Vec::new(),
            examples: None,
        };
        let mut pixels = [0, 8, 128, 255];
        profile(Some(16)).to_own_levels(&mut pixels);
        assert_eq!(pixels, [0, 1, 8, 16]);
        let mut pixels = [0, 8, 128, 255];
        profile(Some(255)).to_own_levels(&mut pixels);
        assert_eq!(pixels, [0, 8, 128, 255]);
        let text = serde_json::to_string(&profile(Some(16))).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile(Some(16)));
    }

    #[test]
    fn a_profile_from_before_there_was_colour_means_grey_images() {
        let text = r#"{"source":"idx","shape":{"image":{"height":2,"width":3}},"classes":["0","1"],
            "greatest_pixel":255,"normalizer":{"kind":"divide","divisor":255.0}}"#;
        let profile: Profile = serde_json::from_str(text).unwrap();
        assert_eq!((profile.channels(), profile.shape.features()), (Some(1), 6));
        assert_eq!(profile.reading, ImageEncoding::default());
    }
}
