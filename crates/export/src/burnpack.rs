//! Burn's own format: the parameters under their paths in Kiln's module, in Burn's layout.

use burn::tensor::{Bytes, DType};
use burn_pack::{Reader, Tensor, Writer};
use kiln::{Mlp, Trained};
use kiln_model::{Parameter, parameters};

use crate::network::{Layer, transposed};
use crate::numbers::numbers;
use crate::{ExportError, Network};

/// The parameters of `trained`, with `metadata`.
pub(crate) fn files(
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

/// `network` with the layers that `bytes` hold.
pub(crate) fn read_back(bytes: &[u8], network: &Network) -> Result<Network, ExportError> {
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
        if let Some(waves) = &mut member.waves {
            let floats = |name: &str| floats(&format!("{parent}embedding.{name}"));
            (waves.frequency, waves.phase) = (floats("frequency")?, floats("phase")?);
            (waves.weight, waves.bias) = (floats("weight")?, floats("bias")?);
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
