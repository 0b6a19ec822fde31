//! The backends that this program was built with.

use burn::tensor::Device;
use kiln_config::BackendName;

/// The backends compiled in, fastest kind first.
#[must_use]
pub fn compiled_in() -> Vec<BackendName> {
    [
        (cfg!(feature = "cuda"), BackendName::Cuda),
        (cfg!(feature = "rocm"), BackendName::Rocm),
        (cfg!(feature = "metal"), BackendName::Metal),
        (cfg!(feature = "vulkan"), BackendName::Vulkan),
        (cfg!(feature = "wgpu"), BackendName::Wgpu),
        (cfg!(feature = "flex"), BackendName::Flex),
        (cfg!(feature = "ndarray"), BackendName::Ndarray),
    ]
    .into_iter()
    .filter_map(|(compiled, name)| compiled.then_some(name))
    .collect()
}

/// The Cargo feature that compiles a backend in; it has the backend's name.
#[must_use]
pub fn feature_of(name: BackendName) -> String {
    name.to_string()
}

/// True when the backend computes in this process's own memory.
pub(crate) fn is_host(name: BackendName) -> bool {
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
    if index == 0 { burn::tensor::DeviceKind::DefaultDevice } else { burn::tensor::DeviceKind::DiscreteGpu(index) }
}
