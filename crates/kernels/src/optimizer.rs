//! The optimizers as PyTorch defines them, each one of Burn's.

use burn::backend::Flex;
use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::OptimizerName;

use crate::Fused;
use crate::buffers::recycle;
use crate::rule::Rule;

/// An update rule with its constants; works on a parameter of any shape.
///
/// On flex it is one pass over the parameter's own memory; elsewhere, and where the kernels are off, tensor operations.
#[derive(Clone, Debug)]
pub struct UpdateRule {
    config: kiln_config::Optimizer,
    rule: Rule,
    fused: Fused,
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
type Stepped<const D: usize> = (Tensor<D>, Moments<D>);

impl UpdateRule {
    /// The rule that `config` describes.
    #[must_use]
    pub fn new(config: &kiln_config::Optimizer, fused: Fused) -> Self {
        Self { config: config.clone(), rule: Rule::new(config), fused }
    }

    /// The step as one pass over plain slices: each of a dozen tensor operations would be a pass and an allocation of
    /// its own.
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

    /// The same step in tensor operations, which a GPU backend fuses into one kernel.
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

    /// The moments go to the CPU, which is always there; the next step takes them to their parameter's device.
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

/// The values, without a copy where nobody else holds the tensor.
fn take<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
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

    /// Three steps of `rule` on these values, with the moments at the end.
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
    fn a_step_moves_the_memory_of_the_parameter_itself() {
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
    fn moments_end_at_zero_and_not_below_the_normal_numbers() {
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
