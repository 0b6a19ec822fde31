//! What tracing tells, in the run's own log file: a terminal that shows a dashboard must not be written to.

use std::fs::OpenOptions;
use std::sync::Mutex;

use kiln_artifacts::Run;
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Sends tracing to the run's `train.log`; `KILN_LOG` sets the level (`info` without it).
pub(crate) fn log_to(run: &Run) -> Result<(), Failure> {
    let path = run.train_log();
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| Failure::failed(format!("cannot open {}: {error}", path.display())))?;
    // wgpu and its parts tell more at `info` than anyone reads.
    let filter =
        std::env::var("KILN_LOG").unwrap_or_else(|_| "info,wgpu_core=warn,wgpu_hal=warn,naga=warn".into());
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(Mutex::new(file))
        .finish();
    // A second run in one process would go on in the first one's log; there is no such command.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}
