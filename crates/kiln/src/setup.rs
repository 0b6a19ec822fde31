//! Everything that a model needs before it is trained or used: the setup that it is built for, class weights, starting
//! weights from elsewhere, and enough memory.

use std::any::TypeId;
use std::fs;

use burn::module::ParamGroup;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use kiln_artifacts::Run;
use kiln_config::{BackendName, ClassWeights, Experiment, OptimizerName};
use kiln_data::{DataSet, Normalizer, Profile};
use kiln_evaluation::{Weights, read_profile, read_weights};
use kiln_kernels::UpdateRule;
use kiln_model::{
    Fused, Loss, Mlp, Model, Parameter, check_weights, named, parameters_from_safetensors,
    parameters_to_safetensors, weights_sha256, with_parameters,
};

use crate::{Error, of_run};

/// The experiment, the shape of the data, and the device that a model is built for.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The experiment.
    pub experiment: Experiment,
    /// The number of features of an example.
    pub features: usize,
    /// Indices of the features that are measured numbers, from numeric columns of a table.
    pub numbers: Vec<usize>,
    /// Height and width of the images; `None` if the examples are not images.
    pub image_size: Option<[usize; 2]>,
    /// The planes of an image: 1 for grey, 3 for red, green and blue, one after the other. `None` if the examples are not
    /// images.
    pub channels: Option<usize>,
    /// The number of classes.
    pub classes: usize,
    /// The device for the parameters; for training, with autodiff.
    pub device: Device,
    /// Whether Kiln's kernels compute, on backends that have them.
    pub fused: Fused,
}

/// Builds the multilayer perceptron that the experiment describes.
///
/// # Panics
/// If explicit weights or class weights do not fit. [`Session`](crate::Session) and [`Trained`](crate::Trained) call
/// [`Setup::check`] first.
#[must_use]
pub fn perceptron(setup: &Setup) -> Mlp {
    let shape = [setup.features, setup.classes];
    Mlp::with_numbers(&setup.experiment, shape, &setup.numbers, setup.fused, &setup.device)
        .expect("the setup was checked")
}

/// The optimizer that the experiment names, as PyTorch defines it. Parameters for which [`Model::is_decayed`] is false
/// have no weight decay.
#[must_use]
pub fn optimizer<M: Model>(model: &M, setup: &Setup) -> ModuleOptimizer {
    let config = &setup.experiment.optimizer;
    let optimizer = ModuleOptimizer::from(UpdateRule::new(config, setup.fused));
    let parameters = named(model).into_iter();
    let spared: Vec<_> = parameters
        .filter(|parameter| !model.is_decayed(&parameter.path, parameter.shape.len()))
        .map(|parameter| parameter.id)
        .collect();
    if spared.is_empty() {
        return optimizer;
    }
    let without = kiln_config::Optimizer { weight_decay: Some(0.0), ..config.clone() };
    optimizer.with_group(ParamGroup::from_ids(spared), UpdateRule::new(&without, setup.fused), None)
}

/// An error if `experiment` names another model than the multilayer perceptron.
pub fn check_perceptron(experiment: &Experiment) -> Result<(), Error> {
    if experiment.model.is_mlp() {
        return Ok(());
    }
    let name = experiment.model.name.clone();
    Err(Error::OtherModel { name, has: "only the multilayer perceptron, \"mlp\"" })
}

impl Setup {
    /// If the experiment describes a perceptron: checks that its explicit weights and class weights fit the data.
    pub fn check(&self) -> Result<(), Error> {
        let Experiment { model, loss, .. } = &self.experiment;
        if model.is_mlp() {
            check_weights(model, [self.features, self.classes])?;
            Loss::new(loss, model.output, self.classes)?;
        }
        Ok(())
    }

    /// Builds a model. Its starting values follow from the experiment's seed, also if Burn draws them.
    pub(crate) fn build<M: Model>(&self, build: impl FnOnce(&Self) -> M) -> Result<M, Error> {
        if TypeId::of::<M>() == TypeId::of::<Mlp>() {
            check_perceptron(&self.experiment)?;
        } else if self.experiment.model.is_mlp() {
            let name = self.experiment.model.name.clone();
            return Err(Error::OtherModel { name, has: "a model of its own, which needs another name" });
        }
        self.check()?;
        self.device.seed(self.experiment.seed);
        let model = build(self);
        // Burn draws the values of a parameter when they are first read: read all of them now, in a fixed order.
        let _drawn = named(&model);
        Ok(model)
    }
}

/// The profile of `data`, with the class weights that `experiment` describes.
pub(crate) fn profile(experiment: &Experiment, data: &DataSet) -> Result<Profile, Error> {
    Ok(Profile::of(data).with_class_weights(&experiment.loss.class_weights, data)?)
}

/// Replaces class weights that `experiment` gives by a rule or by class name with the list in `profile`.
pub(crate) fn resolve_class_weights(experiment: &mut Experiment, profile: &Profile) {
    if !matches!(experiment.loss.class_weights, ClassWeights::Each(_)) {
        experiment.loss.class_weights = ClassWeights::Each(profile.class_weights.clone());
    }
}

/// The profile that `run` stores. `None` for runs of Kiln's first version, or if the process was killed too early.
pub(crate) fn stored_profile(run: &Run) -> Result<Option<Profile>, Error> {
    Ok(if run.data_json().is_file() { Some(read_profile(run)?) } else { None })
}

pub(crate) fn setup(experiment: &Experiment, profile: &Profile, device: Device, fused: Fused) -> Setup {
    Setup {
        experiment: experiment.clone(),
        features: profile.shape.features(),
        numbers: profile.numbers(),
        image_size: profile.image_size(),
        channels: profile.channels(),
        classes: profile.classes.len(),
        device,
        fused,
    }
}

/// Weights that a run starts with, from another run or another program.
pub(crate) struct InitialWeights {
    from: String,
    sha256: String,
    /// The scaling of the features that the weights were trained with, if known.
    normalizer: Option<Normalizer>,
    bytes: Vec<u8>,
}

impl InitialWeights {
    /// The weights that the test of `run` uses. If `setup` describes a perceptron, it must have the same layers.
    pub(crate) fn read(run: &Run, setup: &Setup) -> Result<Self, Error> {
        let weights = Weights::Marked(of_run(run)?.evaluation.ckpt);
        let (step, bytes) = read_weights(run, &weights)?;
        let parameters = parameters_from_safetensors(&bytes)?;
        if setup.experiment.model.is_mlp() {
            with_parameters(setup.build(perceptron)?, &parameters)?;
        }
        let (sha256, normalizer) = (weights_sha256(&parameters), Some(read_profile(run)?.normalizer));
        let step = step.map_or_else(String::new, |step| format!(", step {step}"));
        Ok(Self { from: format!("{}{step}", run.folder().display()), sha256, normalizer, bytes })
    }

    /// Weights from another program, named by the paths of the model's parameters. `from` describes their origin.
    pub(crate) fn of(parameters: &[Parameter], from: &str, setup: &Setup) -> Result<Self, Error> {
        if setup.experiment.model.is_mlp() {
            with_parameters(setup.build(perceptron)?, parameters)?;
        }
        let (sha256, bytes) = (weights_sha256(parameters), parameters_to_safetensors(parameters)?);
        Ok(Self { from: from.to_owned(), sha256, normalizer: None, bytes })
    }

    /// The weights as safetensors. The run stores them, so it can start again even if their origin is deleted.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A sentence about the origin of the weights, with a warning if they were trained with another scaling of the
    /// features than `profile` has.
    pub(crate) fn words(&self, profile: &Profile) -> String {
        let warning = match &self.normalizer {
            Some(normalizer) if *normalizer != profile.normalizer => {
                "; warning: they were trained with features that are scaled differently"
            }
            _ => "",
        };
        format!("begins with the weights of {} (SHA-256 {}){warning}", self.from, self.sha256)
    }
}

/// `model` with the starting weights that `run` stores, if it has any.
pub(crate) fn with_initial_weights<M: Model>(run: &Run, model: M) -> Result<M, Error> {
    let path = run.start();
    if !path.is_file() {
        return Ok(model);
    }
    let bytes = fs::read(&path).map_err(|cause| Error::Read { path: path.display().to_string(), cause })?;
    Ok(with_parameters(model, &parameters_from_safetensors(&bytes)?)?)
}

/// An error if training the perceptron of `experiment` needs more memory than is available, before any is allocated.
/// `numbers` is the number of measured numbers among the `features`. Passes if the memory is unknown: on a GPU, and on
/// systems without `/proc/meminfo`.
pub(crate) fn check_memory(
    experiment: &Experiment,
    features: usize,
    numbers: usize,
    classes: usize,
) -> Result<(), Error> {
    let on_cpu =
        matches!(experiment.backend.name, BackendName::Auto | BackendName::Flex | BackendName::Ndarray);
    if !on_cpu || !experiment.model.is_mlp() {
        return Ok(());
    }
    match available_bytes() {
        Some(available) => {
            let features = features + experiment.model.features_of_numbers(numbers);
            check(experiment, features, classes, available)
        }
        None => Ok(()),
    }
}

fn check(experiment: &Experiment, features: usize, classes: usize, available: u128) -> Result<(), Error> {
    let hidden = &experiment.model.hidden;
    let needed = needed_bytes(experiment, features, hidden, classes);
    if needed <= available {
        return Ok(());
    }
    let fits = |width: usize| {
        needed_bytes(experiment, features, &vec![width; hidden.len().max(1)], classes) <= available
    };
    let mut width = 1_usize;
    while fits(width * 2) {
        width *= 2;
    }
    Err(Error::TooLarge {
        hidden: format!("{hidden:?}"),
        weights: weights(features, hidden, classes) * experiment.model.members as u128,
        needed: gigabytes(needed),
        available: gigabytes(available),
        fitting: width,
    })
}

/// The number of weights and biases.
fn weights(features: usize, hidden: &[usize], classes: usize) -> u128 {
    let sizes: Vec<u128> = std::iter::once(features)
        .chain(hidden.iter().copied())
        .chain([classes])
        .map(|size| size as u128)
        .collect();
    sizes.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum()
}

/// A lower bound for the memory of training: each weight with its gradient, its moments and its copy for a checkpoint,
/// and the layers' outputs for a batch with their gradients; all of it for each member.
fn needed_bytes(experiment: &Experiment, features: usize, hidden: &[usize], classes: usize) -> u128 {
    let moments = match experiment.optimizer.name {
        OptimizerName::Sgd if experiment.optimizer.momentum == 0.0 => 0,
        OptimizerName::Sgd | OptimizerName::Rmsprop => 1,
        OptimizerName::Adam | OptimizerName::Adamw => 2,
    };
    let units: u128 = hidden.iter().map(|&width| width as u128).sum::<u128>() + (features + classes) as u128;
    let activations = units * experiment.training.batch_size as u128 * 2;
    let members = experiment.model.members as u128;
    4 * members * (weights(features, hidden, classes) * (3 + moments) + activations)
}

fn gigabytes(bytes: u128) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// The memory available without swapping, on the machine or in the process's control group, whichever has less.
fn available_bytes() -> Option<u128> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let machine = line.split_whitespace().nth(1)?.parse::<u128>().ok()? * 1024;
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u128>().ok();
    let group = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(most, now)| most.saturating_sub(now));
    Some(group.map_or(machine, |group| group.min(machine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_cannot_fit_is_refused_with_a_size_that_would() {
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![16_777_216, 16_777_216];
        let error = check(&experiment, 64, 10, 16_000_000_000).unwrap_err().to_string();
        assert!(error.contains("[16777216, 16777216]") && error.contains("16.0 GB"), "{error}");
        assert!(error.contains("16384"), "{error}");
        experiment.model.hidden = vec![16_384, 16_384];
        assert!(check(&experiment, 64, 10, 16_000_000_000).is_ok());
    }
}
