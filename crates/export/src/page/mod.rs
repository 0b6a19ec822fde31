//! One page on which anybody asks a trained network: nothing to install, and nothing that it loads.

mod cost;
mod description;
mod facts;
mod form;
mod markup;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiln_evaluation::html_page_with;
use kiln_files::sha256;
use maud::{Markup, PreEscaped, html};

use crate::Network;
use half::f16;

pub use self::cost::Cost;
pub use self::facts::{Accuracy, PageFacts};

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
pub enum Answers<'a> {
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
pub fn page(network: &Network, facts: &PageFacts, source: Answers<'_>) -> String {
    let description = description::json(network, facts, source);
    let script = script();
    let head = html! {
        meta http-equiv="Content-Security-Policy" content=(policy(&script, source));
        meta name="referrer" content="no-referrer";
    };
    let body = html! {
        (markup::content(network, facts, source))
        // Data, which no browser runs.
        script #description type="application/json" { (PreEscaped(description)) }
        @if let Answers::Embedded { bits } = source {
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
fn policy(script: &str, source: Answers<'_>) -> String {
    let connect = match source {
        Answers::Embedded { .. } => "",
        Answers::Server { .. } => " connect-src 'self';",
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

#[cfg(test)]
mod tests;
