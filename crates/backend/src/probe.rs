//! Trying a backend: does a device answer, and what is it?

use std::panic::{catch_unwind, set_hook, take_hook};

use burn::tensor::{Device, Tensor};
use kiln_config::BackendName;

use crate::compiled::{device, is_host};

/// A device that answered.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The device.
    pub device: Device,
    /// What it is called, such as the name of the GPU.
    pub adapter: String,
    /// True for a GPU interface that computes on the CPU.
    pub is_software: bool,
}

/// Names that software adapters go by: Mesa's llvmpipe, Google's SwiftShader, Windows' WARP.
const SOFTWARE_ADAPTERS: [&str; 3] = ["llvmpipe", "swiftshader", "microsoft basic render"];

/// Opens device number `index` of a backend and computes something on it.
///
/// # Errors
/// With the reason, in words, where the backend is not compiled in or nothing answers.
pub fn probe(name: BackendName, index: usize) -> Result<Probe, String> {
    let Some(device) = device(name, index) else {
        return Err(format!("not compiled in; build with `--features {name}`"));
    };
    if is_host(name) {
        return Ok(Probe { device, adapter: "CPU".to_owned(), is_software: false });
    }
    // GPU runtimes panic where no adapter is found; what they say is the answer, not a crash.
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
        Ok((false, adapter)) => Err(format!("{adapter} computes 1 + 1 wrong")),
        Err(panic) => Err(message(panic.as_ref())),
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

/// The first line of what a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the backend gave no reason");
    text.lines().next().unwrap_or(text).trim().to_owned()
}
