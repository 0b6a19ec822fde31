//! What the page's script has to know of a network, besides its weights.

use kiln_config::Activation;
use kiln_data::Frame;
use kiln_table::{Preparation, Treatment, missing_words};
use serde::Serialize;

use super::{Answers, PageFacts};
use crate::{Calibration, Input, Member, Network, Pixels, Threshold};

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
pub(super) fn json(network: &Network, facts: &PageFacts, source: Answers<'_>) -> String {
    let (bits, server) = match source {
        Answers::Embedded { bits } => (Some(bits.number()), None),
        Answers::Server { path, rows, bytes } => (None, Some(DescribedServer { path, rows, bytes })),
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
