//! A network that is served: one version of a model.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use kiln::{Mlp, Trained};
use kiln_data::{Preparation, Profile, Shape};
use kiln_table::{Remarks, Treatment};

use crate::metrics::{ColumnMetrics, ModelMetrics, count_remarks};

/// A network that is served: one version of a model.
pub(crate) struct Model {
    pub(crate) name: String,
    /// The id of the run.
    pub(crate) version: String,
    pub(crate) trained: Trained<Mlp>,
    /// Whether its training had reached its end when it was opened.
    pub(crate) is_finished: bool,
    pub(crate) takes: Takes,
    pub(crate) metrics: Arc<ModelMetrics>,
    /// What is counted of its columns.
    pub(crate) columns: ColumnMetrics,
    /// Multiply-adds for a row, about.
    pub(crate) weights: usize,
    /// Its page, from when it is first asked for.
    pub(crate) page: OnceLock<String>,
}

/// What a network takes.
pub(crate) enum Takes {
    /// Pictures.
    Pictures(PictureSize),
    /// The rows of a table.
    Rows(Columns),
}

/// The size of a network's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureSize {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// The greatest value of a pixel.
    pub(crate) greatest: u8,
}

/// The columns of a network's tables.
pub(crate) struct Columns {
    pub(crate) preparation: Arc<Preparation>,
    /// Those that become features, in order.
    pub(crate) used: Vec<UsedColumn>,
    places: HashMap<String, usize>,
}

/// A column that becomes features.
pub(crate) struct UsedColumn {
    pub(crate) name: String,
    /// Its place among all columns.
    pub(crate) place: usize,
    pub(crate) is_number: bool,
}

impl Model {
    /// The classes, by number.
    pub(crate) fn classes(&self) -> &[String] {
        &self.trained.profile().classes
    }

    /// Counts rows that were answered, what is remarkable about them, and those beside them that could not be read.
    pub(crate) fn count_rows(&self, answered: usize, refused: usize, remarks: Option<&Remarks>) {
        self.metrics.count_rows(answered, refused);
        if let Some(remarks) = remarks {
            count_remarks(&self.columns, remarks);
        }
    }
}

impl Takes {
    /// What a network of `profile` takes.
    pub(crate) fn of(profile: &Profile) -> Self {
        match (&profile.shape, profile.row_preparation()) {
            (&Shape::Image { height, width, channels }, _) => {
                let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
                Self::Pictures(PictureSize { channels, height, width, greatest })
            }
            (_, Some(preparation)) => Self::Rows(Columns::new(preparation)),
            (Shape::Columns(_), None) => unreachable!("there is a preparation for every table"),
        }
    }

    /// The used columns of the table, each with its place among all; none of pictures.
    pub(crate) fn columns(&self) -> Vec<(usize, String)> {
        match self {
            Self::Pictures(_) => Vec::new(),
            Self::Rows(columns) => {
                columns.used.iter().map(|column| (column.place, column.name.clone())).collect()
            }
        }
    }
}

impl PictureSize {
    /// Values of a picture.
    pub(crate) fn pixels(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Columns {
    fn new(preparation: Arc<Preparation>) -> Self {
        let used: Vec<UsedColumn> = preparation
            .columns
            .iter()
            .enumerate()
            .filter_map(|(place, column)| {
                let is_number = matches!(column.treatment.as_ref()?, Treatment::Number { .. });
                Some(UsedColumn { name: column.name.clone(), place, is_number })
            })
            .collect();
        let places = used.iter().enumerate().map(|(number, column)| (column.name.clone(), number)).collect();
        Self { preparation, used, places }
    }

    /// The number of the used column `name`.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// Whether rows can come as one matrix of numbers.
    pub(crate) fn are_all_numbers(&self) -> bool {
        self.used.iter().all(|column| column.is_number)
    }

    /// The names of the used columns.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.used.iter().map(|column| &*column.name)
    }
}
