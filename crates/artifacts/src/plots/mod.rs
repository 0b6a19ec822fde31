//! The curves of a run, as SVG.
//!
//! The pictures have no background, and only colours that stand out on white and on black alike: they are
//! set into pages that may be either. Text is left to the viewer's own sans-serif font.

mod axis;
mod chart;

use std::{collections::BTreeMap, fs, path::PathBuf};

use self::chart::{Chart, Curve};
use crate::{ArtifactError, MetricRow, Run, Scope, replace_file};

/// File name, figure, and what the y axis says.
const PLOTS: [(&str, &str, &str); 2] =
    [("loss.svg", "loss", "loss"), ("accuracy.svg", "accuracy", "accuracy (fraction right)")];

/// Blue and orange, which the colour-blind tell apart too; each has a contrast of at least 3 with white and
/// with black.
const CURVES: [(&str, (u8, u8, u8)); 2] = [("train", (47, 128, 237)), ("validation", (217, 108, 0))];

/// Writes `plots/loss.svg` and `plots/accuracy.svg` by epoch, from the epoch rows of `metrics.jsonl`, and
/// returns the files. A figure that no row has gets no plot; a value that is not finite is a gap.
///
/// # Errors
///
/// When the log cannot be read or a picture cannot be written; an older picture then stays.
pub fn write_epoch_plots(run: &Run) -> Result<Vec<PathBuf>, ArtifactError> {
    let rows = run.metric_rows()?;
    let mut written = Vec::new();
    for (file_name, figure, y_label) in PLOTS {
        let curves: Vec<Curve> =
            CURVES.into_iter().filter_map(|(split, color)| curve(&rows, figure, split, color)).collect();
        if curves.is_empty() {
            continue;
        }
        let path = run.plots().join(file_name);
        let title = format!("{} by epoch", if figure == "loss" { "Loss" } else { "Accuracy" });
        let svg = Chart { title: &title, x_label: "epoch", y_label, curves: &curves }
            .to_svg()
            .map_err(|problem| ArtifactError::Plot { path: path.clone(), problem: problem.to_string() })?;
        fs::create_dir_all(run.plots()).map_err(|cause| ArtifactError::io("create", &run.plots(), cause))?;
        replace_file(&path, svg.as_bytes())?;
        written.push(path);
    }
    Ok(written)
}

/// A split's figure by epoch, if any epoch has a finite one.
fn curve(rows: &[MetricRow], figure: &str, split: &str, color: (u8, u8, u8)) -> Option<Curve> {
    let epochs = rows.iter().filter(|row| row.scope == Scope::Epoch && row.split == split);
    let points: BTreeMap<u64, f64> =
        epochs.filter_map(|row| Some((row.epoch, row.figure(figure)?))).collect();
    let any_finite = points.values().any(|value| value.is_finite());
    any_finite.then(|| Curve { name: split.to_owned(), color, points: points.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestRun, log_epochs};

    fn loss_svg(train: &[(f64, f64)], validation: &[(f64, f64)]) -> String {
        let run = TestRun::new();
        log_epochs(&run, "train", train);
        log_epochs(&run, "validation", validation);
        write_epoch_plots(&run).unwrap();
        fs::read_to_string(run.plots().join("loss.svg")).unwrap()
    }

    /// The texts of a picture, in order.
    fn texts(svg: &str) -> Vec<&str> {
        svg.split("</text>").filter_map(|part| part.rsplit_once('>')).map(|(_, text)| text.trim()).collect()
    }

    #[test]
    fn has_labelled_axes_a_legend_and_whole_epochs() {
        let svg = loss_svg(&[(1.0, 0.1), (0.5, 0.5), (0.25, 0.7)], &[(1.1, 0.1), (0.6, 0.5), (0.5, 0.6)]);
        let texts = texts(&svg);
        for text in ["Loss by epoch", "train", "validation", "epoch", "loss", "1", "2", "3", "0.8"] {
            assert!(texts.contains(&text), "{text} in {texts:?}");
        }
        assert!(!texts.contains(&"1.5"), "{texts:?}");
    }

    #[test]
    fn one_epoch_is_a_point() {
        let svg = loss_svg(&[(1.0, 0.1)], &[]);
        assert!(texts(&svg).contains(&"1") && !texts(&svg).contains(&"validation"));
        assert_eq!(svg.matches("<circle").count(), 2, "the point, and the legend's");
    }

    #[test]
    fn what_is_not_finite_is_a_gap() {
        let svg = loss_svg(&[(1.0, 0.1), (0.9, 0.1), (f64::NAN, 0.1), (0.8, 0.1), (0.7, 0.1)], &[]);
        let lines = svg.split("<polyline").filter(|line| line.contains("stroke=\"#2F80ED\"")).count();
        assert_eq!(lines, 2 + 1, "before the gap, after it, and the legend's");
    }

    #[test]
    fn nothing_to_show_is_no_picture() {
        let run = TestRun::new();
        assert_eq!(write_epoch_plots(&run).unwrap(), Vec::<PathBuf>::new());
        log_epochs(&run, "train", &[(f64::NAN, 0.1)]);
        assert_eq!(write_epoch_plots(&run).unwrap(), [run.plots().join("accuracy.svg")]);
    }
}
