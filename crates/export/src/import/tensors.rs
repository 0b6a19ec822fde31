//! The matrices in a file, whatever its format.

use std::fs;
use std::path::Path;

use kiln_config::Activation;
use kiln_table::listed;
use pytorch_reader::{DType, PytorchReader};
use safetensors::tensor::{Dtype, SafeTensors};

use super::onnx_file;
use crate::ImportError;
use crate::numbers::numbers;

/// What a file holds.
pub(super) struct Found {
    /// Its linear layers in the file's order, or where it has none, in that of their names.
    pub(super) layers: Vec<Linear>,
    /// The activation between them, where the file says.
    pub(super) activation: Option<Activation>,
    pub(super) notices: Vec<String>,
}

/// A matrix with the bias that belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) name: String,
    pub(super) shape: [usize; 2],
    pub(super) values: Vec<f32>,
    pub(super) bias: Option<Vec<f32>>,
}

impl Linear {
    /// Whether it is a layer of this shape, with a row for each output, or, not `turned`, one for each input.
    pub(super) fn fits(&self, [inputs, outputs]: [usize; 2], turned: bool) -> bool {
        self.shape == if turned { [outputs, inputs] } else { [inputs, outputs] }
    }
}

/// A tensor by name.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Reads the file at `path`; its format is told by its content.
pub(super) fn read(path: &Path) -> Result<Found, ImportError> {
    let bytes = fs::read(path).map_err(|cause| ImportError::Io { path: path.to_owned(), cause })?;
    if bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]) || is_tar(&bytes) {
        let (tensors, passed_over) = without_training_state(of_pytorch(path)?);
        let mut found = layers(path, tensors)?;
        found.notices.extend(passed_over);
        return Ok(found);
    }
    // The head of a safetensors file is its length and an object.
    if bytes.get(8) == Some(&b'{')
        && let Ok(file) = SafeTensors::deserialize(&bytes)
    {
        return layers(path, of_safetensors(path, &file)?);
    }
    onnx_file::read(path, &bytes)
}

fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

fn unreadable(path: &Path, why: impl Into<String>) -> ImportError {
    ImportError::Unreadable { path: path.to_owned(), why: why.into() }
}

fn of_pytorch(path: &Path) -> Result<Vec<Tensor>, ImportError> {
    let reader = PytorchReader::new(path).map_err(|error| unreadable(path, error.to_string()))?;
    let all = reader.tensors().iter().filter(|(_, tensor)| is_float(tensor.dtype()));
    all.map(|(name, tensor)| {
        let bytes = tensor.read().map_err(|error| unreadable(path, error.to_string()))?;
        let values = match tensor.dtype() {
            DType::F32 => numbers(&bytes, f32::from_le_bytes),
            DType::F64 => f64s(&bytes),
            other => return Err(unreadable(path, half(name, &format!("{other:?}")))),
        };
        Ok(Tensor { name: name.clone(), shape: tensor.shape().to_vec(), values })
    })
    .collect()
}

/// The tensors without those of an optimizer and without single numbers, which checkpoints keep beside the weights; and a line
/// about these.
fn without_training_state(tensors: Vec<Tensor>) -> (Vec<Tensor>, Option<String>) {
    let is_state = |tensor: &Tensor| {
        let first = tensor.name.split('.').next().unwrap_or_default();
        tensor.shape.is_empty() || ["optim", "sched"].iter().any(|part| first.contains(part))
    };
    let (mut state, weights): (Vec<_>, Vec<_>) = tensors.into_iter().partition(is_state);
    // A checkpoint has them in no order.
    state.sort_by_cached_key(|tensor| natural(&tensor.name));
    let names = listed(state.iter().map(|tensor| &*tensor.name), 3);
    (weights, (!state.is_empty()).then(|| format!("passed over beside the weights: {names}")))
}

fn is_float(kind: DType) -> bool {
    matches!(kind, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
}

fn of_safetensors(path: &Path, file: &SafeTensors<'_>) -> Result<Vec<Tensor>, ImportError> {
    file.iter()
        .map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => numbers(view.data(), f32::from_le_bytes),
                Dtype::F64 => f64s(view.data()),
                other => return Err(unreadable(path, half(name, &format!("{other:?}")))),
            };
            Ok(Tensor { name: name.to_owned(), shape: view.shape().to_vec(), values })
        })
        .collect()
}

fn half(name: &str, kind: &str) -> String {
    format!("{name} is of type {kind}; save the network in single precision (model.float())")
}

fn f64s(bytes: &[u8]) -> Vec<f32> {
    numbers(bytes, f64::from_le_bytes).into_iter().map(|value| value as f32).collect()
}

/// The matrices among `tensors`, each with the vector of its module, in the order of their names.
fn layers(path: &Path, mut tensors: Vec<Tensor>) -> Result<Found, ImportError> {
    tensors.sort_by_cached_key(|tensor| natural(&tensor.name));
    let module = |name: &str| name.rsplit_once('.').map_or(String::new(), |(module, _)| module.to_owned());
    let mut layers = Vec::new();
    for tensor in &tensors {
        let &[rows, columns] = &tensor.shape[..] else { continue };
        let own = module(&tensor.name);
        let mut vectors = tensors.iter().filter(|other| other.shape.len() == 1 && module(&other.name) == own);
        layers.push(Linear {
            name: tensor.name.clone(),
            shape: [rows, columns],
            values: tensor.values.clone(),
            bias: vectors.next().map(|bias| bias.values.clone()),
        });
    }
    let is_known = |tensor: &&Tensor| {
        let own = module(&tensor.name);
        tensor.shape.len() == 2
            || (tensor.shape.len() == 1 && layers.iter().any(|layer| module(&layer.name) == own))
    };
    // A weight says more than its bias.
    let others = tensors.iter().filter(|tensor| !is_known(tensor));
    if let Some(other) = others.max_by_key(|tensor| tensor.shape.len()) {
        let why = format!(
            "{} {:?} belongs to no linear layer, and a perceptron has no others",
            other.name, other.shape
        );
        return Err(unreadable(path, why));
    }
    Ok(Found { layers, activation: None, notices: Vec::new() })
}

/// A name with its numbers as numbers, so that layer 10 comes behind layer 9.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0_u64)];
    let mut is_in_number = false;
    for letter in name.chars() {
        let last = parts.last_mut().expect("there is one part at least");
        match letter.to_digit(10) {
            Some(digit) => last.1 = last.1.saturating_mul(10).saturating_add(u64::from(digit)),
            None if is_in_number => parts.push((letter.to_string(), 0)),
            None => last.0.push(letter),
        }
        is_in_number = letter.is_ascii_digit();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{Tensor, natural, without_training_state};

    #[test]
    fn what_an_optimizer_remembers_is_no_weight() {
        let tensor = |(name, shape): (&str, &[usize])| Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: Vec::new(),
        };
        let all = [
            ("model_state_dict.0.weight", &[3, 2][..]),
            ("optimizer_state_dict.state.0.exp_avg", &[3, 2]),
            ("loss", &[]),
        ];
        let (weights, notice) = without_training_state(all.into_iter().map(tensor).collect());
        assert_eq!(weights.len(), 1);
        let notice = notice.unwrap();
        assert!(notice.contains("exp_avg") && notice.contains("loss"), "{notice}");
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["10.weight", "2.weight", "0.weight", "fc1.weight", "fc10.weight", "fc2.weight"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["0.weight", "2.weight", "10.weight", "fc1.weight", "fc2.weight", "fc10.weight"]);
    }
}
