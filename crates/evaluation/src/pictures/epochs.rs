//! Loss and accuracy by epoch.

use std::collections::BTreeMap;

use kiln_artifacts::{Best, MetricRow, Scope};
use kiln_plot::{Axis, LineChart, Series};

use super::Sketch;

/// File name, title, figure, and the y axis. A loss falls by factors: on an even axis only its first epochs would be seen.
fn plots() -> [(&'static str, &'static str, &'static str, Axis); 2] {
    [
        ("loss", "Loss by epoch", "loss", Axis::logarithmic("loss")),
        ("accuracy", "Accuracy by epoch", "accuracy", Axis::values("accuracy (share right)")),
    ]
}

/// The curves of `rows`, with the `best` epoch marked.
pub(super) fn sketches(rows: &[MetricRow], best: Option<&Best>) -> Vec<(&'static str, Sketch)> {
    let plot = |(name, title, figure, y): (&'static str, &str, &str, Axis)| {
        let splits = ["train", "validation"].into_iter().enumerate();
        let series: Vec<Series> =
            splits.filter_map(|(index, split)| series(rows, figure, split, index)).collect();
        let chart = LineChart::new(title, Axis::whole_numbers("epoch"), y, series);
        let chart = match best {
            Some(Best { epoch, .. }) => chart.with_mark(*epoch as f64, format!("best: epoch {epoch}")),
            None => chart,
        };
        (!chart.series.is_empty()).then_some((name, Sketch::Lines(chart)))
    };
    plots().into_iter().filter_map(plot).collect()
}

/// A split's figure by epoch, if any epoch has a finite one.
fn series(rows: &[MetricRow], figure: &str, split: &str, index: usize) -> Option<Series> {
    let epochs = rows.iter().filter(|row| row.scope == Scope::Epoch && row.split == split);
    let points: BTreeMap<u64, f64> =
        epochs.filter_map(|row| Some((row.epoch, row.figure(figure)?))).collect();
    let any_finite = points.values().any(|value| value.is_finite());
    let points = points.into_iter().map(|(epoch, value)| (epoch as f64, value)).collect();
    any_finite.then(|| Series::new(split, index, points).with_dots())
}

#[cfg(test)]
mod tests {
    use kiln_config::Monitor;
    use kiln_plot::Mark;

    use super::*;

    fn row(split: &str, epoch: u64, loss: f64) -> MetricRow {
        MetricRow::new(split, Scope::Epoch, epoch, epoch, [("loss", loss)])
    }

    fn charts(rows: &[MetricRow]) -> Vec<(&'static str, LineChart)> {
        let best = Best { monitor: Monitor::ValidationLoss, value: 1.0, epoch: 2, step: 20 };
        let charts = sketches(rows, Some(&best)).into_iter().map(|(name, sketch)| match sketch {
            Sketch::Lines(chart) => (name, chart),
            _ => panic!("curves are lines"),
        });
        charts.collect()
    }

    #[test]
    fn each_split_is_a_series_and_a_later_row_of_an_epoch_counts() {
        let rows = [
            row("train", 1, 2.0),
            row("train", 1, 1.0),
            row("train", 2, f64::NAN),
            row("validation", 1, 3.0),
        ];
        let charts = charts(&rows);
        assert_eq!(charts.len(), 1, "no row has an accuracy");
        let (name, chart) = &charts[0];
        assert_eq!(
            (*name, chart.series[0].name.as_str(), chart.series[1].name.as_str()),
            ("loss", "train", "validation")
        );
        assert_eq!(chart.series[0].points[0], (1.0, 1.0));
        assert!(chart.series[0].points[1].1.is_nan(), "a gap");
        assert_eq!(chart.marks, [Mark { x: 2.0, label: "best: epoch 2".to_owned() }]);
    }

    #[test]
    fn nothing_finite_is_no_picture() {
        assert!(charts(&[row("train", 1, f64::NAN)]).is_empty() && charts(&[]).is_empty());
    }
}
