//! How many weights a run's network has.

use std::fs;
use std::path::Path;

use kiln_artifacts::Run;
use safetensors::SafeTensors;

/// The number of weights and biases in the checkpoint of this step, or in the last one; none where it cannot be read.
#[must_use]
pub fn weight_count(run: &Run, step: Option<u64>) -> Option<u64> {
    let step = step.or_else(|| run.checkpoint_store().last().ok().flatten())?;
    of_file(&run.checkpoints().join(format!("step-{step}")).join(kiln_model::MODEL_FILE))
}

fn of_file(path: &Path) -> Option<u64> {
    let (_, tensors) = SafeTensors::read_metadata(&fs::read(path).ok()?).ok()?;
    let sizes = tensors.tensors().into_values().map(|tensor| tensor.shape.iter().product::<usize>() as u64);
    Some(sizes.sum())
}

#[cfg(test)]
mod tests {
    use kiln_model::{Parameter, parameters_to_safetensors};

    use super::*;

    #[test]
    fn weights_and_biases_are_counted() {
        let parameter = |name: &str, shape: Vec<usize>| {
            let values = vec![0.0; shape.iter().product()];
            Parameter { name: name.to_owned(), shape, values }
        };
        let parameters = [parameter("layers.0.weight", vec![3, 4]), parameter("layers.0.bias", vec![4])];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, parameters_to_safetensors(&parameters).unwrap()).unwrap();
        assert_eq!(of_file(&path), Some(16));
        std::fs::write(&path, b"\xff\xff").unwrap();
        assert_eq!(of_file(&path), None);
    }
}
