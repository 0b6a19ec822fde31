//! The plots of a run and of its evaluation, as SVG and PNG.

mod epochs;
mod layers;
mod scores;

use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::{Best, MetricRow, replace_file};
use kiln_plot::{PlotError, Reliability};
use rayon::prelude::*;

use crate::evaluation_files::remove_if_there;
use crate::{Evaluation, EvaluationError};

pub(crate) use layers::step_charts;

/// A plot in both forms.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// File name without its ending.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
    pub(crate) png: Vec<u8>,
}

/// A plot that is not drawn yet.
enum Sketch {
    Lines(kiln_plot::LineChart),
    Matrix(kiln_plot::Matrix),
    Reliability(Reliability),
}

/// Loss and accuracy by epoch, with the best one marked.
pub(crate) fn epoch_pictures(
    rows: &[MetricRow],
    best: Option<&Best>,
    place: &Path,
) -> Result<Vec<Picture>, EvaluationError> {
    draw(epochs::sketches(rows, best), place)
}

/// Confusion matrix, ROC, precision-recall and reliability, as far as they are defined.
pub(crate) fn evaluation_pictures(
    evaluation: &Evaluation,
    place: &Path,
) -> Result<Vec<Picture>, EvaluationError> {
    draw(scores::sketches(evaluation), place)
}

/// Removes those of the pictures of an evaluation from `folder` that `pictures` has not.
pub(crate) fn remove_others(pictures: &[Picture], folder: &Path) -> Result<(), EvaluationError> {
    for name in scores::NAMES.into_iter().filter(|name| pictures.iter().all(|picture| picture.name != *name))
    {
        for ending in ["svg", "png"] {
            remove_if_there(&folder.join(name).with_extension(ending))?;
        }
    }
    Ok(())
}

/// Writes `pictures` into `folder` and returns the files.
pub(crate) fn write(pictures: &[Picture], folder: &Path) -> Result<Vec<PathBuf>, EvaluationError> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    fs::create_dir_all(folder).map_err(|cause| EvaluationError::Io {
        action: "create",
        path: folder.to_owned(),
        cause,
    })?;
    let mut written = Vec::new();
    for picture in pictures {
        for (ending, bytes) in [("svg", picture.svg.as_bytes()), ("png", &picture.png)] {
            let path = folder.join(picture.name).with_extension(ending);
            replace_file(&path, bytes)?;
            written.push(path);
        }
    }
    Ok(written)
}

fn draw(sketches: Vec<(&'static str, Sketch)>, place: &Path) -> Result<Vec<Picture>, EvaluationError> {
    let draw = |(name, sketch): (&'static str, Sketch)| {
        sketch
            .draw(name)
            .map_err(|problem| EvaluationError::Plot { path: place.join(name), problem: problem.to_string() })
    };
    sketches.into_par_iter().map(draw).collect()
}

impl Sketch {
    fn draw(&self, name: &'static str) -> Result<Picture, PlotError> {
        let (svg, png) = match self {
            Self::Lines(chart) => (chart.to_svg()?, chart.to_png()?),
            Self::Matrix(matrix) => (matrix.to_svg()?, matrix.to_png()?),
            Self::Reliability(diagram) => (diagram.to_svg()?, diagram.to_png()?),
        };
        Ok(Picture { name, svg, png })
    }
}
