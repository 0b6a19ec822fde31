//! What was measured between epochs: the learning rate and, of each layer, gradients and idle units.

use kiln_artifacts::{Best, MetricRow, Scope};
use kiln_diagnosis::layers;
use kiln_plot::{Axis, LineChart, Series};

/// A figure of the layers: its name in the metric log, the chart's title, and the y axis.
type Plot = (&'static str, &'static str, fn(&'static str) -> Axis, &'static str);

const LAYER_PLOTS: [Plot; 4] = [
    ("gradient_norm", "Gradient norm by layer", Axis::logarithmic, "gradient norm"),
    ("update_ratio", "Update over weight by layer", Axis::logarithmic, "norm of the update / of the weights"),
    ("dead_share", "Dead units by layer", Axis::values, "share of units that are always 0"),
    ("saturated_share", "Saturated units by layer", Axis::values, "share of outputs at a flat end"),
];

/// With more layers than this their curves cannot be told apart: then some of them stand for all.
const MOST_LAYERS: usize = 12;

/// Charts over steps, only of what the log has and what changes.
pub(crate) fn step_charts(rows: &[MetricRow], best: Option<&Best>) -> Vec<LineChart> {
    let measured: Vec<&MetricRow> =
        rows.iter().filter(|row| row.scope == Scope::Interval && row.split == "train").collect();
    let rate = Series::new("learning rate", 0, points(&measured, "lr"));
    let rate = LineChart::new("Learning rate", Axis::whole_numbers("step"), Axis::values("lr"), vec![rate]);
    let layers = LAYER_PLOTS.iter().map(|plot| of_layers(plot, &measured));
    let marked = |chart: LineChart| match best {
        Some(Best { step, epoch, .. }) => chart.with_mark(*step as f64, format!("best: epoch {epoch}")),
        None => chart,
    };
    std::iter::once(rate).chain(layers).filter(changes).map(marked).collect()
}

fn of_layers((figure, title, axis, label): &Plot, measured: &[&MetricRow]) -> LineChart {
    let names: Vec<&str> =
        measured.first().map_or(Vec::new(), |row| layers(row).iter().map(|layer| layer.name).collect());
    let series = chosen(&names).enumerate();
    let series =
        series.map(|(index, name)| Series::new(name, index, points(measured, &format!("{name}.{figure}"))));
    let series = series.filter(|series| !series.points.is_empty()).collect();
    LineChart::new(*title, Axis::whole_numbers("step"), axis(label), series)
}

/// The first and the last of `names`, and evenly many between them.
fn chosen<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let count = names.len().min(MOST_LAYERS);
    (0..count).map(move |index| names[index * (names.len() - 1) / (count - 1).max(1)])
}

fn points(measured: &[&MetricRow], figure: &str) -> Vec<(f64, f64)> {
    measured.iter().filter_map(|row| Some((row.step as f64, row.figure(figure)?))).collect()
}

/// Whether some curve has two different values: else a sentence or the table of layers says it all.
fn changes(chart: &LineChart) -> bool {
    chart.series.iter().any(|series| {
        let mut finite = series.points.iter().map(|point| point.1).filter(|value| value.is_finite());
        finite.next().is_some_and(|first| finite.any(|value| value != first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, rate: f64, gradient: f64) -> MetricRow {
        let figures = [
            ("lr", rate),
            ("layers.0.weight_norm", 1.0),
            ("layers.0.gradient_norm", gradient),
            ("layers.0.dead_share", 0.0),
            ("layers.1.weight_norm", 1.0),
            ("layers.1.gradient_norm", 2.0 * gradient),
        ];
        MetricRow::new("train", Scope::Interval, 1, step, figures)
    }

    fn titles(rows: &[MetricRow]) -> Vec<String> {
        step_charts(rows, None).into_iter().map(|chart| chart.title).collect()
    }

    #[test]
    fn only_what_was_logged_and_changes_has_a_chart() {
        assert_eq!(titles(&[row(1, 0.1, 1.0), row(2, 0.1, 2.0)]), ["Gradient norm by layer"]);
        assert_eq!(titles(&[row(1, 0.1, 1.0), row(2, 0.05, 1.0)]), ["Learning rate"]);
        assert!(titles(&[]).is_empty());
        let charts = step_charts(&[row(1, 0.1, 1.0), row(2, 0.1, 2.0)], None);
        let names: Vec<&str> = charts[0].series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["layers.0", "layers.1"]);
        assert!(charts[0].to_svg().is_ok());
    }

    #[test]
    fn of_many_layers_some_stand_for_all() {
        let names: Vec<String> = (0..40).map(|index| index.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let chosen: Vec<&str> = chosen(&names).collect();
        assert_eq!((chosen.len(), chosen[0], chosen[11]), (12, "0", "39"));
        assert_eq!(super::chosen(&["only"]).collect::<Vec<_>>(), ["only"]);
    }
}
