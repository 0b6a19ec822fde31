//! Forward, loss, gradients, optimizers and schedules against PyTorch's numbers, which
//! `tests/golden/pytorch.py` made.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::{Experiment, LayerWeights, Optimizer, OptimizerName};
use kiln_data::{Batch, Pass};
use kiln_kernels::{Fused, UpdateRule};
use kiln_model::{Mlp, Parameter, StepOutput};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::learning::Learning;
use crate::schedule::{Length, Schedule};

/// Single precision, sums in another order.
const TOLERANCE: f64 = 3e-6;
/// `RMSProp` divides by the root of a young mean, which magnifies rounding: as far off as PyTorch in single
/// precision is from itself in double precision after ten steps.
const RMSPROP_TOLERANCE: f64 = 5e-5;
const RMSPROP_MOMENTUM_TOLERANCE: f64 = 3e-4;

#[derive(Deserialize)]
struct Golden {
    network: Network,
    activations: Vec<Case>,
    losses: Vec<Case>,
    optimizers: Vec<OptimizerCase>,
    schedules: Vec<ScheduleCase>,
}

#[derive(Deserialize)]
struct Network {
    weights: Vec<LayerWeights>,
    inputs: Vec<Vec<f32>>,
    targets: Vec<i64>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    config: Map<String, Value>,
    #[serde(alias = "logits")]
    output: Vec<Vec<f64>>,
    loss: f64,
    objective: Option<f64>,
    gradients: Vec<LayerWeights>,
}

#[derive(Deserialize)]
struct OptimizerCase {
    name: String,
    config: Map<String, Value>,
    losses: Vec<f64>,
    after: std::collections::BTreeMap<String, Vec<LayerWeights>>,
}

#[derive(Deserialize)]
struct ScheduleCase {
    name: String,
    config: Map<String, Value>,
    steps: Option<usize>,
    steps_per_epoch: Option<usize>,
    lrs: Vec<f64>,
    #[serde(default)]
    figures: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../tests/golden/pytorch.json")).expect("the script's own format")
}

fn section<T: DeserializeOwned + Default>(config: &Map<String, Value>, name: &str) -> T {
    config
        .get(name)
        .map_or_else(T::default, |value| serde_json::from_value(value.clone()).expect("Kiln's keys"))
}

fn experiment(config: &Map<String, Value>, network: &Network) -> Experiment {
    let mut experiment = Experiment {
        model: section(config, "model"),
        loss: section(config, "loss"),
        optimizer: section(config, "optimizer"),
        lr_scheduler: section(config, "lr_scheduler"),
        training: section(config, "training"),
        ..Experiment::default()
    };
    experiment.model.initialization = kiln_config::Initialization::Explicit;
    experiment.model.weights = network.weights.clone();
    experiment
}

fn mlp(experiment: &Experiment, fused: Fused) -> Mlp {
    let device = Device::flex().autodiff();
    Mlp::new(experiment, [5, 3], fused, &device).expect("weights that fit")
}

fn batch(network: &Network, rows: std::ops::Range<usize>) -> Batch {
    let device = Device::flex().autodiff();
    let features: Vec<f32> = network.inputs[rows.clone()].concat();
    let targets = network.targets[rows].to_vec();
    let count = targets.len();
    Batch {
        features: Tensor::from_data(TensorData::new(features, [count, 5]), &device),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [count]), &device),
        pass: Pass::Training { step: 0 },
        folds: None,
    }
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{what}[{index}]: {found}, PyTorch has {expected}");
    }
}

fn values(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f32>().map(f64::from).collect()
}

fn values_of(parameters: Vec<Parameter>) -> Vec<f64> {
    parameters.into_iter().flat_map(|parameter| parameter.values).map(f64::from).collect()
}

/// Both ways to compute a step, with their names.
fn learnings(experiment: &Experiment) -> [(&'static str, Learning<Mlp>); 2] {
    [("Kiln's kernels", Fused::On), ("Burn's own operations", Fused::Off)].map(|(name, fused)| {
        let rule = UpdateRule::new(&experiment.optimizer, fused);
        (name, Learning::new(mlp(experiment, fused), rule.into(), experiment))
    })
}

/// Weights then biases of each layer, in the order of [`Mlp::parameters`].
fn flat(layers: &[LayerWeights]) -> Vec<f64> {
    layers.iter().flat_map(|layer| layer.weight.iter().flatten().chain(&layer.bias)).copied().collect()
}

#[test]
fn forward_loss_and_gradients_are_those_of_pytorch() {
    let Golden { network, activations, losses, .. } = golden();
    assert_eq!((activations.len(), losses.len()), (8, 12));
    for case in activations.iter().chain(&losses) {
        let experiment = experiment(&case.config, &network);
        let optimizer = Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Optimizer::default() };
        let experiment = Experiment { optimizer, ..experiment };
        for (name, mut learning) in learnings(&experiment) {
            let what = format!("{} by {name}", case.name);
            let output = learning.model().forward(batch(&network, 0..6).features, Pass::Inference);
            assert_close(&values(output.flatten(0, 1).inner()), &case.output.concat(), TOLERANCE, &what);
            let before = values_of(learning.parameters());
            if let Some(objective) = case.objective {
                let found = case.loss + penalty(&experiment, &learning.parameters());
                assert_close(&[found], &[objective], TOLERANCE, &what);
            }
            let loss = learning.forward_backward(batch(&network, 0..6)).tally().loss();
            assert_close(&[loss], &[case.loss], TOLERANCE, &what);
            // A step of this size leaves the gradient as the difference.
            learning.step(1.0, false);
            let after = values_of(learning.parameters());
            let found: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
            assert_close(&found, &flat(&case.gradients), TOLERANCE, &what);
        }
    }
}

/// What l1 and l2 add to the objective, of which training needs the gradient alone.
fn penalty(experiment: &Experiment, parameters: &[Parameter]) -> f64 {
    let weights = parameters.iter().filter(|parameter| parameter.shape.len() == 2);
    let weights = weights.flat_map(|parameter| &parameter.values).map(|&weight| f64::from(weight));
    let kiln_config::Loss { l1, l2, .. } = experiment.loss;
    weights.map(|weight| l1 * weight.abs() + l2 * weight * weight).sum()
}

/// Ten steps of a case; `checked` sees the model after each.
fn ten_steps(
    case: &OptimizerCase,
    network: &Network,
    experiment: &Experiment,
    learning: &mut Learning<Mlp>,
    checked: impl Fn(usize, &Learning<Mlp>),
) {
    let accumulation = experiment.training.gradient_accumulation;
    let rows = 6 / accumulation;
    for step in 1..=10 {
        let mut loss = 0.0;
        for part in 1..=accumulation {
            let output = learning.forward_backward(batch(network, (part - 1) * rows..part * rows));
            loss += output.tally().loss() / accumulation as f64;
        }
        assert_close(&[loss], &[case.losses[step - 1]], tolerance(case, step), &case.name);
        learning.step(experiment.optimizer.lr, true);
        checked(step, learning);
    }
}

fn tolerance(case: &OptimizerCase, step: usize) -> f64 {
    match case.name.as_str() {
        "rmsprop" if step > 2 => RMSPROP_TOLERANCE,
        "rmsprop-momentum" if step > 2 => RMSPROP_MOMENTUM_TOLERANCE,
        _ => TOLERANCE,
    }
}

#[test]
fn ten_steps_of_each_optimizer_are_those_of_pytorch() {
    let Golden { network, optimizers, .. } = golden();
    assert_eq!(optimizers.len(), 15);
    for case in &optimizers {
        let experiment = experiment(&case.config, &network);
        for (name, mut learning) in learnings(&experiment) {
            ten_steps(case, &network, &experiment, &mut learning, |step, learning| {
                if let Some(expected) = case.after.get(&step.to_string()) {
                    let what = format!("{} by {name} after step {step}", case.name);
                    let found = values_of(learning.parameters());
                    assert_close(&found, &flat(expected), tolerance(case, step), &what);
                }
            });
        }
    }
}

#[test]
fn schedules_are_those_of_pytorch() {
    let Golden { network, schedules, .. } = golden();
    assert_eq!(schedules.len(), 17);
    for case in &schedules {
        let experiment = experiment(&case.config, &network);
        let per_epoch = case.steps_per_epoch.unwrap_or(1);
        let length = Length { steps: case.steps.unwrap_or(case.lrs.len()), per_epoch };
        let mut schedule = Schedule::new(&experiment.lr_scheduler, experiment.optimizer.lr, length);
        let found: Vec<f64> = (0..case.lrs.len())
            .map(|step| {
                let lr = schedule.rate(step, step / per_epoch);
                if let Some(&figure) = case.figures.get(step) {
                    schedule.end_epoch(figure, step + 1);
                }
                lr
            })
            .collect();
        assert_close(&found, &case.lrs, 1e-12, &case.name);
    }
}
