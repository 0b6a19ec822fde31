//! Selects the device to compute on. This is the only crate with backend features.
//!
//! [`select`] chooses among the backends that are compiled in; [`probe`] checks whether a device of one works.

use std::panic::{catch_unwind, set_hook, take_hook};

use burn::tensor::{Device, Tensor};
use kiln_config::{Backend, BackendName};

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

/// Every backend that Kiln can be built with, the fastest first. Each has a Cargo feature with its name.
pub const ALL: [BackendName; 7] = [
    BackendName::Cuda,
    BackendName::Rocm,
    BackendName::Metal,
    BackendName::Vulkan,
    BackendName::Wgpu,
    BackendName::Flex,
    BackendName::Ndarray,
];

/// Names of software adapters: Mesa's llvmpipe, Google's SwiftShader, Windows' WARP.
const SOFTWARE_ADAPTERS: [&str; 3] = ["llvmpipe", "swiftshader", "microsoft basic render"];

/// A device that works.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The device.
    pub device: Device,
    /// The name, such as that of the GPU.
    pub adapter: String,
    /// True for a GPU interface that computes on the CPU.
    pub is_software: bool,
}

/// The backends that are compiled in, the fastest first.
#[must_use]
pub fn compiled_in() -> Vec<BackendName> {
    ALL.into_iter().filter(|&name| is_compiled_in(name)).collect()
}

/// True if the backend computes in the memory of this process.
#[must_use]
pub fn is_host(name: BackendName) -> bool {
    matches!(name, BackendName::Flex | BackendName::Ndarray)
}

/// Opens device number `index` of a backend and computes a sum on it.
///
/// # Errors
/// The reason in words, if the backend is not compiled in or the device does not work.
pub fn probe(name: BackendName, index: usize) -> Result<Probe, String> {
    let Some(device) = device(name, index) else {
        return Err(format!("not compiled in; build with `--features {name}`"));
    };
    if is_host(name) {
        return Ok(Probe { device, adapter: "CPU".to_owned(), is_software: false });
    }
    // GPU runtimes panic if there is no adapter. The panic's message is the result, not a crash.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let answer = catch_unwind(|| {
        let two = Tensor::<1>::ones([2], &device).sum().into_scalar::<f32>();
        (two.to_bits() == 2.0_f32.to_bits(), adapter_name(&device))
    });
    set_hook(hook);
    match answer {
        Ok((true, adapter)) => {
            let lower = adapter.to_lowercase();
            let is_software = SOFTWARE_ADAPTERS.iter().any(|name| lower.contains(name));
            Ok(Probe { device, adapter, is_software })
        }
        Ok((false, adapter)) => Err(format!("{adapter} gives a wrong result for 1 + 1")),
        Err(panic) => Err(message(panic.as_ref())),
    }
}

fn is_compiled_in(name: BackendName) -> bool {
    match name {
        BackendName::Auto => true,
        BackendName::Cuda => cfg!(feature = "cuda"),
        BackendName::Rocm => cfg!(feature = "rocm"),
        BackendName::Metal => cfg!(feature = "metal"),
        BackendName::Vulkan => cfg!(feature = "vulkan"),
        BackendName::Wgpu => cfg!(feature = "wgpu"),
        BackendName::Flex => cfg!(feature = "flex"),
        BackendName::Ndarray => cfg!(feature = "ndarray"),
    }
}

/// Device number `index` of a backend, not yet opened; `None` if the backend is not compiled in.
fn device(name: BackendName, index: usize) -> Option<Device> {
    match name {
        #[cfg(feature = "flex")]
        BackendName::Flex => Some(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "Kiln must offer burn-ndarray")]
        BackendName::Ndarray => Some(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        BackendName::Wgpu => Some(Device::wgpu(device_kind(index))),
        #[cfg(feature = "vulkan")]
        BackendName::Vulkan => Some(Device::vulkan(device_kind(index))),
        #[cfg(feature = "metal")]
        BackendName::Metal => Some(Device::metal(device_kind(index))),
        #[cfg(feature = "cuda")]
        BackendName::Cuda => Some(Device::cuda(index)),
        #[cfg(feature = "rocm")]
        BackendName::Rocm => Some(Device::rocm(index)),
        _ => {
            let _ = index;
            None
        }
    }
}

/// Device 0 is the best device that wgpu finds, software adapters included; others are discrete GPUs by number.
#[cfg(feature = "wgpu")]
fn device_kind(index: usize) -> burn::tensor::DeviceKind {
    if index == 0 {
        burn::tensor::DeviceKind::DefaultDevice
    } else {
        burn::tensor::DeviceKind::DiscreteGpu(index)
    }
}

#[cfg(any(feature = "cuda", feature = "rocm", feature = "wgpu"))]
fn adapter_name(device: &Device) -> String {
    device.identity().map_or_else(|| "unnamed device".to_owned(), |identity| identity.name)
}

#[cfg(not(any(feature = "cuda", feature = "rocm", feature = "wgpu")))]
fn adapter_name(_: &Device) -> String {
    "unnamed device".to_owned()
}

/// The first line of a panic's message.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the backend gave no reason");
    text.lines().next().unwrap_or(text).trim().to_owned()
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
