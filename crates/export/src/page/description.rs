//! What the page's script has to know of a network, besides its weights.

use kiln_config::Activation;
use kiln_table::{Preparation, Treatment};
use serde::Serialize;

use super::{Answers, PageFacts};
use crate::{Calibration, Input, Member, Network, Threshold};

#[derive(Serialize)]
struct Description<'a> {
    /// Bits of a weight; none where a server answers.
    bits: Option<usize>,
    /// Where a server answers.
    server: Option<&'a str>,
    input: DescribedInput<'a>,
    members: Vec<DescribedMember<'a>>,
    activation: Activation,
    keep: f32,
    sigmoid: bool,
    calibration: Option<DescribedCalibration>,
    threshold: Option<DescribedThreshold>,
    classes: &'a [String],
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum DescribedInput<'a> {
    Pixels {
        shape: [usize; 3],
        greatest: u8,
        divisor: f32,
        mean: f32,
        deviation: f32,
        frame: Option<DescribedFrame>,
    },
    Columns {
        columns: Vec<DescribedColumn<'a>>,
        missing: &'a [String],
    },
}

#[derive(Serialize)]
struct DescribedFrame {
    box_height: u32,
    box_width: u32,
    by_mass: bool,
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

#[derive(Serialize)]
struct DescribedCalibration {
    temperature: f64,
    share: f64,
}

#[derive(Serialize)]
struct DescribedThreshold {
    positive: usize,
    least: f64,
}

/// The description as JSON that may stand within a `script` element.
pub(super) fn json(network: &Network, facts: &PageFacts, source: Answers<'_>) -> String {
    let (bits, server) = match source {
        Answers::Embedded { bits } => (Some(bits.number()), None),
        Answers::Server { path } => (None, Some(path)),
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
        calibration: network
            .calibration
            .map(|Calibration { temperature, share }| DescribedCalibration { temperature, share }),
        threshold: network
            .threshold
            .map(|Threshold { positive, least }| DescribedThreshold { positive, least }),
        classes: &network.classes,
    };
    // A name may have `</script>` in it.
    serde_json::to_string(&description).expect("names and numbers are JSON").replace('<', "\\u003c")
}

fn input<'a>(input: &'a Input, facts: &PageFacts) -> DescribedInput<'a> {
    match input {
        &Input::Pixels { shape, greatest, divisor, mean, deviation } => DescribedInput::Pixels {
            shape,
            greatest,
            divisor,
            mean,
            deviation,
            frame: facts.frame.map(|frame| DescribedFrame {
                box_height: frame.box_height,
                box_width: frame.box_width,
                by_mass: frame.by_mass,
            }),
        },
        Input::Columns(preparation) => columns(preparation),
    }
}

fn columns(preparation: &Preparation) -> DescribedInput<'_> {
    let described =
        preparation.used().map(|(column, treatment)| DescribedColumn { name: &column.name, treatment });
    DescribedInput::Columns { columns: described.collect(), missing: &preparation.missing }
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
