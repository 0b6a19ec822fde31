//! The multilayer perceptron on a CPU, without a graph: outputs, gradients and optimizer steps.
//!
//! A general framework allocates a tensor for every operation and passes over memory for each. Here a layer is one
//! pass: product, bias, activation and dropout while the outputs are in the cache; and backwards, the gradient of a
//! block of weights and the optimizer's step on that block. Matrices lie in panels of 32 columns, so that
//! every kernel reads memory in order, and threads write to parts of their own.
//!
//! Results depend neither on the number of threads nor on the width of the processor's vectors: every output is one
//! chain of fused multiply-adds in a fixed order, and sums over blocks are added up in the order of the blocks.

#![allow(
    clippy::inline_always,
    reason = "the instructions that pulp chooses reach what is inlined, and nothing else"
)]

mod activation;
mod backward;
mod dropout;
mod elementary;
mod forward;
mod loss;
mod network;
mod panels;
mod product;
mod rule;
mod share;
mod trainer;

pub use backward::Penalty;
pub use dropout::{Dropout, DropoutMask, Pass};
pub use forward::Buffers;
pub use loss::{BatchLoss, cross_entropy, greatest, softmax};
pub use network::{Dense, Network};
pub use rule::{Rule, RuleStep};
pub use trainer::Trainer;

/// Whether this processor multiplies and adds in one instruction; without it, the kernels' exact results are slow.
#[must_use]
pub fn is_fast_here() -> bool {
    !matches!(pulp::Arch::new(), pulp::Arch::Scalar)
}
