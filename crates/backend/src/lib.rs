//! Selects the device to compute on. This is the only crate with backend features.
//!
//! `device` lists the backends that are compiled in and checks whether a device of one works.

mod device;

use burn::tensor::Device;
use kiln_config::{Backend, BackendName};

pub use device::{ALL, Probe, compiled_in, is_host, probe};

/// The selected device, with the reason.
#[derive(Clone, Debug)]
pub struct SelectedDevice {
    /// The device, without autodiff.
    pub device: Device,
    /// Its backend; never `auto`.
    pub name: BackendName,
    /// Why this device, in words.
    pub reason: String,
    /// Name of the device.
    pub adapter: String,
    /// True if tensors are in the memory of this process.
    pub on_host: bool,
    /// Number of computing threads on the CPU.
    pub threads: usize,
    /// True if Kiln's kernels compute layers, the loss and the optimizer's step: on flex, unless they are switched
    /// off or the processor is too old.
    pub fused: bool,
}

/// A backend that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The program was built without the backend.
    #[error(
        "backend.name = \"{name}\" is not compiled in (this program has: {compiled}); build it with \
         `cargo build --release --features {name}`"
    )]
    NotCompiledIn {
        /// The requested backend.
        name: BackendName,
        /// The backends that are compiled in.
        compiled: String,
    },
    /// The backend is compiled in, but no device works.
    #[error(
        "backend.name = \"{name}\" finds no working device {device}: {cause}. Try `kiln doctor` to see what \
         works here, or backend.name=flex"
    )]
    NoDevice {
        /// The requested backend.
        name: BackendName,
        /// Number of the requested device.
        device: usize,
        /// The reason.
        cause: String,
    },
    /// No backend works.
    #[error("no backend that is compiled in works here: {tried}")]
    NothingWorks {
        /// Each backend with the reason.
        tried: String,
    },
    /// The computing threads could not be set up.
    #[error("cannot set up {threads} computing threads: {cause}")]
    Threads {
        /// The requested number.
        threads: usize,
        /// The reason.
        cause: String,
    },
}

/// Finds the device for `config` and sets up the computing threads.
pub fn select(config: &Backend) -> Result<SelectedDevice, BackendError> {
    let threads = set_threads(config.threads)?;
    let (name, probe, reason) = match config.name {
        BackendName::Auto => automatic(config.device)?,
        name => named(name, config.device)?,
    };
    let Probe { device, adapter, .. } = probe;
    let fused = config.fused && has_kernels(name);
    Ok(SelectedDevice { device, name, reason, adapter, on_host: is_host(name), threads, fused })
}

/// Whether Kiln has kernels for this backend that are fast on this processor.
#[must_use]
pub fn has_kernels(name: BackendName) -> bool {
    name == BackendName::Flex && kiln_kernels::is_fast_here()
}

fn named(name: BackendName, index: usize) -> Result<(BackendName, Probe, String), BackendError> {
    if !compiled_in().contains(&name) {
        let compiled = compiled_in().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(BackendError::NotCompiledIn { name, compiled });
    }
    let probe = probe(name, index).map_err(|cause| BackendError::NoDevice { name, device: index, cause })?;
    Ok((name, probe, "named by backend.name".to_owned()))
}

fn automatic(index: usize) -> Result<(BackendName, Probe, String), BackendError> {
    let mut passed_over = Vec::new();
    for name in compiled_in() {
        match probe(name, index) {
            Ok(probe) if probe.is_software => {
                passed_over.push(format!("{name}: {} computes on the CPU, slower than flex", probe.adapter));
            }
            Ok(probe) => {
                let mut reason = "the fastest of those compiled in that works here".to_owned();
                if !passed_over.is_empty() {
                    reason = format!("{reason} ({})", passed_over.join("; "));
                }
                return Ok((name, probe, reason));
            }
            Err(cause) => passed_over.push(format!("{name}: {cause}")),
        }
    }
    Err(BackendError::NothingWorks { tried: passed_over.join("; ") })
}

/// Sets the size of the CPU backends' thread pool. Returns the actual size.
fn set_threads(threads: Option<usize>) -> Result<usize, BackendError> {
    if let Some(threads) = threads
        && let Err(error) = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()
        && rayon::current_num_threads() != threads
    {
        return Err(BackendError::Threads { threads, cause: error.to_string() });
    }
    Ok(rayon::current_num_threads())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        let missing = [BackendName::Rocm, BackendName::Metal];
        let name = missing.into_iter().find(|name| !compiled_in().contains(name)).expect("not both at once");
        let error = select(&Backend { name, ..Backend::default() }).expect_err("not compiled in");
        assert!(error.to_string().contains(&format!("--features {name}")), "{error}");
    }

    #[test]
    fn an_automatic_selection_names_its_reason() {
        let selected = select(&Backend::default()).expect("flex works everywhere");
        assert!(selected.reason.contains("works here"), "{}", selected.reason);
        assert!(selected.threads >= 1);
    }
}
