//! What tracing tells, in the run's own log file: a terminal that shows a dashboard must not be written to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use kiln_artifacts::Run;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::failure::Failure;

/// The log of the run that this process trains. A worker of a study trains one run after the other.
static LOG: Mutex<Option<File>> = Mutex::new(None);

/// Writes to the log of the moment.
struct ToLog;

impl Write for ToLog {
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

/// Sends tracing to the run's `train.log`; `KILN_LOG` sets the level (`info` without it).
pub(crate) fn log_to(run: &Run) -> Result<(), Failure> {
    let path = run.train_log();
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| Failure::failed(format!("cannot open {}: {error}", path.display())))?;
    let filter = match std::env::var("KILN_LOG") {
        Ok(text) => {
            text.parse().map_err(|error| Failure::usage(format!("KILN_LOG = \"{text}\": {error}")))?
        }
        Err(_) => quiet_gpu(),
    };
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    let layer = fmt::layer().with_ansi(false).with_writer(|| ToLog).with_filter(filter);
    // For a second run it is set already.
    let _ = tracing::subscriber::set_global_default(registry().with(layer));
    Ok(())
}

/// `info`, but for wgpu and its parts, which tell more at that level than anyone reads.
fn quiet_gpu() -> Targets {
    let quiet = ["wgpu_core", "wgpu_hal", "naga"].map(|target| (target, LevelFilter::WARN));
    Targets::new().with_default(LevelFilter::INFO).with_targets(quiet)
}
