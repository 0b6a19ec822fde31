//! `kiln export`.

use std::path::{Path, PathBuf};

use kiln::{Run, Trained, of_run, perceptron};
use kiln_export::{Bits, Check, Cost, Format, export as exported};
use kiln_files::{replace_file, sha256_hex};
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

/// Writes a run's network in the format of another program; all but a page were run on the test split beside Kiln first.
pub(crate) fn export(arguments: &Export) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let weights = weights(arguments.ckpt.as_deref(), &of_run(&run)?)?;
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from(run.name()));
    let format = format(arguments);
    let first = with_ending(&output, format.endings()[0]);
    for path in format.endings().iter().map(|ending| with_ending(&first, ending)) {
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
    let made = exported(&trained, format, &progress)?;
    let mut files = Vec::new();
    for (ending, bytes) in &made.files {
        let path = with_ending(&first, ending);
        replace_file(&path, bytes).map_err(|error| unwritable(&path, &error.cause))?;
        files.push(ExportedFile { path, bytes: bytes.len() as u64, sha256: sha256_hex(bytes) });
    }
    if let Some(remark) = &made.remark {
        say(&format!("warning: {remark}"));
    }
    if let Some(cost) = &made.cost {
        say(&costs(cost));
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

fn costs(cost: &Cost) -> String {
    let Cost { examples, changed, difference, accuracy, accuracy_of_half } = cost;
    format!(
        "16 bits change {changed} of {examples} answers, and no probability by more than {difference:.1e}; accuracy \
         {accuracy_of_half:.4}, with all bits {accuracy:.4}"
    )
}

/// `path` with `ending` in place of one of a format, or behind any other.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let is_one = |own: &std::ffi::OsStr| {
        own == ending || Format::ALL.iter().flat_map(|format| format.endings()).any(|one| own == *one)
    };
    if path.extension().is_some_and(is_one) {
        path.with_extension(ending)
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        name.into()
    }
}

fn format(arguments: &Export) -> Format {
    match arguments.format {
        FormatArgument::Onnx => Format::Onnx,
        FormatArgument::Safetensors => Format::Safetensors,
        FormatArgument::Burnpack => Format::Burnpack,
        FormatArgument::C => Format::C,
        FormatArgument::Html => Format::Html(match arguments.bits {
            BitsArgument::Half => Bits::Half,
            BitsArgument::All => Bits::All,
        }),
    }
}
