//! `[backend]`: where to compute.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::facts::{When, between, number, plain};

const CPU: When = ("backend.name", &["auto", "flex", "ndarray"]);
const GPU: When = ("backend.name", &["auto", "wgpu", "vulkan", "metal", "cuda", "rocm"]);
const FLEX: When = ("backend.name", &["auto", "flex"]);

/// `[backend]`: the device and its threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    /// Which of Burn's backends.
    #[schemars(transform = plain().also_called("accelerator"))]
    pub name: BackendName,
    /// Number of the GPU, from 0.
    #[schemars(transform = number(between(0.0, 1023.0)).when(GPU))]
    pub device: usize,
    /// On flex, compute a layer, the loss and the optimizer's step with Kiln's kernels, each in one pass over memory;
    /// false leaves them to Burn's own operations, as does a processor without fused multiply-add. The two differ by
    /// rounding.
    #[schemars(transform = plain().when(FLEX))]
    pub fused: bool,
    /// Computing threads of a CPU backend. Left out: as many as the machine has cores.
    #[schemars(transform = number(between(1.0, 1024.0)).unit("threads").example("4").when(CPU)
        .also_called("num_threads"))]
    pub threads: Option<usize>,
}

impl Default for Backend {
    fn default() -> Self {
        Self { name: BackendName::Auto, device: 0, threads: None, fused: true }
    }
}

/// Burn's backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum BackendName {
    /// The best one that is compiled in and works here.
    Auto,
    /// Burn's CPU backend.
    #[schemars(transform = plain().also_called("cpu"))]
    Flex,
    /// The older CPU backend on ndarray.
    Ndarray,
    /// Any GPU through WebGPU.
    #[schemars(transform = plain().also_called("gpu"))]
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
