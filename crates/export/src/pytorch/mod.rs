//! PyTorch: weights as safetensors under the names of a `torch.nn.Sequential`, and a page of code that loads them.

use crate::{ExportError, Input, Member, Network};
use kiln_config::Activation;
use kiln_model::{Parameter, parameters_from_safetensors, parameters_to_safetensors};
use serde_json::{Map, Value, json};

/// The page of code; what differs between networks stands in `SETTINGS` at its beginning.
const CODE: &str = include_str!("network.py");

/// The safetensors file and the page of code.
pub(crate) fn files(
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

/// The safetensors file `bytes` with `metadata` in its head. The crate itself takes a map without an order, which would give
/// another file each time.
fn with_metadata(bytes: &[u8], metadata: &[(String, String)]) -> Vec<u8> {
    let (length, rest) =
        bytes.split_first_chunk().expect("a safetensors file begins with the length of its head");
    let (head, values) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut head: Map<String, Value> = serde_json::from_slice(head).expect("the head is an object");
    // PyTorch's own libraries look for this.
    let format = std::iter::once(("format".to_owned(), "pt".into()));
    let own = metadata.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    head.insert("__metadata__".to_owned(), Value::Object(format.chain(own).collect()));
    let mut head = Value::Object(head).to_string().into_bytes();
    head.resize(head.len().next_multiple_of(8), b' ');
    [&(head.len() as u64).to_le_bytes(), &head[..], values].concat()
}

/// Place of each layer in the `Sequential`: between two are an activation and, for standard dropout, a scaling.
fn place(network: &Network, layer: usize) -> usize {
    layer * (1 + usize::from(network.activation != Activation::Identity) + usize::from(network.keep != 1.0))
}

/// The parameters of a member under their names and in their layout there.
fn named(member: &Member, number: usize, network: &Network) -> Vec<Parameter> {
    // The only network is the `Sequential` itself.
    let parent = if network.members.len() == 1 { String::new() } else { format!("{number}.") };
    let parameter = |name: String, shape: &[usize], values: &[f32]| Parameter {
        name: format!("{parent}{name}"),
        shape: shape.to_vec(),
        values: values.to_vec(),
    };
    let mut all = Vec::new();
    let offset = usize::from(member.waves.is_some());
    if let Some(waves) = &member.waves {
        let (numbers, count, size) = (waves.columns.len(), waves.waves, waves.size);
        all.push(parameter("0.frequency".to_owned(), &[numbers, count], &waves.frequency));
        all.push(parameter("0.phase".to_owned(), &[numbers, count], &waves.phase));
        all.push(parameter("0.weight".to_owned(), &[numbers, count, size], &waves.weight));
        all.push(parameter("0.bias".to_owned(), &[numbers, size], &waves.bias));
    }
    for (index, layer) in member.layers.iter().enumerate() {
        let place = offset + place(network, index);
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
        "waves": first.waves.as_ref().map(|waves| json!({
            "columns": waves.columns, "waves": waves.waves, "size": waves.size,
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

/// `network` with the weights that `bytes` hold.
pub(crate) fn read_back(bytes: &[u8], network: &Network) -> Result<Network, ExportError> {
    let stored = parameters_from_safetensors(bytes).map_err(kiln::Error::from)?;
    let mut read = network.clone();
    for (number, member) in network.members.iter().enumerate() {
        let mut values = Vec::new();
        for Parameter { name, shape, .. } in named(member, number, network) {
            let found = Parameter::find(&stored, &name, &shape).map_err(kiln::Error::from)?;
            values.push(found.values.clone());
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
