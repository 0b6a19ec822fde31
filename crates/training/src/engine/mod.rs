//! Who computes the steps: Burn's autodiff on any device, or Kiln's own kernels on a CPU.

mod fused;
mod gradients;
mod graph;
mod host;
mod optimizer;
mod update_rule;

use kiln_config::Experiment;
use kiln_data::{Batch, Epoch};
use kiln_model::{ModelError, Parameter, Tally};

use fused::FusedEngine;
pub(crate) use gradients::global_norm;
use graph::GraphEngine;
pub use update_rule::{Moments, UpdateRule};

use crate::Classifier;
use crate::classifier::DeviceOutput;

/// A network in training: for every batch a forward pass, then a backward pass; and after one or some of these a step.
pub(crate) trait Engine: Send {
    /// Outputs and loss of a batch.
    fn forward(&mut self, batch: Batch) -> StepOutput;

    /// The gradients of that batch, which are added to those since the last step.
    fn backward(&mut self);

    /// Moves the weights against the mean of these gradients, clipped. Returns the 2-norm of each parameter's gradient
    /// before clipping, if asked for.
    fn step(&mut self, step: Step) -> Option<Vec<f64>>;

    /// Both.
    fn backward_and_step(&mut self, step: Step) -> Option<Vec<f64>> {
        self.backward();
        self.step(step)
    }

    /// Loss and hits of `batches` in inference.
    fn infer(&mut self, batches: Epoch) -> Tally;

    /// What each hidden layer gives out for `batch` in inference, first to last.
    fn hidden_activations(&mut self, batch: Batch) -> Vec<Activations>;

    /// Every parameter, weight then bias, first layer to last.
    fn parameters(&self) -> Vec<Parameter>;

    /// What the optimizer remembers, `{parameter}.first` and `.second`.
    fn moments(&self) -> Vec<Parameter>;

    /// Takes over what [`Engine::moments`] gave after `steps` steps of the optimizer.
    fn restore_moments(&mut self, stored: &[Parameter], steps: usize) -> Result<(), ModelError>;

    /// The network as it is now, on Burn's tensors.
    fn model(&self) -> Classifier;
}

/// A step of the optimizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Learning rate.
    pub(crate) lr: f64,
    /// Whether the gradients' norms are wanted: to read them, a GPU has to be waited for.
    pub(crate) norms: bool,
}

/// What a hidden layer gives out for a batch.
pub(crate) struct Activations {
    /// Example after example.
    pub(crate) values: Vec<f32>,
    /// Values of an example.
    pub(crate) units: usize,
}

/// What a forward pass found, perhaps still on the device.
pub(crate) enum StepOutput {
    /// On the host.
    Known {
        /// Mean loss.
        loss: f64,
        /// Examples whose greatest output is that of their class.
        correct: u64,
        /// Examples.
        examples: u64,
    },
    /// On the device.
    OnDevice(Box<DeviceOutput>),
}

impl StepOutput {
    /// Reads the figures back from the device and adds them to `tally`; returns the batch's mean loss.
    pub(crate) fn read_into(self, tally: &mut Tally) -> f64 {
        match self {
            Self::Known { loss, correct, examples } => {
                tally.add_mean(loss, correct, examples);
                loss
            }
            Self::OnDevice(output) => output.read_into(tally),
        }
    }
}

/// The engine for `model`: Kiln's own kernels if `fused`, else Burn's tensors, which lie in this process's memory if
/// `on_host`.
pub(crate) fn engine(
    model: Classifier,
    experiment: &Experiment,
    fused: bool,
    on_host: bool,
) -> Box<dyn Engine> {
    if fused {
        Box::new(FusedEngine::new(model, experiment))
    } else {
        Box::new(GraphEngine::new(model, experiment, on_host))
    }
}

/// First and second moment of a parameter; none where the rule keeps none.
type Pair = [Option<Vec<f32>>; 2];

/// What the first and the second moment are called behind their parameter's name.
const MOMENTS: [&str; 2] = ["first", "second"];

fn moment_name(parameter: &Parameter, moment: &str) -> String {
    format!("{}.{moment}", parameter.name)
}

/// The moments of `parameters` under their names.
fn name_moments(parameters: &[Parameter], moments: impl IntoIterator<Item = Pair>) -> Vec<Parameter> {
    let entries = parameters.iter().zip(moments).flat_map(|(parameter, pair)| {
        MOMENTS.into_iter().zip(pair).filter_map(|(moment, values)| {
            let (name, values) = (moment_name(parameter, moment), values?);
            Some(Parameter { name, shape: vec![values.len()], values })
        })
    });
    entries.collect()
}

/// The moments of `parameters` among `stored`, as [`name_moments`] named them; `keeps` says which the rule keeps.
fn find_moments(
    stored: &[Parameter],
    parameters: &[Parameter],
    keeps: [bool; 2],
) -> Result<Vec<Pair>, ModelError> {
    let find = |parameter: &Parameter, which: usize| {
        let name = moment_name(parameter, MOMENTS[which]);
        let found = keeps[which].then(|| Parameter::find(stored, &name, &[parameter.values.len()]));
        found.transpose().map(|found| found.map(|found| found.values.clone()))
    };
    parameters.iter().map(|parameter| Ok([find(parameter, 0)?, find(parameter, 1)?])).collect()
}
