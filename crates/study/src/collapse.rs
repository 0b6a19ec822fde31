//! A network without activations is one linear layer: its layers multiplied out, and held against it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_artifacts::Run;
use kiln_config::{Experiment, Model};
use kiln_data::{Batching, DataSet, Epoch, Folders, NoProgress, load};
use kiln_model::{Fused, MODEL_FILE, Mlp, Parameter, Pass, parameters_from_safetensors, with_parameters};
use schemars::JsonSchema;
use serde::Serialize;

/// How near a deep network comes to one linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Collapse {
    /// Layers of the deep network.
    pub layers: usize,
    /// The greatest difference between its outputs and those of the one layer, over all test examples.
    #[schemars(with = "Option<f64>")]
    pub greatest_difference: f64,
    /// The same as a share of the greatest output.
    #[schemars(with = "Option<f64>")]
    pub relative_difference: f64,
    /// Test examples that the two would call differently.
    pub other_predictions: usize,
    /// Test examples.
    pub examples: usize,
}

/// A linear map: `x` times `weight`, plus `bias`.
#[derive(Clone, Debug, PartialEq)]
struct Linear {
    inputs: usize,
    /// Shape [inputs, outputs], row-major.
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// Multiplies the layers of the run's last network out and compares the outputs of that one layer with the
/// network's own on the test data. None where the network or its data cannot be read.
pub(crate) fn collapse(run: &Run, experiment: &Experiment) -> Option<Collapse> {
    let store = run.checkpoint_store();
    let checkpoint = store.load(store.last().ok()??).ok()?;
    let parameters = parameters_from_safetensors(checkpoint.files.get(MODEL_FILE)?).ok()?;
    let data = load(&experiment.data, experiment.seed, &Folders::from_environment(), &NoProgress).ok()?;
    let device = kiln_backend::select(&experiment.backend).ok()?.device;
    let build = |model: &Model, parameters: &[Parameter]| {
        let shape = [data.features(), data.class_count()];
        let experiment = Experiment { model: model.clone(), ..experiment.clone() };
        let mlp = Mlp::new(&experiment, shape, Fused::On, &device).ok()?;
        with_parameters(mlp, parameters).ok()
    };
    let layers = layers(&parameters)?;
    let product = layers.iter().skip(1).fold(layers.first()?.clone(), |product, next| product.then(next));
    let deep = build(&experiment.model, &parameters)?;
    let single = build(&Model { hidden: Vec::new(), ..experiment.model.clone() }, &product.parameters())?;
    Some(compare(&deep, &single, &data, layers.len(), &device))
}

/// The layers in order; weights without a bias have one of zeros.
fn layers(parameters: &[Parameter]) -> Option<Vec<Linear>> {
    let by_name: BTreeMap<&str, &Parameter> =
        parameters.iter().map(|parameter| (parameter.name.as_str(), parameter)).collect();
    let mut layers = Vec::new();
    while let Some(weight) = by_name.get(format!("layers.{}.weight", layers.len()).as_str()) {
        let [inputs, outputs] = weight.shape[..] else { return None };
        let bias = by_name.get(format!("layers.{}.bias", layers.len()).as_str());
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let bias = bias.map_or_else(|| vec![0.0; outputs], |bias| wide(&bias.values));
        layers.push(Linear { inputs, weight: wide(&weight.values), bias });
    }
    Some(layers)
}

impl Linear {
    /// This map and then `next`, as one.
    fn then(&self, next: &Self) -> Self {
        let rows = self.weight.chunks(next.inputs);
        let weight = rows.flat_map(|row| next.apply(row)).collect();
        let through = next.apply(&self.bias);
        let bias = through.iter().zip(&next.bias).map(|(through, bias)| through + bias).collect();
        Self { inputs: self.inputs, weight, bias }
    }

    /// `row` times the weights.
    fn apply(&self, row: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.bias.len()];
        for (value, weights) in row.iter().zip(self.weight.chunks(self.bias.len())) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        sums
    }

    fn parameters(&self) -> [Parameter; 2] {
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let outputs = self.bias.len();
        [
            Parameter {
                name: "layers.0.weight".to_owned(),
                shape: vec![self.inputs, outputs],
                values: narrow(&self.weight),
            },
            Parameter { name: "layers.0.bias".to_owned(), shape: vec![outputs], values: narrow(&self.bias) },
        ]
    }
}

fn compare(
    deep: &Mlp,
    single: &Mlp,
    data: &DataSet,
    layers: usize,
    device: &burn::tensor::Device,
) -> Collapse {
    let normalizer = Arc::new(data.normalizer.clone());
    let (mut difference, mut greatest, mut other_predictions) = (0.0_f64, 0.0_f64, 0);
    for batch in Epoch::new(&data.test, &normalizer, &Batching::in_order(256), 0, 0, device) {
        let outputs = |mlp: &Mlp| -> Vec<f32> {
            let output = mlp.forward(batch.features.clone(), Pass::Inference);
            output.into_data().try_to_vec().expect("outputs are 32-bit floats")
        };
        let (deep, single) = (outputs(deep), outputs(single));
        for (deep, single) in deep.chunks(data.class_count()).zip(single.chunks(data.class_count())) {
            other_predictions += usize::from(greatest_place(deep) != greatest_place(single));
            for (deep, single) in deep.iter().zip(single) {
                difference = difference.max(f64::from(deep - single).abs());
                greatest = greatest.max(f64::from(*deep).abs());
            }
        }
    }
    let relative_difference = difference / greatest.max(f64::MIN_POSITIVE);
    let examples = data.test.len();
    Collapse { layers, greatest_difference: difference, relative_difference, other_predictions, examples }
}

fn greatest_place(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&left, &right| values[left].total_cmp(&values[right]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_layers_multiplied_out_are_the_product_by_hand() {
        let first = Linear { inputs: 2, weight: vec![1.0, 2.0, 3.0, 4.0], bias: vec![1.0, -1.0] };
        let second = Linear { inputs: 2, weight: vec![2.0, 0.0, 1.0, -1.0], bias: vec![0.5, 0.0] };
        let product = first.then(&second);
        assert_eq!(product.weight, [4.0, -2.0, 10.0, -4.0]);
        assert_eq!(product.bias, [1.5, 1.0]);
    }
}
