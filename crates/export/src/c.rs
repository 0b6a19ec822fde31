//! A C99 header without allocation, for microcontrollers and other programs: how raw values become features, the weights,
//! the layers, and the choice of a class.

use std::fmt::Write;

use kiln_config::Activation;
use kiln_table::{Preparation, Scale, Treatment};

use crate::onnx::GraphInputKind;
use crate::{Embedding, Input, Layer, Network, Pixels};

/// The part of the header that is the same for all networks.
const COMMON: &str = include_str!("kiln.h");

/// A piece of C code.
pub(crate) type Code = String;

macro_rules! line {
    ($code:expr, $($text:tt)*) => {
        writeln!($code, $($text)*).expect("writing to a string cannot fail")
    };
}
pub(crate) use line;

/// `network` as a header, with the sentence `about` in its first comment.
pub(crate) fn header(network: &Network, about: &str) -> Code {
    let mut code = Code::new();
    let classes = network.classes.len();
    line!(code, "/* {}\n", comment(about));
    line!(code, "   C99, needs only <math.h>; no allocation, no state. Link with -lm.\n");
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

/// The argument of `kiln_predict` in a call.
fn argument(input: &Input) -> &'static str {
    match input {
        Input::Pixels(_) => "pixels",
        Input::Columns(_) => "&row",
    }
}

/// The parameter of `kiln_predict` in its declaration.
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
                "/* Pixels from 0 to {greatest}: {channels} channels of {height} rows of {width} pixels, from the upper left. */"
            );
            line!(code, "static inline void kiln_features(const unsigned char *pixels, float *features) {{");
            line!(code, "  int at;");
            let (divisor, mean, deviation) = (float(*divisor), float(*mean), float(*deviation));
            line!(code, "  for (at = 0; at < KILN_FEATURES; at++)");
            line!(code, "    features[at] = ((float)pixels[at] / {divisor} - {mean}) / {deviation};");
            line!(code, "}}\n");
        }
        Input::Columns(preparation) => row_features(code, preparation),
    }
}

fn weights(code: &mut Code, network: &Network) {
    for (number, member) in network.members.iter().enumerate() {
        if let Some(embedding) = &member.embedding {
            if number == 0 {
                let columns: Vec<String> = embedding.columns.iter().map(ToString::to_string).collect();
                line!(code, "static const int kiln_numbers[] = {{{}}};", columns.join(", "));
            }
            let parts = [
                ("frequency", &embedding.frequency),
                ("phase", &embedding.phase),
                ("mix", &embedding.weight),
                ("mix_bias", &embedding.bias),
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

/// `kiln_network_N` for each member, which writes the outputs of the last layer.
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
        if let Some(embedding) = &member.embedding {
            with_embedding(code, embedding, number);
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

fn with_embedding(code: &mut Code, embedding: &Embedding, number: usize) {
    let Embedding { columns, waves: count, size, .. } = embedding;
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
    line!(code, "/* Writes the probability of each class, and returns the number of the predicted class. */");
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

/// A number in single precision, bit-exact.
fn float(value: f32) -> String {
    format!("{value:e}f")
}

/// A text as a C string literal of printable ASCII.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => quoted.extend(['\\', byte as char]),
            b' '..=b'~' => quoted.push(byte as char),
            // Always three digits, so that a following digit does not join the escape.
            other => quoted += &format!("\\{other:03o}"),
        }
    }
    quoted + "\""
}

/// A text for a comment, which it cannot close.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace(|letter: char| letter.is_control(), " ")
}

/// The names of the fields, in the order of the used columns: distinct C identifiers.
pub(crate) fn fields(preparation: &Preparation) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for (column, _) in preparation.used() {
        let letters =
            column.name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
        let name: String = letters.collect();
        // No keyword of C begins with this.
        let name = format!("v_{name}");
        let taken =
            fields.iter().filter(|field| **field == name || field.starts_with(&format!("{name}__"))).count();
        fields.push(if taken == 0 { name } else { format!("{name}__{taken}") });
    }
    fields
}

/// The type `kiln_row`, and `kiln_features` for it.
fn row_features(code: &mut Code, preparation: &Preparation) {
    let fields = fields(preparation);
    line!(code, "/* A row of the table. */\ntypedef struct {{");
    for ((column, treatment), field) in preparation.used().zip(&fields) {
        let name = comment(&column.name);
        match GraphInputKind::of(treatment) {
            GraphInputKind::Numbers => line!(code, "  double {field}; /* {name}; NAN if missing */"),
            GraphInputKind::Days => {
                line!(
                    code,
                    "  double {field}; /* {name}: days since 1970-01-01, the time as a fraction; NAN if missing */"
                );
            }
            GraphInputKind::Words => line!(code, "  const char *{field}; /* {name}; \"\" if missing */"),
        }
    }
    line!(code, "}} kiln_row;\n");
    let missing: Vec<String> = preparation.missing_words().map(string).collect();
    line!(code, "static const char *const kiln_missing[] = {{{}}};\n", missing.join(", "));
    line!(code, "static inline void kiln_features(const kiln_row *row, float *features) {{");
    let mut at = 0;
    for ((_, treatment), field) in preparation.used().zip(&fields) {
        of_column(code, preparation, treatment, field, missing.len(), at);
        at += treatment.features();
    }
    line!(code, "}}\n");
}

fn of_column(
    code: &mut Code,
    preparation: &Preparation,
    treatment: &Treatment,
    field: &str,
    missing: usize,
    at: usize,
) {
    line!(code, "  {{");
    let kind = GraphInputKind::of(treatment);
    if kind == GraphInputKind::Words {
        line!(code, "    const char *word = row->{field};");
    } else {
        line!(code, "    double value = row->{field};");
    }
    let names = match treatment {
        Treatment::Category { values, .. } => values.clone(),
        Treatment::Boolean { no, yes, .. } => vec![no.clone(), yes.clone()],
        Treatment::Number { .. } | Treatment::Date { .. } => Vec::new(),
    };
    match kind {
        GraphInputKind::Words => {
            let words: Vec<String> = names.iter().map(|word| string(word)).collect();
            line!(code, "    static const char *const words[] = {{{}}};", words.join(", "));
        }
        GraphInputKind::Days => {}
        GraphInputKind::Numbers => {
            let numbers = preparation.missing.iter().filter_map(|text| text.parse::<f64>().ok());
            for number in numbers.filter(|number| number.is_finite()) {
                line!(code, "    if (value == {number:e}) value = NAN;");
            }
        }
    }
    let is_word = |which: usize| match (treatment, kind) {
        (_, GraphInputKind::Numbers) => format!("value == {}", names[which]),
        (Treatment::Boolean { .. }, _) => format!("kiln_same_word(word, words[{which}])"),
        _ => format!("code == {which}"),
    };
    let is_missing = match kind {
        GraphInputKind::Words => {
            // A yes or no that is never missing needs no code, and compilers warn about unused variables.
            let is_code_used = matches!(treatment, Treatment::Category { .. }) || treatment.features() > 1;
            if is_code_used {
                let count = names.len();
                line!(code, "    int code = kiln_find(word, words, {count});");
            }
            format!("code < 0 && kiln_find(word, kiln_missing, {missing}) >= 0")
        }
        GraphInputKind::Numbers | GraphInputKind::Days => "kiln_is_none(value)".to_owned(),
    };
    let mut place = at;
    match treatment {
        Treatment::Number { scale, .. } => {
            scaled(code, "value", scale, place);
            place += 1;
        }
        Treatment::Boolean { fill, .. } => {
            let fill = float(*fill as f32);
            line!(code, "    features[{place}] = {} ? 1.0f : {} ? 0.0f : {fill};", is_word(1), is_word(0));
            place += 1;
        }
        Treatment::Category { values, .. } => {
            for which in 0..values.len() {
                line!(code, "    features[{place}] = {} ? 1.0f : 0.0f;", is_word(which));
                place += 1;
            }
        }
        Treatment::Date { parts, .. } => {
            line!(code, "    double parts[7];\n    kiln_date(value, parts);");
            for part in parts {
                let names = ["year", "month", "day", "weekday", "hour", "minute"];
                let from = names.iter().position(|name| *name == part.name).unwrap_or(names.len());
                scaled(code, &format!("parts[{from}]"), &part.scale, place);
                place += 1;
            }
        }
    }
    if place < at + treatment.features() {
        line!(code, "    features[{place}] = {is_missing} ? 1.0f : 0.0f;");
    }
    line!(code, "  }}");
}

fn scaled(code: &mut Code, value: &str, scale: &Scale, place: usize) {
    let Scale { median, offset, spread, clipped, knots, .. } = scale;
    let number = |number: f64| if number.is_nan() { "NAN".to_owned() } else { format!("{number:e}") };
    let median = number(*median);
    if *spread == 0.0 {
        line!(code, "    (void){value};\n    features[{place}] = 0.0f;");
    } else if knots.len() >= 2 {
        let count = knots.len();
        let all: Vec<String> = knots.iter().map(|knot| number(*knot)).collect();
        line!(code, "    static const double knots_{place}[{count}] = {{{}}};", all.join(", "));
        line!(code, "    features[{place}] = kiln_place({value}, {median}, knots_{place}, {count});");
    } else {
        let clip = if *clipped { Scale::CLIP } else { 0.0 };
        let (offset, spread) = (number(*offset), number(*spread));
        line!(code, "    features[{place}] = kiln_scaled({value}, {median}, {offset}, {spread}, {clip:e});");
    }
}
