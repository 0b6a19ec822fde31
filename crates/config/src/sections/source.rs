//! The kinds of data sources, and what is known of each before any of it is read. How they are read is the business of
//! the crate `data`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// Where examples come from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, EnumIter, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum DataSource {
    /// The UCI optical digits (1,797 images of 8x8), embedded in the program.
    Digits,
    /// MNIST, downloaded once or read from a folder.
    Mnist,
    /// Fashion-MNIST, downloaded once or read from a folder.
    FashionMnist,
    /// Kuzushiji-MNIST, downloaded once or read from a folder.
    Kmnist,
    /// IDX files in a folder, under the names of MNIST, EMNIST, QMNIST or Kaggle.
    Idx,
    /// A table with a column that holds the class: CSV in any of its forms, TSV, ARFF, plain or compressed.
    Csv,
    /// Pictures: a folder for each class, or one folder with a csv file of their classes.
    ImageFolder,
    /// Generated: two half circles in the plane that reach into each other.
    Moons,
    /// Generated: two spirals in the plane, wound around each other one and a half times.
    Spirals,
    /// Generated: two overlapping classes that two features tell apart, and features that are noise.
    NoisyFeatures,
}

/// What is known of a source before any of it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// The keys of `[data]` that mean something to it and not to every source.
    pub keys: &'static [&'static str],
    /// What `data.path` has to name, for a source that cannot do without it.
    pub path: Option<&'static str>,
    /// How many classes it has.
    pub classes: Option<usize>,
    /// How many features an example has.
    pub features: Option<usize>,
}

const PUBLISHED: SourceFacts =
    SourceFacts { keys: &["path"], path: None, classes: Some(10), features: Some(28 * 28) };
const PLANE: SourceFacts = SourceFacts {
    keys: &["examples", "noise", "test", "test_folds"],
    path: None,
    classes: Some(2),
    features: Some(2),
};

impl DataSource {
    /// The name, as files have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What is known of it before any of it is read.
    #[must_use]
    pub fn facts(self) -> SourceFacts {
        let nothing = SourceFacts::default();
        match self {
            Self::Digits => {
                SourceFacts { keys: &["test_folds"], classes: Some(10), features: Some(8 * 8), ..nothing }
            }
            Self::Mnist | Self::FashionMnist | Self::Kmnist => PUBLISHED,
            Self::Idx => {
                let keys = &["path", "transpose", "test", "test_folds"];
                SourceFacts { keys, path: Some("the folder of the IDX files"), ..nothing }
            }
            Self::Csv => SourceFacts {
                keys: &[
                    "path",
                    "test_path",
                    "validation_path",
                    "label_column",
                    "join_labels",
                    "group_column",
                    "columns",
                    "missing",
                    "header",
                    "names",
                    "separator",
                    "encoding",
                    "test",
                    "test_folds",
                ],
                path: Some("the path of a table"),
                ..nothing
            },
            Self::ImageFolder => SourceFacts {
                keys: &[
                    "path",
                    "test_path",
                    "label_column",
                    "image_size",
                    "channels",
                    "unreadable",
                    "test",
                    "test_folds",
                ],
                path: Some("the folder that has a folder of pictures per class"),
                ..nothing
            },
            Self::Moons | Self::Spirals => PLANE,
            Self::NoisyFeatures => SourceFacts {
                keys: &["examples", "noise", "features", "test", "test_folds"],
                features: None,
                ..PLANE
            },
        }
    }
}
