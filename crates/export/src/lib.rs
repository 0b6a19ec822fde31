//! Trained networks in the file formats of other programs.
//!
//! [`Network::of`] takes a trained perceptron apart (`network.rs`): the treatment of raw values, the layers, the calibration
//! and the choice of a class. [`export()`] writes it in one [`Format`], then runs the written file on a whole split and
//! compares its answers with Kiln's (`check.rs`). [`import()`] does the reverse: it reads the weights of another program
//! into an experiment's network.
//!
//! | file | format |
//! |---|---|
//! | `onnx/` | a graph of ONNX operators, and an evaluator that runs it |
//! | `weight_files.rs` | safetensors with a page of PyTorch code, Burn's own format, and the metadata of all formats |
//! | `c.rs` | a C99 header |
//! | `page/` | an HTML page that computes its answers in the browser, or gets them from a server |

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]
#![allow(
    clippy::cast_possible_wrap,
    reason = "ONNX stores sizes as signed numbers, and no size here comes near their limit"
)]

mod c;
mod check;
mod import;
mod network;
mod onnx;
mod page;
mod weight_files;

use std::path::PathBuf;

use kiln::{Mlp, Progress, Trained};
use kiln_files::with_causes;

use crate::check::{answers_of_header, answers_of_onnx};
use crate::weight_files::{
    burnpack_file, metadata, read_burnpack, read_safetensors, safetensors_files, sentence,
};

pub use check::{Check, TOLERANCE, split_to_check};
pub use import::{Imported, import};
pub use network::{Calibration, Cost, Embedding, Input, Layer, Member, Network, Pixels, Threshold};
pub use onnx::onnx;
pub use page::{Accuracy, AnswerSource, Bits, PageFacts, page};

/// A file format of other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For ONNX runtimes: one graph from raw values to the class.
    Onnx,
    /// Weights with the names and layout of PyTorch, and a page of code that loads them.
    Safetensors,
    /// Weights for a Burn module of the same structure.
    Burnpack,
    /// A C99 header without allocation.
    C,
    /// An HTML page that contains the network, for any browser.
    Html(Bits),
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] =
        [Self::Onnx, Self::Safetensors, Self::Burnpack, Self::C, Self::Html(Bits::Half)];

    /// The file extensions of the format; the first is of the file with the network.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Onnx => &["onnx"],
            Self::Safetensors => &["safetensors", "py"],
            Self::Burnpack => &["bpk"],
            Self::C => &["h"],
            Self::Html(_) => &["html"],
        }
    }
}

/// The files of an exported network.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The files with their extensions; the first contains the network.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// The comparison with Kiln's own answers; `None` if the file could not be run here, and for a page, which a browser
    /// runs.
    pub check: Option<Check>,
    /// The cost of 16-bit weights; `None` for 32-bit weights, or if it was not measured.
    pub cost: Option<Cost>,
    /// A further remark for the user.
    pub remark: Option<String>,
}

/// Why a network could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The run does not store how its columns become features.
    #[error(
        "the run is of Kiln's first version, which does not store how columns become features: train again, then export \
         the new run"
    )]
    FirstVersion,
    /// The written file cannot be run.
    #[error("the written file cannot be run: {0}")]
    Unreadable(String),
    /// The file does not answer like Kiln.
    #[error(
        "the file does not answer like Kiln: a probability of example {example} of the {split} split differs by \
         {difference:e}, more than rounding ({tolerance:e}); nothing was written"
    )]
    Differs {
        /// The first example with the greatest difference, counted from 0.
        example: usize,
        /// Name of the split.
        split: &'static str,
        /// The difference of a probability.
        difference: f64,
        /// The greatest difference that is rounding.
        tolerance: f64,
    },
    /// The format does not support this network.
    #[error("{format} supports {holds}, but this network has {has}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What the format supports.
        holds: &'static str,
        /// The unsupported part of the network.
        has: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// The failed action, a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        cause: std::io::Error,
    },
    /// Kiln cannot read the run.
    #[error(transparent)]
    Kiln(#[from] kiln::Error),
}

/// Why weights could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read from the disk.
    #[error("cannot read {}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        cause: std::io::Error,
    },
    /// The file has an unknown format, is damaged, or contains something other than a perceptron.
    #[error("cannot read the weights in {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The layers in the file are not the layers of the experiment's network.
    #[error("{} does not fit the experiment: expected {expected}; found {found}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What the experiment needs.
        expected: String,
        /// What the file contains.
        found: String,
    },
}

/// Exports the network of `trained` as files of `format`. Every file except a page is run on the test split first;
/// `progress` reports downloads of the data.
///
/// # Errors
/// The format does not support the network, the data is not available, or the file does not answer like Kiln.
pub fn export(
    trained: &Trained<Mlp>,
    format: Format,
    progress: &dyn Progress,
) -> Result<Exported, ExportError> {
    let network = Network::of(trained)?;
    if let Format::Html(bits) = format {
        return html(trained, network, bits, progress);
    }
    let about = sentence(trained, &network)?;
    let mut files = match format {
        Format::Onnx => vec![("onnx", onnx(&network, &about, &[])?)],
        Format::Safetensors => safetensors_files(&network, &about, &metadata(trained, &network, None)?)?,
        Format::Burnpack => burnpack_file(trained, &metadata(trained, &network, None)?)?,
        Format::C | Format::Html(_) => vec![("h", c::header(&network, &about).into_bytes())],
    };
    let (name, split) = split_to_check(trained, progress)?;
    let written = &files[0].1;
    // Weights that were read back are run as an ONNX graph.
    let by_graph = |read: Network| answers_of_onnx(&onnx(&read, "", &[])?, &read, &split);
    let (answers, remark) = match format {
        Format::Onnx => (Some(answers_of_onnx(written, &network, &split)?), None),
        Format::Safetensors => (Some(by_graph(read_safetensors(written, &network)?)?), None),
        Format::Burnpack => (Some(by_graph(read_burnpack(written, &network)?)?), None),
        Format::C | Format::Html(_) => match answers_of_header(written, &network, &split)? {
            Ok(answers) => (Some(answers), None),
            Err(remark) => (None, Some(remark)),
        },
    };
    let check = answers.map(|answers| Check::new(name, &answers, &trained.predict(&split), &network));
    let check = check.transpose()?;
    if format == Format::Onnx {
        // The same graph again, with the result of the check in its metadata.
        files[0].1 = onnx(&network, &about, &metadata(trained, &network, check.as_ref())?)?;
    }
    Ok(Exported { files, check, cost: None, remark })
}

/// The page, with the cost of 16-bit weights on the test data. If the data is no longer available, a remark says so.
fn html(
    trained: &Trained<Mlp>,
    network: Network,
    bits: Bits,
    progress: &dyn Progress,
) -> Result<Exported, ExportError> {
    let (mut network, mut facts, mut remark) = (network, PageFacts::of(trained)?, None);
    if bits == Bits::Half {
        network = network.rounded_to_half()?;
        match trained.own_split("test", progress) {
            Ok(split) => facts.cost = Some(Cost::measure(trained, &split)?),
            Err(error) => {
                remark =
                    Some(format!("the cost of 16-bit weights was not measured: {}", with_causes(&error)));
            }
        }
    }
    let page = page(&network, &facts, AnswerSource::Embedded { bits }).into_bytes();
    Ok(Exported { files: vec![("html", page)], check: None, cost: facts.cost, remark })
}
