//! Choosing the device that a config asks for.

use burn::tensor::Device;
use kiln_config::{Backend, BackendName};

use crate::compiled::is_host;
use crate::{BackendError, Probe, compiled_in, probe};

/// The device in force, and why.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The device, without autodiff.
    pub device: Device,
    /// Its backend; never `auto`.
    pub name: BackendName,
    /// Why this one, in words.
    pub reason: String,
    /// What the device is called.
    pub adapter: String,
    /// True when tensors lie in this process's own memory.
    pub on_host: bool,
    /// Computing threads on the CPU.
    pub threads: usize,
    /// True where Kiln's kernels compute a layer, the loss and the optimizer's step: on flex, unless they are switched
    /// off or the processor is too old for them.
    pub fused: bool,
}

/// Finds the device that `config` asks for and sets up the computing threads.
///
/// # Errors
/// Where the backend is not compiled in, or no device answers.
pub fn select(config: &Backend) -> Result<Selected, BackendError> {
    let threads = set_threads(config.threads)?;
    let (name, probe, reason) = match config.name {
        BackendName::Auto => automatic(config.device)?,
        name => named(name, config.device)?,
    };
    let Probe { device, adapter, .. } = probe;
    let fused = config.fused && has_kernels(name);
    Ok(Selected { device, name, reason, adapter, on_host: is_host(name), threads, fused })
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

/// Sets the size of the thread pool that the CPU backends compute in; returns the size in force.
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
    fn automatic_says_why() {
        let selected = select(&Backend::default()).expect("flex works everywhere");
        assert!(selected.reason.contains("works here"), "{}", selected.reason);
        assert!(selected.threads >= 1);
    }
}
