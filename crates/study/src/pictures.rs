//! The pictures of a study: test accuracy of every trial, and their training curves side by side.

use kiln_plot::{Axis, IntervalRow, Intervals, LineChart, PlotError, Series};

use crate::findings::{Findings, TrialFindings};

/// A picture in both forms.
pub(crate) struct Picture {
    /// File name without its ending.
    pub(crate) name: &'static str,
    pub(crate) svg: String,
    pub(crate) png: Vec<u8>,
}

/// Every picture that there is something to draw for: `intervals`, `loss`, `accuracy`.
pub(crate) fn pictures(findings: &Findings) -> Result<Vec<Picture>, PlotError> {
    let intervals = intervals(findings);
    let loss = curves(findings, "Training loss by epoch", "loss", "loss");
    let accuracy = curves(findings, "Training accuracy by epoch", "accuracy (share right)", "accuracy");
    let drawn = [
        ("intervals", intervals.to_svg(), intervals.to_png()),
        ("loss", loss.to_svg(), loss.to_png()),
        ("accuracy", accuracy.to_svg(), accuracy.to_png()),
    ];
    let mut pictures = Vec::new();
    for (name, svg, png) in drawn {
        match (svg, png) {
            (Ok(svg), Ok(png)) => pictures.push(Picture { name, svg, png }),
            // A study of which no trial has come that far.
            (Err(PlotError::Nothing { .. }), _) => {}
            (Err(error), _) | (_, Err(error)) => return Err(error),
        }
    }
    Ok(pictures)
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
fn curves(findings: &Findings, title: &str, y_label: &str, figure: &str) -> LineChart {
    let series = findings.trials.iter().enumerate().flat_map(|(index, trial)| {
        trial.seeds.iter().map(move |seed| {
            let points = seed
                .outcome
                .epochs
                .iter()
                .map(|row| (row.epoch as f64, row.figure(figure).unwrap_or(f64::NAN)));
            Series::new(trial.name.as_str(), index, points.collect())
        })
    });
    LineChart::new(title, Axis::whole_numbers("epoch"), Axis::values(y_label), series.collect())
}
