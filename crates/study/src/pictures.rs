//! The pictures of a study: test accuracy of every trial, and their training curves side by side.

use std::path::Path;

use kiln_artifacts::{MetricRow, replace_file};
use kiln_plot::{Axis, IntervalRow, Intervals, LineChart, PlotError, Series};

use crate::StudyError;
use crate::findings::{Findings, TrialFindings};
use crate::outcome::Outcome;

/// A picture in both forms.
pub(crate) struct Picture {
    /// File name without its ending.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
    pub(crate) png: Vec<u8>,
}

/// Every picture that there is something to draw for: `intervals`, `loss`, `accuracy`, `gradients`.
pub(crate) fn pictures(findings: &Findings) -> Result<Vec<Picture>, PlotError> {
    let intervals = intervals(findings);
    // By its logarithm: one trial that explodes would squash all others otherwise.
    let loss = curves(findings, "Training loss by epoch", Axis::logarithmic("loss"), "loss");
    let accuracy = Axis::values("accuracy (share right)");
    let accuracy = curves(findings, "Training accuracy by epoch", accuracy, "accuracy");
    let gradients = gradients(findings);
    let drawn = [
        ("intervals", intervals.to_svg(), intervals.to_png()),
        ("loss", loss.to_svg(), loss.to_png()),
        ("accuracy", accuracy.to_svg(), accuracy.to_png()),
        ("gradients", gradients.to_svg(), gradients.to_png()),
    ];
    drawn_ones(drawn)
}

/// A picture's name, and what drawing it in both forms came to.
pub(crate) type Drawn = (&'static str, Result<String, PlotError>, Result<Vec<u8>, PlotError>);

/// The pictures, without those that there was nothing to draw for: no trial has come that far.
pub(crate) fn drawn_ones(drawn: impl IntoIterator<Item = Drawn>) -> Result<Vec<Picture>, PlotError> {
    let mut pictures = Vec::new();
    for (name, svg, png) in drawn {
        match (svg, png) {
            (Ok(svg), Ok(png)) => pictures.push(Picture { name, svg, png }),
            (Err(PlotError::Nothing { .. }), _) => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
    Ok(pictures)
}

impl Picture {
    /// Writes both forms into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), StudyError> {
        let path = folder.join(self.name);
        replace_file(&path.with_extension("svg"), self.svg.as_bytes())?;
        Ok(replace_file(&path.with_extension("png"), &self.png)?)
    }
}

/// The ranked trials, the best on top.
fn intervals(findings: &Findings) -> Intervals {
    let row = |trial: &TrialFindings| {
        let spread = trial.figures.get("test_accuracy")?;
        let tie = if trial.is_tied { "=" } else { "" };
        Some(IntervalRow {
            label: format!("{}{tie}  {}", trial.rank?, trial.name),
            mean: spread.mean,
            deviation: spread.deviation,
            seeds: trial
                .seeds
                .iter()
                .filter(|seed| seed.outcome.is_finished())
                .filter_map(|seed| seed.outcome.figure("test_accuracy"))
                .collect(),
        })
    };
    Intervals {
        title: format!("{}: test accuracy", findings.study),
        value_label: "test accuracy".to_owned(),
        decimals: 4,
        rows: findings.trials.iter().filter_map(row).collect(),
    }
}

/// A line for each seed of each trial, in the order of their rank; the seeds of a trial share a colour.
fn curves(findings: &Findings, title: &str, y: Axis, figure: &str) -> LineChart {
    let points = |outcome: &Outcome| {
        let value = |row: &MetricRow| (row.epoch as f64, row.figure(figure).unwrap_or(f64::NAN));
        outcome.epochs.iter().map(value).collect()
    };
    LineChart::new(title, Axis::whole_numbers("epoch"), y, lines(findings, points))
}

/// How the gradient came through the layers when it was first measured.
fn gradients(findings: &Findings) -> LineChart {
    let points = |outcome: &Outcome| {
        let norms = outcome.layer_gradients.iter().enumerate();
        norms.map(|(layer, norm)| ((layer + 1) as f64, *norm)).collect()
    };
    let (x, y) =
        (Axis::whole_numbers("layer, from the input to the output"), Axis::logarithmic("gradient norm"));
    let series = lines(findings, points).into_iter().map(Series::with_dots).collect();
    LineChart::new("Gradient norm by layer at the first measurement", x, y, series)
}

/// Only what has a point: a name in the legend without a line would be looked for in vain.
fn lines(findings: &Findings, points: impl Fn(&Outcome) -> Vec<(f64, f64)>) -> Vec<Series> {
    let mut lines = Vec::new();
    for (index, trial) in findings.trials.iter().enumerate() {
        for seed in &trial.seeds {
            let points = points(&seed.outcome);
            if points.iter().any(|(_, value)| value.is_finite()) {
                lines.push(Series::new(trial.name.as_str(), index, points));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::tests::{findings, trial};

    #[test]
    fn gradients_go_from_the_first_layer_to_the_last() {
        let mut vanishing = trial("vanishing", &[0.1]);
        vanishing.seeds[0].outcome.layer_gradients = vec![1e-9, 1e-4, 0.5];
        let chart = gradients(&findings(vec![vanishing, trial("unmeasured", &[0.9])]));
        assert_eq!(chart.series.len(), 1, "a trial without a line has no name in the legend");
        assert_eq!(chart.series[0].points, [(1.0, 1e-9), (2.0, 1e-4), (3.0, 0.5)]);
    }
}
