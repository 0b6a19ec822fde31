//! How gradients flowed through the layers, from the health figures of the metric log.

use kiln_artifacts::MetricRow;
use serde::Serialize;

/// The gradients of a run.
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
    pub(crate) fn of(rows: &[MetricRow]) -> Option<Self> {
        let norm = |row: &MetricRow, layer: usize| row.figure(&format!("layers.{layer}.gradient_norm"));
        let measured: Vec<&MetricRow> = rows.iter().filter(|row| norm(row, 1).is_some()).collect();
        let first = measured.first()?;
        let last_layer = (0..first.figures.len()).take_while(|layer| norm(first, *layer).is_some()).last()?;
        let greatest = measured.iter().filter_map(|row| row.figure("gradient_norm"));
        let greatest = greatest.fold(
            0.0,
            |greatest: f64, norm| {
                if norm.is_finite() { greatest.max(norm) } else { f64::INFINITY }
            },
        );
        let first_over_last = norm(first, 0)? / norm(first, last_layer)?;
        Some(Self { first_over_last, greatest_norm: greatest })
    }
}

#[cfg(test)]
mod tests {
    use kiln_artifacts::Scope;

    use super::*;

    #[test]
    fn the_ratio_is_that_of_the_first_measurement_and_the_norm_the_greatest() {
        let row = |first, last, all| {
            let figures =
                [("layers.0.gradient_norm", first), ("layers.1.gradient_norm", last), ("gradient_norm", all)];
            MetricRow::new("train", Scope::Interval, 1, 1, figures)
        };
        let plain = MetricRow::new("train", Scope::Epoch, 1, 1, [("loss", 1.0)]);
        let flow = GradientFlow::of(&[plain.clone(), row(0.001, 2.0, 2.0), row(1.0, 1.0, 9.0)]).unwrap();
        assert_eq!(flow, GradientFlow { first_over_last: 0.0005, greatest_norm: 9.0 });
        assert_eq!(GradientFlow::of(&[plain]), None);
    }
}
