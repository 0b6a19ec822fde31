//! SGD, RMSProp, Adam and AdamW as PyTorch defines them, as Burn optimizers.
//!
//! [`UpdateRule`] has each rule twice: in place on plain slices ([`Rule`], for flex) and as tensor operations (for other
//! backends, where fusion makes one kernel of them). A step in place updates the parameter's own memory in one pass;
//! a dozen tensor operations would each be a pass and an allocation.

use burn::backend::Flex;
use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::OptimizerName;
use pulp::{Arch, Simd, WithSimd};

use crate::{Fused, map_units, recycle, threads_for};

/// An optimizer: an update rule with its constants, for parameters of any shape.
#[derive(Clone, Debug)]
pub struct UpdateRule {
    config: kiln_config::Optimizer,
    rule: Rule,
    fused: Fused,
}

/// The state of a rule for one parameter.
#[derive(Clone, Debug)]
pub struct Moments<const D: usize> {
    /// Steps taken.
    pub step: usize,
    /// The momentum buffer (sgd, rmsprop) or the mean of the gradient (adam, adamw).
    pub first: Option<Tensor<D>>,
    /// The mean of the squared gradient (rmsprop, adam, adamw).
    pub second: Option<Tensor<D>>,
}

/// A parameter after a step, and the rule's state for it.
type Stepped<const D: usize> = (Tensor<D>, Moments<D>);

impl UpdateRule {
    /// The rule that `config` describes.
    #[must_use]
    pub fn new(config: &kiln_config::Optimizer, fused: Fused) -> Self {
        Self { config: config.clone(), rule: Rule::new(config), fused }
    }

    /// One pass over plain slices.
    fn step_in_place<const D: usize>(
        &self,
        lr: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Moments<D>,
    ) -> Stepped<D> {
        let (shape, device) = (parameter.dims(), parameter.device());
        let mut values = take(parameter);
        let gradient = take(gradient);
        let [keeps_first, keeps_second] = self.rule.moments();
        let moment = |moment: Option<Tensor<D>>, keeps: bool| match moment {
            Some(moment) => take(moment),
            None if keeps => vec![0.0; values.len()],
            None => Vec::new(),
        };
        let mut first = moment(state.first, keeps_first);
        let mut second = moment(state.second, keeps_second);
        self.rule.at(lr, state.step).apply_to_all(&mut values, &gradient, &mut first, &mut second);
        recycle(gradient);
        let give = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, shape), &device);
        let first = keeps_first.then(|| give(first));
        let second = keeps_second.then(|| give(second));
        (give(values), Moments { step: state.step, first, second })
    }

    /// The same step in tensor operations.
    fn step_composed<const D: usize>(
        &self,
        lr: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Moments<D>,
    ) -> Stepped<D> {
        let Moments { step, first, second } = state;
        let (into_gradient, shrink) = self.rule.decays(lr);
        let slope =
            if into_gradient == 0.0 { gradient } else { gradient + parameter.clone() * into_gradient };
        let mean_square = |second: Option<Tensor<D>>, decay: f64| {
            let fresh = slope.clone().square() * (1.0 - decay);
            second.map_or(fresh.clone(), |second| second * decay + fresh)
        };
        let (update, first, second) = match self.config.name {
            OptimizerName::Sgd => self.sgd_composed(slope, first),
            OptimizerName::Rmsprop => {
                let second = mean_square(second, self.config.alpha);
                let scaled = slope / (second.clone().sqrt() + self.config.eps);
                if self.config.momentum == 0.0 {
                    (scaled, None, Some(second))
                } else {
                    let buffer =
                        first.map_or(scaled.clone(), |buffer| buffer * self.config.momentum + scaled);
                    (buffer.clone(), Some(buffer), Some(second))
                }
            }
            OptimizerName::Adam | OptimizerName::Adamw => {
                let second = mean_square(second, self.config.betas[1]);
                let fresh = slope * (1.0 - self.config.betas[0]);
                let first = first.map_or(fresh.clone(), |first| first * self.config.betas[0] + fresh);
                let [of_first, of_second] = self.rule.bias_corrections(step);
                let denominator = second.clone().sqrt() / of_second + self.config.eps;
                (first.clone() / denominator * (1.0 / of_first), Some(first), Some(second))
            }
        };
        let kept = if shrink == 1.0 { parameter } else { parameter * shrink };
        (kept - update * lr, Moments { step, first, second })
    }

    fn sgd_composed<const D: usize>(
        &self,
        slope: Tensor<D>,
        buffer: Option<Tensor<D>>,
    ) -> (Tensor<D>, Option<Tensor<D>>, Option<Tensor<D>>) {
        if self.config.momentum == 0.0 {
            return (slope, None, None);
        }
        let buffer = buffer.map_or(slope.clone(), |buffer| {
            buffer * self.config.momentum + slope.clone() * (1.0 - self.config.dampening)
        });
        let update =
            if self.config.nesterov { slope + buffer.clone() * self.config.momentum } else { buffer.clone() };
        (update, Some(buffer), None)
    }
}

impl Optimizer for UpdateRule {
    type State<const D: usize> = Moments<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let mut state = state.unwrap_or(Moments { step: 0, first: None, second: None });
        state.step += 1;
        let (tensor, state) = if self.fused == Fused::On && is_on_flex(&tensor) {
            self.step_in_place(lr, tensor, grad, state)
        } else {
            self.step_composed(lr, tensor, grad, state)
        };
        (tensor, Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        Moments {
            step: state.step,
            first: state.first.map(|tensor| tensor.to_device(device)),
            second: state.second.map(|tensor| tensor.to_device(device)),
        }
    }
}

/// Written by hand, because Burn's derive works only inside Burn.
impl<const D: usize> RecordState for Moments<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, "step", self.step.into());
        for (name, moment) in [("first", &self.first), ("second", &self.second)] {
            if let Some(moment) = moment {
                out.push_tensor(prefix, name, moment.clone().into_data());
            }
        }
    }

    /// Loads the moments to the CPU, which every program has. The next step moves them to their parameter's device.
    fn state_unflatten(prefix: &str, src: &mut StateSource, _: &Device) -> Option<Self> {
        let device = &Device::flex();
        let step = src.take_scalar(prefix, "step").and_then(|step| usize::try_from(step).ok())?;
        let mut take = |name| src.take_tensor(prefix, name).map(|data| Tensor::from_data(data, device));
        Some(Self { step, first: take("first"), second: take("second") })
    }
}

fn is_on_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.clone().try_into_primitive::<Flex>().is_ok()
}

/// The values, without a copy if this is the only reference to the tensor.
fn take<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
}

/// An update rule on plain slices, with its constants.
#[derive(Clone, Copy, Debug)]
struct Rule {
    name: OptimizerName,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    alpha: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
}

/// A rule at one step: everything that is the same for all values of a parameter.
#[derive(Clone, Copy, Debug)]
enum RuleStep {
    Sgd {
        rate: f32,
        decay: f32,
    },
    Momentum {
        rate: f32,
        decay: f32,
        carry: f32,
        fresh: f32,
        momentum: f32,
        nesterov: bool,
    },
    Rmsprop {
        rate: f32,
        decay: f32,
        alpha: f32,
        rest: f32,
        eps: f32,
        momentum: Option<f32>,
    },
    Adam {
        into_gradient: f32,
        shrink: f32,
        betas: [f32; 2],
        rests: [f32; 2],
        size: f32,
        correction: f32,
        eps: f32,
    },
}

impl Rule {
    /// The rule that `config` describes.
    fn new(config: &kiln_config::Optimizer) -> Self {
        Self {
            name: config.name,
            momentum: config.momentum,
            dampening: config.dampening,
            nesterov: config.nesterov,
            alpha: config.alpha,
            betas: config.betas,
            eps: config.eps,
            weight_decay: config.effective_weight_decay(),
        }
    }

    /// Whether the rule has a first and a second moment; see [`Moments`].
    fn moments(&self) -> [bool; 2] {
        match self.name {
            OptimizerName::Sgd => [self.momentum > 0.0, false],
            OptimizerName::Rmsprop => [self.momentum > 0.0, true],
            OptimizerName::Adam | OptimizerName::Adamw => [true, true],
        }
    }

    /// The rule at step `step`, from 1, with learning rate `lr`.
    fn at(&self, lr: f64, step: usize) -> RuleStep {
        let (rate, decay, momentum) = (lr as f32, self.weight_decay as f32, self.momentum as f32);
        match self.name {
            OptimizerName::Sgd if self.momentum == 0.0 => RuleStep::Sgd { rate, decay },
            OptimizerName::Sgd => {
                // As in PyTorch, the first step fills the buffer with the whole gradient.
                let (carry, fresh) =
                    if step == 1 { (0.0, 1.0) } else { (momentum, 1.0 - self.dampening as f32) };
                RuleStep::Momentum { rate, decay, carry, fresh, momentum, nesterov: self.nesterov }
            }
            OptimizerName::Rmsprop => RuleStep::Rmsprop {
                rate,
                decay,
                alpha: self.alpha as f32,
                rest: (1.0 - self.alpha) as f32,
                eps: self.eps as f32,
                momentum: (self.momentum > 0.0).then_some(momentum),
            },
            OptimizerName::Adam | OptimizerName::Adamw => {
                let (into_gradient, shrink) = self.decays(lr);
                let [first, second] = self.bias_corrections(step);
                RuleStep::Adam {
                    into_gradient: into_gradient as f32,
                    shrink: shrink as f32,
                    betas: self.betas.map(|beta| beta as f32),
                    rests: self.betas.map(|beta| (1.0 - beta) as f32),
                    size: (lr / first) as f32,
                    correction: second as f32,
                    eps: self.eps as f32,
                }
            }
        }
    }

    /// The weight decay as a factor added to the gradient, and as a factor on the weight itself (AdamW).
    fn decays(&self, lr: f64) -> (f64, f64) {
        match self.name {
            OptimizerName::Adamw => (0.0, 1.0 - lr * self.weight_decay),
            _ => (self.weight_decay, 1.0),
        }
    }

    /// Adam's bias corrections: of the first moment, and the square root of the second's. The moments start at 0, so they
    /// are too small by these factors at first.
    fn bias_corrections(&self, step: usize) -> [f64; 2] {
        let [first, second] = self.betas.map(|beta| 1.0 - libm::pow(beta, step as f64));
        [first, second.sqrt()]
    }
}

/// The cost of one value's step in multiply-adds.
const COST: usize = 8;

impl RuleStep {
    /// Updates `values`, on all threads. A moment that the rule does not have is empty. Each value depends only on
    /// itself, so the number of threads does not change the result.
    fn apply_to_all(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (arch, cost) = (Arch::new(), COST * values.len());
        let piece = values.len().div_ceil(2 * threads_for(cost)).max(1);
        let mut first = first.chunks_mut(piece);
        let mut second = second.chunks_mut(piece);
        let pieces = values.chunks_mut(piece).zip(gradient.chunks(piece)).map(|(values, gradient)| {
            let (first, second) = (first.next().unwrap_or_default(), second.next().unwrap_or_default());
            Piece { step: *self, values, gradient, first, second }
        });
        map_units(pieces.collect(), cost, |piece| arch.dispatch(piece));
    }

    /// Updates a piece of `values` in one pass.
    #[inline(always)]
    fn apply(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let pairs = values.iter_mut().zip(gradient);
        match *self {
            RuleStep::Sgd { rate, decay } => {
                for (value, &slope) in pairs {
                    *value -= rate * (slope + decay * *value);
                }
            }
            RuleStep::Momentum { rate, decay, carry, fresh, momentum, nesterov } => {
                for ((value, &slope), buffer) in pairs.zip(first) {
                    let slope = slope + decay * *value;
                    *buffer = flushed(carry * *buffer + fresh * slope);
                    *value -= rate * if nesterov { slope + momentum * *buffer } else { *buffer };
                }
            }
            RuleStep::Rmsprop { rate, decay, alpha, rest, eps, momentum: None } => {
                for ((value, &slope), square) in pairs.zip(second) {
                    let slope = slope + decay * *value;
                    *square = flushed(alpha * *square + rest * slope * slope);
                    *value -= rate * slope / (square.sqrt() + eps);
                }
            }
            RuleStep::Rmsprop { rate, decay, alpha, rest, eps, momentum: Some(momentum) } => {
                for (((value, &slope), square), buffer) in pairs.zip(second).zip(first) {
                    let slope = slope + decay * *value;
                    *square = flushed(alpha * *square + rest * slope * slope);
                    *buffer = flushed(momentum * *buffer + slope / (square.sqrt() + eps));
                    *value -= rate * *buffer;
                }
            }
            RuleStep::Adam { into_gradient, shrink, betas, rests, size, correction, eps } => {
                for (((value, &slope), mean), square) in pairs.zip(first).zip(second) {
                    let slope = slope + into_gradient * *value;
                    *mean = flushed(betas[0] * *mean + rests[0] * slope);
                    *square = flushed(betas[1] * *square + rests[1] * slope * slope);
                    *value = *value * shrink - size * *mean / (square.sqrt() / correction + eps);
                }
            }
        }
    }
}

struct Piece<'a> {
    step: RuleStep,
    values: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl WithSimd for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { step, values, gradient, first, second } = self;
        step.apply(values, gradient, first, second);
    }
}

/// Replaces subnormal numbers by 0. Processors are up to a hundred times slower with them, and training produces them:
/// moments without a gradient shrink step by step, and so do gradients that pass through saturated units.
#[inline(always)]
pub(crate) fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: OptimizerName) -> UpdateRule {
        UpdateRule::new(&kiln_config::Optimizer { name, momentum: 0.9, ..Default::default() }, Fused::On)
    }

    fn tensor(values: Vec<f32>) -> Tensor<1> {
        let shape = [values.len()];
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// The values after three steps of `rule`, and the moments.
    fn stepped(rule: &UpdateRule, values: &[f32]) -> [Vec<f32>; 3] {
        let (mut parameter, mut state) = (tensor(values.to_vec()), None);
        for step in 1..=3 {
            let gradient = values.iter().map(|value| value * 0.3 - step as f32 * 0.01).collect();
            (parameter, state) = rule.step(0.01, parameter, tensor(gradient), state);
        }
        let moments = state.expect("a step leaves a state");
        [Some(parameter), moments.first, moments.second].map(|tensor| tensor.map_or_else(Vec::new, take))
    }

    #[test]
    fn a_parameter_in_pieces_takes_the_same_steps() {
        let values: Vec<f32> = (0..200_007).map(|at| (at * 7919 % 1013) as f32 / 1013.0 - 0.5).collect();
        for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam, OptimizerName::Adamw] {
            let rule = rule(name);
            let whole = stepped(&rule, &values);
            let mut parts = [const { Vec::new() }; 3];
            for piece in values.chunks(1000) {
                for (part, stepped) in parts.iter_mut().zip(stepped(&rule, piece)) {
                    part.extend(stepped);
                }
            }
            assert_eq!(parts, whole, "{name:?}");
        }
    }

    #[test]
    fn a_rate_of_zero_moves_nothing() {
        for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam, OptimizerName::Adamw] {
            for fused in [Fused::On, Fused::Off] {
                let config = kiln_config::Optimizer { name, ..Default::default() };
                let (moved, _) = UpdateRule::new(&config, fused).step(
                    0.0,
                    tensor(vec![1.0, -2.0]),
                    tensor(vec![3.0, 0.0]),
                    None,
                );
                assert_eq!(take(moved), [1.0, -2.0], "{name:?} {fused:?}");
            }
        }
    }

    #[test]
    fn a_step_changes_the_parameter_in_its_own_memory() {
        let parameter = tensor(vec![1.0; 8]);
        let place = |tensor: &Tensor<1>| {
            let flex = tensor.clone().try_into_primitive::<Flex>().expect("a tensor of flex");
            flex.bytes().as_ptr()
        };
        let place_before = place(&parameter);
        let (moved, _) = rule(OptimizerName::Sgd).step(0.1, parameter, tensor(vec![1.0; 8]), None);
        assert_eq!(place(&moved), place_before);
    }

    #[test]
    fn moments_shrink_to_zero_and_not_to_subnormal_numbers() {
        let tiny = || Some(tensor(vec![f32::MIN_POSITIVE; 4]));
        for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam] {
            let zeros = || tensor(vec![0.0; 4]);
            let state = Moments { step: 9, first: tiny(), second: tiny() };
            let (_, moments) = rule(name).step(0.01, zeros(), zeros(), Some(state));
            let moments = moments.expect("a step leaves a state");
            for moment in [moments.first, moments.second].into_iter().flatten() {
                assert_eq!(take(moment), [0.0; 4], "{name:?}");
            }
        }
    }
}
