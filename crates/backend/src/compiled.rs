//! The backends that this program was built with.

use burn::tensor::Device;
use kiln_config::BackendName;

/// Every backend that Kiln can be built with, fastest kind first; each has a Cargo feature of its name.
pub const ALL: [BackendName; 7] = [
    BackendName::Cuda,
    BackendName::Rocm,
    BackendName::Metal,
    BackendName::Vulkan,
    BackendName::Wgpu,
    BackendName::Flex,
    BackendName::Ndarray,
];

/// The backends compiled in, fastest kind first.
#[must_use]
pub fn compiled_in() -> Vec<BackendName> {
    ALL.into_iter().filter(|&name| is_compiled_in(name)).collect()
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

/// True when the backend computes in this process's own memory.
#[must_use]
pub fn is_host(name: BackendName) -> bool {
    matches!(name, BackendName::Flex | BackendName::Ndarray)
}

/// Device number `index` of a backend; none if the backend is not compiled in. Opens nothing yet.
pub(crate) fn device(name: BackendName, index: usize) -> Option<Device> {
    match name {
        #[cfg(feature = "flex")]
        BackendName::Flex => Some(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "burn-ndarray is one of the backends that Kiln is asked to offer")]
        BackendName::Ndarray => Some(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        BackendName::Wgpu => Some(Device::wgpu(kind(index))),
        #[cfg(feature = "vulkan")]
        BackendName::Vulkan => Some(Device::vulkan(kind(index))),
        #[cfg(feature = "metal")]
        BackendName::Metal => Some(Device::metal(kind(index))),
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

/// Device 0 is the best one that wgpu finds, a software adapter included; others are discrete GPUs by number.
#[cfg(feature = "wgpu")]
fn kind(index: usize) -> burn::tensor::DeviceKind {
    if index == 0 {
        burn::tensor::DeviceKind::DefaultDevice
    } else {
        burn::tensor::DeviceKind::DiscreteGpu(index)
    }
}
