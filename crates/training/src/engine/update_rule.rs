//! The optimizers: one parameter's step, as PyTorch defines it.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use kiln_config::OptimizerName;
use kiln_cpu::Rule;

use super::host;

/// An update rule with its constants; works on a parameter of any shape.
#[derive(Clone, Debug)]
pub struct UpdateRule {
    config: kiln_config::Optimizer,
    rule: Rule,
    on_host: bool,
}

/// What a rule remembers of one parameter.
#[derive(Clone, Debug)]
pub struct Moments<const D: usize> {
    /// Steps taken.
    pub step: usize,
    /// Momentum buffer (sgd, rmsprop) or mean of the gradient (adam, adamw).
    pub first: Option<Tensor<D>>,
    /// Mean of the squared gradient (rmsprop, adam, adamw).
    pub second: Option<Tensor<D>>,
}

/// A parameter's values with what the rule remembers of them.
type Stepped = (Tensor<1>, Moments<1>);

impl UpdateRule {
    /// The rule that `config` describes; `on_host` says that tensors lie in this process's memory.
    #[must_use]
    pub fn new(config: &kiln_config::Optimizer, on_host: bool) -> Self {
        Self { config: config.clone(), rule: Rule::new(config), on_host }
    }

    /// Whether the rule keeps a first and a second moment.
    #[must_use]
    pub fn moments(&self) -> [bool; 2] {
        self.rule.moments()
    }

    /// One step on a flattened parameter.
    #[must_use]
    pub fn step_flat(
        &self,
        lr: f64,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        state: Option<Moments<1>>,
    ) -> Stepped {
        let mut state = state.unwrap_or(Moments { step: 0, first: None, second: None });
        state.step += 1;
        if self.on_host {
            self.step_on_host(lr, parameter, gradient, state)
        } else {
            self.step_on_device(lr, parameter, gradient, state)
        }
    }

    /// The step as one pass over plain slices: on a CPU an order of magnitude faster than tensor operations,
    /// each of which would be a pass and an allocation of its own.
    fn step_on_host(&self, lr: f64, parameter: Tensor<1>, gradient: Tensor<1>, state: Moments<1>) -> Stepped {
        let device = parameter.device();
        let mut values = host::take(parameter);
        let gradient = host::take(gradient);
        let [keeps_first, keeps_second] = self.moments();
        let take = |moment: Option<Tensor<1>>, keeps: bool| match moment {
            Some(moment) => host::take(moment),
            None if keeps => vec![0.0; values.len()],
            None => Vec::new(),
        };
        let mut first = take(state.first, keeps_first);
        let mut second = take(state.second, keeps_second);
        let rule = self.rule.at(lr, state.step);
        let piece = |values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]| {
            rule.apply(values, gradient, first, second);
        };
        in_pieces(&piece, &mut values, &gradient, &mut first, &mut second);
        let give = |values: Vec<f32>, keeps: bool| keeps.then(|| host::give(values, &device));
        let state =
            Moments { step: state.step, first: give(first, keeps_first), second: give(second, keeps_second) };
        (host::give(values, &device), state)
    }

    /// The same step in tensor operations, which a GPU backend fuses into one kernel.
    fn step_on_device(
        &self,
        lr: f64,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        state: Moments<1>,
    ) -> Stepped {
        let Moments { step, first, second } = state;
        let (into_gradient, shrink) = self.rule.decays(lr);
        let slope =
            if into_gradient == 0.0 { gradient } else { gradient + parameter.clone() * into_gradient };
        let mean_square = |second: Option<Tensor<1>>, decay: f64| {
            let fresh = slope.clone().square() * (1.0 - decay);
            second.map_or(fresh.clone(), |second| second * decay + fresh)
        };
        let (update, first, second) = match self.config.name {
            OptimizerName::Sgd => self.sgd_on_device(slope, first),
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
                let (step_size, correction) = self.rule.bias_corrections(lr, step);
                let denominator = second.clone().sqrt() / correction + self.config.eps;
                (first.clone() / denominator * (step_size / lr), Some(first), Some(second))
            }
        };
        let kept = if shrink == 1.0 { parameter } else { parameter * shrink };
        (kept - update * lr, Moments { step, first, second })
    }

    fn sgd_on_device(
        &self,
        slope: Tensor<1>,
        buffer: Option<Tensor<1>>,
    ) -> (Tensor<1>, Option<Tensor<1>>, Option<Tensor<1>>) {
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

/// The rule as one of Burn's optimizers, so that it also works under Burn's own training strategies.
impl Optimizer for UpdateRule {
    type State<const D: usize> = Moments<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = tensor.shape();
        let flat = |tensor: Tensor<D>| tensor.flatten::<1>(0, D - 1);
        let state = state.map(|Moments { step, first, second }| Moments {
            step,
            first: first.map(flat),
            second: second.map(flat),
        });
        let (tensor, Moments { step, first, second }) = self.step_flat(lr, flat(tensor), flat(grad), state);
        let restore = |tensor: Tensor<1>| tensor.reshape(shape.clone());
        let state = Moments { step, first: first.map(restore), second: second.map(restore) };
        (restore(tensor), Some(state))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        Moments {
            step: state.step,
            first: state.first.map(|tensor| tensor.to_device(device)),
            second: state.second.map(|tensor| tensor.to_device(device)),
        }
    }
}

/// Written out, as Burn's derive of it can be used within Burn alone.
impl<const D: usize> RecordState for Moments<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, "step", self.step.into());
        for (name, moment) in [("first", &self.first), ("second", &self.second)] {
            if let Some(moment) = moment {
                out.push_tensor(prefix, name, moment.clone().into_data());
            }
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let step = src.take_scalar(prefix, "step").and_then(|step| usize::try_from(step).ok())?;
        let mut take = |name| src.take_tensor(prefix, name).map(|data| Tensor::from_data(data, device));
        Some(Self { step, first: take("first"), second: take("second") })
    }
}
/// Values in a piece: enough that handing it to another thread is cheap beside it.
const PIECE: usize = 1 << 16;

/// Runs `work` on pieces of the slices, on all of the pool's threads. Every value is its own affair, so that the
/// number of threads changes none. A moment that is not kept is empty.
fn in_pieces(
    work: &(impl Fn(&mut [f32], &[f32], &mut [f32], &mut [f32]) + Sync),
    values: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    if values.len() <= PIECE {
        return work(values, gradient, first, second);
    }
    let middle = values.len() / 2;
    let half = |moment: &[f32]| middle.min(moment.len());
    let (values_below, values_above) = values.split_at_mut(middle);
    let (gradient_below, gradient_above) = gradient.split_at(middle);
    let (first_below, first_above) = first.split_at_mut(half(first));
    let (second_below, second_above) = second.split_at_mut(half(second));
    rayon::join(
        || in_pieces(work, values_below, gradient_below, first_below, second_below),
        || in_pieces(work, values_above, gradient_above, first_above, second_above),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: OptimizerName) -> UpdateRule {
        UpdateRule::new(&kiln_config::Optimizer { name, momentum: 0.9, ..Default::default() }, true)
    }

    /// Three steps of `rule` on these values, with the moments at the end.
    fn stepped(rule: &UpdateRule, values: &[f32]) -> [Vec<f32>; 3] {
        let device = Device::flex();
        let (mut parameter, mut state) = (host::give(values.to_vec(), &device), None);
        for step in 1..=3 {
            let gradient = values.iter().map(|value| value * 0.3 - step as f32 * 0.01).collect();
            let (next, moments) = rule.step_flat(0.01, parameter, host::give(gradient, &device), state);
            (parameter, state) = (next, Some(moments));
        }
        let moments = state.unwrap();
        [Some(parameter), moments.first, moments.second]
            .map(|tensor| tensor.map_or_else(Vec::new, host::take))
    }

    #[test]
    fn a_parameter_in_pieces_takes_the_same_steps() {
        let values: Vec<f32> =
            (0..3 * PIECE + 7).map(|at| (at * 7919 % 1013) as f32 / 1013.0 - 0.5).collect();
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
    fn moments_end_at_zero_and_not_below_the_normal_numbers() {
        let device = Device::flex();
        let tiny = || Some(host::give(vec![f32::MIN_POSITIVE; 4], &device));
        for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam] {
            let zeros = || host::give(vec![0.0; 4], &device);
            let state = Moments { step: 9, first: tiny(), second: tiny() };
            let (_, moments) = rule(name).step_flat(0.01, zeros(), zeros(), Some(state));
            for moment in [moments.first, moments.second].into_iter().flatten() {
                assert_eq!(host::take(moment), [0.0; 4], "{name:?}");
            }
        }
    }
}
