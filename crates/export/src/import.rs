//! Weights of another program's perceptron, fitted to the network of an experiment.

mod onnx_file;
mod tensors;

use std::path::Path;

use kiln::Experiment;
use kiln_model::Parameter;

use self::tensors::{Linear, read};
use crate::ImportError;

/// Weights that fit an experiment's network.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Under the names and in the layout of Kiln's perceptron.
    pub parameters: Vec<Parameter>,
    /// What became what, and what is to be known of it, a line each.
    pub notices: Vec<String>,
}

/// Reads the weights of a perceptron from `path` for the network that `experiment` describes, which takes `inputs` features
/// and tells `classes` classes apart. The file is one of PyTorch's (a state dict or a whole module; no code in it is run), of
/// safetensors, or an ONNX graph. Layers are known by their shapes; where several fit, by their names.
///
/// # Errors
/// Where the file cannot be read, or its layers are not those of the network; the message names both.
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
        // PyTorch keeps a row for each output, Kiln, as Burn does, one for each input.
        let values =
            if is_turned { crate::network::transposed(&layer.values, inputs) } else { layer.values.clone() };
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
        return Err(mismatch("finite weights".to_owned(), format!("others in {}", bad.name)));
    }
    Ok(Imported { parameters, notices })
}

/// Which of `layers` is which of the `shapes` [inputs, outputs], and whether they have a row for each output, as PyTorch's: so
/// they are taken where both would do. Of several that fit, the first in the order of the file is taken; none where some layer
/// is left over or lacking.
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

/// The layers of a file, with the setting that would fit them if one would.
fn layers_found(layers: &[Linear], inputs: usize, classes: usize) -> String {
    let each: Vec<String> = layers.iter().map(|layer| format!("{} {:?}", layer.name, layer.shape)).collect();
    let found = if each.is_empty() { "no matrix at all".to_owned() } else { each.join(", ") };
    // As PyTorch has them: a row for each output.
    let outputs: Vec<usize> = layers.iter().map(|layer| layer.shape[0]).collect();
    let is_chain = layers.first().is_some_and(|first| first.shape[1] == inputs)
        && layers.windows(2).all(|pair| pair[0].shape[0] == pair[1].shape[1])
        && outputs.last() == Some(&classes);
    if is_chain {
        let hidden: Vec<String> = outputs[..outputs.len() - 1].iter().map(ToString::to_string).collect();
        return format!("{found}: model.hidden=[{}] fits", hidden.join(","));
    }
    format!("{found}; the data have {inputs} features and {classes} classes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(name: &str, shape: [usize; 2]) -> Linear {
        let values = (0..shape[0] * shape[1]).map(|at| at as f32).collect();
        Linear { name: name.to_owned(), shape, values, bias: None }
    }

    #[test]
    fn layers_are_known_by_their_shapes_whatever_their_order() {
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
    fn what_would_fit_is_said() {
        let layers = [linear("fc1", [7, 2]), linear("fc2", [3, 7])];
        assert!(layers_found(&layers, 2, 3).ends_with("model.hidden=[7] fits"));
        assert!(layers_found(&layers, 5, 3).ends_with("the data have 5 features and 3 classes"));
    }
}
