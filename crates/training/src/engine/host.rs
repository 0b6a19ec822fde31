//! Tensors of a CPU backend as plain vectors, without a copy where the tensor is uniquely held.

use burn::tensor::{Device, Tensor, TensorData};

/// The values of a tensor of 32-bit floats.
pub(crate) fn take<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
}

/// A tensor of `values` on `device`.
pub(crate) fn give(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}
