//! The layers in a metric log.

use kiln_artifacts::MetricRow;

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
}
