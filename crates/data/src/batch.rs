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
    /// The same classes where the host can read them without waiting for the device.
    pub labels: Vec<u32>,
    /// Batches that came before this one since the first batch of epoch 0.
    pub step: u64,
}

impl Batch {
    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Values that are worth handing to another thread.
const VALUES: usize = 1 << 14;

impl Split {
    /// The examples at `positions`, scaled by `normalizer`, on `device`, as batch number `step`.
    ///
    /// Features and targets are one buffer and one transfer each: a tensor per example, stacked, takes many
    /// times as long.
    ///
    /// # Panics
    /// If a position is not below [`Split::len`].
    #[must_use]
    pub fn batch(&self, positions: &[u32], normalizer: &Normalizer, step: u64, device: &Device) -> Batch {
        let width = self.features();
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
        let labels: Vec<u32> = positions.iter().map(|&position| self.label(position as usize)).collect();
        let targets: Vec<i64> = labels.iter().copied().map(i64::from).collect();
        let shape = [positions.len(), self.features()];
        Batch {
            features: Tensor::from_data(TensorData::new(features, shape), device),
            targets: Tensor::from_data(TensorData::new(targets, [positions.len()]), device),
            labels,
            step,
        }
    }
}
