//! What weights of 16 bits cost.

use kiln::{Mlp, Split, Trained};
use kiln_model::{Parameter, parameters, with_parameters};

use crate::ExportError;
use crate::rounding::nearest_half;

/// What changes on test examples when weights are rounded to 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Examples that were asked about.
    pub examples: usize,
    /// Share of them that the network has right with all bits.
    pub accuracy: f64,
    /// Share that it has right with 16 bits.
    pub accuracy_of_half: f64,
    /// Examples for which another class is named.
    pub changed: usize,
    /// The greatest difference of a probability.
    pub difference: f64,
}

impl Cost {
    /// What it costs on the examples of `split`, asked of Kiln itself.
    ///
    /// # Errors
    /// Where a weight is greater than 16 bits hold.
    pub fn measure(trained: &Trained<Mlp>, split: &Split) -> Result<Self, ExportError> {
        let model = &trained.model().model;
        let rounded: Vec<Parameter> = parameters(model).into_iter().map(rounded).collect();
        let half = with_parameters(model.clone(), &rounded).map_err(kiln::Error::from)?;
        let (before, after) = (trained.predict(split), trained.predict_as(&half, split));
        let examples = before.len();
        let named = before.predicted().iter().zip(after.predicted());
        let share = |predicted: &[u32]| {
            let right = predicted.iter().zip(before.truth()).filter(|(named, truth)| named == truth);
            right.count() as f64 / examples as f64
        };
        let difference = |(left, right): (&f32, &f32)| f64::from(left - right).abs();
        let differences = (0..examples)
            .flat_map(|at| before.probabilities(at).iter().zip(after.probabilities(at)))
            .map(difference);
        Ok(Self {
            examples,
            accuracy: share(before.predicted()),
            accuracy_of_half: share(after.predicted()),
            changed: named.filter(|(before, after)| before != after).count(),
            difference: differences.fold(0.0, f64::max),
        })
    }
}

/// As [`crate::Network::rounded_to_half`] rounds it, which has refused what 16 bits do not hold.
fn rounded(mut parameter: Parameter) -> Parameter {
    if !parameter.name.ends_with("embedding.frequency") && !parameter.name.ends_with("embedding.phase") {
        for value in &mut parameter.values {
            *value = nearest_half(*value).unwrap_or(f32::INFINITY);
        }
    }
    parameter
}
