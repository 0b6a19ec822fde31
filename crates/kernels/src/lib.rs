//! Kiln's operations as an extension of Burn's backends: a linear layer with its activation and dropout, cross-entropy
//! on class numbers, dropout masks that are pure functions of a seed, and the optimizers' steps in place.
//!
//! Burn computes a layer as a product, a sum, an activation and a mask, each a pass over memory with a tensor of its
//! own, and an optimizer's step as a dozen such passes. On flex the operations here take one pass: what follows a
//! product happens while its block is in the cache, on the way back too. Everywhere else, and where the kernels are
//! switched off, they are Burn's own operations.
//!
//! Besides speed the kernels buy this: their results depend neither on the number of threads nor on the width of the
//! processor's vectors, which Burn's products do not promise.

#![allow(
    clippy::inline_always,
    reason = "the instructions that pulp chooses reach what is inlined, and nothing else"
)]

mod activation;
mod buffers;
#[cfg(feature = "cube")]
mod cube;
mod elementary;
mod flex;
mod linear;
mod loss;
mod mask;
mod ops;
mod optimizer;
mod periodic;
mod product;
mod rule;
mod share;

use burn::backend::{Dispatch, Flex};
use burn::tensor::{Int, Tensor};

pub use linear::Ending;
pub use loss::greatest;
pub use mask::{DropoutMask, Dropping};
pub use ops::{Kernels, Waves};

pub use optimizer::{Moments, UpdateRule};
pub use share::with_threads_awake;

/// Whether the kernels compute where there are any, or Burn's own operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fused {
    /// The kernels, on flex.
    On,
    /// Burn's own operations.
    Off,
}

impl Fused {
    /// The kernels if `on`.
    #[must_use]
    pub fn when(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }

    pub(crate) fn is_off(self) -> bool {
        self == Self::Off
    }
}

/// Whether this processor multiplies and adds in one instruction; without it, the kernels' exact results are slow.
#[must_use]
pub fn is_fast_here() -> bool {
    !matches!(pulp::Arch::new(), pulp::Arch::Scalar)
}

/// `input`, shape [batch, inputs], times `weight`, shape [inputs, outputs], plus `bias`, shape `[outputs]`, and then
/// `ending`: shape [batch, outputs].
///
/// # Panics
/// If the shapes do not fit together.
#[must_use]
pub fn linear(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    ending: Ending,
    fused: Fused,
) -> Tensor<2> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[1]], &input.device()));
    Tensor::from_dispatch(Dispatch::linear(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        ending,
        fused,
    ))
}

/// `features`, shape [batch, features], and behind them what each of the numbers in `waves.columns` is mixed into: shape
/// [batch, features + numbers * size]. A number x has as many waves `cos(2 pi (f x + p))` as there are frequencies f, and
/// a mixing layer of its own. `frequency` and `phase` have shape [numbers * waves], `weight` [numbers, waves, size], `bias`
/// [numbers * size]. No gradient goes to the features.
///
/// # Panics
/// If the shapes do not fit together.
#[must_use]
pub fn periodic(
    features: Tensor<2>,
    [frequency, phase]: [Tensor<1>; 2],
    weight: Tensor<3>,
    bias: Tensor<1>,
    waves: Waves,
    fused: Fused,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::periodic(
        features.into_dispatch(),
        frequency.into_dispatch(),
        phase.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        waves,
        fused,
    ))
}

/// The cross-entropy of the softmax of each row of `logits`, shape [batch, classes], and of the row's class in
/// `targets`, shape `[batch]`: shape `[batch]`.
///
/// # Panics
/// If there is not a row for every target, or a target is not below the number of classes.
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, fused: Fused) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch(), fused))
}

/// The softmax of each row of `logits`, shape [batch, classes], without a place in a graph.
#[must_use]
pub fn softmax(logits: Tensor<2>, fused: Fused) -> Tensor<2> {
    match (fused, flex::of(&logits)) {
        (Fused::On, Some(values)) => Tensor::from_primitive::<Flex>(flex::softmax(values)),
        _ => burn::tensor::activation::softmax(logits, 1),
    }
}

/// How many rows of `scores`, shape [batch, classes], are greatest at their class in `targets`, shape `[batch]`: shape
/// `[1]`. Of equal scores the first counts on a CPU.
#[must_use]
pub fn hits(scores: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1, Int> {
    match (flex::of(&scores), targets.clone().try_into_primitive::<Flex>()) {
        (Some(scores), Ok(targets)) => Tensor::from_primitive::<Flex>(flex::hits(&scores, &targets)),
        _ => scores.argmax(1).squeeze_dim::<1>(1).equal(targets).int().sum(),
    }
}

/// What `mask` multiplies the values of `like` by, shape [batch, units].
#[must_use]
pub fn dropout_factors(like: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::dropout_factors(like.into_dispatch(), mask))
}

/// The sum of the squares of all values, shape `[1]`; on a CPU in double precision and in an order of its own, whatever
/// the number of threads.
#[must_use]
pub fn square_sum<const D: usize>(tensor: &Tensor<D>) -> Tensor<1> {
    match flex::of(tensor) {
        Some(values) => Tensor::from_primitive::<Flex>(flex::square_sum(&values)),
        None => tensor.clone().square().sum(),
    }
}
