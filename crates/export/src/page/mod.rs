//! A self-contained HTML page to try a trained network: it needs no installation and loads no other file.
//!
//! This file assembles the page from its parts: the visible content (`markup.rs`), the facts about the run, a description of
//! the network in JSON, the weights in base64, and one script.

mod markup;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::f16;
use kiln::{Framing, Mlp, Trained};
use kiln_config::Activation;
use kiln_data::Frame;
use kiln_evaluation::{ConfidenceInterval, METRICS_FILE, Metrics, html_page_with};
use kiln_files::sha256;
use kiln_table::{Preparation, Treatment, missing_words};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::weight_files::weights_sha256;
use crate::{Calibration, Cost, ExportError, Input, Member, Network, Pixels, Threshold};

const STYLE: &str = include_str!("page.css");
/// The scripts, which share one scope.
const SCRIPTS: [&str; 6] = [
    include_str!("network.js"),
    include_str!("columns.js"),
    include_str!("picture.js"),
    include_str!("answer.js"),
    include_str!("drawing.js"),
    include_str!("form.js"),
];
const START: &str = include_str!("page.js");

/// The source of the page's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSource<'a> {
    /// The page contains the weights and computes the answers itself. Its policy forbids all requests.
    Embedded {
        /// The precision of the weights.
        bits: Bits,
    },
    /// The server of the page answers, by POST: rows as `{"rows": [...]}`, pictures as the tensor `pixels` of the Open
    /// Inference Protocol, with the levels that the page shows.
    Server {
        /// The path of the request, such as `/predict`.
        path: &'a str,
        /// The greatest number of rows or pictures per request.
        rows: usize,
        /// The greatest number of bytes of a body.
        bytes: usize,
    },
}

/// The precision of the weights in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// 32 bits, as trained.
    All,
    /// 16 bits.
    Half,
}

impl Bits {
    /// The number of bits.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::All => 32,
            Self::Half => 16,
        }
    }
}

/// The page for `network`. For 16-bit weights, pass [`Network::rounded_to_half`]: here, weights that are too great for 16
/// bits become infinite.
#[must_use]
pub fn page(network: &Network, facts: &PageFacts, source: AnswerSource<'_>) -> String {
    let description = description_json(network, facts, source);
    let script = script();
    let head = html! {
        meta http-equiv="Content-Security-Policy" content=(policy(&script, source));
        meta name="referrer" content="no-referrer";
    };
    let body = html! {
        (markup::content(network, facts, source))
        // Data, not code: browsers do not run it.
        script #description type="application/json" { (PreEscaped(description)) }
        @if let AnswerSource::Embedded { bits } = source {
            script #weights type="text/plain" { (PreEscaped(weights(network, bits))) }
        }
        script { (PreEscaped(&script)) }
    };
    html_page_with(&format!("{} · Kiln", facts.name), STYLE, &head, &Markup::from(body))
}

fn script() -> String {
    format!("\"use strict\";\n(() => {{\n{}{START}}})();\n", SCRIPTS.concat())
}

/// The content security policy: the page may run only this script, show only its own pictures, and request only its own
/// server, if it has one.
fn policy(script: &str, source: AnswerSource<'_>) -> String {
    let connect = match source {
        AnswerSource::Embedded { .. } => "",
        AnswerSource::Server { .. } => " connect-src 'self';",
    };
    let hash = STANDARD.encode(sha256(script.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; img-src data: blob:;{connect} \
         base-uri 'none'; form-action 'none'"
    )
}

/// All weights as little-endian bytes in base64, in the order in which the script reads them.
fn weights(network: &Network, bits: Bits) -> String {
    let mut bytes = Vec::with_capacity(network.parameters() * bits.number() / 8);
    for member in &network.members {
        let embedding = member.embedding.iter().flat_map(|embedding| [&embedding.weight, &embedding.bias]);
        let layers = member.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]);
        for &value in embedding.chain(layers).flatten() {
            match bits {
                Bits::All => bytes.extend_from_slice(&value.to_le_bytes()),
                Bits::Half => bytes.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
            }
        }
    }
    STANDARD.encode(bytes)
}

/// The facts about a network that its page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct PageFacts {
    /// Name of the run.
    pub name: String,
    /// Name of the training data.
    pub data: String,
    /// The date of the training, such as 2024-02-29; empty if unknown.
    pub date: String,
    /// The number of training examples; `None` if unknown.
    pub examples: Option<usize>,
    /// The test accuracy; `None` if these weights were not tested.
    pub tested: Option<Accuracy>,
    /// SHA-256 of the trained weights.
    pub sha256: String,
    /// How drawings are fitted to the network; `None` if pictures are only resized, or the network takes no pictures.
    pub frame: Option<Frame>,
    /// The cost of 16-bit weights; `None` for 32-bit weights, or if it was not measured.
    pub cost: Option<Cost>,
}

/// The accuracy on held-out examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// In [0, 1].
    pub share: f64,
    /// Its 95 % confidence interval.
    pub interval: Option<ConfidenceInterval>,
    /// The number of test examples.
    pub examples: u64,
}

impl PageFacts {
    /// The facts in the run of `trained`, without the cost of 16-bit weights, which the caller measures.
    pub fn of(trained: &Trained<Mlp>) -> Result<Self, ExportError> {
        let (run, profile) = (trained.run(), trained.profile());
        let status = run.status().map_err(kiln::Error::from)?;
        Ok(Self {
            name: run.name().to_owned(),
            data: profile.source.clone(),
            date: status.started.to_string().chars().take(10).collect(),
            examples: profile.examples.map(|counts| counts.train),
            tested: tested(trained)?,
            sha256: weights_sha256(trained),
            frame: Framing::of(profile).frame(profile),
            cost: None,
        })
    }
}

/// The accuracy in the run's own test, if it tested these weights.
fn tested(trained: &Trained<Mlp>) -> Result<Option<Accuracy>, ExportError> {
    let path = trained.run().evaluation("test").join(METRICS_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let metrics = Metrics::read(&path).map_err(kiln::Error::from)?;
    let is_of_these = metrics.checkpoint_step.is_some() && metrics.checkpoint_step == trained.model().step;
    let interval = metrics.intervals.as_ref().and_then(|intervals| intervals.of("accuracy"));
    let accuracy = Accuracy { share: metrics.accuracy(), interval, examples: metrics.examples };
    Ok(Some(accuracy).filter(|_| is_of_these))
}

#[derive(Serialize)]
struct Description<'a> {
    /// Bits of a weight; `None` if a server answers.
    bits: Option<usize>,
    server: Option<DescribedServer<'a>>,
    input: DescribedInput<'a>,
    members: Vec<DescribedMember<'a>>,
    activation: Activation,
    keep: f32,
    sigmoid: bool,
    calibration: Option<Calibration>,
    threshold: Option<Threshold>,
    classes: &'a [String],
}

#[derive(Serialize)]
struct DescribedServer<'a> {
    path: &'a str,
    /// The greatest number of rows or pictures per request.
    rows: usize,
    /// The greatest number of bytes of a body.
    bytes: usize,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum DescribedInput<'a> {
    Pixels {
        #[serde(flatten)]
        pixels: Pixels,
        frame: Option<Frame>,
    },
    Columns {
        columns: Vec<DescribedColumn<'a>>,
        /// Words that mean a missing value in every table.
        nothing: Vec<&'static str>,
        /// Further words with this meaning in this table.
        missing: &'a [String],
    },
}

#[derive(Serialize)]
struct DescribedColumn<'a> {
    name: &'a str,
    #[serde(flatten)]
    treatment: &'a Treatment,
}

#[derive(Serialize)]
struct DescribedMember<'a> {
    waves: Option<DescribedEmbedding<'a>>,
    /// Inputs and outputs of each layer.
    layers: Vec<[usize; 2]>,
}

/// An embedding, with its frequencies and phases, which always have 32 bits.
#[derive(Serialize)]
struct DescribedEmbedding<'a> {
    columns: &'a [usize],
    waves: usize,
    size: usize,
    frequency: &'a [f32],
    phase: &'a [f32],
}

/// The description of the network for the script: JSON that may be inside a `script` element.
fn description_json(network: &Network, facts: &PageFacts, source: AnswerSource<'_>) -> String {
    let (bits, server) = match source {
        AnswerSource::Embedded { bits } => (Some(bits.number()), None),
        AnswerSource::Server { path, rows, bytes } => (None, Some(DescribedServer { path, rows, bytes })),
    };
    let members = network.members.iter().filter(|_| bits.is_some()).map(member);
    let description = Description {
        bits,
        server,
        input: input(&network.input, facts),
        members: members.collect(),
        activation: network.activation,
        keep: network.keep,
        sigmoid: network.is_sigmoid,
        calibration: network.calibration,
        threshold: network.threshold,
        classes: &network.classes,
    };
    // A name may contain `</script>`.
    serde_json::to_string(&description).expect("names and numbers are JSON").replace('<', "\\u003c")
}

fn input<'a>(input: &'a Input, facts: &PageFacts) -> DescribedInput<'a> {
    match input {
        Input::Pixels(pixels) => DescribedInput::Pixels { pixels: *pixels, frame: facts.frame },
        Input::Columns(preparation) => columns(preparation),
    }
}

fn columns(preparation: &Preparation) -> DescribedInput<'_> {
    let described =
        preparation.used().map(|(column, treatment)| DescribedColumn { name: &column.name, treatment });
    DescribedInput::Columns {
        columns: described.collect(),
        nothing: missing_words().collect(),
        missing: &preparation.missing,
    }
}

fn member(member: &Member) -> DescribedMember<'_> {
    DescribedMember {
        waves: member.embedding.as_ref().map(|embedding| DescribedEmbedding {
            columns: &embedding.columns,
            waves: embedding.waves,
            size: embedding.size,
            frequency: &embedding.frequency,
            phase: &embedding.phase,
        }),
        layers: member.layers.iter().map(|layer| [layer.inputs, layer.outputs]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layer;

    fn network() -> Network {
        let layer = Layer { inputs: 4, outputs: 2, weight: vec![0.1; 8], bias: vec![-2.0, 1e5] };
        Network {
            input: Input::Pixels(Pixels {
                shape: [1, 2, 2],
                greatest: 255,
                divisor: 255.0,
                mean: 0.0,
                deviation: 1.0,
            }),
            members: vec![Member { embedding: None, layers: vec![layer] }],
            activation: Activation::Relu,
            keep: 1.0,
            is_sigmoid: false,
            calibration: None,
            threshold: None,
            classes: vec!["</script><b>".to_owned(), "no".to_owned()],
        }
    }

    fn facts() -> PageFacts {
        PageFacts {
            name: "a <run>".to_owned(),
            data: "digits".to_owned(),
            date: "2024-02-29".to_owned(),
            examples: Some(1),
            tested: None,
            sha256: "ab".to_owned(),
            frame: None,
            cost: None,
        }
    }

    #[test]
    fn names_are_escaped() {
        let page = page(&network(), &facts(), AnswerSource::Embedded { bits: Bits::All });
        assert_eq!(page.matches("</script>").count(), 3);
        assert!(
            !page.contains("<b>")
                && page.contains(r"\u003c/script>\u003cb>")
                && page.contains("a &lt;run&gt;")
        );
    }

    #[test]
    fn weights_are_little_endian_numbers() {
        let bytes = STANDARD.decode(weights(&network(), Bits::All)).unwrap();
        assert_eq!((bytes.len(), &bytes[32..36]), (40, &(-2.0_f32).to_le_bytes()[..]));
        let half = STANDARD.decode(weights(&network(), Bits::Half)).unwrap();
        assert_eq!((half.len(), &half[16..18]), (20, &0xc000_u16.to_le_bytes()[..]));
    }

    #[test]
    fn weights_that_are_too_great_for_16_bits_are_refused() {
        let message = network().rounded_to_half().unwrap_err().to_string();
        assert!(message.contains("a weight of 100000 (network 1)"), "{message}");
        let mut fitting = network();
        fitting.members[0].layers[0].bias[1] = 1.0;
        let rounded = fitting.rounded_to_half().unwrap();
        assert_eq!(rounded.members[0].layers[0].weight[0], 0.099_975_586);
    }

    #[test]
    fn a_page_may_request_only_its_own_server() {
        let embedded = page(&network(), &facts(), AnswerSource::Embedded { bits: Bits::All });
        let asking =
            page(&network(), &facts(), AnswerSource::Server { path: "/predict", rows: 10, bytes: 1000 });
        assert!(embedded.contains("default-src 'none'") && !embedded.contains("connect-src"));
        assert!(asking.contains("connect-src 'self'") && !asking.contains("id=\"weights\""));
    }
}
