//! Weights of another program's perceptron for the network of an experiment: from PyTorch, safetensors or ONNX files.

use std::fs;
use std::path::Path;

use kiln::Experiment;
use kiln_config::Activation;
use kiln_model::Parameter;
use kiln_table::listed;
use prost::Message;
use pytorch_reader::{DType, PytorchReader};
use safetensors::tensor::{Dtype, SafeTensors};

use crate::ImportError;
use crate::network::transposed;
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::weight_files::numbers;

/// Weights that fit an experiment's network.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The parameters with the names and layout of Kiln's perceptron.
    pub parameters: Vec<Parameter>,
    /// Notices for the user: the origin of each layer, and what was ignored.
    pub notices: Vec<String>,
}

/// Reads the weights of a perceptron from `path` for the network that `experiment` describes, with `inputs` features and
/// `classes` classes. The file is a PyTorch file (a state dict or a whole module; its code is not run), a safetensors file,
/// or an ONNX graph. Layers are matched by their shapes; if several layers fit, by their order in the file or of their names.
///
/// # Errors
/// The file cannot be read, or its layers are not those of the network; the message lists both.
pub fn import(
    path: &Path,
    experiment: &Experiment,
    [inputs, classes]: [usize; 2],
) -> Result<Imported, ImportError> {
    let found = read(path)?;
    let mismatch =
        |expected: String, found: String| ImportError::Mismatch { path: path.to_owned(), expected, found };
    if experiment.model.members > 1 || experiment.model.features_of_numbers(1) > 0 {
        return Err(mismatch(
            "one network of plain layers: model.members=1 model.number_embedding=none".to_owned(),
            format!(
                "model.members = {} with {:?}",
                experiment.model.members, experiment.model.number_embedding
            ),
        ));
    }
    if let Some(activation) = found.activation.filter(|one| *one != experiment.model.activation) {
        let name = serde_json::json!(activation);
        let name = name.as_str().unwrap_or_default().to_owned();
        return Err(mismatch(
            format!("model.activation = {}", serde_json::json!(experiment.model.activation)),
            format!("\"{name}\": model.activation={name} fits"),
        ));
    }
    let widths: Vec<usize> =
        [inputs].into_iter().chain(experiment.model.hidden.iter().copied()).chain([classes]).collect();
    let shapes: Vec<[usize; 2]> = widths.windows(2).map(|pair| [pair[0], pair[1]]).collect();
    let Some((order, is_turned)) = chain(&found.layers, &shapes) else {
        return Err(mismatch(layers_wanted(&shapes), layers_found(&found.layers, inputs, classes)));
    };
    let mut parameters = Vec::new();
    let mut notices = found.notices;
    for (index, (&at, &[inputs, outputs])) in order.iter().zip(&shapes).enumerate() {
        let layer = &found.layers[at];
        // PyTorch stores a row for each output; Kiln and Burn store a row for each input.
        let values = if is_turned { transposed(&layer.values, inputs) } else { layer.values.clone() };
        parameters.push(Parameter {
            name: format!("layers.{index}.weight"),
            shape: vec![inputs, outputs],
            values,
        });
        match (&layer.bias, experiment.model.bias) {
            (Some(bias), true) if bias.len() == outputs => {
                parameters.push(Parameter {
                    name: format!("layers.{index}.bias"),
                    shape: vec![outputs],
                    values: bias.clone(),
                });
            }
            (None, false) => {}
            (bias, wanted) => {
                let has =
                    bias.as_ref().map_or("no bias".to_owned(), |bias| format!("a bias of {}", bias.len()));
                let expected = if wanted { format!("a bias of {outputs}") } else { "no bias".to_owned() };
                return Err(mismatch(
                    format!("{expected} in layers.{index} (model.bias = {wanted})"),
                    format!("{} with {has}", layer.name),
                ));
            }
        }
        let turned = if is_turned { ", transposed" } else { "" };
        notices.push(format!("layers.{index} [{inputs}, {outputs}] is {}{turned}", layer.name));
    }
    let is_bad = |parameter: &&Parameter| parameter.values.iter().any(|value| !value.is_finite());
    if let Some(bad) = parameters.iter().find(is_bad) {
        return Err(mismatch("finite weights".to_owned(), format!("non-finite weights in {}", bad.name)));
    }
    Ok(Imported { parameters, notices })
}

/// For each of `shapes` [inputs, outputs] the index of its layer, and whether the layers have a row for each output, as in
/// PyTorch; if both layouts fit, this one is taken. Of several layers that fit, the first in the file is taken. `None` if a
/// layer is missing or left over.
fn chain(layers: &[Linear], shapes: &[[usize; 2]]) -> Option<(Vec<usize>, bool)> {
    let ordered = |is_turned: bool| {
        let mut taken = vec![false; layers.len()];
        let mut order = Vec::new();
        for shape in shapes {
            let at = (0..layers.len()).find(|at| !taken[*at] && layers[*at].fits(*shape, is_turned))?;
            taken[at] = true;
            order.push(at);
        }
        Some((order, is_turned)).filter(|_| layers.len() == shapes.len())
    };
    ordered(true).or_else(|| ordered(false))
}

fn layers_wanted(shapes: &[[usize; 2]]) -> String {
    let each = shapes.iter().map(|[inputs, outputs]| format!("{inputs} to {outputs}"));
    format!("layers from {}", each.collect::<Vec<_>>().join(", "))
}

/// The layers of a file in a message, with the value of `model.hidden` that fits them, if there is one.
fn layers_found(layers: &[Linear], inputs: usize, classes: usize) -> String {
    let each: Vec<String> = layers.iter().map(|layer| format!("{} {:?}", layer.name, layer.shape)).collect();
    let found = if each.is_empty() { "no matrix at all".to_owned() } else { each.join(", ") };
    // In PyTorch's layout, with a row for each output.
    let outputs: Vec<usize> = layers.iter().map(|layer| layer.shape[0]).collect();
    let is_chain = layers.first().is_some_and(|first| first.shape[1] == inputs)
        && layers.windows(2).all(|pair| pair[0].shape[0] == pair[1].shape[1])
        && outputs.last() == Some(&classes);
    if is_chain {
        let hidden: Vec<String> = outputs[..outputs.len() - 1].iter().map(ToString::to_string).collect();
        return format!("{found}: model.hidden=[{}] fits", hidden.join(","));
    }
    format!("{found}; the data has {inputs} features and {classes} classes")
}

/// The content of a file.
struct FileLayers {
    /// Its linear layers in the order of the file, or, if it has no order, of their names.
    layers: Vec<Linear>,
    /// The activation between them, if the file contains it.
    activation: Option<Activation>,
    notices: Vec<String>,
}

/// A matrix with its bias.
#[derive(Clone, Debug)]
struct Linear {
    name: String,
    shape: [usize; 2],
    values: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Whether the layer has this shape, with a row for each output if `is_turned`, else with a row for each input.
    fn fits(&self, [inputs, outputs]: [usize; 2], is_turned: bool) -> bool {
        self.shape == if is_turned { [outputs, inputs] } else { [inputs, outputs] }
    }
}

/// A tensor by name.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Reads the file at `path`; its content determines the format.
fn read(path: &Path) -> Result<FileLayers, ImportError> {
    let bytes = fs::read(path).map_err(|cause| ImportError::Io { path: path.to_owned(), cause })?;
    if bytes.starts_with(b"PK") || bytes.starts_with(&[0x80]) || is_tar(&bytes) {
        let (tensors, passed_over) = without_training_state(of_pytorch(path)?);
        let mut found = layers(path, tensors)?;
        found.notices.extend(passed_over);
        return Ok(found);
    }
    // The header of a safetensors file is its length and a JSON object.
    if bytes.get(8) == Some(&b'{')
        && let Ok(file) = SafeTensors::deserialize(&bytes)
    {
        return layers(path, of_safetensors(path, &file)?);
    }
    read_onnx(path, &bytes)
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

/// Separates the weights from the state of an optimizer or scheduler and from scalars, which checkpoints also contain.
/// Returns the weights, and a notice about the rest.
fn without_training_state(tensors: Vec<Tensor>) -> (Vec<Tensor>, Option<String>) {
    let is_state = |tensor: &Tensor| {
        let first = tensor.name.split('.').next().unwrap_or_default();
        tensor.shape.is_empty() || ["optim", "sched"].iter().any(|part| first.contains(part))
    };
    let (mut state, weights): (Vec<_>, Vec<_>) = tensors.into_iter().partition(is_state);
    // Tensors of a checkpoint come in arbitrary order.
    state.sort_by_cached_key(|tensor| natural(&tensor.name));
    let names = listed(state.iter().map(|tensor| &*tensor.name), 3);
    (weights, (!state.is_empty()).then(|| format!("ignored besides the weights: {names}")))
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

/// The matrices among `tensors`, each with the vector of the same module as its bias, sorted by name.
fn layers(path: &Path, mut tensors: Vec<Tensor>) -> Result<FileLayers, ImportError> {
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
    // Report a weight rather than its bias.
    let others = tensors.iter().filter(|tensor| !is_known(tensor));
    if let Some(other) = others.max_by_key(|tensor| tensor.shape.len()) {
        let why = format!(
            "{} {:?} belongs to no linear layer; a perceptron has only linear layers",
            other.name, other.shape
        );
        return Err(unreadable(path, why));
    }
    Ok(FileLayers { layers, activation: None, notices: Vec::new() })
}

/// A sort key for names with numbers, so that layer 10 follows layer 9.
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

/// The products with constant matrices in the ONNX file `bytes`, in the order of the graph, all with a row for each output.
fn read_onnx(path: &Path, bytes: &[u8]) -> Result<FileLayers, ImportError> {
    let unreadable = |why: String| ImportError::Unreadable { path: path.to_owned(), why };
    let model = ModelProto::decode(bytes).ok().filter(|model| model.graph.is_some());
    let graph = model.and_then(|model| model.graph).ok_or_else(|| {
        unreadable("expected a PyTorch checkpoint, a safetensors file or an ONNX graph".to_owned())
    })?;
    if let Some(apart) = graph.initializer.iter().find(|tensor| tensor.data_location != 0) {
        return Err(unreadable(format!("the values of {} are in a separate file", apart.name)));
    }
    let mut layers: Vec<Linear> = Vec::new();
    let (mut activation, mut others) = (None, Vec::new());
    for node in &graph.node {
        match &*node.op_type {
            "Gemm" => layers.push(gemm(&graph, node).map_err(unreadable)?),
            "MatMul" if node.input.get(1).is_some_and(|name| matrix(&graph, name).is_some()) => {
                layers.push(matmul(&graph, node).map_err(unreadable)?);
            }
            "Conv" | "ConvTranspose" | "BatchNormalization" | "LayerNormalization" | "LSTM" | "GRU"
            | "RNN" => {
                return Err(unreadable(format!("a perceptron has no {}", node.op_type)));
            }
            name => match activation_of(name) {
                // The first activation after a layer; one after the last layer belongs to the output.
                Some(found) if activation.is_none() && !layers.is_empty() => {
                    activation = Some((found, layers.len()));
                }
                _ => others.push(name.to_owned()),
            },
        }
    }
    let activation = activation.filter(|(_, before)| *before < layers.len()).map(|(found, _)| found);
    others.sort_unstable();
    others.dedup();
    let notices = if others.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "ignored in the graph: {}; the experiment defines the scaling of features",
            others.join(", ")
        )]
    };
    Ok(FileLayers { layers, activation, notices })
}

fn activation_of(operator: &str) -> Option<Activation> {
    Some(match operator {
        "Relu" => Activation::Relu,
        "Tanh" => Activation::Tanh,
        "Sigmoid" => Activation::Sigmoid,
        "LeakyRelu" => Activation::LeakyRelu,
        "Selu" => Activation::Selu,
        "Softplus" => Activation::Softplus,
        "Gelu" => Activation::Gelu,
        "Mish" => Activation::Mish,
        _ => return None,
    })
}

fn constant<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a TensorProto> {
    graph.initializer.iter().find(|tensor| tensor.name == name)
}

fn values_of(tensor: &TensorProto) -> Option<Vec<f32>> {
    let doubles = || Some(tensor.doubles()?.into_iter().map(|value| value as f32).collect());
    tensor.floats().or_else(doubles)
}

fn matrix(graph: &GraphProto, name: &str) -> Option<([usize; 2], Vec<f32>)> {
    let tensor = constant(graph, name)?;
    let &[rows, columns] = &tensor.dims[..] else { return None };
    let values = values_of(tensor)?;
    let shape = [rows as usize, columns as usize];
    (!values.is_empty() && values.len() == shape[0].checked_mul(shape[1])?).then_some((shape, values))
}

fn gemm(graph: &GraphProto, node: &NodeProto) -> Result<Linear, String> {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let is_plain = |name| attribute(name).is_none_or(|given| given.f == 1.0);
    if !is_plain("alpha") || !is_plain("beta") || attribute("transA").is_some_and(|given| given.i != 0) {
        return Err(format!("{} is scaled or transposed, unlike a layer of a perceptron", node.name));
    }
    let name = node.input.get(1).ok_or_else(|| format!("{} has no matrix", node.name))?;
    let (shape, values) = matrix(graph, name).ok_or_else(|| format!("{name} is not a constant matrix"))?;
    let bias = node.input.get(2).filter(|name| !name.is_empty());
    let bias = bias.and_then(|name| values_of(constant(graph, name)?));
    if attribute("transB").is_some_and(|given| given.i != 0) {
        return Ok(Linear { name: name.clone(), shape, values, bias });
    }
    Ok(turned(name, shape, &values, bias))
}

/// A `MatMul`, and the `Add` of its bias.
fn matmul(graph: &GraphProto, node: &NodeProto) -> Result<Linear, String> {
    let name = &node.input[1];
    let (shape, values) = matrix(graph, name).ok_or_else(|| format!("{name} is not a constant matrix"))?;
    let bias = node.output.first().and_then(|product| {
        let sum = graph.node.iter().find(|next| next.op_type == "Add" && next.input.contains(product))?;
        let other = sum.input.iter().find(|name| *name != product)?;
        values_of(constant(graph, other)?)
    });
    Ok(turned(name, shape, &values, bias))
}

fn turned(name: &str, [rows, columns]: [usize; 2], values: &[f32], bias: Option<Vec<f32>>) -> Linear {
    Linear { name: name.to_owned(), shape: [columns, rows], values: transposed(values, columns), bias }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(name: &str, shape: [usize; 2]) -> Linear {
        let values = (0..shape[0] * shape[1]).map(|at| at as f32).collect();
        Linear { name: name.to_owned(), shape, values, bias: None }
    }

    #[test]
    fn layers_are_matched_by_shape_in_any_order() {
        let layers = [linear("a.out", [3, 5]), linear("b.in", [4, 2]), linear("c.mid", [5, 4])];
        let shapes = [[2, 4], [4, 5], [5, 3]];
        assert_eq!(chain(&layers, &shapes), Some((vec![1, 2, 0], true)));
        let turned = [linear("w1", [2, 4]), linear("w2", [4, 5]), linear("w3", [5, 3])];
        assert_eq!(chain(&turned, &shapes), Some((vec![0, 1, 2], false)));
        let mixed = [linear("w1", [2, 4]), linear("w2", [5, 4]), linear("w3", [5, 3])];
        assert_eq!(chain(&mixed, &shapes), None, "one file has one layout");
        assert_eq!(chain(&layers[..2], &shapes), None);
        assert_eq!(chain(&layers, &[[2, 4], [4, 6], [6, 3]]), None);
    }

    #[test]
    fn a_mismatch_names_the_hidden_sizes_that_fit() {
        let layers = [linear("fc1", [7, 2]), linear("fc2", [3, 7])];
        assert!(layers_found(&layers, 2, 3).ends_with("model.hidden=[7] fits"));
        assert!(layers_found(&layers, 5, 3).ends_with("the data has 5 features and 3 classes"));
    }

    #[test]
    fn optimizer_state_is_not_imported() {
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
    fn names_are_sorted_by_their_numbers() {
        let mut names = ["10.weight", "2.weight", "0.weight", "fc1.weight", "fc10.weight", "fc2.weight"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["0.weight", "2.weight", "10.weight", "fc1.weight", "fc2.weight", "fc10.weight"]);
    }
}
