//! A run that begins with the weights of another.

use std::fs;

use kiln_artifacts::Run;
use kiln_data::{Normalizer, Profile};
use kiln_evaluation::{Weights, read_profile, read_weights};
use kiln_model::{
    Model, Parameter, parameters_from_safetensors, parameters_to_safetensors, weights_sha256, with_parameters,
};

use crate::Error;
use crate::experiment::of_run;
use crate::setup::{Setup, perceptron};

/// Weights that another run has learned.
pub(crate) struct Start {
    from: String,
    sha256: String,
    /// How the network that learned them saw its features, where that is known.
    normalizer: Option<Normalizer>,
    bytes: Vec<u8>,
}

impl Start {
    /// The weights that the test of `run` takes. A perceptron of `setup` must have the same layers.
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

    /// Weights that come `from` somewhere else, by the paths of the model that `setup` is for.
    pub(crate) fn of(parameters: &[Parameter], from: &str, setup: &Setup) -> Result<Self, Error> {
        if setup.experiment.model.is_mlp() {
            with_parameters(setup.build(perceptron)?, parameters)?;
        }
        let (sha256, bytes) = (weights_sha256(parameters), parameters_to_safetensors(parameters)?);
        Ok(Self { from: from.to_owned(), sha256, normalizer: None, bytes })
    }

    /// Them in the format of safetensors. A run keeps them: it can be begun again whatever becomes of the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where they come from, with a warning where their network saw its data otherwise than `profile` has it.
    pub(crate) fn words(&self, profile: &Profile) -> String {
        let warning = match &self.normalizer {
            Some(normalizer) if *normalizer != profile.normalizer => {
                "; warning: its features were scaled otherwise than those of these data are"
            }
            _ => "",
        };
        format!("begins with the weights of {} (SHA-256 {}){warning}", self.from, self.sha256)
    }
}

/// `model` with the weights that `run` begins with, if it has any.
pub(crate) fn apply<M: Model>(run: &Run, model: M) -> Result<M, Error> {
    let path = run.start();
    if !path.is_file() {
        return Ok(model);
    }
    let bytes = fs::read(&path).map_err(|cause| Error::Read { path: path.display().to_string(), cause })?;
    Ok(with_parameters(model, &parameters_from_safetensors(&bytes)?)?)
}
