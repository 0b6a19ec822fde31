//! What a trace consists of: named numbers, each with the one that was expected.

use schemars::JsonSchema;
use serde::Serialize;

/// What a quantity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "QuantityKind")]
pub enum Kind {
    /// A weighted sum of inputs.
    PreActivation,
    /// What a unit gives out.
    Activation,
    /// The slope of a unit's activation at its weighted sum.
    Derivative,
    /// The error.
    Error,
    /// How the error changes with something.
    Gradient,
    /// A weight or bias after the step.
    Updated,
}

/// A named number of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Quantity {
    /// Its name, such as `H3`, `y3`, `dE/dw13` or `new w13`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its value.
    #[schemars(with = "Option<f64>")]
    pub value: f64,
    /// The figure that the file expects.
    pub expected: Option<f64>,
    /// Why the expected figure is wrong, where that is known.
    pub slip: Option<String>,
}

/// Every quantity of a worked example, in the order in which one computes them by hand.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Trace {
    /// What the example shows.
    pub name: String,
    /// The quantities.
    pub quantities: Vec<Quantity>,
    /// Expected figures whose name is none of the quantities'.
    pub unknown: Vec<String>,
    /// How far a figure may be from the expected one.
    pub tolerance: f64,
}

impl Quantity {
    /// How far the value is from the expected one.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        self.expected.map(|expected| self.value - expected)
    }
}

impl Trace {
    /// True when every expected figure exists and is met within the tolerance.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.unknown.is_empty() && self.quantities.iter().all(|quantity| self.is_met(quantity))
    }

    /// True when the quantity's expected figure is met, is known to be wrong, or is not there.
    #[must_use]
    pub fn is_met(&self, quantity: &Quantity) -> bool {
        let close = quantity.difference().is_none_or(|difference| difference.abs() <= self.tolerance);
        close || quantity.slip.is_some()
    }
}
