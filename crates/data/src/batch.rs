//! One batch of examples, as tensors on a device.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use crate::{Normalizer, Split};

/// Examples that go through the network together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Scaled features, shape `[examples, features]`.
    pub features: Tensor<2>,
    /// Classes from 0, shape `[examples]`.
    pub targets: Tensor<1, Int>,
    /// What the batch goes through the network for.
    pub pass: Pass,
    /// The part of the training data that each example is of, from 0; none where no part is left out.
    pub folds: Option<Vec<u32>>,
}

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Every unit is kept: validation, test, prediction.
    Inference,
    /// Units are dropped with the mask of this step: training, or a test with dropout left on.
    Training {
        /// Batches that came before this one since the first batch of epoch 0.
        step: u64,
    },
}

impl Batch {
    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.dims()[0]
    }

    /// True when there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Values that are worth handing to another thread.
const VALUES: usize = 1 << 14;

impl Split {
    /// The examples at `positions`, scaled by `normalizer`, on `device`, for `pass`.
    ///
    /// Features and targets are one buffer and one transfer each: a tensor per example, stacked, takes many
    /// times as long.
    ///
    /// # Panics
    /// If a position is not below [`Split::len`].
    #[must_use]
    pub fn batch(&self, positions: &[u32], normalizer: &Normalizer, pass: Pass, device: &Device) -> Batch {
        let width = normalizer.features(self.width());
        let mut features = vec![0.0; positions.len() * width];
        // Examples lie scattered in memory: threads wait for them side by side.
        let examples = (VALUES / width).max(1);
        features.par_chunks_mut(examples * width).zip(positions.par_chunks(examples)).for_each(
            |(features, positions)| {
                for (features, &position) in features.chunks_mut(width).zip(positions) {
                    normalizer.write(self.raw(position as usize), features);
                }
            },
        );
        let targets: Vec<i64> =
            positions.iter().map(|&position| i64::from(self.label(position as usize))).collect();
        let shape = [positions.len(), width];
        Batch {
            features: Tensor::from_data(TensorData::new(features, shape), device),
            targets: Tensor::from_data(TensorData::new(targets, [positions.len()]), device),
            pass,
            folds: self.folds_of(positions),
        }
    }
}
