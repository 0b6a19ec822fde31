//! Forward, loss, gradients, optimizers and schedules against PyTorch's numbers, which
//! `tests/golden/pytorch.py` made.

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::{Experiment, LayerWeights, Optimizer, OptimizerName};
use kiln_data::Batch;
use kiln_model::{Loss, Mlp, Parameter, Pass, Tally};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Classifier;
use crate::engine::{Engine, Step, UpdateRule, engine};
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

fn classifier(experiment: &Experiment) -> Classifier {
    let device = Device::flex().autodiff();
    let mlp =
        Mlp::new(&experiment.model, experiment.loss.name, [5, 3], 0, &device).expect("weights that fit");
    Classifier::new(mlp, Loss::new(&experiment.loss, 3).expect("weights that fit"))
}

fn batch(network: &Network, rows: std::ops::Range<usize>) -> Batch {
    let device = Device::flex().autodiff();
    let features: Vec<f32> = network.inputs[rows.clone()].concat();
    let targets = network.targets[rows].to_vec();
    let count = targets.len();
    Batch {
        features: Tensor::from_data(TensorData::new(features, [count, 5]), &device),
        labels: targets.iter().map(|&target| target as u32).collect(),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [count]), &device),
        step: 0,
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

/// Every way to compute a step, with its name.
fn engines(experiment: &Experiment) -> [(&'static str, Box<dyn Engine>); 3] {
    let engine = |fused, on_host| engine(classifier(experiment), experiment, fused, on_host);
    [
        ("Kiln's kernels", engine(true, true)),
        ("autodiff, steps on slices", engine(false, true)),
        ("autodiff, steps on tensors", engine(false, false)),
    ]
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
        let model = classifier(&experiment);
        let output = model.mlp.forward(batch(&network, 0..6).features, Pass::Inference);
        assert_close(&values(output.flatten(0, 1).inner()), &case.output.concat(), TOLERANCE, &case.name);
        if let (Some(objective), Some(penalty)) = (case.objective, model.loss().penalty(&model.mlp)) {
            let found = case.loss + values(penalty.inner())[0];
            assert_close(&[found], &[objective], TOLERANCE, &case.name);
        }
        let optimizer = Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Optimizer::default() };
        for (engine_name, mut engine) in engines(&Experiment { optimizer, ..experiment }) {
            let what = format!("{} by {engine_name}", case.name);
            let before = values_of(engine.parameters());
            let loss = engine.forward(batch(&network, 0..6)).read_into(&mut Tally::default());
            assert_close(&[loss], &[case.loss], TOLERANCE, &what);
            // A step of this size leaves the gradient as the difference.
            engine.backward_and_step(Step { lr: 1.0, norms: false });
            let after = values_of(engine.parameters());
            let found: Vec<f64> = before.iter().zip(after).map(|(before, after)| before - after).collect();
            assert_close(&found, &flat(&case.gradients), TOLERANCE, &what);
        }
    }
}

/// Ten steps of a case; `checked` sees the engine after each.
fn ten_steps(
    case: &OptimizerCase,
    network: &Network,
    experiment: &Experiment,
    engine: &mut dyn Engine,
    checked: impl Fn(usize, &dyn Engine),
) {
    let accumulation = experiment.training.gradient_accumulation;
    let rows = 6 / accumulation;
    for step in 1..=10 {
        let mut loss = 0.0;
        for part in 1..=accumulation {
            let output = engine.forward(batch(network, (part - 1) * rows..part * rows));
            loss += output.read_into(&mut Tally::default()) / accumulation as f64;
            if part < accumulation {
                engine.backward();
            }
        }
        assert_close(&[loss], &[case.losses[step - 1]], tolerance(case, step), &case.name);
        engine.backward_and_step(Step { lr: experiment.optimizer.lr, norms: true });
        checked(step, engine);
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
fn ten_steps_of_each_optimizer_are_those_of_pytorch_on_every_engine() {
    let Golden { network, optimizers, .. } = golden();
    assert_eq!(optimizers.len(), 15);
    for case in &optimizers {
        let experiment = experiment(&case.config, &network);
        for (name, mut engine) in engines(&experiment) {
            ten_steps(case, &network, &experiment, &mut *engine, |step, engine| {
                if let Some(expected) = case.after.get(&step.to_string()) {
                    let what = format!("{} by {name} after step {step}", case.name);
                    let found = values_of(engine.parameters());
                    assert_close(&found, &flat(expected), tolerance(case, step), &what);
                }
            });
        }
    }
}

#[test]
fn burns_own_module_optimizer_takes_the_same_steps() {
    let Golden { network, optimizers, .. } = golden();
    // Burn's optimizer knows neither our clipping nor our accumulation.
    let plain = |case: &&OptimizerCase| !case.name.contains("-max-") && !case.name.contains("-accumulation");
    let cases: Vec<_> = optimizers.iter().filter(plain).collect();
    assert_eq!(cases.len(), 11);
    for case in cases {
        let experiment = experiment(&case.config, &network);
        let mut model = classifier(&experiment);
        let mut optimizer = ModuleOptimizer::from(UpdateRule::new(&experiment.optimizer, true));
        for _ in 0..10 {
            let (gradients, _): (GradientsParams, _) = model.forward_backward(batch(&network, 0..6));
            model = optimizer.step(experiment.optimizer.lr, model, gradients);
        }
        assert_close(
            &values_of(model.valid().mlp.parameters()),
            &flat(&case.after["10"]),
            tolerance(case, 10),
            &case.name,
        );
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
