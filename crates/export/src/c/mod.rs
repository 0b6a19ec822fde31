//! C: one header of C99 without allocation, for a microcontroller or any program.

mod columns;
mod run;

use std::fmt::Write;

use kiln_config::Activation;

pub(crate) use self::run::run;
use crate::{Input, Layer, Network, Pixels, Waves};

/// What does not differ between networks.
const COMMON: &str = include_str!("kiln.h");

/// A piece of C. Writing to a string cannot fail.
pub(crate) type Code = String;

macro_rules! line {
    ($code:expr, $($text:tt)*) => {
        writeln!($code, $($text)*).expect("a string takes all that is written")
    };
}
pub(crate) use line;

/// `network` as a header that says `about` itself.
pub(crate) fn header(network: &Network, about: &str) -> Code {
    let mut code = Code::new();
    let classes = network.classes.len();
    line!(code, "/* {}\n", comment(about));
    line!(code, "   C99, with <math.h> and nothing else; no allocation, no state: link with -lm.\n");
    line!(code, "     float probabilities[KILN_CLASSES];");
    line!(code, "     int class_number = kiln_predict({}, probabilities);", argument(&network.input));
    line!(code, "     puts(kiln_class_names[class_number]);");
    line!(code, "*/\n#ifndef KILN_NETWORK_H\n#define KILN_NETWORK_H\n\n#include <math.h>\n");
    line!(code, "#define KILN_CLASSES {classes}");
    line!(code, "#define KILN_FEATURES {}\n", network.input.features());
    let names: Vec<String> = network.classes.iter().map(|name| string(name)).collect();
    line!(code, "static const char *const kiln_class_names[KILN_CLASSES] = {{{}}};\n", names.join(", "));
    code += COMMON;
    features(&mut code, &network.input);
    weights(&mut code, network);
    forward(&mut code, network);
    predict(&mut code, network);
    line!(code, "#endif");
    code
}

/// What `kiln_predict` takes, as a caller writes it.
fn argument(input: &Input) -> &'static str {
    match input {
        Input::Pixels(_) => "pixels",
        Input::Columns(_) => "&row",
    }
}

/// What `kiln_predict` takes, as it is declared.
fn parameter(input: &Input) -> &'static str {
    match input {
        Input::Pixels(_) => "const unsigned char *pixels",
        Input::Columns(_) => "const kiln_row *row",
    }
}

fn features(code: &mut Code, input: &Input) {
    match input {
        Input::Pixels(Pixels { shape: [channels, height, width], greatest, divisor, mean, deviation }) => {
            line!(
                code,
                "/* Pixels from 0 to {greatest}: {channels} planes of {height} rows of {width}, from the upper left. */"
            );
            line!(code, "static inline void kiln_features(const unsigned char *pixels, float *features) {{");
            line!(code, "  int at;");
            let (divisor, mean, deviation) = (float(*divisor), float(*mean), float(*deviation));
            line!(code, "  for (at = 0; at < KILN_FEATURES; at++)");
            line!(code, "    features[at] = ((float)pixels[at] / {divisor} - {mean}) / {deviation};");
            line!(code, "}}\n");
        }
        Input::Columns(preparation) => columns::features(code, preparation),
    }
}

fn weights(code: &mut Code, network: &Network) {
    for (number, member) in network.members.iter().enumerate() {
        if let Some(waves) = &member.waves {
            if number == 0 {
                let columns: Vec<String> = waves.columns.iter().map(ToString::to_string).collect();
                line!(code, "static const int kiln_numbers[] = {{{}}};", columns.join(", "));
            }
            let parts = [
                ("frequency", &waves.frequency),
                ("phase", &waves.phase),
                ("mix", &waves.weight),
                ("mix_bias", &waves.bias),
            ];
            for (name, values) in parts {
                array(code, &format!("kiln_{name}_{number}"), values);
            }
        }
        for (index, layer) in member.layers.iter().enumerate() {
            array(code, &format!("kiln_weight_{number}_{index}"), &layer.weight);
            array(code, &format!("kiln_bias_{number}_{index}"), &layer.bias);
        }
    }
}

fn array(code: &mut Code, name: &str, values: &[f32]) {
    line!(code, "static const float {name}[{}] = {{", values.len());
    for row in values.chunks(8) {
        let row: Vec<String> = row.iter().map(|value| float(*value)).collect();
        line!(code, "  {},", row.join(", "));
    }
    line!(code, "}};\n");
}

/// The layers of each member: `kiln_network_N` writes the last layer's values.
fn forward(code: &mut Code, network: &Network) {
    for (number, member) in network.members.iter().enumerate() {
        let widest = member.layers.iter().map(|layer| layer.inputs.max(layer.outputs)).max().unwrap_or(1);
        line!(code, "static inline void kiln_network_{number}(const float *features, float *scores) {{");
        line!(code, "  float one[{widest}];");
        if member.layers.len() > 1 {
            line!(code, "  float other[{widest}];");
        }
        line!(code, "  int at;");
        line!(code, "  for (at = 0; at < KILN_FEATURES; at++) one[at] = features[at];");
        if let Some(waves) = &member.waves {
            with_waves(code, waves, number);
        }
        let last = member.layers.len() - 1;
        for (index, Layer { inputs, outputs, .. }) in member.layers.iter().enumerate() {
            let (from, to) = if index % 2 == 0 { ("one", "other") } else { ("other", "one") };
            let to = if index == last { "scores" } else { to };
            line!(
                code,
                "  kiln_linear({from}, {to}, kiln_weight_{number}_{index}, kiln_bias_{number}_{index}, {inputs}, {outputs});"
            );
            if index < last {
                activation(code, network, to, *outputs);
            }
        }
        line!(code, "}}\n");
    }
}

fn with_waves(code: &mut Code, waves: &Waves, number: usize) {
    let Waves { columns, waves: count, size, .. } = waves;
    line!(code, "  for (at = 0; at < {}; at++) {{", columns.len());
    line!(code, "    int wave, place;");
    line!(code, "    float *mixed = one + KILN_FEATURES + at * {size};");
    line!(
        code,
        "    for (place = 0; place < {size}; place++) mixed[place] = kiln_mix_bias_{number}[at * {size} + place];"
    );
    line!(code, "    for (wave = 0; wave < {count}; wave++) {{");
    line!(code, "      int from = at * {count} + wave;");
    line!(
        code,
        "      float turns = features[kiln_numbers[at]] * kiln_frequency_{number}[from] + kiln_phase_{number}[from];"
    );
    line!(code, "      float cosine = cosf(6.2831853f * (turns - floorf(turns + 0.5f)));");
    line!(code, "      for (place = 0; place < {size}; place++)");
    line!(code, "        mixed[place] += cosine * kiln_mix_{number}[from * {size} + place];");
    line!(code, "    }}\n  }}");
}

fn activation(code: &mut Code, network: &Network, values: &str, count: usize) {
    let function = match network.activation {
        Activation::Identity => None,
        Activation::Relu => Some("x <= 0.0f ? 0.0f : x"),
        Activation::LeakyRelu => Some("x <= 0.0f ? 0.01f * x : x"),
        Activation::Tanh => Some("tanhf(x)"),
        Activation::Sigmoid => Some("1.0f / (1.0f + expf(-x))"),
        Activation::Silu => Some("x / (1.0f + expf(-x))"),
        Activation::Softplus => Some("(x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x)))"),
        Activation::Selu => Some("1.050701f * (x > 0.0f ? x : 1.6732632f * expm1f(x))"),
        Activation::Mish => Some("x * tanhf((x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x))))"),
        Activation::Gelu => Some("0.5f * x * (1.0f + erff(x * 0.70710678f))"),
    };
    let keep = if network.keep == 1.0 { String::new() } else { format!(" * {}", float(network.keep)) };
    if function.is_none() && keep.is_empty() {
        return;
    }
    let function = function.unwrap_or("x");
    line!(code, "  for (at = 0; at < {count}; at++) {{");
    line!(code, "    float x = {values}[at];");
    line!(code, "    {values}[at] = ({function}){keep};");
    line!(code, "  }}");
}

fn predict(code: &mut Code, network: &Network) {
    let members = network.members.len();
    line!(
        code,
        "/* Writes the probability of each class, and gives the number of the class that is named. */"
    );
    line!(code, "static inline int kiln_predict({}, float *probabilities) {{", parameter(&network.input));
    line!(code, "  float features[KILN_FEATURES];");
    line!(code, "  int at, named = 0;");
    line!(code, "  kiln_features({}, features);", argument(&network.input).trim_start_matches('&'));
    if members == 1 {
        line!(code, "  kiln_network_0(features, probabilities);");
    } else {
        line!(code, "  float of_one[KILN_CLASSES];");
        line!(code, "  for (at = 0; at < KILN_CLASSES; at++) probabilities[at] = 0.0f;");
        for number in 0..members {
            line!(code, "  kiln_network_{number}(features, of_one);");
            line!(code, "  kiln_softmax(of_one, KILN_CLASSES);");
            line!(code, "  for (at = 0; at < KILN_CLASSES; at++) probabilities[at] += of_one[at];");
        }
        line!(
            code,
            "  for (at = 0; at < KILN_CLASSES; at++) probabilities[at] = kiln_log(probabilities[at] / {members}.0f);"
        );
    }
    line!(
        code,
        "  for (at = 1; at < KILN_CLASSES; at++) if (probabilities[at] > probabilities[named]) named = at;"
    );
    if network.is_sigmoid {
        line!(code, "  {{\n    float total = 0.0f;");
        line!(code, "    for (at = 0; at < KILN_CLASSES; at++)");
        line!(code, "      total += probabilities[at] = 1.0f / (1.0f + expf(-probabilities[at]));");
        line!(code, "    for (at = 0; at < KILN_CLASSES; at++) probabilities[at] /= total;\n  }}");
    } else {
        line!(code, "  kiln_softmax(probabilities, KILN_CLASSES);");
    }
    if let Some(calibration) = network.calibration {
        let temperature = float(calibration.temperature as f32);
        let kept = float((1.0 - calibration.share) as f32);
        let even = float((calibration.share / network.classes.len() as f64) as f32);
        line!(
            code,
            "  for (at = 0; at < KILN_CLASSES; at++) probabilities[at] = kiln_log(probabilities[at]) / {temperature};"
        );
        line!(code, "  kiln_softmax(probabilities, KILN_CLASSES);");
        line!(
            code,
            "  for (at = 0; at < KILN_CLASSES; at++) probabilities[at] = probabilities[at] * {kept} + {even};"
        );
    }
    if let Some(threshold) = network.threshold {
        let (positive, other) = (threshold.positive, 1 - threshold.positive);
        line!(
            code,
            "  named = (double)probabilities[{positive}] >= {:e} ? {positive} : {other};",
            threshold.least
        );
    }
    line!(code, "  return named;\n}}\n");
}

/// A number in single precision, to the bit.
fn float(value: f32) -> String {
    format!("{value:e}f")
}

/// A text as a C string of printable ASCII, whatever is in it.
pub(crate) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => quoted.extend(['\\', byte as char]),
            b' '..=b'~' => quoted.push(byte as char),
            // Three digits, so that a digit behind them is none of them.
            other => quoted += &format!("\\{other:03o}"),
        }
    }
    quoted + "\""
}

/// A text that does not end a comment.
pub(crate) fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace(|letter: char| letter.is_control(), " ")
}
