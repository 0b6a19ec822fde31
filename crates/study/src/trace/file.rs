//! The file of a worked example: a network with given weights, one example, and expected figures.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_config::facts::{number, positive_to};
use kiln_config::{Activation, ConfigError, Document, DropoutMode, read, read_text};
use schemars::JsonSchema;
use serde::Deserialize;

/// A network with given weights and one example.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceFile {
    /// What the example shows.
    pub name: String,
    /// The inputs, units 1 to n.
    pub input: Vec<f64>,
    /// The targets, one per output unit; left out: no error and no gradients, the forward passes alone.
    #[serde(default)]
    pub target: Vec<f64>,
    /// Learning rate of the one step of gradient descent.
    #[serde(default = "one")]
    pub lr: f64,
    /// Activation of the hidden units.
    pub activation: Activation,
    /// Activation of the output units.
    pub output_activation: Activation,
    /// How inputs of a layer are dropped, where a layer has an `input_mask`.
    pub dropout: Option<TraceDropout>,
    /// The layers, first to last.
    pub layer: Vec<TraceLayer>,
    /// Figures to hold the result against, by the names that `kiln trace` prints.
    #[serde(default)]
    pub expect: BTreeMap<String, f64>,
    /// Expected figures that are known to be wrong, each with the reason: shown, not held against the result.
    #[serde(default)]
    pub slip: BTreeMap<String, String>,
    /// How far a figure may be from the expected one.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
}

/// How dropped inputs are made up for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceDropout {
    /// Probability that a unit is kept, above 0, up to 1.
    #[schemars(transform = number(positive_to(1.0)))]
    pub keep_probability: f64,
    /// Scaling at inference (`standard`) or in training (`inverted`).
    pub mode: DropoutMode,
}

/// One layer's weights.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceLayer {
    /// Weights, a row per input and a column per unit.
    pub weight: Vec<Vec<f64>>,
    /// Biases, one per unit; left out: none.
    #[serde(default)]
    pub bias: Vec<f64>,
    /// Which inputs the training pass keeps; left out: all.
    #[serde(default)]
    pub input_mask: Vec<bool>,
}

impl TraceFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Where it cannot be read, has an unknown key or a wrong type, or its shapes do not fit together.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let name = path.display().to_string();
        let file = read::<Self>(&Document::new(&name, &text), &[])?;
        match file.value.misfit() {
            None => Ok(file.value),
            Some((path, message)) => Err(ConfigError::new(vec![file.problem(&path, message)])),
        }
    }

    /// The first value that does not fit with the others, and why.
    fn misfit(&self) -> Option<(String, String)> {
        if self.input.is_empty() || self.layer.is_empty() {
            return Some((
                "input".to_owned(),
                "a network needs inputs and at least one [[layer]]".to_owned(),
            ));
        }
        let mut inputs = self.input.len();
        for (index, layer) in self.layer.iter().enumerate() {
            if let Some((key, message)) = layer.misfit(inputs) {
                return Some((format!("layer[{index}].{key}"), format!("layer {}: {message}", index + 1)));
            }
            inputs = layer.units();
        }
        if !self.target.is_empty() && self.target.len() != inputs {
            let message = format!("target has {} values for {inputs} output units", self.target.len());
            return Some(("target".to_owned(), message));
        }
        let masked = self.layer.iter().position(|layer| !layer.input_mask.is_empty());
        let masked = masked.filter(|_| self.dropout.is_none());
        masked.map(|index| {
            let message = "input_mask needs [dropout] with keep_probability and mode".to_owned();
            (format!("layer[{index}].input_mask"), message)
        })
    }
}

impl TraceLayer {
    pub(super) fn units(&self) -> usize {
        self.weight.first().map_or(0, Vec::len)
    }

    /// The first key that does not fit with the number of the layer's inputs, and why.
    fn misfit(&self, inputs: usize) -> Option<(&'static str, String)> {
        let units = self.units();
        if self.weight.len() != inputs || units == 0 || self.weight.iter().any(|row| row.len() != units) {
            return Some(("weight", format!("weight needs {inputs} rows of equal length, one per input")));
        }
        if !self.bias.is_empty() && self.bias.len() != units {
            return Some(("bias", format!("bias has {} values for {units} units", self.bias.len())));
        }
        (!self.input_mask.is_empty() && self.input_mask.len() != inputs).then(|| {
            let message = format!("input_mask has {} values for {inputs} inputs", self.input_mask.len());
            ("input_mask", message)
        })
    }
}

fn one() -> f64 {
    1.0
}

fn tolerance() -> f64 {
    0.002
}
