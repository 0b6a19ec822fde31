//! A run's network as files of a format, checked.

use kiln::{Mlp, Progress, Trained};

use crate::check::{answers_of_onnx, split_to_check};
use crate::{Check, ExportError, Network, about, burnpack, c, onnx, pytorch};

/// A format that others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For ONNX runtimes: everything from raw values to the class in one graph.
    Onnx,
    /// Weights under PyTorch's names and in its layout, with a page of code that loads them.
    Safetensors,
    /// Weights for a Burn module of the same structure.
    Burnpack,
    /// One header of C99 without allocation.
    C,
}

/// The endings of all files that formats have.
pub const ENDINGS: [&str; 6] = ["onnx", "safetensors", "py", "bpk", "h", "html"];

impl Format {
    /// The endings of its files, that of the network first.
    #[must_use]
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Onnx => &["onnx"],
            Self::Safetensors => &["safetensors", "py"],
            Self::Burnpack => &["bpk"],
            Self::C => &["h"],
        }
    }
}

/// Files that hold a network.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Each with its ending; the first holds the network.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// How far its answers are from Kiln's; none where it could not be run here, which `remark` explains.
    pub check: Option<Check>,
    /// What is to be known besides.
    pub remark: Option<String>,
}

/// The network of `trained` as files of `format`, which were run on its test split; `progress` hears of downloads of the
/// data.
///
/// # Errors
/// Where the format cannot hold the network, the data cannot be had, or the files do not answer as Kiln does.
pub fn export(
    trained: &Trained<Mlp>,
    format: Format,
    progress: &dyn Progress,
) -> Result<Exported, ExportError> {
    let network = Network::of(trained)?;
    let (name, split) = split_to_check(trained, progress)?;
    let own = trained.predict(&split);
    let sentence = about::sentence(trained)?;
    match format {
        Format::Onnx => {
            let bytes = onnx(&network, &sentence, &about::metadata(trained, &network, None)?)?;
            let answers = answers_of_onnx(&bytes, &network, &split)?;
            let check = Check::new(name, &answers, &own, &network)?;
            let metadata = about::metadata(trained, &network, Some(&check))?;
            let bytes = onnx(&network, &sentence, &metadata)?;
            Ok(Exported { files: vec![("onnx", bytes)], check: Some(check), remark: None })
        }
        Format::Safetensors | Format::Burnpack => {
            let metadata = about::metadata(trained, &network, None)?;
            let files = match format {
                Format::Safetensors => pytorch::files(&network, &sentence, &metadata)?,
                _ => burnpack::files(trained, &metadata)?,
            };
            let read = match format {
                Format::Safetensors => pytorch::read_back(&files[0].1, &network)?,
                _ => burnpack::read_back(&files[0].1, &network)?,
            };
            // What was read back answers by the graph that ONNX has of it.
            let bytes = onnx(&read, "", &[])?;
            let check = Check::new(name, &answers_of_onnx(&bytes, &read, &split)?, &own, &network)?;
            Ok(Exported { files, check: Some(check), remark: None })
        }
        Format::C => {
            let header = c::header(&network, &sentence);
            let (check, remark) = match c::run(&header, &network, &split)? {
                Ok(answers) => (Some(Check::new(name, &answers, &own, &network)?), None),
                Err(remark) => (None, Some(remark)),
            };
            Ok(Exported { files: vec![("h", header.into_bytes())], check, remark })
        }
    }
}
