//! The file of a worked example: a network with given weights, one example, and expected figures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_config::{Activation, DropoutMode};
use serde::Deserialize;

/// A network with given weights and one example.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceDropout {
    /// Probability that a unit is kept, above 0, up to 1.
    pub keep_probability: f64,
    /// Scaling at inference (`standard`) or in training (`inverted`).
    pub mode: DropoutMode,
}

/// One layer's weights.
#[derive(Clone, Debug, Deserialize)]
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

/// A worked example that cannot be read or makes no network.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The parts do not fit together.
    #[error("{}: {message}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
}

impl TraceFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Where it cannot be read, has an unknown key or a wrong type, or its shapes do not fit together.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| TraceError::Unreadable { path: path.to_owned(), cause })?;
        let file: Self = toml::from_str(&text).map_err(|error| TraceError::Malformed {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| text[..span.start].lines().count().max(1)),
            message: error.message().to_owned(),
        })?;
        file.check().map_err(|message| TraceError::Misfit { path: path.to_owned(), message })?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        if self.input.is_empty() || self.layer.is_empty() {
            return Err("a network needs inputs and at least one [[layer]]".to_owned());
        }
        let mut inputs = self.input.len();
        for (index, layer) in self.layer.iter().enumerate() {
            inputs = layer.check(inputs).map_err(|message| format!("layer {}: {message}", index + 1))?;
        }
        if !self.target.is_empty() && self.target.len() != inputs {
            return Err(format!("target has {} values for {inputs} output units", self.target.len()));
        }
        let masked = self.layer.iter().any(|layer| !layer.input_mask.is_empty());
        match self.dropout {
            None if masked => Err("input_mask needs [dropout] with keep_probability and mode".to_owned()),
            Some(dropout) if !(dropout.keep_probability > 0.0 && dropout.keep_probability <= 1.0) => {
                Err(format!("dropout.keep_probability = {}: above 0, up to 1", dropout.keep_probability))
            }
            _ => self.check_finite(),
        }
    }

    fn check_finite(&self) -> Result<(), String> {
        let weights = self.layer.iter().flat_map(|layer| layer.weight.iter().flatten().chain(&layer.bias));
        let finite =
            weights.chain(&self.input).chain(&self.target).chain([&self.lr]).all(|value| value.is_finite());
        if finite { Ok(()) } else { Err("weights, inputs, targets and lr must be finite numbers".to_owned()) }
    }
}

impl TraceLayer {
    /// Checks the layer against the number of its inputs; gives the number of its units.
    fn check(&self, inputs: usize) -> Result<usize, String> {
        let units = self.weight.first().map_or(0, Vec::len);
        if self.weight.len() != inputs || units == 0 || self.weight.iter().any(|row| row.len() != units) {
            return Err(format!("weight needs {inputs} rows of equal length, one per input"));
        }
        if !self.bias.is_empty() && self.bias.len() != units {
            return Err(format!("bias has {} values for {units} units", self.bias.len()));
        }
        if !self.input_mask.is_empty() && self.input_mask.len() != inputs {
            return Err(format!("input_mask has {} values for {inputs} inputs", self.input_mask.len()));
        }
        Ok(units)
    }
}

fn one() -> f64 {
    1.0
}

fn tolerance() -> f64 {
    0.002
}
