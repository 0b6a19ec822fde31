//! PyTorch: weights as safetensors under the names of a `torch.nn.Sequential`, and a page of code that loads them.

use kiln_config::Activation;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::json;
use std::collections::HashMap;

use crate::{ExportError, Input, Member, Network};

/// The page of code; what differs between networks stands in `SETTINGS` at its beginning.
const CODE: &str = include_str!("network.py");

/// The safetensors file and the page of code.
pub(crate) fn files(
    network: &Network,
    about: &str,
    metadata: &[(String, String)],
) -> Result<Vec<(&'static str, Vec<u8>)>, ExportError> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (number, member) in network.members.iter().enumerate() {
        for (name, shape, values) in named(member, number, network) {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((name, shape, bytes));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let unreadable = |error: safetensors::SafeTensorError| ExportError::Unreadable(error.to_string());
    let format = std::iter::once(("format".to_owned(), "pt".to_owned()));
    let metadata: HashMap<String, String> = format.chain(metadata.iter().cloned()).collect();
    let bytes = serialize(views.map_err(unreadable)?, Some(metadata)).map_err(unreadable)?;
    Ok(vec![("safetensors", bytes), ("py", code(network, about).into_bytes())])
}

/// Place of each layer in the `Sequential`: between two are an activation and, for standard dropout, a scaling.
fn place(network: &Network, layer: usize) -> usize {
    layer * (1 + usize::from(network.activation != Activation::Identity) + usize::from(network.keep != 1.0))
}

/// The tensors of a member, by name.
fn named<'a>(member: &'a Member, number: usize, network: &Network) -> Vec<(String, Vec<usize>, &'a [f32])> {
    let mut tensors = Vec::new();
    let offset = usize::from(member.waves.is_some());
    if let Some(waves) = &member.waves {
        let numbers = waves.columns.len();
        let (count, size) = (waves.waves, waves.size);
        tensors.push((format!("{number}.0.frequency"), vec![numbers, count], &waves.frequency[..]));
        tensors.push((format!("{number}.0.phase"), vec![numbers, count], &waves.phase[..]));
        tensors.push((format!("{number}.0.weight"), vec![numbers, count, size], &waves.weight[..]));
        tensors.push((format!("{number}.0.bias"), vec![numbers, size], &waves.bias[..]));
    }
    for (index, layer) in member.layers.iter().enumerate() {
        let place = offset + place(network, index);
        tensors.push((format!("{number}.{place}.weight"), vec![layer.outputs, layer.inputs], &layer.weight));
        tensors.push((format!("{number}.{place}.bias"), vec![layer.outputs], &layer.bias));
    }
    // The only network is the `Sequential` itself.
    if network.members.len() == 1 {
        for (name, ..) in &mut tensors {
            name.drain(..2);
        }
    }
    tensors
}

fn code(network: &Network, about: &str) -> String {
    let activation = match network.activation {
        Activation::Identity => None,
        Activation::Relu => Some("ReLU"),
        Activation::Tanh => Some("Tanh"),
        Activation::Sigmoid => Some("Sigmoid"),
        Activation::Gelu => Some("GELU"),
        Activation::Silu => Some("SiLU"),
        Activation::LeakyRelu => Some("LeakyReLU"),
        Activation::Softplus => Some("Softplus"),
        Activation::Selu => Some("SELU"),
        Activation::Mish => Some("Mish"),
    };
    let first = &network.members[0];
    let mut sizes = vec![network.input.features()];
    sizes.extend(first.layers.iter().map(|layer| layer.outputs));
    let settings = json!({
        "sizes": sizes,
        "members": network.members.len(),
        "activation": activation,
        "keep": network.keep,
        "waves": first.waves.as_ref().map(|waves| json!({
            "columns": waves.columns, "waves": waves.waves, "size": waves.size,
        })),
        "sigmoid": network.is_sigmoid,
        "temperature": network.calibration.map(|calibration| calibration.temperature),
        "share": network.calibration.map(|calibration| calibration.share),
        "threshold": network.threshold.map(|threshold| json!([threshold.positive, threshold.least])),
        "classes": network.classes,
        "input": match &network.input {
            Input::Pixels { shape, greatest, divisor, mean, deviation } => json!({
                "pixels": shape, "greatest": greatest, "divisor": divisor, "mean": mean, "deviation": deviation,
            }),
            Input::Columns(preparation) => json!({
                "columns": preparation.used().map(|(column, treatment)| json!({
                    "name": column.name, "treatment": treatment,
                })).collect::<Vec<_>>(),
                "missing": preparation.missing,
            }),
        },
    });
    let settings = serde_json::to_string_pretty(&settings).expect("plain data");
    CODE.replacen("ABOUT", about, 1).replacen("{}", &settings, 1)
}

/// `network` with the weights that `bytes` hold.
pub(crate) fn read_back(bytes: &[u8], network: &Network) -> Result<Network, ExportError> {
    let unreadable = |error: safetensors::SafeTensorError| ExportError::Unreadable(error.to_string());
    let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let mut read = network.clone();
    for (number, member) in network.members.iter().enumerate() {
        let mut values = Vec::new();
        for (name, shape, _) in named(member, number, network) {
            let view = file.tensor(&name).map_err(unreadable)?;
            if view.shape() != shape {
                return Err(ExportError::Unreadable(format!("{name} has shape {:?}", view.shape())));
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            values.push(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<f32>>());
        }
        let (mut values, into) = (values.into_iter(), &mut read.members[number]);
        let mut next = || values.next().expect("as many as were asked for");
        if let Some(waves) = &mut into.waves {
            (waves.frequency, waves.phase, waves.weight, waves.bias) = (next(), next(), next(), next());
        }
        for layer in &mut into.layers {
            (layer.weight, layer.bias) = (next(), next());
        }
    }
    Ok(read)
}
