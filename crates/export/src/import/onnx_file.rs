//! The linear layers of an ONNX graph.

use std::path::Path;

use kiln_config::Activation;
use prost::Message;

use super::tensors::{Found, Linear};
use crate::ImportError;
use crate::network::transposed;
use crate::onnx::proto::{Graph, Model, Node, Tensor};

/// The products with constant matrices in the ONNX file `bytes`, in the order of the graph, each with a row for each output.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Found, ImportError> {
    let unreadable = |why: String| ImportError::Unreadable { path: path.to_owned(), why };
    let model = Model::decode(bytes).ok().filter(|model| model.graph.is_some());
    let graph = model.and_then(|model| model.graph).ok_or_else(|| {
        unreadable("neither a checkpoint of PyTorch's, nor safetensors, nor an ONNX graph".to_owned())
    })?;
    if let Some(apart) = graph.initializer.iter().find(|tensor| tensor.data_location != 0) {
        return Err(unreadable(format!("the values of {} are in a file of their own", apart.name)));
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
                return Err(unreadable(format!("{} is no part of a perceptron", node.op_type)));
            }
            name => match activation_of(name) {
                // The first one behind a layer; what comes behind the last is part of the output.
                Some(found) if activation.is_none() && !layers.is_empty() => {
                    activation = Some((found, layers.len()));
                }
                _ => others.push(name.to_owned()),
            },
        }
    }
    let activation = activation.filter(|(_, behind)| *behind < layers.len()).map(|(found, _)| found);
    others.sort_unstable();
    others.dedup();
    let notices = if others.is_empty() {
        Vec::new()
    } else {
        vec![format!(
            "passed over in the graph: {}; features are scaled as the experiment says",
            others.join(", ")
        )]
    };
    Ok(Found { layers, activation, notices })
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

fn constant<'a>(graph: &'a Graph, name: &str) -> Option<&'a Tensor> {
    graph.initializer.iter().find(|tensor| tensor.name == name)
}

fn values(tensor: &Tensor) -> Option<Vec<f32>> {
    let doubles = || Some(tensor.doubles()?.into_iter().map(|value| value as f32).collect());
    tensor.floats().or_else(doubles)
}

fn matrix(graph: &Graph, name: &str) -> Option<([usize; 2], Vec<f32>)> {
    let tensor = constant(graph, name)?;
    let &[rows, columns] = &tensor.dims[..] else { return None };
    let values = values(tensor)?;
    let shape = [rows as usize, columns as usize];
    (!values.is_empty() && values.len() == shape[0].checked_mul(shape[1])?).then_some((shape, values))
}

fn gemm(graph: &Graph, node: &Node) -> Result<Linear, String> {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let is_plain = |name| attribute(name).is_none_or(|given| given.f == 1.0);
    if !is_plain("alpha") || !is_plain("beta") || attribute("transA").is_some_and(|given| given.i != 0) {
        return Err(format!("{} is scaled or turned as no layer of a perceptron is", node.name));
    }
    let name = node.input.get(1).ok_or_else(|| format!("{} has no matrix", node.name))?;
    let (shape, values) = matrix(graph, name).ok_or_else(|| format!("{name} is no constant matrix"))?;
    let bias = node.input.get(2).filter(|name| !name.is_empty());
    let bias = bias.and_then(|name| self::values(constant(graph, name)?));
    if attribute("transB").is_some_and(|given| given.i != 0) {
        return Ok(Linear { name: name.clone(), shape, values, bias });
    }
    Ok(turned(name, shape, &values, bias))
}

/// A product, and the sum behind it.
fn matmul(graph: &Graph, node: &Node) -> Result<Linear, String> {
    let name = &node.input[1];
    let (shape, values) = matrix(graph, name).ok_or_else(|| format!("{name} is no constant matrix"))?;
    let bias = node.output.first().and_then(|product| {
        let sum = graph.node.iter().find(|next| next.op_type == "Add" && next.input.contains(product))?;
        let other = sum.input.iter().find(|name| *name != product)?;
        self::values(constant(graph, other)?)
    });
    Ok(turned(name, shape, &values, bias))
}

fn turned(name: &str, [rows, columns]: [usize; 2], values: &[f32], bias: Option<Vec<f32>>) -> Linear {
    Linear { name: name.to_owned(), shape: [columns, rows], values: transposed(values, columns), bias }
}
