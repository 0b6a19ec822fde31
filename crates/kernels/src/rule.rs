//! The optimizers' steps on plain slices, as PyTorch defines them.

use kiln_config::OptimizerName;
use pulp::{Arch, Simd, WithSimd};

use crate::share::{each, threads_for};

/// An update rule with its constants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    name: OptimizerName,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    alpha: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
}

/// A rule at one step: all that is the same for every value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleStep {
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
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
    pub(crate) fn new(config: &kiln_config::Optimizer) -> Self {
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

    /// Whether the rule keeps a first moment (sgd's and rmsprop's momentum buffer, adam's mean of the gradient) and
    /// a second (the mean of the squared gradient).
    pub(crate) fn moments(&self) -> [bool; 2] {
        match self.name {
            OptimizerName::Sgd => [self.momentum > 0.0, false],
            OptimizerName::Rmsprop => [self.momentum > 0.0, true],
            OptimizerName::Adam | OptimizerName::Adamw => [true, true],
        }
    }

    /// The rule at step number `step`, from 1, with learning rate `lr`.
    pub(crate) fn at(&self, lr: f64, step: usize) -> RuleStep {
        let (rate, decay, momentum) = (lr as f32, self.weight_decay as f32, self.momentum as f32);
        let kind = match self.name {
            OptimizerName::Sgd if self.momentum == 0.0 => Kind::Sgd { rate, decay },
            OptimizerName::Sgd => {
                // The first step starts the buffer with the whole gradient, as PyTorch does.
                let (carry, fresh) =
                    if step == 1 { (0.0, 1.0) } else { (momentum, 1.0 - self.dampening as f32) };
                Kind::Momentum { rate, decay, carry, fresh, momentum, nesterov: self.nesterov }
            }
            OptimizerName::Rmsprop => Kind::Rmsprop {
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
                Kind::Adam {
                    into_gradient: into_gradient as f32,
                    shrink: shrink as f32,
                    betas: self.betas.map(|beta| beta as f32),
                    rests: self.betas.map(|beta| (1.0 - beta) as f32),
                    size: (lr / first) as f32,
                    correction: second as f32,
                    eps: self.eps as f32,
                }
            }
        };
        RuleStep { kind }
    }

    /// Adam's decay goes into the gradient; AdamW's shrinks the weight itself by this factor.
    pub(crate) fn decays(&self, lr: f64) -> (f64, f64) {
        match self.name {
            OptimizerName::Adamw => (0.0, 1.0 - lr * self.weight_decay),
            _ => (self.weight_decay, 1.0),
        }
    }

    /// Adam's correction of the first moment, and the root of the second one's: both moments are too small by these factors
    /// while they still remember that they began at zero.
    pub(crate) fn bias_corrections(&self, step: usize) -> [f64; 2] {
        let [first, second] = self.betas.map(|beta| 1.0 - libm::pow(beta, step as f64));
        [first, second.sqrt()]
    }
}

/// What a value's step costs beside a multiply-add.
const COST: usize = 8;

impl RuleStep {
    /// Moves `values` against `gradient`, on all of the pool's threads; a moment that the rule does not keep is empty.
    /// Each value depends on itself alone, so the number of threads changes none.
    pub(crate) fn apply_to_all(
        &self,
        values: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
    ) {
        let (arch, cost) = (Arch::new(), COST * values.len());
        let piece = values.len().div_ceil(2 * threads_for(cost)).max(1);
        let mut first = first.chunks_mut(piece);
        let mut second = second.chunks_mut(piece);
        let pieces = values.chunks_mut(piece).zip(gradient.chunks(piece)).map(|(values, gradient)| {
            let (first, second) = (first.next().unwrap_or_default(), second.next().unwrap_or_default());
            Piece { step: *self, values, gradient, first, second }
        });
        each(pieces.collect(), cost, |piece| arch.dispatch(piece));
    }

    /// Moves `values` against `gradient`, in one pass; a moment that the rule does not keep is empty. Slices may
    /// be cut anywhere.
    #[inline(always)]
    fn apply(&self, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let pairs = values.iter_mut().zip(gradient);
        match self.kind {
            Kind::Sgd { rate, decay } => {
                for (value, &slope) in pairs {
                    *value -= rate * (slope + decay * *value);
                }
            }
            Kind::Momentum { rate, decay, carry, fresh, momentum, nesterov } => {
                for ((value, &slope), buffer) in pairs.zip(first) {
                    let slope = slope + decay * *value;
                    *buffer = flushed(carry * *buffer + fresh * slope);
                    *value -= rate * if nesterov { slope + momentum * *buffer } else { *buffer };
                }
            }
            Kind::Rmsprop { rate, decay, alpha, rest, eps, momentum: None } => {
                for ((value, &slope), square) in pairs.zip(second) {
                    let slope = slope + decay * *value;
                    *square = flushed(alpha * *square + rest * slope * slope);
                    *value -= rate * slope / (square.sqrt() + eps);
                }
            }
            Kind::Rmsprop { rate, decay, alpha, rest, eps, momentum: Some(momentum) } => {
                for (((value, &slope), square), buffer) in pairs.zip(second).zip(first) {
                    let slope = slope + decay * *value;
                    *square = flushed(alpha * *square + rest * slope * slope);
                    *buffer = flushed(momentum * *buffer + slope / (square.sqrt() + eps));
                    *value -= rate * *buffer;
                }
            }
            Kind::Adam { into_gradient, shrink, betas, rests, size, correction, eps } => {
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

/// Zero for a number below the normal ones, where processors are up to a hundred times slower: the moments of a unit that
/// gets no gradient shrink until they are there, and so do gradients on their way back through saturated units.
#[inline(always)]
pub(crate) fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}
