//! One page on which anybody asks a trained network: nothing to install, and nothing that it loads.

mod markup;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use half::f16;
use kiln::{Framing, Mlp, Trained};
use kiln_config::Activation;
use kiln_data::Frame;
use kiln_evaluation::{Interval, METRICS_FILE, Metrics, html_page_with};
use kiln_files::sha256;
use kiln_table::{Preparation, Treatment, missing_words};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;

use crate::weight_files::weights_sha256;
use crate::{Calibration, Cost, ExportError, Input, Member, Network, Pixels, Threshold};

const STYLE: &str = include_str!("page.css");
/// One script after another, in one scope.
const SCRIPTS: [&str; 6] = [
    include_str!("network.js"),
    include_str!("columns.js"),
    include_str!("picture.js"),
    include_str!("answer.js"),
    include_str!("drawing.js"),
    include_str!("form.js"),
];
const START: &str = include_str!("page.js");

/// Where the page has its answers from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerSource<'a> {
    /// From weights that are in the page: it computes them itself, and is forbidden to ask anything of anybody.
    Embedded {
        /// Bits of a weight.
        bits: Bits,
    },
    /// From the server that the page came from, by POST: rows as `{"rows": [...]}`, pictures as the tensor `pixels` of the Open
    /// Inference Protocol, with the levels that the page shows.
    Server {
        /// Where it answers, such as `/predict`.
        path: &'a str,
        /// Rows or pictures that it takes at a time.
        rows: usize,
        /// Bytes of a body that it takes.
        bytes: usize,
    },
}

/// How many bits a weight has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// All that it was trained with.
    All,
    /// Half of them.
    Half,
}

impl Bits {
    /// Their number.
    #[must_use]
    pub fn number(self) -> usize {
        match self {
            Self::All => 32,
            Self::Half => 16,
        }
    }
}

/// The page for `network`. For weights of 16 bits, give it [`Network::rounded_to_half`]: what 16 bits do not hold becomes
/// infinite here.
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
        // Data, which no browser runs.
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

/// What the page may do: run this one script and no other, show pictures that it holds itself, and ask its own server where
/// it has one.
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

/// All weights in the order in which the page reads them, in little-endian bytes, as base64.
fn weights(network: &Network, bits: Bits) -> String {
    let mut bytes = Vec::with_capacity(network.parameters() * bits.number() / 8);
    for member in &network.members {
        let waves = member.waves.iter().flat_map(|waves| [&waves.weight, &waves.bias]);
        let layers = member.layers.iter().flat_map(|layer| [&layer.weight, &layer.bias]);
        for &value in waves.chain(layers).flatten() {
            match bits {
                Bits::All => bytes.extend_from_slice(&value.to_le_bytes()),
                Bits::Half => bytes.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
            }
        }
    }
    STANDARD.encode(bytes)
}

/// What a page says of its network besides answers.
#[derive(Clone, Debug, PartialEq)]
pub struct PageFacts {
    /// Name of the run.
    pub name: String,
    /// Name of the data that it was trained on.
    pub data: String,
    /// When it was trained, as 2024-02-29; empty where that is not known.
    pub date: String,
    /// Examples that it was trained on; none where that is not known.
    pub examples: Option<usize>,
    /// What its test found; none where these weights were not tested.
    pub tested: Option<Accuracy>,
    /// SHA-256 of the trained weights.
    pub sha256: String,
    /// How drawings are fitted to the network; none where pictures are only resized, or it takes none.
    pub frame: Option<Frame>,
    /// What 16 bits cost; none where weights have all their bits, or it was not measured.
    pub cost: Option<Cost>,
}

/// A tested accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Share of examples with the right class.
    pub share: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Examples that it was tested on.
    pub examples: u64,
}

impl PageFacts {
    /// The facts of `trained`, as its run keeps them. What weights of 16 bits cost is for the caller to measure.
    ///
    /// # Errors
    /// Where a file of the run cannot be read.
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

/// What the run's own test found, if it tested these weights.
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
    /// Bits of a weight; none where a server answers.
    bits: Option<usize>,
    /// The server that answers.
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
    /// What it takes at a time.
    rows: usize,
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
        /// Words that stand for no value in any table.
        nothing: Vec<&'static str>,
        /// Those that do in this one.
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
    waves: Option<DescribedWaves<'a>>,
    /// Inputs and outputs of every layer.
    layers: Vec<[usize; 2]>,
}

/// With frequencies and phases, which keep all their bits.
#[derive(Serialize)]
struct DescribedWaves<'a> {
    columns: &'a [usize],
    waves: usize,
    size: usize,
    frequency: &'a [f32],
    phase: &'a [f32],
}

/// The description as JSON that may stand within a `script` element.
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
    // A name may have `</script>` in it.
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
        waves: member.waves.as_ref().map(|waves| DescribedWaves {
            columns: &waves.columns,
            waves: waves.waves,
            size: waves.size,
            frequency: &waves.frequency,
            phase: &waves.phase,
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
            members: vec![Member { waves: None, layers: vec![layer] }],
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
    fn no_name_can_leave_its_place() {
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
    fn what_16_bits_do_not_hold_is_refused() {
        let message = network().rounded_to_half().unwrap_err().to_string();
        assert!(message.contains("a weight of 100000 (network 1)"), "{message}");
        let mut fitting = network();
        fitting.members[0].layers[0].bias[1] = 1.0;
        let rounded = fitting.rounded_to_half().unwrap();
        assert_eq!(rounded.members[0].layers[0].weight[0], 0.099_975_586);
    }

    #[test]
    fn a_page_may_ask_its_own_server_and_nobody_else() {
        let embedded = page(&network(), &facts(), AnswerSource::Embedded { bits: Bits::All });
        let asking =
            page(&network(), &facts(), AnswerSource::Server { path: "/predict", rows: 10, bytes: 1000 });
        assert!(embedded.contains("default-src 'none'") && !embedded.contains("connect-src"));
        assert!(asking.contains("connect-src 'self'") && !asking.contains("id=\"weights\""));
    }
}
