//! `[backend]`: where to compute.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[backend]`: the device and its threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// Which of Burn's backends.
    pub name: BackendName,
    /// Number of the GPU, from 0.
    pub device: usize,
    /// Computing threads of a CPU backend. Left out: as many as the machine has cores.
    pub threads: Option<usize>,
    /// On flex, compute a layer, the loss and the optimizer's step with Kiln's kernels, each in one pass over memory;
    /// false leaves them to Burn's own operations, as does a processor without fused multiply-add. The two differ by
    /// rounding.
    pub fused: bool,
}

impl Default for Backend {
    fn default() -> Self {
        Self { name: BackendName::Auto, device: 0, threads: None, fused: true }
    }
}

/// Burn's backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackendName {
    /// The best one that is compiled in and works here.
    Auto,
    /// Burn's CPU backend.
    Flex,
    /// The older CPU backend on ndarray.
    Ndarray,
    /// Any GPU through WebGPU.
    Wgpu,
    /// A GPU through Vulkan.
    Vulkan,
    /// An Apple GPU.
    Metal,
    /// An NVIDIA GPU.
    Cuda,
    /// An AMD GPU.
    Rocm,
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
        })
    }
}
