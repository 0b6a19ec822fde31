//! The forward and backward pass of a worked example, by Burn's autodiff.

use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::{Activation, DropoutMode};

use super::activation::activate;
use super::file::{TraceFile, TraceLayer};
use super::quantity::{Kind, Quantity, Trace};

/// Computes every quantity of `file`.
#[must_use]
pub fn trace(file: &TraceFile) -> Trace {
    let mut notes = Notes::default();
    let numbers = Numbers::of(file);
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
    let Notes(mut quantities) = notes;
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
struct Notes(Vec<Quantity>);

impl Notes {
    fn add(&mut self, name: String, kind: Kind, value: f64) {
        self.0.push(Quantity { name, kind, value, expected: None, slip: None });
    }
}

/// The numbers of all units: inputs first, then layer by layer, from 1.
struct Numbers(Vec<Vec<usize>>);

impl Numbers {
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
    /// Zeros added to the weighted sums: their gradient is the sums' own, which autodiff does not keep.
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
            input = activate(function(file, index), sum.clone());
            forward.weights.push(weight);
            forward.biases.push(bias);
            forward.probes.push(probe);
            forward.sums.push(sum);
            forward.activations.push(input.clone());
        }
        forward
    }

    fn note(&self, file: &TraceFile, numbers: &Numbers, suffix: &str, notes: &mut Notes) {
        for (layer, (sums, activations)) in self.sums.iter().zip(&self.activations).enumerate() {
            let slopes = values(&slope(function(file, layer), sums));
            for (unit, (sum, value)) in values(sums).into_iter().zip(values(activations)).enumerate() {
                let sum_name = numbers.sum(layer, unit);
                let name = numbers.activation(layer, unit);
                notes.add(format!("{sum_name}{suffix}"), Kind::PreActivation, sum);
                notes.add(format!("{name}{suffix}"), Kind::Activation, value);
                notes.add(format!("d{name}/d{sum_name}{suffix}"), Kind::Derivative, slopes[unit]);
            }
        }
    }
}

/// The error, its gradients from the output to the input, and the weights after one step of gradient descent.
fn backward(file: &TraceFile, numbers: &Numbers, forward: &Forward, notes: &mut Notes) {
    let output = forward.activations.last().expect("a network has a layer").clone();
    let error = (row(&file.target) - output).square().sum() * 0.5;
    notes.add("E".to_owned(), Kind::Error, f64::from(error.clone().into_scalar::<f32>()));
    let gradients = error.backward();
    let gradient = |tensor: &Tensor<2>| values(&tensor.grad(&gradients).expect("it takes part in the error"));
    let mut updated = Vec::new();
    for layer in (0..file.layer.len()).rev() {
        for (unit, slope) in gradient(&forward.probes[layer]).into_iter().enumerate() {
            notes.add(format!("dE/d{}", numbers.sum(layer, unit)), Kind::Gradient, slope);
        }
        let units = file.layer[layer].units();
        let weights = values(&forward.weights[layer]);
        for (index, slope) in gradient(&forward.weights[layer]).into_iter().enumerate() {
            let name = numbers.weight(layer, index / units, index % units);
            notes.add(format!("dE/d{name}"), Kind::Gradient, slope);
            updated.push((format!("new {name}"), weights[index] - file.lr * slope));
        }
        if let Some(bias) = &forward.biases[layer] {
            for (unit, (slope, value)) in gradient(bias).into_iter().zip(values(bias)).enumerate() {
                let name = numbers.bias(layer, unit);
                notes.add(format!("dE/d{name}"), Kind::Gradient, slope);
                updated.push((format!("new {name}"), value - file.lr * slope));
            }
        }
    }
    for (name, value) in updated {
        notes.add(name, Kind::Updated, value);
    }
}

/// The inputs of a layer after dropout: masked in training, scaled where the mode says so.
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

fn function(file: &TraceFile, layer: usize) -> Activation {
    if layer + 1 == file.layer.len() { file.output_activation } else { file.activation }
}

/// The slope of an activation at `sums`, by autodiff.
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
    fn a_wrong_or_unknown_expectation_is_noticed() {
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
