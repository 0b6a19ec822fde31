//! Files of weights: safetensors with PyTorch code, and Burn's own format; and the metadata that all formats carry.

use burn::tensor::{Bytes, DType};
use burn_pack::{Reader, Tensor, Writer};
use kiln::{Mlp, Trained};
use kiln_config::{Activation, Output};
use kiln_model::{Parameter, parameters, parameters_from_safetensors, parameters_to_safetensors};
use serde_json::{Map, Value, json};

use crate::network::transposed;
use crate::{Check, ExportError, Input, Layer, Member, Network, Pixels};

/// The page of PyTorch code. Everything that depends on the network is in `SETTINGS` at its beginning.
const CODE: &str = include_str!("pytorch.py");

/// The safetensors file and the page of code.
pub(crate) fn safetensors_files(
    network: &Network,
    about: &str,
    metadata: &[(String, String)],
) -> Result<Vec<(&'static str, Vec<u8>)>, ExportError> {
    let members = network.members.iter().enumerate();
    let parameters: Vec<Parameter> =
        members.flat_map(|(number, member)| named(member, number, network)).collect();
    let bytes = parameters_to_safetensors(&parameters).map_err(kiln::Error::from)?;
    let bytes = with_metadata(&bytes, metadata);
    Ok(vec![("safetensors", bytes), ("py", code(network, about).into_bytes())])
}

/// The safetensors file `bytes` with `metadata` in its header. The crate takes the metadata as a map without order, which
/// would make every file different.
fn with_metadata(bytes: &[u8], metadata: &[(String, String)]) -> Vec<u8> {
    let (length, rest) =
        bytes.split_first_chunk().expect("a safetensors file begins with the length of its header");
    let (header, values) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: Map<String, Value> = serde_json::from_slice(header).expect("the header is an object");
    // Some libraries for PyTorch require this entry.
    let format = std::iter::once(("format".to_owned(), "pt".into()));
    let own = metadata.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    header.insert("__metadata__".to_owned(), Value::Object(format.chain(own).collect()));
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes(), &header[..], values].concat()
}

/// The index of a layer in the `Sequential`: between two layers are an activation and, for standard dropout, a scaling.
fn index_of(network: &Network, layer: usize) -> usize {
    layer * (1 + usize::from(network.activation != Activation::Identity) + usize::from(network.keep != 1.0))
}

/// The parameters of a member with the names and layout of PyTorch.
fn named(member: &Member, number: usize, network: &Network) -> Vec<Parameter> {
    // A single network is the `Sequential` itself.
    let parent = if network.members.len() == 1 { String::new() } else { format!("{number}.") };
    let parameter = |name: String, shape: &[usize], values: &[f32]| Parameter {
        name: format!("{parent}{name}"),
        shape: shape.to_vec(),
        values: values.to_vec(),
    };
    let mut all = Vec::new();
    let offset = usize::from(member.embedding.is_some());
    if let Some(embedding) = &member.embedding {
        let (numbers, count, size) = (embedding.columns.len(), embedding.waves, embedding.size);
        all.push(parameter("0.frequency".to_owned(), &[numbers, count], &embedding.frequency));
        all.push(parameter("0.phase".to_owned(), &[numbers, count], &embedding.phase));
        all.push(parameter("0.weight".to_owned(), &[numbers, count, size], &embedding.weight));
        all.push(parameter("0.bias".to_owned(), &[numbers, size], &embedding.bias));
    }
    for (index, layer) in member.layers.iter().enumerate() {
        let place = offset + index_of(network, index);
        all.push(parameter(format!("{place}.weight"), &[layer.outputs, layer.inputs], &layer.weight));
        all.push(parameter(format!("{place}.bias"), &[layer.outputs], &layer.bias));
    }
    all
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
        "waves": first.embedding.as_ref().map(|embedding| json!({
            "columns": embedding.columns, "waves": embedding.waves, "size": embedding.size,
        })),
        "sigmoid": network.is_sigmoid,
        "calibration": network.calibration,
        "threshold": network.threshold,
        "classes": network.classes,
        "input": match &network.input {
            Input::Pixels(pixels) => json!(pixels),
            Input::Columns(preparation) => json!({
                "columns": preparation.used().map(|(column, treatment)| json!({
                    "name": column.name, "treatment": treatment,
                })).collect::<Vec<_>>(),
                "missing": preparation.missing_words().collect::<Vec<_>>(),
            }),
        },
    });
    let settings = serde_json::to_string_pretty(&settings).expect("plain data");
    CODE.replacen("ABOUT", about, 1).replacen("{}", &settings, 1)
}

/// `network` with the weights in the safetensors file `bytes`.
pub(crate) fn read_safetensors(bytes: &[u8], network: &Network) -> Result<Network, ExportError> {
    let stored = parameters_from_safetensors(bytes).map_err(kiln::Error::from)?;
    let mut read = network.clone();
    for (number, member) in network.members.iter().enumerate() {
        let mut values = Vec::new();
        for Parameter { name, shape, .. } in named(member, number, network) {
            let found = Parameter::find(&stored, &name, &shape).map_err(kiln::Error::from)?;
            values.push(found.values.clone());
        }
        let (mut values, into) = (values.into_iter(), &mut read.members[number]);
        let mut next = || values.next().expect("there is a value for every parameter");
        if let Some(embedding) = &mut into.embedding {
            (embedding.frequency, embedding.phase, embedding.weight, embedding.bias) =
                (next(), next(), next(), next());
        }
        for layer in &mut into.layers {
            (layer.weight, layer.bias) = (next(), next());
        }
    }
    Ok(read)
}

/// Burn's own format: the parameters of `trained` by their paths in Kiln's module, in Burn's layout, with `metadata`.
pub(crate) fn burnpack_file(
    trained: &Trained<Mlp>,
    metadata: &[(String, String)],
) -> Result<Vec<(&'static str, Vec<u8>)>, ExportError> {
    let tensors = parameters(&trained.model().model).into_iter().map(|Parameter { name, shape, values }| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new(name, DType::F32, shape, None, Bytes::from_bytes_vec(bytes))
    });
    let writer = metadata
        .iter()
        .fold(Writer::new(tensors.collect()), |writer, (name, value)| writer.with_metadata(name, value));
    let bytes = writer.into_bytes().map_err(|error| ExportError::Unreadable(error.to_string()))?;
    Ok(vec![("bpk", bytes.to_vec())])
}

/// `network` with the weights in the Burnpack file `bytes`.
pub(crate) fn read_burnpack(bytes: &[u8], network: &Network) -> Result<Network, ExportError> {
    let unreadable = |error: burn_pack::Error| ExportError::Unreadable(error.to_string());
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes.to_vec())).map_err(unreadable)?;
    let floats = |name: &str| {
        let bytes = reader.tensor_data(name).map_err(unreadable)?;
        Ok::<_, ExportError>(numbers(&bytes, f32::from_le_bytes))
    };
    let mut network = network.clone();
    let is_alone = network.members.len() == 1;
    for (number, member) in network.members.iter_mut().enumerate() {
        let parent = if is_alone { String::new() } else { format!("members.{number}.") };
        if let Some(embedding) = &mut member.embedding {
            let floats = |name: &str| floats(&format!("{parent}embedding.{name}"));
            (embedding.frequency, embedding.phase) = (floats("frequency")?, floats("phase")?);
            (embedding.weight, embedding.bias) = (floats("weight")?, floats("bias")?);
        }
        for (index, Layer { outputs, weight, bias, .. }) in member.layers.iter_mut().enumerate() {
            *weight = transposed(&floats(&format!("{parent}layers.{index}.weight"))?, *outputs);
            let name = format!("{parent}layers.{index}.bias");
            if reader.tensor_names().contains(&name.as_str()) {
                *bias = floats(&name)?;
            }
        }
    }
    Ok(network)
}

/// A sentence about the network: its size, its data, its run and its test accuracy.
pub(crate) fn sentence(trained: &Trained<Mlp>, network: &Network) -> Result<String, ExportError> {
    let run = trained.run();
    let (experiment, profile) = (trained.experiment(), trained.profile());
    let sizes = experiment.model.sizes(network.input.features(), network.classes.len());
    let test = run.status().map_err(kiln::Error::from)?.test;
    let test = test.map_or_else(String::new, |test| format!(", test accuracy {:.4}", test.accuracy));
    Ok(format!(
        "Perceptron {sizes} trained on {} by Kiln: run {}/{}{test}.",
        profile.source,
        run.name(),
        run.id()
    ))
}

/// The metadata of the network by name: its classes, the preprocessing of its inputs, its provenance, and the result of
/// `check`.
pub(crate) fn metadata(
    trained: &Trained<Mlp>,
    network: &Network,
    check: Option<&Check>,
) -> Result<Vec<(String, String)>, ExportError> {
    let run = trained.run();
    let status = run.status().map_err(kiln::Error::from)?;
    let provenance = run.provenance().map_err(kiln::Error::from)?;
    let config = std::fs::read(run.config_toml()).map_err(|cause| ExportError::Io {
        action: "read",
        path: run.config_toml(),
        cause,
    })?;
    let mut all = Vec::new();
    let mut add = |name: &str, value: String| all.push((name.to_owned(), value));
    add("classes", json!(network.classes).to_string());
    add("run", format!("{}/{}", run.name(), run.id()));
    add("kiln_version", provenance.build.kiln.clone());
    add("seed", provenance.seed.to_string());
    add("config_sha256", kiln_files::sha256_hex(&config));
    add("data", provenance.dataset.name.clone());
    add("data_sha256", provenance.dataset.sha256.clone());
    if let Some(git) = &provenance.git {
        let dirty = if git.dirty { " with changes" } else { "" };
        add("git_commit", format!("{}{dirty}", git.commit));
    }
    if let Some(step) = trained.model().step {
        add("checkpoint_step", step.to_string());
    }
    add("weights_sha256", weights_sha256(trained));
    if let Some(test) = status.test {
        add("test_accuracy", test.accuracy.to_string());
        add("test_loss", test.loss.to_string());
    }
    let output = if trained.experiment().model.output == Output::Sigmoid {
        "sigmoids divided by their sum"
    } else {
        "softmax"
    };
    add("output", output.to_owned());
    if let Some(calibration) = network.calibration {
        add("temperature", calibration.temperature.to_string());
    }
    if let Some(threshold) = network.threshold {
        let class = &network.classes[threshold.positive];
        add("threshold", json!({ "class": class, "probability": threshold.least }).to_string());
    }
    match &network.input {
        Input::Pixels(Pixels { shape, greatest, .. }) => {
            add("greatest_pixel", greatest.to_string());
            let format = if shape[0] == 1 { "Gray8" } else { "Rgb8" };
            add("Image.BitmapPixelFormat", format.to_owned());
            if *greatest == u8::MAX {
                add("Image.NominalPixelRange", "NominalRange_0_255".to_owned());
            }
        }
        Input::Columns(preparation) => {
            add("columns", json!(preparation).to_string());
        }
    }
    if let Some(check) = check {
        add("check", json!(check).to_string());
    }
    Ok(all)
}

/// The SHA-256 of the current weights of `trained`.
pub(crate) fn weights_sha256(trained: &Trained<Mlp>) -> String {
    kiln_model::weights_sha256(&kiln_model::parameters(&trained.model().model))
}

/// The numbers in `bytes`, each converted by `one`. An incomplete number at the end is ignored.
pub(crate) fn numbers<T, const N: usize>(bytes: &[u8], one: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| one(*bytes)).collect()
}
