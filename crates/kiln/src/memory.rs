//! Whether a network fits into this machine's memory, before any of it is allocated.

use std::fs;

use kiln_config::{BackendName, Experiment, OptimizerName};

use crate::Error;

/// An error if training the perceptron of `experiment` on `features` values, of which `numbers` are measured numbers, and
/// `classes` classes needs more memory than this machine has to give. Of a GPU's memory, and where the system does not say, nothing is known: then it passes.
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

/// Weights and biases.
fn weights(features: usize, hidden: &[usize], classes: usize) -> u128 {
    let sizes: Vec<u128> = std::iter::once(features)
        .chain(hidden.iter().copied())
        .chain([classes])
        .map(|size| size as u128)
        .collect();
    sizes.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum()
}

/// What training takes at the least: each weight, its gradient, what the optimizer keeps of it and the copy that a checkpoint
/// is written from; and what the layers pass on for a batch, forwards and backwards; all that for each member.
fn needed_bytes(experiment: &Experiment, features: usize, hidden: &[usize], classes: usize) -> u128 {
    let kept = match experiment.optimizer.name {
        OptimizerName::Sgd if experiment.optimizer.momentum == 0.0 => 0,
        OptimizerName::Sgd | OptimizerName::Rmsprop => 1,
        OptimizerName::Adam | OptimizerName::Adamw => 2,
    };
    let units: u128 = hidden.iter().map(|&width| width as u128).sum::<u128>() + (features + classes) as u128;
    let activations = units * experiment.training.batch_size as u128 * 2;
    let members = experiment.model.members as u128;
    4 * members * (weights(features, hidden, classes) * (3 + kept) + activations)
}

fn gigabytes(bytes: u128) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Memory that can be had without swapping: of the machine, or of the control group where that has less.
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
    fn what_cannot_fit_is_refused_with_what_would() {
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![16_777_216, 16_777_216];
        let error = check(&experiment, 64, 10, 16_000_000_000).unwrap_err().to_string();
        assert!(error.contains("[16777216, 16777216]") && error.contains("16.0 GB"), "{error}");
        assert!(error.contains("16384"), "{error}");
        experiment.model.hidden = vec![16_384, 16_384];
        assert!(check(&experiment, 64, 10, 16_000_000_000).is_ok());
    }
}
