//! `kiln export`.

use std::path::{Path, PathBuf};

use kiln::{Mlp, Run, Trained, of_run, perceptron};
use kiln_export::{
    Answers, Bits, Check, Cost, Exported, Format, Network, PageFacts, export as exported, page,
};
use kiln_files::{replace_file, sha256_hex, with_causes};
use schemars::JsonSchema;
use serde::Serialize;

use super::evaluate::{warn_of_threshold, weights};
use crate::arguments::{BitsArgument, Export, FormatArgument};
use crate::failure::Failure;
use crate::output::{print, print_json, say, unwritable};
use crate::view::DownloadBar;

/// A network that left.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportedNetwork {
    /// What was written; the first file holds the network.
    files: Vec<ExportedFile>,
    /// How far its answers are from Kiln's own; null where it could not be run here.
    check: Option<Check>,
}

/// A file of an export.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExportedFile {
    /// Where it is.
    path: PathBuf,
    /// Its length.
    bytes: u64,
    /// Its SHA-256.
    sha256: String,
}

/// Writes a run's network in the format of another program, after that was run on the test split beside Kiln.
pub(crate) fn export(arguments: &Export) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let weights = weights(arguments.ckpt.as_deref(), &of_run(&run)?)?;
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(run.name()));
    let endings = endings(arguments.format);
    let first = with_ending(&output, endings[0]);
    for path in endings.iter().map(|ending| with_ending(&first, ending)) {
        if path.exists() && !arguments.force {
            return Err(Failure::usage(format!(
                "{} is there already; --force writes over it, --output FILE elsewhere",
                path.display()
            )));
        }
    }
    let progress = DownloadBar::default();
    let trained = Trained::open_with(run, Some(weights), perceptron, &progress)?;
    warn_of_threshold(&trained);
    let made = match format(arguments.format) {
        Some(format) => exported(&trained, format, &progress)?,
        None => html(&trained, arguments.bits, &progress)?,
    };
    let mut files = Vec::new();
    for (ending, bytes) in &made.files {
        let path = with_ending(&first, ending);
        replace_file(&path, bytes).map_err(|error| unwritable(&path, &error.cause))?;
        files.push(ExportedFile { path, bytes: bytes.len() as u64, sha256: sha256_hex(bytes) });
    }
    if let Some(remark) = &made.remark {
        say(&format!("warning: {remark}"));
    }
    if arguments.json {
        print_json(&ExportedNetwork { files, check: made.check });
        return Ok(());
    }
    if let Some(check) = &made.check {
        say(&checked(check));
    }
    for file in &files {
        print(&file.path.display().to_string());
    }
    Ok(())
}

fn checked(check: &Check) -> String {
    let Check { split, examples, largest_difference, ties, accuracy } = check;
    let classes = match ties {
        0 => "the same classes".to_owned(),
        1 => "the same classes but for one tie".to_owned(),
        _ => format!("the same classes but for {ties} ties"),
    };
    format!(
        "run on the {split} split ({examples} examples): {classes} as Kiln, no probability further off than \
         {largest_difference:.1e}, accuracy {accuracy:.4}"
    )
}

/// `path` with `ending` in place of one of a format, or behind any other.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let is_one = |own: &std::ffi::OsStr| own == ending || kiln_export::ENDINGS.iter().any(|one| own == *one);
    if path.extension().is_some_and(is_one) {
        path.with_extension(ending)
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        name.into()
    }
}

/// The format, where it is not the page.
fn format(argument: FormatArgument) -> Option<Format> {
    match argument {
        FormatArgument::Onnx => Some(Format::Onnx),
        FormatArgument::Safetensors => Some(Format::Safetensors),
        FormatArgument::Burnpack => Some(Format::Burnpack),
        FormatArgument::C => Some(Format::C),
        FormatArgument::Html => None,
    }
}

fn endings(argument: FormatArgument) -> &'static [&'static str] {
    format(argument).map_or(&["html"], Format::endings)
}

/// The page with the network in it.
fn html(
    trained: &Trained<Mlp>,
    bits: BitsArgument,
    progress: &dyn kiln::Progress,
) -> Result<Exported, Failure> {
    let mut network = Network::of(trained)?;
    let mut facts = PageFacts::of(trained)?;
    let bits = match bits {
        BitsArgument::All => Bits::All,
        BitsArgument::Half => {
            network = network.rounded_to_half()?;
            facts.cost = cost(trained, progress)?;
            Bits::Half
        }
    };
    let page = page(&network, &facts, Answers::Embedded { bits });
    Ok(Exported { files: vec![("html", page.into_bytes())], check: None, remark: None })
}

/// What 16 bits cost on the test data; nothing, with a warning, where these cannot be had any more.
fn cost(trained: &Trained<Mlp>, progress: &dyn kiln::Progress) -> Result<Option<Cost>, Failure> {
    let split = match trained.own_split("test", progress) {
        Ok(split) => split,
        Err(error) => {
            say(&format!("warning: what 16 bits cost is not known: {}", with_causes(&error)));
            return Ok(None);
        }
    };
    let cost = Cost::measure(trained, &split)?;
    say(&format!(
        "16 bits change {} of {} answers, and no probability by more than {:.1e}; accuracy {:.4}, with all bits {:.4}",
        cost.changed, cost.examples, cost.difference, cost.accuracy_of_half, cost.accuracy
    ));
    Ok(Some(cost))
}
