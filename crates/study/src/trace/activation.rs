//! Activation functions by name, as Burn has them.

use burn::tensor::{Tensor, activation};
use kiln_config::Activation;

/// PyTorch's `negative_slope` of `LeakyReLU`.
const LEAKY_SLOPE: f64 = 0.01;

/// Applies `function` to every entry; the shape stays.
pub(super) fn activate(function: Activation, tensor: Tensor<2>) -> Tensor<2> {
    match function {
        Activation::Relu => activation::relu(tensor),
        Activation::Tanh => activation::tanh(tensor),
        Activation::Sigmoid => activation::sigmoid(tensor),
        Activation::Identity => tensor,
        Activation::Gelu => activation::gelu(tensor),
        Activation::Silu => activation::silu(tensor),
        Activation::LeakyRelu => activation::leaky_relu(tensor, LEAKY_SLOPE),
        Activation::Softplus => activation::softplus(tensor, 1.0),
        Activation::Selu => activation::selu(tensor),
        Activation::Mish => activation::mish(tensor),
    }
}
