//! The optimizer of a whole network, with a state that can be saved and restored to the bit.

use burn::module::Param;
use burn::tensor::{Device, Tensor};
use kiln_model::{Mlp, ModelError, Parameter, ParameterUpdate};

use super::gradients::Gradients;
use super::update_rule::{Moments, UpdateRule};
use super::{find_moments, host, name_moments};

/// An update rule and what it remembers of each parameter.
///
/// Burn's `ModuleOptimizer` keys its state by parameter ids that are random in every process, and clones the
/// model on every step; this one goes by the order of the parameters and owns them, so that a resumed run
/// finds its state and a step on the CPU works in place.
pub(crate) struct NetworkOptimizer {
    rule: UpdateRule,
    states: Vec<Option<Moments<1>>>,
}

impl NetworkOptimizer {
    /// An optimizer that has not stepped yet.
    pub(crate) fn new(rule: UpdateRule, mlp: &Mlp) -> Self {
        let parameters = mlp.layers().iter().map(|layer| 1 + usize::from(layer.bias.is_some())).sum();
        Self { rule, states: vec![None; parameters] }
    }

    /// Moves every parameter one step against its gradient.
    pub(crate) fn step(&mut self, mlp: &mut Mlp, gradients: Gradients, lr: f64) {
        let mut step = Step { optimizer: self, gradients: gradients.into_entries(), index: 0, lr };
        mlp.update_parameters(&mut step);
    }

    /// The state as named values, `{parameter}.first` and `.second`; the steps taken are the caller's to keep.
    pub(crate) fn state(&self, names: &[Parameter]) -> Vec<Parameter> {
        let values = |moment: &Option<Tensor<1>>| moment.clone().map(host::take);
        let moments = self.states.iter().map(|state| match state {
            Some(Moments { first, second, .. }) => [values(first), values(second)],
            None => [None, None],
        });
        name_moments(names, moments)
    }

    /// Restores what [`NetworkOptimizer::state`] gave.
    pub(crate) fn restore(
        &mut self,
        names: &[Parameter],
        stored: &[Parameter],
        steps: usize,
        device: &Device,
    ) -> Result<(), ModelError> {
        if steps == 0 {
            return Ok(());
        }
        let moments = find_moments(stored, names, self.rule.moments())?;
        for (state, moments) in self.states.iter_mut().zip(moments) {
            let [first, second] = moments.map(|moment| moment.map(|values| host::give(values, device)));
            *state = Some(Moments { step: steps, first, second });
        }
        Ok(())
    }
}

/// One step over all parameters, in order.
struct Step<'a> {
    optimizer: &'a mut NetworkOptimizer,
    gradients: std::vec::IntoIter<Tensor<1>>,
    index: usize,
    lr: f64,
}

impl ParameterUpdate for Step<'_> {
    fn update<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, _) = parameter.consume();
        let device = value.device();
        let shape = value.shape();
        let gradient = self.gradients.next().expect("a gradient per parameter");
        let state = self.optimizer.states[self.index].take();
        let flat = value.inner().reshape([-1]);
        let (stepped, state) = self.optimizer.rule.step_flat(self.lr, flat, gradient, state);
        self.optimizer.states[self.index] = Some(state);
        self.index += 1;
        let value = Tensor::from_inner(stepped.reshape(shape));
        debug_assert_eq!(value.device(), device, "a parameter stays on its device");
        Param::initialized(id, value.require_grad())
    }
}
