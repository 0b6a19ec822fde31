//! Where figures stopped being numbers.

use burn::train::TrainStep;
use kiln_model::{Model, Named, Parameter, parameters};

use crate::TrainingError;
use crate::setting::Setting;
use crate::state::TrainingState;

/// The error for a loss that is not finite, found in step `step` (from 1).
pub(crate) fn of_loss<M: Model>(
    setting: &Setting,
    state: &TrainingState,
    model: &M,
    value: f64,
    step: u64,
) -> TrainingError {
    let place = first_place(setting, state, model).unwrap_or_else(|| "every layer is finite".to_owned());
    error(state, "loss", value, step, place)
}

/// The error for a gradient that is not finite; `norms` has one entry for each of `parameters`.
pub(crate) fn of_gradient(state: &TrainingState, parameters: &[Named], norms: &[f64]) -> TrainingError {
    // Gradients flow from the last layer to the first, so the last one that is not finite came first.
    let first = norms.iter().zip(parameters).rfind(|(norm, _)| !norm.is_finite());
    let (value, name) =
        first.map_or((f64::NAN, "the sum of all"), |(norm, parameter)| (*norm, &parameter.path));
    let place = format!("the gradient of {name} is the first that is not finite, counted from the output");
    error(state, "gradient", value, state.step, place)
}

/// The error for weights that are not finite after a step.
pub(crate) fn of_weights(state: &TrainingState, place: String) -> TrainingError {
    error(state, "weights", f64::NAN, state.step, place)
}

/// The first of the parameters that is not finite, in words.
pub(crate) fn first_non_finite(parameters: &[Parameter]) -> Option<String> {
    let is_finite = |parameter: &&Parameter| parameter.values.iter().all(|value| value.is_finite());
    let first = parameters.iter().find(|parameter| !is_finite(parameter))?;
    Some(format!("{} is the first that is not finite", first.name))
}

fn error(state: &TrainingState, what: &'static str, value: f64, step: u64, place: String) -> TrainingError {
    TrainingError::NonFinite { what, value, step, epoch: state.epoch, place, kept: String::new() }
}

/// The error with the checkpoint that is left. To be called once nothing waits to be saved any more.
pub(crate) fn with_last_checkpoint(mut error: TrainingError, setting: &Setting) -> TrainingError {
    if let TrainingError::NonFinite { kept, .. } = &mut error {
        *kept = match setting.store.last() {
            Ok(Some(last)) => format!("The checkpoint of step {last} is kept."),
            _ => "No checkpoint had been saved yet.".to_owned(),
        };
    }
    error
}

/// Looks at the weights, then at what the layers give out for the step's batch.
fn first_place<M: Model>(setting: &Setting, state: &TrainingState, model: &M) -> Option<String> {
    let model = model.valid();
    if let Some(place) = first_non_finite(&parameters(&model)) {
        return Some(place);
    }
    let batch = setting.train.epoch(state.epoch as u64 - 1, state.batch - 1).next()?;
    let input = <M as TrainStep>::Input::from(batch);
    let probes = model.probes(input).into_iter();
    let first =
        probes.into_iter().find(|probe| !probe.outputs.clone().is_finite().all().into_scalar::<bool>())?;
    Some(format!("{} is the first layer whose outputs are not finite", first.layer))
}
