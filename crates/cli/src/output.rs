//! Where text goes: results to stdout, messages to stderr, tracing to the run's log file.
//!
//! A closed pipe is not an error; a full disk is.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use kiln_artifacts::Run;
use kiln_files::shortened;
use serde::Serialize;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt, registry};

/// The first error in writing a result.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();
/// Whether any result was printed.
static HAS_PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints a result.
pub(crate) fn print(text: &str) {
    HAS_PRINTED.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    if let Err(cause) = writeln!(out, "{text}").and_then(|()| out.flush())
        && cause.kind() != ErrorKind::BrokenPipe
    {
        // Keep the first.
        let _ = UNWRITTEN.set(cause);
    }
}

/// Whether any result was printed.
pub(crate) fn has_printed() -> bool {
    HAS_PRINTED.load(Ordering::Relaxed)
}

/// The first error in writing a result, if any could not be written.
pub(crate) fn write_error() -> Option<&'static io::Error> {
    UNWRITTEN.get()
}

/// Prints a result as JSON.
pub(crate) fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text),
        // For example, a path that is not UTF-8.
        Err(cause) => {
            let _ = UNWRITTEN.set(io::Error::other(format!("{cause} (JSON cannot represent it)")));
        }
    }
}

/// Prints a message for the user on stderr.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Longer cells are cut by [`table`].
const MAX_CELL_CHARACTERS: usize = 200;

/// Rows as text, in columns of equal width that are two spaces apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let cut = |cell: &String| shortened(cell, MAX_CELL_CHARACTERS);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cut).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// A word, quoted for a shell if necessary.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The name of example `at` of the `count` examples in the file `name`.
pub(crate) fn numbered(name: &str, at: usize, count: usize) -> String {
    if count == 1 { name.to_owned() } else { format!("{name}[{at}]") }
}

/// Why a run cannot have a log.
#[derive(Debug)]
pub(crate) enum LogError {
    /// The log file cannot be opened.
    Open { path: PathBuf, cause: io::Error },
    /// `KILN_LOG` is wrong.
    Level { text: String, cause: ParseError },
}

/// The log file of the current run. A worker of a study trains one run after another.
static LOG: Mutex<Option<File>> = Mutex::new(None);

/// Writes to the log of the current run.
struct RunLog;

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match LOG.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends tracing to the run's `train.log`. `KILN_LOG` sets the level; the default is `info`.
pub(crate) fn log_to(run: &Run) -> Result<(), LogError> {
    let path = run.train_log();
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|cause| LogError::Open { path, cause })?;
    let filter = match std::env::var("KILN_LOG") {
        Ok(text) => text.parse().map_err(|cause| LogError::Level { text, cause })?,
        Err(_) => quiet_gpu(),
    };
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    let layer = fmt::layer().with_ansi(false).with_writer(|| RunLog).with_filter(filter);
    // Fails for the second run of a process: the subscriber is already set.
    let _ = tracing::subscriber::set_global_default(registry().with(layer));
    Ok(())
}

/// `info`, but `warn` for wgpu and its parts, which log too much at `info`.
fn quiet_gpu() -> Targets {
    let quiet = ["wgpu_core", "wgpu_hal", "naga"].map(|target| (target, LevelFilter::WARN));
    Targets::new().with_default(LevelFilter::INFO).with_targets(quiet)
}
