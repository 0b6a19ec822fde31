//! Kiln's kernels, as an extension of Burn's backends.
//!
//! On a CPU, training a small network spends much of its time on passes over memory. Burn computes a layer as a
//! product, a sum, an activation and a mask: each is a pass with a new tensor. An optimizer's step is a dozen such
//! passes. On flex, Burn's CPU backend, the operations here take one pass: activation and mask are applied while a
//! block of the product is still in the cache, and an optimizer updates the parameter in place.
//!
//! The operations are a Burn *backend extension* (`ops.rs`). Every one has a default body of Burn's own operations. Other
//! backends compute that body, and so does flex with [`Fused::Off`]; the tests compare the two. Models call the functions
//! on [`Tensor`] below, which work on every backend, with and without autodiff.
//!
//! The kernels are also reproducible, which Burn's products do not promise: the bits depend neither on the number of
//! threads nor on the width of the processor's vectors. Every value of a product is one chain of fused multiply-adds in
//! a fixed order (`product.rs`), and all other sums are added up in a fixed order.
//!
//! - `ops`: the trait [`Kernels`] with its default bodies; `flex`: the kernels behind it, with their backward passes.
//! - `linear` (a layer with activation and dropout), `periodic` (an embedding of numbers), `functions` (activations and
//!   cross-entropy) and `product` (the matrix product) work on plain slices, without tensors.
//! - `optimizer`: SGD, RMSProp, Adam and AdamW as Burn optimizers.
//! - At the end of this file: sharing work among threads, and reusing the memory of gradients.

#![allow(
    clippy::inline_always,
    reason = "pulp selects vector instructions at run time, and only inlined code is compiled with them"
)]

mod flex;
mod functions;
mod linear;
mod ops;
mod optimizer;
mod periodic;
mod product;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use burn::backend::{Dispatch, Flex};
use burn::tensor::{Int, Tensor};
use rayon::prelude::*;

pub use functions::greatest;
pub use linear::{DropoutMask, Dropping, Epilogue};
pub use ops::{EmbeddedColumns, Kernels};
pub use optimizer::{Moments, UpdateRule};

/// Whether Kiln's kernels compute, or Burn's own operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fused {
    /// The kernels, on backends that have them.
    On,
    /// Burn's own operations.
    Off,
}

impl Fused {
    /// [`Fused::On`] if `on`.
    #[must_use]
    pub fn when(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }

    pub(crate) fn is_off(self) -> bool {
        self == Self::Off
    }
}

/// Whether this processor has a fused multiply-add instruction. Without it the kernels give the same bits, but slowly.
#[must_use]
pub fn is_fast_here() -> bool {
    !matches!(pulp::Arch::new(), pulp::Arch::Scalar)
}

/// A linear layer: `input`, shape [batch, inputs], times `weight`, shape [inputs, outputs], plus `bias`, shape
/// `[outputs]`, followed by `epilogue`. The result has shape [batch, outputs].
#[must_use]
pub fn linear(
    input: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    epilogue: Epilogue,
    fused: Fused,
) -> Tensor<2> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[1]], &input.device()));
    Tensor::from_dispatch(Dispatch::linear(
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epilogue,
        fused,
    ))
}

/// Appends periodic embeddings of numbers to `features`, shape [batch, features].
///
/// Each number x, in one of `embedded.columns`, becomes the waves `cos(2 pi (f x + p))` with its own frequencies f and
/// phases p; a linear layer of its own mixes them into `size` features. There is no gradient for `features`.
///
/// The result has shape `[batch, features + numbers * size]`. `frequency` and `phase` have shape `[numbers * waves]`,
/// `weight` has shape `[numbers, waves, size]`, and `bias` has shape `[numbers * size]`.
#[must_use]
pub fn periodic(
    features: Tensor<2>,
    [frequency, phase]: [Tensor<1>; 2],
    weight: Tensor<3>,
    bias: Tensor<1>,
    embedded: EmbeddedColumns,
    fused: Fused,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::periodic(
        features.into_dispatch(),
        frequency.into_dispatch(),
        phase.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        embedded,
        fused,
    ))
}

/// The cross-entropy of each row of `logits`, shape [batch, classes], with its class in `targets`, shape `[batch]`. The
/// result has shape `[batch]`.
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, fused: Fused) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), targets.into_dispatch(), fused))
}

/// The softmax of each row of `logits`, shape [batch, classes]. For inference: on flex it has no backward pass.
#[must_use]
pub fn softmax(logits: Tensor<2>, fused: Fused) -> Tensor<2> {
    match (fused, flex::of(&logits)) {
        (Fused::On, Some(values)) => Tensor::from_primitive::<Flex>(flex::softmax(values)),
        _ => burn::tensor::activation::softmax(logits, 1),
    }
}

/// The number of rows of `scores`, shape [batch, classes], whose greatest score is at their class in `targets`, shape
/// `[batch]`. The result has shape `[1]`. Of equal scores, the first counts (on flex).
#[must_use]
pub fn hits(scores: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1, Int> {
    match (flex::of(&scores), targets.clone().try_into_primitive::<Flex>()) {
        (Some(scores), Ok(targets)) => Tensor::from_primitive::<Flex>(flex::hits(&scores, &targets)),
        _ => scores.argmax(1).squeeze_dim::<1>(1).equal(targets).int().sum(),
    }
}

/// The factors by which `mask` multiplies a tensor of the shape and device of `like`, shape [batch, units].
#[must_use]
pub fn dropout_factors(like: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::dropout_factors(like.into_dispatch(), mask))
}

/// The sum of the squares of all values, shape `[1]`. On flex it is computed in double precision, in an order that does
/// not depend on the number of threads.
#[must_use]
pub fn square_sum<const D: usize>(tensor: &Tensor<D>) -> Tensor<1> {
    match flex::of(tensor) {
        Some(values) => Tensor::from_primitive::<Flex>(flex::square_sum(&values)),
        None => tensor.clone().square().sum(),
    }
}

/// Work of fewer multiply-adds takes microseconds; handing it to another thread would take longer.
const ENOUGH: usize = 1 << 19;

/// The number of threads for work of this `cost`, in multiply-adds: one or all.
pub(crate) fn threads_for(cost: usize) -> usize {
    if cost < ENOUGH { 1 } else { rayon::current_num_threads() }
}

/// Applies `work` to every unit, on all threads if the total `cost`, in multiply-adds, is high enough. The results are in
/// the order of the units.
pub(crate) fn map_units<U: Send, R: Send>(
    units: Vec<U>,
    cost: usize,
    work: impl Fn(U) -> R + Sync,
) -> Vec<R> {
    if threads_for(cost) == 1 || units.len() == 1 {
        units.into_iter().map(work).collect()
    } else {
        units.into_par_iter().map(&work).collect()
    }
}

/// How long an idle thread spins: longer than the pauses within a training step, and than waking a thread takes.
const SPIN: Duration = Duration::from_micros(200);
/// The longest sleep of an idle thread between two searches for work.
const LONGEST_SLEEP: Duration = Duration::from_millis(4);

/// Runs `work` inside rayon's pool, and keeps the pool's other threads awake meanwhile.
///
/// A training step shares work among threads a dozen times, each for some tens of microseconds. Rayon's threads fall
/// asleep in between, and waking one takes as long as the work itself, most of all on a virtual machine. Here they spin
/// for a while before they sleep, as OpenMP's threads do.
pub fn with_threads_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|scope| {
        let over = Over(Arc::new(AtomicBool::new(false)));
        for _ in 1..rayon::current_num_threads() {
            let over = Arc::clone(&over.0);
            scope.spawn(move |_| look_for_work(&over));
        }
        work()
    })
}

/// Signals the end of the work when dropped, so also after a panic.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Executes the pool's tasks until `over`.
fn look_for_work(over: &AtomicBool) {
    let (mut last, mut sleep) = (Instant::now(), SPIN);
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            (last, sleep) = (Instant::now(), SPIN);
        } else if last.elapsed() < SPIN {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(sleep);
            sleep = (2 * sleep).min(LONGEST_SLEEP);
        }
    }
}

/// The memory of gradients between two steps. New memory from the system would have to be cleared first, which takes a
/// tenth of a step. A step uses up as many gradients as it makes, so there is at most one buffer per parameter.
static BUFFERS: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// The greatest number of buffers.
const MAX_BUFFERS: usize = 256;

/// A buffer of `length` values with unspecified contents.
pub(crate) fn buffer(length: usize) -> Vec<f32> {
    let mut buffers = BUFFERS.lock().expect("no thread panics with the lock");
    match buffers.iter().rposition(|buffer| buffer.len() == length) {
        Some(index) => buffers.swap_remove(index),
        None => vec![0.0; length],
    }
}

/// Returns the memory of a gradient that is no longer needed.
pub(crate) fn recycle(buffer: Vec<f32>) {
    let mut buffers = BUFFERS.lock().expect("no thread panics with the lock");
    if buffers.len() < MAX_BUFFERS {
        buffers.push(buffer);
    }
}
