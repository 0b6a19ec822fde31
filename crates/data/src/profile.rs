//! What new examples have to be like for a network that was trained on a data set.

use serde::{Deserialize, Serialize};

use std::sync::Arc;

use kiln_config::{ClassWeights, DecisionName, Evaluation};
use kiln_table::{Fault, Preparation, listed, quoted};

use crate::{DataError, DataSet, Normalizer, Reading, Shape, Split, Ties};

/// All that it takes to bring new examples before a trained network: kept in its run, so that predictions
/// need no training data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name of the source, as the experiment file has it.
    pub source: String,
    /// What the features of an example are.
    pub shape: Shape,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
    /// The greatest value that a pixel can have; none for tables.
    pub greatest_pixel: Option<u8>,
    /// The scaling, as it was fitted on the training data.
    pub normalizer: Normalizer,
    /// How files of images are read.
    #[serde(default)]
    pub reading: Reading,
    /// How much each class counts in the loss; none where all count the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f64>,
    /// How ties between classes were broken when examples were held out.
    #[serde(default)]
    pub ties: Ties,
    /// What is remarkable about the data, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// How many examples each split has; none of an earlier version's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<ExampleCounts>,
}

/// Numbers of examples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleCounts {
    /// Those that are trained on.
    pub train: usize,
    /// Those that are held out to validate on.
    pub validation: usize,
    /// Those that are held out to test on.
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

    /// The same, with the weight that each class of `data` has by `weights`.
    ///
    /// # Errors
    /// Where `weights` name a class that there is not.
    pub fn with_class_weights(self, weights: &ClassWeights, data: &DataSet) -> Result<Self, DataError> {
        let counts = data.train.counts(data.class_count());
        let class_weights = weights.of(&data.classes, &counts).map_err(|unknown| {
            let expected =
                format!("classes of this data: {}", listed(data.classes.iter().map(String::as_str), 12));
            let found = listed(unknown.iter().map(String::as_str), 5);
            DataError::unfit("unknown class", Fault::in_key("loss.class_weights", expected, found))
        })?;
        Ok(Self { class_weights, ..self })
    }

    /// Makes sure that there are two classes, where something else than the most probable one is to be named, and that the
    /// positive one is one of them.
    ///
    /// # Errors
    /// Where not.
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
                Fault::in_key("evaluation.decision", expected, found),
            ));
        }
        match &evaluation.positive {
            Some(name) if !self.classes.contains(name) => {
                let fault = Fault::in_key("evaluation.positive", format!("one of {classes}"), quoted(name));
                Err(DataError::unfit("unknown class", fault))
            }
            _ => Ok(()),
        }
    }

    /// How the columns of a table become features, where examples are its rows.
    #[must_use]
    pub fn preparation(&self) -> Option<&Preparation> {
        match &self.normalizer {
            Normalizer::Table(preparation) => Some(preparation),
            _ => None,
        }
    }

    /// How the rows of a table are kept for the network, where it takes any: of the first version of Kiln, whose networks
    /// scale the numbers themselves, as plain numbers.
    #[must_use]
    pub fn row_preparation(&self) -> Option<Arc<Preparation>> {
        match (&self.normalizer, &self.shape) {
            (Normalizer::Table(preparation), _) => Some(Arc::new(preparation.clone())),
            (_, Shape::Columns(columns)) => Some(Arc::new(Preparation::numbers(columns))),
            (_, Shape::Image { .. }) => None,
        }
    }

    /// The places of measured numbers among the features: none where examples are images.
    #[must_use]
    pub fn numbers(&self) -> Vec<usize> {
        match (&self.normalizer, &self.shape) {
            (Normalizer::Table(preparation), _) => preparation.numbers_among_features(),
            (_, Shape::Columns(columns)) => (0..columns.len()).collect(),
            (_, Shape::Image { .. }) => Vec::new(),
        }
    }

    /// Height and width, where examples are images.
    #[must_use]
    pub fn image_size(&self) -> Option<[usize; 2]> {
        match self.shape {
            Shape::Image { height, width, .. } => Some([height, width]),
            Shape::Columns(_) => None,
        }
    }

    /// Planes of an image: 1 for grey, 3 for red, green and blue; none where examples are no images.
    #[must_use]
    pub fn channels(&self) -> Option<usize> {
        match self.shape {
            Shape::Image { channels, .. } => Some(channels),
            Shape::Columns(_) => None,
        }
    }

    /// Grey levels 0 to 255 as the training images have them.
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
    fn levels_go_from_none_to_the_greatest() {
        let profile = |greatest_pixel| Profile {
            source: "digits".to_owned(),
            shape: Shape::Image { height: 2, width: 2, channels: 1 },
            classes: vec!["0".to_owned(), "1".to_owned()],
            greatest_pixel,
            normalizer: Normalizer::Divide { divisor: 16.0 },
            reading: Reading::default(),
            class_weights: vec![1.0, 2.0],
            ties: Ties::Drawn,
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
    fn a_profile_from_before_there_was_colour_is_one_of_grey_images() {
        let text = r#"{"source":"idx","shape":{"image":{"height":2,"width":3}},"classes":["0","1"],
            "greatest_pixel":255,"normalizer":{"kind":"divide","divisor":255.0}}"#;
        let profile: Profile = serde_json::from_str(text).unwrap();
        assert_eq!((profile.channels(), profile.shape.features()), (Some(1), 6));
        assert_eq!(profile.reading, Reading::default());
    }
}
