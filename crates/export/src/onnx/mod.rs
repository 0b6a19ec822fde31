//! ONNX: one graph from raw values to probabilities and a class.
//!
//! The inputs are `pixels`, 8-bit integers of shape [batch, channels, height, width], or the columns of the table by name,
//! each of shape [batch, 1]: numbers in double precision, words as text, dates as days since 1970. The outputs are
//! `probabilities`, shape [batch, classes], calibrated like Kiln's own answers, and `label`, the predicted class by number,
//! shape `[batch]`. The names of the classes are in the metadata.
//!
//! This file writes the layers, `inputs.rs` the features before them, both with the builder in `graph.rs`; `proto.rs` has
//! the messages of the format, and `run.rs` evaluates a file.

mod graph;
mod inputs;
pub(crate) mod proto;
pub(crate) mod run;

pub(crate) use inputs::GraphInputKind;

use kiln_config::Activation;

use self::graph::{Graph, Value, Values, Wire};
use self::proto::DataType;
use crate::{Calibration, Embedding, ExportError, Input, Layer, Member, Network, Threshold};

/// Name of the input of pictures.
pub(crate) const PIXELS: &str = "pixels";
/// Names of the outputs.
pub(crate) const PROBABILITIES: &str = "probabilities";
pub(crate) const LABEL: &str = "label";

/// `network` as an ONNX file of operator set 17, with the description `about` and `metadata`.
///
/// # Errors
/// [`ExportError::Unsupported`] if a column has the name of another tensor of the graph.
pub fn onnx(network: &Network, about: &str, metadata: &[(String, String)]) -> Result<Vec<u8>, ExportError> {
    if let Input::Columns(preparation) = &network.input {
        let is_taken = |name: &str| {
            [PROBABILITIES, LABEL, PIXELS].contains(&name)
                || ["/", "layers.", "members.", "embedding."].iter().any(|start| name.starts_with(start))
                || name.is_empty()
        };
        if let Some((column, _)) = preparation.used().find(|(column, _)| is_taken(&column.name)) {
            return Err(ExportError::Unsupported {
                format: "ONNX",
                holds: "columns whose names differ from the names of its other tensors",
                has: format!("a column called \"{}\"", column.name),
            });
        }
    }
    let mut graph = Graph::default();
    let features = inputs::features(&mut graph, &network.input);
    let answers = answers(&mut graph, network, &features);
    let classes = network.classes.len() as i64;
    graph.output(
        &answers.probabilities,
        PROBABILITIES,
        DataType::Float,
        &[classes],
        "the probability of each class",
    );
    graph.output(&answers.label, LABEL, DataType::Int64, &[], "the number of the predicted class");
    Ok(graph.encode(about, metadata))
}

/// The probabilities, shape [batch, classes], and the numbers of the predicted classes, shape `[batch]`.
struct AnswerWires {
    probabilities: Wire,
    label: Wire,
}

/// The answers of `network` for `features`, shape [batch, features].
fn answers(graph: &mut Graph, network: &Network, features: &Wire) -> AnswerWires {
    let is_alone = network.members.len() == 1;
    let logits: Vec<Wire> = network
        .members
        .iter()
        .enumerate()
        .map(|(number, member)| {
            let parent = if is_alone { String::new() } else { format!("members.{number}.") };
            logits(graph, network, member, &parent, features)
        })
        .collect();
    let scores = if is_alone { logits[0].clone() } else { logarithm_of_mean(graph, &logits) };
    let probabilities = if network.is_sigmoid {
        let sigmoids = graph.node("Sigmoid", &[&scores]);
        let axis = graph.ints(&[1]);
        let total = graph.node_with("ReduceSum", "", &[&sigmoids, &axis], &[("keepdims", Value::Int(1))]);
        graph.node("Div", &[&sigmoids, &total])
    } else {
        softmax(graph, &scores)
    };
    let classes = network.classes.len();
    let probabilities = match network.calibration {
        None => probabilities,
        Some(calibration) => calibrated(graph, &probabilities, calibration, classes),
    };
    let label = match network.threshold {
        None => {
            let attributes = [("axis", Value::Int(1)), ("keepdims", Value::Int(0))];
            graph.node_with("ArgMax", "", &[&scores], &attributes)
        }
        Some(threshold) => decided(graph, &probabilities, threshold),
    };
    AnswerWires { probabilities, label }
}

fn softmax(graph: &mut Graph, logits: &Wire) -> Wire {
    graph.node_with("Softmax", "", &[logits], &[("axis", Value::Int(1))])
}

/// The outputs of the last layer of one network.
fn logits(graph: &mut Graph, network: &Network, member: &Member, parent: &str, features: &Wire) -> Wire {
    let mut values = match &member.embedding {
        None => features.clone(),
        Some(embedding) => with_embedding(graph, embedding, parent, features),
    };
    let last = member.layers.len() - 1;
    for (index, layer) in member.layers.iter().enumerate() {
        values = linear(graph, layer, &format!("{parent}layers.{index}"), &values);
        if index < last {
            values = activated(graph, network.activation, &values);
            if network.keep != 1.0 {
                let keep = graph.f32(network.keep);
                values = graph.node("Mul", &[&values, &keep]);
            }
        }
    }
    values
}

fn linear(graph: &mut Graph, layer: &Layer, name: &str, input: &Wire) -> Wire {
    let Layer { inputs, outputs, weight, bias } = layer;
    let weight = graph.constant(&format!("{name}.weight"), &[*outputs, *inputs], Values::F32(weight.clone()));
    let bias = graph.constant(&format!("{name}.bias"), &[*outputs], Values::F32(bias.clone()));
    graph.node_with("Gemm", "", &[input, &weight, &bias], &[("transB", Value::Int(1))])
}

fn activated(graph: &mut Graph, function: Activation, x: &Wire) -> Wire {
    match function {
        Activation::Identity => x.clone(),
        Activation::Relu => graph.node("Relu", &[x]),
        Activation::Tanh => graph.node("Tanh", &[x]),
        Activation::Sigmoid => graph.node("Sigmoid", &[x]),
        Activation::Softplus => graph.node("Softplus", &[x]),
        Activation::LeakyRelu => graph.node_with("LeakyRelu", "", &[x], &[("alpha", Value::Float(0.01))]),
        Activation::Selu => graph.node("Selu", &[x]),
        Activation::Silu => {
            let sigmoid = graph.node("Sigmoid", &[x]);
            graph.node("Mul", &[x, &sigmoid])
        }
        Activation::Mish => {
            let softplus = graph.node("Softplus", &[x]);
            let tanh = graph.node("Tanh", &[&softplus]);
            graph.node("Mul", &[x, &tanh])
        }
        // x / 2 (1 + erf(x / sqrt 2)): the operator `Gelu` exists only from operator set 20.
        Activation::Gelu => {
            let [root, one, half] =
                [std::f32::consts::FRAC_1_SQRT_2, 1.0, 0.5].map(|number| graph.f32(number));
            let scaled = graph.node("Mul", &[x, &root]);
            let erf = graph.node("Erf", &[&scaled]);
            let sum = graph.node("Add", &[&erf, &one]);
            let below = graph.node("Mul", &[&sum, &half]);
            graph.node("Mul", &[x, &below])
        }
    }
}

/// `features`, followed by the embedding of the numbers among them.
fn with_embedding(graph: &mut Graph, embedding: &Embedding, parent: &str, features: &Wire) -> Wire {
    let Embedding { columns, waves: count, size, frequency, phase, weight, bias } = embedding;
    let (numbers, count, size) = (columns.len(), *count, *size);
    let columns = graph.ints(&columns.iter().map(|column| *column as i64).collect::<Vec<_>>());
    let numbers_alone = graph.node_with("Gather", "", &[features, &columns], &[("axis", Value::Int(1))]);
    // [numbers, batch, 1], so that `MatMul` multiplies each number with its own matrix.
    let turned = graph.node_with("Transpose", "", &[&numbers_alone], &[("perm", Value::Ints(vec![1, 0]))]);
    let axis = graph.ints(&[2]);
    let turned = graph.node("Unsqueeze", &[&turned, &axis]);
    let mut constant = |name: &str, shape: &[usize], values: &[f32]| {
        graph.constant(&format!("{parent}embedding.{name}"), shape, Values::F32(values.to_vec()))
    };
    let frequency = constant("frequency", &[numbers, 1, count], frequency);
    let phase = constant("phase", &[numbers, 1, count], phase);
    let weight = constant("weight", &[numbers, count, size], weight);
    let bias = constant("bias", &[numbers, 1, size], bias);
    let product = graph.node("Mul", &[&turned, &frequency]);
    let turns = graph.node("Add", &[&product, &phase]);
    // Removing whole turns does not change the cosine, and all runtimes compute the cosine of a small angle accurately.
    let half = graph.f32(0.5);
    let shifted = graph.node("Add", &[&turns, &half]);
    let whole = graph.node("Floor", &[&shifted]);
    let rest = graph.node("Sub", &[&turns, &whole]);
    let turn = graph.f32(std::f32::consts::TAU);
    let angle = graph.node("Mul", &[&rest, &turn]);
    let cosines = graph.node("Cos", &[&angle]);
    let mixed = graph.node("MatMul", &[&cosines, &weight]);
    let mixed = graph.node("Add", &[&mixed, &bias]);
    let by_example = graph.node_with("Transpose", "", &[&mixed], &[("perm", Value::Ints(vec![1, 0, 2]))]);
    let shape = graph.ints(&[-1, (numbers * size) as i64]);
    let added = graph.node("Reshape", &[&by_example, &shape]);
    graph.concat(&[features.clone(), added], 1)
}

/// The logarithm of the mean of the members' probabilities.
fn logarithm_of_mean(graph: &mut Graph, logits: &[Wire]) -> Wire {
    let mut sum: Option<Wire> = None;
    for logits in logits {
        let probabilities = softmax(graph, logits);
        sum = Some(match sum {
            None => probabilities,
            Some(sum) => graph.node("Add", &[&sum, &probabilities]),
        });
    }
    let sum = sum.expect("there are several networks");
    let count = graph.f32(logits.len() as f32);
    let mean = graph.node("Div", &[&sum, &count]);
    logarithm(graph, &mean)
}

/// The logarithm of probabilities, which are first raised to the least positive normal number.
fn logarithm(graph: &mut Graph, probabilities: &Wire) -> Wire {
    let least = graph.f32(f32::MIN_POSITIVE);
    let bounded = graph.node("Max", &[probabilities, &least]);
    graph.node("Log", &[&bounded])
}

fn calibrated(graph: &mut Graph, probabilities: &Wire, calibration: Calibration, classes: usize) -> Wire {
    let Calibration { temperature, share } = calibration;
    let logits = logarithm(graph, probabilities);
    let [temperature, kept, even] = [temperature, 1.0 - share, share / classes as f64];
    let [temperature, kept, even] = [temperature, kept, even].map(|number| graph.f32(number as f32));
    let cooled = graph.node("Div", &[&logits, &temperature]);
    let softmax = softmax(graph, &cooled);
    let kept = graph.node("Mul", &[&softmax, &kept]);
    graph.node("Add", &[&kept, &even])
}

/// The positive class if its probability is at least the threshold, else the other class.
fn decided(graph: &mut Graph, probabilities: &Wire, threshold: Threshold) -> Wire {
    let Threshold { positive, least } = threshold;
    let place = graph.ints(&[positive as i64]);
    let probability = graph.node_with("Gather", "", &[probabilities, &place], &[("axis", Value::Int(1))]);
    let axis = graph.ints(&[1]);
    let probability = graph.node("Squeeze", &[&probability, &axis]);
    let probability = graph.cast(&probability, DataType::Double);
    let least = graph.f64(least);
    let is_positive = graph.node("GreaterOrEqual", &[&probability, &least]);
    let [yes, no] =
        [positive as i64, 1 - positive as i64].map(|class| graph.unnamed(&[], Values::I64(vec![class])));
    graph.node("Where", &[&is_positive, &yes, &no])
}
