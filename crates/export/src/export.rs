//! A run's network as files of a format, checked.

use kiln::{Mlp, Progress, Trained};
use kiln_files::with_causes;

use crate::check::{answers_of_onnx, split_to_check};
use crate::{
    Answers, Bits, Check, Cost, ExportError, Network, PageFacts, about, burnpack, c, onnx, page, pytorch,
};

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
    /// A page with the network in it, for any browser.
    Html(Bits),
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] =
        [Self::Onnx, Self::Safetensors, Self::Burnpack, Self::C, Self::Html(Bits::Half)];

    /// The endings of its files, that of the network first.
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

/// Files that hold a network.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Each with its ending; the first holds the network.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// How far its answers are from Kiln's; none where it could not be run here, and of a page, which a browser runs.
    pub check: Option<Check>,
    /// What weights of 16 bits cost; none where they have all their bits, or it is not known.
    pub cost: Option<Cost>,
    /// What is to be known besides.
    pub remark: Option<String>,
}

/// The network of `trained` as files of `format`. All but a page were run on its test split; `progress` hears of downloads of
/// the data.
///
/// # Errors
/// Where the format cannot hold the network, the data cannot be had, or the files do not answer as Kiln does.
pub fn export(
    trained: &Trained<Mlp>,
    format: Format,
    progress: &dyn Progress,
) -> Result<Exported, ExportError> {
    let network = Network::of(trained)?;
    if let Format::Html(bits) = format {
        return html(trained, network, bits, progress);
    }
    let about = about::sentence(trained, &network)?;
    let mut files = match format {
        Format::Onnx => vec![("onnx", onnx(&network, &about, &[])?)],
        Format::Safetensors => pytorch::files(&network, &about, &about::metadata(trained, &network, None)?)?,
        Format::Burnpack => burnpack::files(trained, &about::metadata(trained, &network, None)?)?,
        Format::C | Format::Html(_) => vec![("h", c::header(&network, &about).into_bytes())],
    };
    let (name, split) = split_to_check(trained, progress)?;
    let written = &files[0].1;
    // What was read back answers by the graph that ONNX has of it.
    let by_graph = |read: Network| answers_of_onnx(&onnx(&read, "", &[])?, &read, &split);
    let (answers, remark) = match format {
        Format::Onnx => (Some(answers_of_onnx(written, &network, &split)?), None),
        Format::Safetensors => (Some(by_graph(pytorch::read_back(written, &network)?)?), None),
        Format::Burnpack => (Some(by_graph(burnpack::read_back(written, &network)?)?), None),
        Format::C | Format::Html(_) => match c::run(written, &network, &split)? {
            Ok(answers) => (Some(answers), None),
            Err(remark) => (None, Some(remark)),
        },
    };
    let check = answers.map(|answers| Check::new(name, &answers, &trained.predict(&split), &network));
    let check = check.transpose()?;
    if format == Format::Onnx {
        // The graph stays; the check is known only now.
        files[0].1 = onnx(&network, &about, &about::metadata(trained, &network, check.as_ref())?)?;
    }
    Ok(Exported { files, check, cost: None, remark })
}

/// The page, and what 16 bits cost on the test data: not known, with a remark, where these cannot be had any more.
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
            Err(error) => remark = Some(format!("what 16 bits cost is not known: {}", with_causes(&error))),
        }
    }
    let page = page(&network, &facts, Answers::Embedded { bits }).into_bytes();
    Ok(Exported { files: vec![("html", page)], check: None, cost: facts.cost, remark })
}
