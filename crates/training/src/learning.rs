//! A model in training: gradients, what is done to them, and the optimizer's step.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use kiln_config::Experiment;
use kiln_kernels::square_sum;
use kiln_model::{Model, Named, Parameter, StepOutput, Tally, named, parameters};

/// PyTorch's guard against a division by zero in `clip_grad_norm_`.
const NORM_EPSILON: f64 = 1e-6;

/// A model, its optimizer, and the gradients that wait for the optimizer's next step.
pub(crate) struct Learning<M: Model> {
    /// Taken out for the moment of a step, which moves it.
    model: Option<M>,
    pub(crate) optimizer: ModuleOptimizer,
    /// The parameters that are trained.
    pub(crate) trained: Vec<Named>,
    waiting: Option<GradientsParams>,
    /// Batches whose gradients wait.
    batches: usize,
    manner: Manner,
}

/// What is done to gradients.
#[derive(Clone, Copy)]
struct Manner {
    /// Factors of the penalty on the weights: of their absolute values, and of their squares.
    penalty: [f64; 2],
    max_value: Option<f64>,
    max_norm: Option<f64>,
}

impl<M: Model> Learning<M> {
    pub(crate) fn new(model: M, optimizer: ModuleOptimizer, experiment: &Experiment) -> Self {
        let manner = Manner {
            penalty: [experiment.loss.l1, experiment.loss.l2],
            max_value: experiment.training.max_value,
            max_norm: experiment.training.max_norm,
        };
        let trained = named(&model).into_iter().filter(|parameter| parameter.is_trained).collect();
        Self { model: Some(model), optimizer, trained, waiting: None, batches: 0, manner }
    }

    /// The model as it is now.
    pub(crate) fn model(&self) -> &M {
        self.model.as_ref().expect("the model is away only within a step")
    }

    /// The model, at the end.
    pub(crate) fn into_model(self) -> M {
        self.model.expect("the model is away only within a step")
    }

    /// The values of all parameters.
    pub(crate) fn parameters(&self) -> Vec<Parameter> {
        // On the way to inference, running means take up what the last steps added to them.
        parameters(&self.model().valid())
    }

    /// Batches since the last step of the optimizer.
    pub(crate) fn batches_waiting(&self) -> usize {
        self.batches
    }

    /// One forward and backward pass; the gradients wait.
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

    /// Moves the weights by the mean of the waiting gradients; gives the 2-norm of each trained parameter's gradient
    /// before clipping, if it is wanted.
    pub(crate) fn step(&mut self, lr: f64, wants_norms: bool) -> Option<Vec<f64>> {
        let model = self.model.take().expect("the model is away only within a step");
        let mut gradients = self.waiting.take().unwrap_or_default();
        let batches = std::mem::take(&mut self.batches);
        let Manner { penalty, max_value, max_norm } = self.manner;
        if batches > 1 {
            change(&model, &mut gradients, &mut Scale(1.0 / batches as f64));
        }
        if penalty != [0.0; 2] {
            change(&model, &mut gradients, &mut Penalize { factors: penalty, model: &model });
        }
        let norms = wants_norms.then(|| norms(&model, &mut gradients));
        if let Some(bound) = max_value {
            change(&model, &mut gradients, &mut Clamp(bound));
        }
        if let Some(max_norm) = max_norm {
            let norm = match &norms {
                Some(norms) if max_value.is_none() => global_norm(norms),
                _ => global_norm(&self::norms(&model, &mut gradients)),
            };
            let factor = max_norm / (norm + NORM_EPSILON);
            if factor < 1.0 {
                change(&model, &mut gradients, &mut Scale(factor));
            }
        }
        self.model = Some(model.optimize(&mut self.optimizer, lr.into(), gradients));
        norms
    }

    /// Loss and hits of `batches` in inference.
    pub(crate) fn infer(&self, batches: impl Iterator<Item = <M as TrainStep>::Input>) -> Tally {
        let (model, mut tally) = (self.model().valid(), Tally::default());
        batches.for_each(|batch| tally.merge(&InferenceStep::step(&model, batch).tally()));
        tally
    }
}

/// The 2-norm over all parameters from the norm of each.
pub(crate) fn global_norm(norms: &[f64]) -> f64 {
    norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}

/// The 2-norm of each trained parameter's gradient; 0 where the loss does not depend on it.
fn norms<M: Model>(model: &M, gradients: &mut GradientsParams) -> Vec<f64> {
    let mut squares = Squares(Vec::new());
    change(model, gradients, &mut squares);
    let squares = Tensor::cat(squares.0, 0).into_data().convert::<f32>().try_into_vec::<f32>();
    let squares = squares.expect("they were just converted");
    squares.into_iter().map(|square| f64::from(square).sqrt()).collect()
}

/// Something that is done to every gradient.
trait Change {
    fn change<const D: usize>(
        &mut self,
        path: &str,
        weight: &Param<Tensor<D>>,
        gradient: Tensor<D>,
    ) -> Tensor<D>;

    /// Does it where there is no gradient.
    fn absent<const D: usize>(&mut self, _weight: &Param<Tensor<D>>) {}
}

fn change<M: Module>(model: &M, gradients: &mut GradientsParams, change: &mut impl Change) {
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

/// Adds the gradient of the penalty on the weights.
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
