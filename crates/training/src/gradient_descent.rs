//! One training step: the gradients, the operations on them, and the optimizer's update.
//!
//! Everything goes through Burn's own traits (`TrainStep`, `ModuleOptimizer`, `ModuleVisitor`), so it works for every
//! Burn module. The operations on gradients (mean over accumulated batches, penalties, clipping) follow PyTorch: the tests
//! below compare losses, gradients, optimizers and schedules with numbers that PyTorch computed
//! (`tests/golden/pytorch.py`).

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use kiln_config::Experiment;
use kiln_kernels::square_sum;
use kiln_model::{Model, Named, Parameter, StepOutput, Tally, named, parameters};

/// Guards against a division by zero, as in PyTorch's `clip_grad_norm_`.
const NORM_EPSILON: f64 = 1e-6;

/// A model, its optimizer, and the gradients accumulated since the last optimizer step.
pub(crate) struct GradientDescent<M: Model> {
    /// `None` only during an optimizer step, which takes the model by value.
    model: Option<M>,
    pub(crate) optimizer: ModuleOptimizer,
    /// The parameters with gradients, in Burn's order.
    pub(crate) trained: Vec<Named>,
    /// The sum of the gradients since the last optimizer step.
    waiting: Option<GradientsParams>,
    /// Batches in that sum.
    batches: usize,
    settings: GradientSettings,
}

/// Penalties and clipping.
#[derive(Clone, Copy)]
struct GradientSettings {
    /// Factors of the penalties on the weights, L1 and L2.
    penalty: [f64; 2],
    max_value: Option<f64>,
    max_norm: Option<f64>,
}

impl<M: Model> GradientDescent<M> {
    pub(crate) fn new(model: M, optimizer: ModuleOptimizer, experiment: &Experiment) -> Self {
        let settings = GradientSettings {
            penalty: [experiment.loss.l1, experiment.loss.l2],
            max_value: experiment.training.max_value,
            max_norm: experiment.training.max_norm,
        };
        let trained = named(&model).into_iter().filter(|parameter| parameter.is_trained).collect();
        Self { model: Some(model), optimizer, trained, waiting: None, batches: 0, settings }
    }

    pub(crate) fn model(&self) -> &M {
        self.model.as_ref().expect("the model is away only within a step")
    }

    pub(crate) fn into_model(self) -> M {
        self.model.expect("the model is away only within a step")
    }

    /// The values of all parameters.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        // `valid` brings the running means of BatchNorm up to date.
        parameters(&self.model().valid())
    }

    /// Batches since the last optimizer step.
    pub(crate) fn batches_waiting(&self) -> usize {
        self.batches
    }

    /// One forward and backward pass. Adds the gradients to those that wait.
    pub(crate) fn forward_backward(&mut self, input: <M as TrainStep>::Input) -> <M as TrainStep>::Output {
        let model = self.model.as_ref().expect("the model is away only within a step");
        let TrainOutput { grads, item } = TrainStep::step(model, input);
        self.waiting = Some(match self.waiting.take() {
            None => grads,
            Some(before) => {
                let mut sum = GradientsAccumulator::new();
                sum.accumulate(model, before);
                sum.accumulate(model, grads);
                sum.grads()
            }
        });
        self.batches += 1;
        item
    }

    /// Updates the weights with the mean of the waiting gradients. If `wants_norms`, returns the 2-norm of each trained
    /// parameter's gradient before clipping.
    pub(crate) fn step(&mut self, lr: f64, wants_norms: bool) -> Option<Vec<f64>> {
        let model = self.model.take().expect("the model is away only within a step");
        let mut gradients = self.waiting.take().unwrap_or_default();
        let batches = std::mem::take(&mut self.batches);
        let GradientSettings { penalty, max_value, max_norm } = self.settings;
        if batches > 1 {
            for_each_gradient(&model, &mut gradients, &mut Scale(1.0 / batches as f64));
        }
        if penalty != [0.0; 2] {
            for_each_gradient(&model, &mut gradients, &mut Penalize { factors: penalty, model: &model });
        }
        let norms = wants_norms.then(|| norms(&model, &mut gradients));
        if let Some(bound) = max_value {
            for_each_gradient(&model, &mut gradients, &mut Clamp(bound));
        }
        if let Some(max_norm) = max_norm {
            let norm = match &norms {
                Some(norms) if max_value.is_none() => global_norm(norms),
                _ => global_norm(&self::norms(&model, &mut gradients)),
            };
            let factor = max_norm / (norm + NORM_EPSILON);
            if factor < 1.0 {
                for_each_gradient(&model, &mut gradients, &mut Scale(factor));
            }
        }
        self.model = Some(model.optimize(&mut self.optimizer, lr.into(), gradients));
        norms
    }

    /// The figures of `batches` in inference. Fails at the first batch that the loader cannot give.
    pub(crate) fn infer<E>(
        &self,
        mut batches: impl Iterator<Item = Result<<M as TrainStep>::Input, E>>,
    ) -> Result<Tally, E> {
        let model = self.model().valid();
        batches.try_fold(Tally::default(), |mut tally, batch| {
            tally.merge(&InferenceStep::step(&model, batch?).tally());
            Ok(tally)
        })
    }
}

/// The 2-norm over all parameters, given the norm of each.
pub(crate) fn global_norm(norms: &[f64]) -> f64 {
    norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}

/// The 2-norm of each trained parameter's gradient; 0 if the loss does not depend on the parameter. One transfer from the
/// device for all of them.
fn norms<M: Model>(model: &M, gradients: &mut GradientsParams) -> Vec<f64> {
    let mut squares = Squares(Vec::new());
    for_each_gradient(model, gradients, &mut squares);
    let squares = Tensor::cat(squares.0, 0).into_data().convert::<f32>().try_into_vec::<f32>();
    let squares = squares.expect("they were just converted");
    squares.into_iter().map(|square| f64::from(square).sqrt()).collect()
}

/// An operation on every gradient.
trait Change {
    fn change<const D: usize>(
        &mut self,
        path: &str,
        weight: &Param<Tensor<D>>,
        gradient: Tensor<D>,
    ) -> Tensor<D>;

    /// Called for a trained parameter without a gradient.
    fn absent<const D: usize>(&mut self, _weight: &Param<Tensor<D>>) {}
}

fn for_each_gradient<M: Module>(model: &M, gradients: &mut GradientsParams, change: &mut impl Change) {
    model.visit(&mut Visitor { path: Vec::new(), gradients, change });
}

struct Visitor<'a, C> {
    path: Vec<String>,
    gradients: &'a mut GradientsParams,
    change: &'a mut C,
}

impl<C: Change> ModuleVisitor for Visitor<'_, C> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, weight: &Param<Tensor<D>>) {
        match self.gradients.remove::<D>(weight.id) {
            Some(gradient) => {
                let changed = self.change.change(&self.path.join("."), weight, gradient);
                self.gradients.register(weight.id, changed);
            }
            None if weight.val().is_require_grad() => self.change.absent(weight),
            None => {}
        }
    }
}

struct Scale(f64);

impl Change for Scale {
    fn change<const D: usize>(&mut self, _: &str, _: &Param<Tensor<D>>, gradient: Tensor<D>) -> Tensor<D> {
        gradient * self.0
    }
}

struct Clamp(f64);

impl Change for Clamp {
    fn change<const D: usize>(&mut self, _: &str, _: &Param<Tensor<D>>, gradient: Tensor<D>) -> Tensor<D> {
        gradient.clamp(-self.0, self.0)
    }
}

/// Adds the gradient of the penalties on the weights.
struct Penalize<'a, M> {
    factors: [f64; 2],
    model: &'a M,
}

impl<M: Model> Change for Penalize<'_, M> {
    fn change<const D: usize>(
        &mut self,
        path: &str,
        weight: &Param<Tensor<D>>,
        gradient: Tensor<D>,
    ) -> Tensor<D> {
        if !self.model.is_penalized(path, D) {
            return gradient;
        }
        let [l1, l2] = self.factors;
        let weight = weight.val().inner();
        let gradient = if l2 == 0.0 { gradient } else { gradient + weight.clone() * (2.0 * l2) };
        if l1 == 0.0 { gradient } else { gradient + weight.sign() * l1 }
    }
}

struct Squares(Vec<Tensor<1>>);

impl Change for Squares {
    fn change<const D: usize>(&mut self, _: &str, _: &Param<Tensor<D>>, gradient: Tensor<D>) -> Tensor<D> {
        self.0.push(square_sum(&gradient));
        gradient
    }

    fn absent<const D: usize>(&mut self, weight: &Param<Tensor<D>>) {
        self.0.push(Tensor::zeros([1], &weight.val().inner().device()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::{Device, Int, TensorData};
    use kiln_config::{Initialization, LayerWeights, Loss, Optimizer, OptimizerName};
    use kiln_data::{Batch, Pass};
    use kiln_kernels::{Fused, UpdateRule};
    use kiln_model::Mlp;
    use serde::Deserialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Map, Value};

    use super::*;
    use crate::schedule::{Length, Schedule};

    /// Single precision, and sums in another order than PyTorch's.
    const TOLERANCE: f64 = 3e-6;
    /// `RMSProp` divides by the root of a mean over few steps, which magnifies rounding errors. After ten steps, PyTorch
    /// in single precision differs this much from PyTorch in double precision.
    const RMSPROP_TOLERANCE: f64 = 5e-5;
    const RMSPROP_MOMENTUM_TOLERANCE: f64 = 3e-4;

    #[derive(Deserialize)]
    struct Golden {
        network: Network,
        activations: Vec<ForwardCase>,
        losses: Vec<ForwardCase>,
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
    struct ForwardCase {
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
        after: BTreeMap<String, Vec<LayerWeights>>,
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
        experiment.model.initialization = Initialization::Explicit;
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
            assert!(
                (found - expected).abs() <= tolerance,
                "{what}[{index}]: {found}, PyTorch has {expected}"
            );
        }
    }

    fn values(tensor: Tensor<1>) -> Vec<f64> {
        tensor.into_data().iter::<f32>().map(f64::from).collect()
    }

    fn values_of(parameters: Vec<Parameter>) -> Vec<f64> {
        parameters.into_iter().flat_map(|parameter| parameter.values).map(f64::from).collect()
    }

    /// A step with Kiln's kernels, and one with Burn's own operations.
    fn both_ways(experiment: &Experiment) -> [(&'static str, GradientDescent<Mlp>); 2] {
        [("Kiln's kernels", Fused::On), ("Burn's own operations", Fused::Off)].map(|(name, fused)| {
            let rule = UpdateRule::new(&experiment.optimizer, fused);
            (name, GradientDescent::new(mlp(experiment, fused), rule.into(), experiment))
        })
    }

    /// Weights, then biases of each layer: the order in which Burn visits the parameters.
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
            for (name, mut descent) in both_ways(&experiment) {
                let what = format!("{} by {name}", case.name);
                let output = descent.model().forward(batch(&network, 0..6).features, Pass::Inference);
                assert_close(&values(output.flatten(0, 1).inner()), &case.output.concat(), TOLERANCE, &what);
                let before = values_of(descent.parameters());
                if let Some(objective) = case.objective {
                    let found = case.loss + penalty(&experiment, &descent.parameters());
                    assert_close(&[found], &[objective], TOLERANCE, &what);
                }
                let loss = descent.forward_backward(batch(&network, 0..6)).tally().loss();
                assert_close(&[loss], &[case.loss], TOLERANCE, &what);
                // At a learning rate of 1, the difference of the weights is the gradient.
                descent.step(1.0, false);
                let after = values_of(descent.parameters());
                let found: Vec<f64> =
                    before.iter().zip(after).map(|(before, after)| before - after).collect();
                assert_close(&found, &flat(&case.gradients), TOLERANCE, &what);
            }
        }
    }

    /// The penalty that l1 and l2 add to the objective. Training itself needs only its gradient.
    fn penalty(experiment: &Experiment, parameters: &[Parameter]) -> f64 {
        let weights = parameters.iter().filter(|parameter| parameter.shape.len() == 2);
        let weights = weights.flat_map(|parameter| &parameter.values).map(|&weight| f64::from(weight));
        let Loss { l1, l2, .. } = experiment.loss;
        weights.map(|weight| l1 * weight.abs() + l2 * weight * weight).sum()
    }

    /// Takes ten steps of a case, and calls `checked` after each.
    fn ten_steps(
        case: &OptimizerCase,
        network: &Network,
        experiment: &Experiment,
        descent: &mut GradientDescent<Mlp>,
        checked: impl Fn(usize, &GradientDescent<Mlp>),
    ) {
        let accumulation = experiment.training.gradient_accumulation;
        let rows = 6 / accumulation;
        for step in 1..=10 {
            let mut loss = 0.0;
            for part in 1..=accumulation {
                let output = descent.forward_backward(batch(network, (part - 1) * rows..part * rows));
                loss += output.tally().loss() / accumulation as f64;
            }
            assert_close(&[loss], &[case.losses[step - 1]], tolerance(case, step), &case.name);
            descent.step(experiment.optimizer.lr, true);
            checked(step, descent);
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
            for (name, mut descent) in both_ways(&experiment) {
                ten_steps(case, &network, &experiment, &mut descent, |step, descent| {
                    if let Some(expected) = case.after.get(&step.to_string()) {
                        let what = format!("{} by {name} after step {step}", case.name);
                        let found = values_of(descent.parameters());
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
}
