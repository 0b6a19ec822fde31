//! The layers in a metric log.

use kiln_artifacts::MetricRow;
use serde::Serialize;

/// A layer, as one row of the log measured it.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Its name, such as `layers.0`.
    pub name: &'a str,
    /// The list that it is of and its place there, where its name says so.
    place: Option<(&'a str, usize)>,
    row: &'a MetricRow,
}

impl Layer<'_> {
    /// One of its figures, such as `gradient_norm`.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figure_in(self.row, name)
    }

    /// The same as another row measured it.
    pub(crate) fn figure_in(&self, row: &MetricRow, name: &str) -> Option<f64> {
        row.figure(&format!("{}.{name}", self.name))
    }
}

/// The layers in `row`: those with numbers in their order, others by name.
#[must_use]
pub fn layers(row: &MetricRow) -> Vec<Layer<'_>> {
    let names = row.figures.keys().filter_map(|name| name.strip_suffix(".weight_norm"));
    let mut layers: Vec<Layer<'_>> = names.map(|name| Layer { name, place: place(name), row }).collect();
    layers.sort_by_key(|layer| layer.place.unwrap_or((layer.name, 0)));
    layers
}

/// `layers.3` as `layers` and 3.
fn place(name: &str) -> Option<(&str, usize)> {
    let (list, number) = name.rsplit_once('.')?;
    Some((list, number.parse().ok()?))
}

/// The first and the last of `layers`, where their names say their order: all are of one list.
pub(crate) fn ends<'l, 'a>(layers: &'l [Layer<'a>]) -> Option<[&'l Layer<'a>; 2]> {
    let list = |layer: &Layer<'a>| layer.place.map(|(list, _)| list);
    let [start, .., end] = layers else { return None };
    let common = list(start)?;
    layers.iter().all(|layer| list(layer) == Some(common)).then_some([start, end])
}

/// How gradients flowed through the layers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GradientFlow {
    /// Norm of the first layer's gradient over that of the last layer's, when first measured. Backpropagation
    /// goes from the last to the first: far below 1, gradients vanish on the way.
    pub first_over_last: f64,
    /// The greatest norm of all gradients together at any measurement; infinite where one was not finite.
    pub greatest_norm: f64,
}

impl GradientFlow {
    /// What the log says; none where it has no such figures, or there is but one layer.
    #[must_use]
    pub fn of(rows: &[MetricRow]) -> Option<Self> {
        let measured = || rows.iter().map(|row| (row, layers(row))).filter(|(_, layers)| layers.len() > 1);
        let (_, layers) = measured().next()?;
        let [first, last] = ends(&layers)?.map(|layer| layer.figure("gradient_norm"));
        let norms = measured().filter_map(|(row, _)| row.figure("gradient_norm"));
        let finite_or_infinite = |norm: f64| if norm.is_finite() { norm } else { f64::INFINITY };
        Some(Self {
            first_over_last: first? / last?,
            greatest_norm: norms.map(finite_or_infinite).fold(0.0, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::Scope;

    use super::*;

    #[test]
    fn layers_with_numbers_are_in_their_order() {
        let figures = ["layers.10", "layers.9", "head"].map(|name| format!("{name}.weight_norm"));
        let figures = figures.iter().map(|name| (name.as_str(), 1.0));
        let row = MetricRow::new("train", Scope::Interval, 1, 1, figures);
        let layers = layers(&row);
        assert_eq!(
            layers.iter().map(|layer| layer.name).collect::<Vec<_>>(),
            ["head", "layers.9", "layers.10"]
        );
        assert!(ends(&layers).is_none());
        assert_eq!(ends(&layers[1..]).unwrap().map(|layer| layer.name), ["layers.9", "layers.10"]);
    }

    #[test]
    fn the_ratio_is_that_of_the_first_measurement_and_the_norm_the_greatest() {
        let row = |first, last, all| {
            let figures = [
                ("layers.0.gradient_norm", first),
                ("layers.0.weight_norm", 1.0),
                ("layers.1.gradient_norm", last),
                ("layers.1.weight_norm", 1.0),
                ("gradient_norm", all),
            ];
            MetricRow::new("train", Scope::Interval, 1, 1, figures)
        };
        let plain = MetricRow::new("train", Scope::Epoch, 1, 1, [("loss", 1.0)]);
        let flow = GradientFlow::of(&[plain.clone(), row(0.001, 2.0, 2.0), row(1.0, 1.0, 9.0)]).unwrap();
        assert_eq!(flow, GradientFlow { first_over_last: 0.0005, greatest_norm: 9.0 });
        assert_eq!(GradientFlow::of(&[plain]), None);
    }
}
