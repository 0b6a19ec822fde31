//! The backends that are compiled in, and probing: whether a device of a backend works, and its name.

use std::panic::{catch_unwind, set_hook, take_hook};

use burn::tensor::{Device, Tensor};
use kiln_config::BackendName;

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
