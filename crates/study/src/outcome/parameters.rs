//! How many parameters a run's network has.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kiln_artifacts::Run;
use serde_json::Value;

/// More than the header of any network's file has.
const LONGEST_HEADER: u64 = 16 * 1024 * 1024;

/// The number of weights and biases, from the header of the last checkpoint: the rest may be gigabytes.
pub(super) fn count(run: &Run) -> Option<u64> {
    let store = run.checkpoint_store();
    let step = store.last().ok()??;
    of_file(&run.checkpoints().join(format!("step-{step}")).join(kiln_model::MODEL_FILE))
}

/// A safetensors file begins with the length of its header, a JSON object of tensors by name.
fn of_file(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut header = Vec::new();
    file.take(length.min(LONGEST_HEADER)).read_to_end(&mut header).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let tensors = header.as_object()?.iter().filter(|(name, _)| *name != "__metadata__");
    let sizes = tensors.map(|(_, tensor)| {
        let shape = tensor["shape"].as_array()?;
        shape.iter().try_fold(1_u64, |size, side| size.checked_mul(side.as_u64()?))
    });
    sizes.sum()
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
