//! What an axis says and what it spans.

/// An axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What the axis says, with the unit: `epoch`, `loss (nats)`.
    pub label: String,
    /// What the axis spans.
    pub range: AxisRange,
}

/// What an axis spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AxisRange {
    /// All values, with a little room at both ends; only whole numbers are named: epochs, steps.
    WholeNumbers,
    /// All values, with a little room at both ends.
    Values,
    /// All values above 0, each factor of ten as long as the next; others are left out, as those that are not finite.
    Logarithmic,
    /// This much and no more. A point outside is left out, as one that is not finite.
    Fixed {
        /// Where the axis begins.
        start: f64,
        /// Where it ends, above `start`.
        end: f64,
    },
}

impl Axis {
    /// An axis that names whole numbers alone.
    #[must_use]
    pub fn whole_numbers(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: AxisRange::WholeNumbers }
    }

    /// An axis over all values.
    #[must_use]
    pub fn values(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: AxisRange::Values }
    }

    /// An axis over all values above 0, by their logarithm.
    #[must_use]
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: AxisRange::Logarithmic }
    }

    /// An axis from `start` to `end`.
    #[must_use]
    pub fn fixed(label: impl Into<String>, start: f64, end: f64) -> Self {
        Self { label: label.into(), range: AxisRange::Fixed { start, end } }
    }

    /// An axis from 0 to 1.
    #[must_use]
    pub fn unit(label: impl Into<String>) -> Self {
        Self::fixed(label, 0.0, 1.0)
    }
}
