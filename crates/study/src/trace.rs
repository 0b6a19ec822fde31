//! Worked examples: one example goes forward and backward through a small network, and every quantity has a name.
//!
//! The file gives the weights, the example, and figures to compare with. Burn's autodiff computes the gradients.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData, activation};
use kiln_config::facts::{number, positive_to};
use kiln_config::{Activation, ConfigError, Document, DropoutMode, read, read_text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network with given weights and one example.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceFile {
    /// What the example shows.
    pub name: String,
    /// The inputs, units 1 to n.
    pub input: Vec<f64>,
    /// The targets, one per output unit. Default: none; then only the forward passes are computed.
    #[serde(default)]
    pub target: Vec<f64>,
    /// Learning rate of the single step of gradient descent.
    #[serde(default = "default_lr")]
    pub lr: f64,
    /// Activation of the hidden units.
    pub activation: Activation,
    /// Activation of the output units.
    pub output_activation: Activation,
    /// How a layer with an `input_mask` drops inputs.
    pub dropout: Option<TraceDropout>,
    /// The layers, first to last.
    pub layer: Vec<TraceLayer>,
    /// Expected figures, by the names that `kiln trace` prints.
    #[serde(default)]
    pub expect: BTreeMap<String, f64>,
    /// Expected figures that are known to be wrong, each with the reason: they are shown, but cannot fail.
    #[serde(default)]
    pub slip: BTreeMap<String, String>,
    /// The greatest difference from an expected figure.
    #[serde(default = "default_tolerance")]
    pub tolerance: f64,
}

/// How dropped inputs are compensated for.
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
    /// Biases, one per unit. Default: no biases.
    #[serde(default)]
    pub bias: Vec<f64>,
    /// Which inputs the training pass keeps. Default: all.
    #[serde(default)]
    pub input_mask: Vec<bool>,
}

impl TraceFile {
    /// Reads and checks a file: keys, types, and whether the shapes fit together.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let name = path.display().to_string();
        let file = read::<Self>(&Document::new(&name, &text), &[])?;
        match file.value.misfit() {
            None => Ok(file.value),
            Some((path, message)) => Err(ConfigError::new(vec![file.problem(&path, message)])),
        }
    }

    /// The key of the first value that does not fit the others, and why.
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
    fn units(&self) -> usize {
        self.weight.first().map_or(0, Vec::len)
    }

    /// The first key that does not fit the number of the layer's inputs, and why.
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

fn default_lr() -> f64 {
    1.0
}

fn default_tolerance() -> f64 {
    0.002
}

/// The kind of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuantityKind {
    /// A weighted sum of inputs.
    PreActivation,
    /// The output of a unit.
    Activation,
    /// The derivative of a unit's activation at its weighted sum.
    Derivative,
    /// The error.
    Error,
    /// A derivative of the error.
    Gradient,
    /// A weight or bias after the step.
    Updated,
}

/// A named number of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Quantity {
    /// Its name, such as `H3`, `y3`, `dE/dw13` or `new w13`.
    pub name: String,
    /// Its kind.
    pub kind: QuantityKind,
    /// Its value.
    #[schemars(with = "Option<f64>")]
    pub value: f64,
    /// The figure that the file expects.
    pub expected: Option<f64>,
    /// Why the expected figure is wrong, if that is known.
    pub slip: Option<String>,
}

/// Every quantity of a worked example, in the order of a computation by hand.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Trace {
    /// What the example shows.
    pub name: String,
    /// The quantities.
    pub quantities: Vec<Quantity>,
    /// Names of expected figures that do not exist.
    pub unknown: Vec<String>,
    /// The greatest difference from an expected figure.
    pub tolerance: f64,
}

impl Quantity {
    /// The value minus the expected figure.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        self.expected.map(|expected| self.value - expected)
    }
}

impl Trace {
    /// Whether every expected figure exists and is met within the tolerance.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.unknown.is_empty() && self.quantities.iter().all(|quantity| self.is_met(quantity))
    }

    /// Whether the quantity's expected figure is met, is known to be wrong, or does not exist.
    #[must_use]
    pub fn is_met(&self, quantity: &Quantity) -> bool {
        let close = quantity.difference().is_none_or(|difference| difference.abs() <= self.tolerance);
        close || quantity.slip.is_some()
    }
}

/// Computes every quantity of `file`.
#[must_use]
pub fn trace(file: &TraceFile) -> Trace {
    let mut notes = QuantityList::default();
    let numbers = UnitNumbers::of(file);
    let is_masked = file.layer.iter().any(|layer| !layer.input_mask.is_empty());
    let training = Forward::new(file, true);
    let suffix = if is_masked { " training" } else { "" };
    training.note(file, &numbers, suffix, &mut notes);
    if is_masked {
        Forward::new(file, false).note(file, &numbers, " inference", &mut notes);
    }
    if !file.target.is_empty() {
        backward(file, &numbers, &training, &mut notes);
    }
    let QuantityList(mut quantities) = notes;
    for quantity in &mut quantities {
        quantity.expected = file.expect.get(&quantity.name).copied();
        quantity.slip = file.slip.get(&quantity.name).cloned();
    }
    let known = |name: &&String| quantities.iter().any(|quantity| &quantity.name == *name);
    let unknown = file.expect.keys().chain(file.slip.keys()).filter(|name| !known(name)).cloned().collect();
    Trace { name: file.name.clone(), quantities, unknown, tolerance: file.tolerance }
}

/// Quantities in the order of their computation.
#[derive(Default)]
struct QuantityList(Vec<Quantity>);

impl QuantityList {
    fn add(&mut self, name: String, kind: QuantityKind, value: f64) {
        self.0.push(Quantity { name, kind, value, expected: None, slip: None });
    }
}

/// The numbers of all units, from 1: inputs first, then layer by layer.
struct UnitNumbers(Vec<Vec<usize>>);

impl UnitNumbers {
    fn of(file: &TraceFile) -> Self {
        let widths = [file.input.len()].into_iter().chain(file.layer.iter().map(TraceLayer::units));
        let mut next = 1;
        let count = |width: usize| {
            let numbers = (next..next + width).collect();
            next += width;
            numbers
        };
        Self(widths.map(count).collect())
    }

    /// `w13` leads from unit 1 to unit 3; with two-digit numbers `w1_13`.
    fn weight(&self, layer: usize, input: usize, unit: usize) -> String {
        let (from, to) = (self.0[layer][input], self.0[layer + 1][unit]);
        if from > 9 || to > 9 { format!("w{from}_{to}") } else { format!("w{from}{to}") }
    }

    fn bias(&self, layer: usize, unit: usize) -> String {
        format!("b{}", self.0[layer + 1][unit])
    }

    /// `H3` for a hidden unit, `O5` for an output unit.
    fn sum(&self, layer: usize, unit: usize) -> String {
        let letter = if layer + 2 == self.0.len() { "O" } else { "H" };
        format!("{letter}{}", self.0[layer + 1][unit])
    }

    fn activation(&self, layer: usize, unit: usize) -> String {
        format!("y{}", self.0[layer + 1][unit])
    }
}

/// One pass through the network; every tensor has one row.
struct Forward {
    weights: Vec<Tensor<2>>,
    biases: Vec<Option<Tensor<2>>>,
    /// Zeros that are added to the weighted sums: their gradients are those of the sums, which autodiff does not keep.
    probes: Vec<Tensor<2>>,
    sums: Vec<Tensor<2>>,
    activations: Vec<Tensor<2>>,
}

impl Forward {
    fn new(file: &TraceFile, is_training: bool) -> Self {
        let mut forward =
            Self { weights: vec![], biases: vec![], probes: vec![], sums: vec![], activations: vec![] };
        let mut input = row(&file.input);
        for (index, layer) in file.layer.iter().enumerate() {
            let weight = matrix(&layer.weight).require_grad();
            let bias = (!layer.bias.is_empty()).then(|| row(&layer.bias).require_grad());
            let probe = row(&vec![0.0; layer.units()]).require_grad();
            let mut sum = drop_inputs(file, layer, input, is_training).matmul(weight.clone()) + probe.clone();
            if let Some(bias) = &bias {
                sum = sum + bias.clone();
            }
            input = activate(layer_activation(file, index), sum.clone());
            forward.weights.push(weight);
            forward.biases.push(bias);
            forward.probes.push(probe);
            forward.sums.push(sum);
            forward.activations.push(input.clone());
        }
        forward
    }

    fn note(&self, file: &TraceFile, numbers: &UnitNumbers, suffix: &str, notes: &mut QuantityList) {
        for (layer, (sums, activations)) in self.sums.iter().zip(&self.activations).enumerate() {
            let slopes = values(&slope(layer_activation(file, layer), sums));
            for (unit, (sum, value)) in values(sums).into_iter().zip(values(activations)).enumerate() {
                let sum_name = numbers.sum(layer, unit);
                let name = numbers.activation(layer, unit);
                notes.add(format!("{sum_name}{suffix}"), QuantityKind::PreActivation, sum);
                notes.add(format!("{name}{suffix}"), QuantityKind::Activation, value);
                notes.add(format!("d{name}/d{sum_name}{suffix}"), QuantityKind::Derivative, slopes[unit]);
            }
        }
    }
}

/// The error, its gradients from output to input, and the weights after one step of gradient descent.
fn backward(file: &TraceFile, numbers: &UnitNumbers, forward: &Forward, notes: &mut QuantityList) {
    let output = forward.activations.last().expect("a network has a layer").clone();
    let error = (row(&file.target) - output).square().sum() * 0.5;
    notes.add("E".to_owned(), QuantityKind::Error, f64::from(error.clone().into_scalar::<f32>()));
    let gradients = error.backward();
    let gradient = |tensor: &Tensor<2>| values(&tensor.grad(&gradients).expect("it takes part in the error"));
    let mut updated = Vec::new();
    for layer in (0..file.layer.len()).rev() {
        for (unit, slope) in gradient(&forward.probes[layer]).into_iter().enumerate() {
            notes.add(format!("dE/d{}", numbers.sum(layer, unit)), QuantityKind::Gradient, slope);
        }
        let units = file.layer[layer].units();
        let weights = values(&forward.weights[layer]);
        for (index, slope) in gradient(&forward.weights[layer]).into_iter().enumerate() {
            let name = numbers.weight(layer, index / units, index % units);
            notes.add(format!("dE/d{name}"), QuantityKind::Gradient, slope);
            updated.push((format!("new {name}"), weights[index] - file.lr * slope));
        }
        if let Some(bias) = &forward.biases[layer] {
            for (unit, (slope, value)) in gradient(bias).into_iter().zip(values(bias)).enumerate() {
                let name = numbers.bias(layer, unit);
                notes.add(format!("dE/d{name}"), QuantityKind::Gradient, slope);
                updated.push((format!("new {name}"), value - file.lr * slope));
            }
        }
    }
    for (name, value) in updated {
        notes.add(name, QuantityKind::Updated, value);
    }
}

/// The inputs of a layer after dropout: masked in training, and scaled as the mode requires.
fn drop_inputs(file: &TraceFile, layer: &TraceLayer, input: Tensor<2>, is_training: bool) -> Tensor<2> {
    let Some(dropout) = file.dropout.filter(|_| !layer.input_mask.is_empty()) else { return input };
    if is_training {
        let mask: Vec<f64> = layer.input_mask.iter().map(|&kept| f64::from(u8::from(kept))).collect();
        let scale = if dropout.mode == DropoutMode::Inverted { 1.0 / dropout.keep_probability } else { 1.0 };
        input * row(&mask) * scale
    } else {
        let scale = if dropout.mode == DropoutMode::Standard { dropout.keep_probability } else { 1.0 };
        input * scale
    }
}

fn layer_activation(file: &TraceFile, layer: usize) -> Activation {
    if layer + 1 == file.layer.len() { file.output_activation } else { file.activation }
}

/// The derivative of an activation at `sums`, by autodiff.
fn slope(function: Activation, sums: &Tensor<2>) -> Tensor<2> {
    let sums = sums.clone().detach().require_grad();
    let gradients = activate(function, sums.clone()).sum().backward();
    sums.grad(&gradients).expect("the sum depends on every entry")
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn row(values: &[f64]) -> Tensor<2> {
    matrix(&[values.to_vec()])
}

fn matrix(rows: &[Vec<f64>]) -> Tensor<2> {
    let shape = [rows.len(), rows[0].len()];
    let values: Vec<f32> = rows.iter().flatten().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn values(tensor: &Tensor<2>) -> Vec<f64> {
    tensor.clone().into_data().iter::<f32>().map(f64::from).collect()
}

/// PyTorch's `negative_slope` of `LeakyReLU`.
const LEAKY_SLOPE: f64 = 0.01;

/// Applies `function` to every entry.
fn activate(function: Activation, tensor: Tensor<2>) -> Tensor<2> {
    match function {
        Activation::Relu => activation::relu(tensor),
        Activation::Tanh => activation::tanh(tensor),
        Activation::Sigmoid => activation::sigmoid(tensor),
        Activation::Identity => tensor,
        Activation::Gelu => activation::gelu(tensor),
        Activation::Silu => activation::silu(tensor),
        Activation::LeakyRelu => activation::leaky_relu(tensor, LEAKY_SLOPE),
        Activation::Softplus => activation::softplus(tensor, 1.0),
        Activation::Selu => activation::selu(tensor),
        Activation::Mish => activation::mish(tensor),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn worked(name: &str) -> Trace {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/worked").join(name);
        trace(&TraceFile::read(&path).expect("a worked example of ours"))
    }

    fn value(trace: &Trace, name: &str) -> f64 {
        trace.quantities.iter().find(|quantity| quantity.name == name).expect(name).value
    }

    fn sigmoid(sum: f64) -> f64 {
        1.0 / (1.0 + (-sum).exp())
    }

    #[test]
    fn backpropagation_equals_a_computation_in_double_precision() {
        let trace = worked("backpropagation.toml");
        assert!(trace.is_as_expected(), "{trace:?}");
        let [x1, x2] = [0.35, 0.9];
        let [w13, w23, w14, w24, w35, w45] = [0.1, 0.8, 0.4, 0.6, 0.3, 0.9];
        let (h3, h4) = (x1 * w13 + x2 * w23, x1 * w14 + x2 * w24);
        let (y3, y4) = (sigmoid(h3), sigmoid(h4));
        let o5 = y3 * w35 + y4 * w45;
        let y5 = sigmoid(o5);
        let d5 = (y5 - 0.5) * y5 * (1.0 - y5);
        let (d3, d4) = (d5 * w35 * y3 * (1.0 - y3), d5 * w45 * y4 * (1.0 - y4));
        let expected = [
            ("H3", h3),
            ("y3", y3),
            ("H4", h4),
            ("y4", y4),
            ("O5", o5),
            ("y5", y5),
            ("dy3/dH3", y3 * (1.0 - y3)),
            ("dy5/dO5", y5 * (1.0 - y5)),
            ("E", 0.5 * (0.5 - y5) * (0.5 - y5)),
            ("dE/dO5", d5),
            ("dE/dw35", d5 * y3),
            ("dE/dw45", d5 * y4),
            ("dE/dH3", d3),
            ("dE/dw13", d3 * x1),
            ("dE/dw23", d3 * x2),
            ("dE/dH4", d4),
            ("dE/dw14", d4 * x1),
            ("dE/dw24", d4 * x2),
            ("new w13", w13 - d3 * x1),
            ("new w24", w24 - d4 * x2),
            ("new w45", w45 - d5 * y4),
        ];
        for (name, expected) in expected {
            let found = value(&trace, name);
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, in double precision {expected}");
        }
    }

    #[test]
    fn dropout_prints_the_numbers_of_the_example() {
        let trace = worked("dropout.toml");
        assert!(trace.is_as_expected(), "{trace:?}");
        assert_eq!(value(&trace, "O6 training"), 0.0);
        assert!((value(&trace, "O6 inference") - 2.1).abs() < 1e-6);
    }

    #[test]
    fn a_wrong_or_unknown_expectation_fails() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/worked/dropout.toml");
        let mut file = TraceFile::read(&path).expect("a worked example of ours");
        file.expect.insert("O6 training".to_owned(), 0.5);
        assert!(!trace(&file).is_as_expected());
        file.expect.remove("O6 training");
        assert!(trace(&file).is_as_expected());
        file.expect.insert("O7".to_owned(), 0.0);
        assert_eq!(trace(&file).unknown, ["O7"]);
    }
}
