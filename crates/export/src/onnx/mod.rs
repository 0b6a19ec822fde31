//! ONNX: raw values in, probabilities and a class out, all between them in the graph.
//!
//! Inputs are `pixels`, whole numbers of 8 bits of shape [batch, channels, height, width], or the columns of the table by
//! their names, each of shape [batch, 1]: numbers in double precision, words as text, dates as days since 1970. Outputs are
//! `probabilities`, shape [batch, classes], calibrated as Kiln's own answers are, and `label`, the class by number, shape
//! `[batch]`. The classes' names are in the metadata.

mod graph;
mod inputs;
mod layers;
pub(crate) mod proto;
pub(crate) mod run;

pub(crate) use inputs::ColumnKind;

use self::graph::Graph;
use self::proto::Kind;
use crate::{ExportError, Input, Network};

/// Name of the input that pictures have.
pub(crate) const PIXELS: &str = "pixels";
/// Names of the outputs.
pub(crate) const PROBABILITIES: &str = "probabilities";
pub(crate) const LABEL: &str = "label";

/// `network` as an ONNX file of operator set 17 that says `about` itself, with `metadata`.
///
/// # Errors
/// Where a column is called as something else in the graph is.
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
                holds: "inputs under the names of the columns beside names of its own",
                has: format!("a column called \"{}\"", column.name),
            });
        }
    }
    let mut graph = Graph::default();
    let features = inputs::features(&mut graph, &network.input);
    let answers = layers::answers(&mut graph, network, &features);
    let classes = network.classes.len() as i64;
    graph.output(
        &answers.probabilities,
        PROBABILITIES,
        Kind::Float,
        &[classes],
        "the probability of each class",
    );
    graph.output(&answers.label, LABEL, Kind::Int64, &[], "the class that is named, by number");
    Ok(graph.encode(about, metadata))
}
