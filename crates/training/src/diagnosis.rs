//! Where figures stopped being numbers, and what to do about it.

use kiln_model::{NonFinite, Parameter, Pass};

use crate::setting::Setting;
use crate::state::TrainingState;
use crate::{Classifier, TrainingError};

/// The error for a loss that is not finite, found in step `step` (from 1).
pub(crate) fn of_loss(
    setting: &Setting,
    state: &TrainingState,
    model: &Classifier,
    value: f64,
    step: u64,
) -> TrainingError {
    let place = first_place(setting, state, model).unwrap_or_else(|| "every layer is finite".to_owned());
    error(setting, state, "loss", value, step, place)
}

/// The error for a gradient that is not finite; `norms` has one entry for each of
/// `parameters`.
pub(crate) fn of_gradient(
    setting: &Setting,
    state: &TrainingState,
    parameters: &[Parameter],
    norms: &[f64],
) -> TrainingError {
    // Gradients flow from the last layer to the first, so the last one that is not finite came first.
    let first = norms.iter().zip(parameters).rfind(|(norm, _)| !norm.is_finite());
    let (value, name) =
        first.map_or((f64::NAN, "the sum of all"), |(norm, parameter)| (*norm, &parameter.name));
    let place = format!("the gradient of {name} is the first that is not finite, counted from the output");
    error(setting, state, "gradient", value, state.step, place)
}

fn error(
    setting: &Setting,
    state: &TrainingState,
    what: &'static str,
    value: f64,
    step: u64,
    place: String,
) -> TrainingError {
    let lr = setting.experiment.optimizer.lr;
    TrainingError::NonFinite { what, value, step, epoch: state.epoch, place, lr, kept: String::new() }
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

/// Repeats the forward pass of the step's batch, layer by layer.
fn first_place(setting: &Setting, state: &TrainingState, model: &Classifier) -> Option<String> {
    let batch = setting.train_epoch(state.epoch, state.batch - 1).next()?;
    let pass = Pass::Training { step: batch.step };
    Some(match model.mlp.first_non_finite(batch.features, pass)? {
        NonFinite::Weights { layer } => format!("layers.{layer}.weight is the first that is not finite"),
        NonFinite::Values { layer } => {
            format!("layer {layer} is the first whose values (before the activation) are not finite")
        }
    })
}
