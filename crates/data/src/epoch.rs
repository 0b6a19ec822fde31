//! One pass over a split, batch by batch.

use std::sync::Arc;

use burn::tensor::Device;
use kiln_config::random::{Purpose, Stream};

use crate::{Batch, Normalizer, Pass, Split};

/// How a split is cut into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Examples in a batch; at least 1.
    pub batch_size: usize,
    /// Leave out a last batch that would be smaller than the others.
    pub drop_last: bool,
    /// The seed of a new order in every epoch; none keeps the split's own order.
    pub shuffle: Option<u64>,
}

impl Batching {
    /// The split's own order, every example.
    #[must_use]
    pub fn in_order(batch_size: usize) -> Self {
        Self { batch_size, drop_last: false, shuffle: None }
    }

    /// A new order in every epoch, fixed by `seed` and the epoch's number.
    #[must_use]
    pub fn shuffled(batch_size: usize, seed: u64, drop_last: bool) -> Self {
        Self { batch_size, drop_last, shuffle: Some(seed) }
    }

    /// The number of batches in an epoch over `examples` examples.
    ///
    /// # Panics
    /// If the batch size is zero.
    #[must_use]
    pub fn batches(&self, examples: usize) -> usize {
        if self.drop_last { examples / self.batch_size } else { examples.div_ceil(self.batch_size) }
    }

    /// The positions of an epoch over `examples` examples, in the order of their use.
    #[must_use]
    pub fn order(&self, examples: usize, epoch: u64) -> Vec<u32> {
        epoch_order(examples, self.shuffle.unwrap_or_default(), epoch, self.shuffle.is_some())
    }
}

/// The positions 0 to `len` - 1 in the order in which epoch number `epoch` (from 0) uses them: a pure
/// function of its arguments, so that a run can be resumed anywhere.
#[must_use]
pub fn epoch_order(len: usize, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    if shuffle {
        Stream::new(seed, Purpose::Order, &[epoch]).shuffle(&mut order);
    }
    order
}

/// The batches of one epoch, made as they are asked for.
#[derive(Clone, Debug)]
pub struct Epoch {
    split: Split,
    normalizer: Arc<Normalizer>,
    device: Device,
    order: Vec<u32>,
    batch_size: usize,
    batches: usize,
    next: usize,
    /// The number of the epoch's first batch where units are to be dropped, counted from epoch 0.
    first_step: Option<u64>,
}

impl Epoch {
    /// The batches of epoch number `epoch` (from 0), beginning with batch number `first_batch` (from 0): a
    /// run that stopped in mid-epoch goes on as if it had not.
    ///
    /// # Panics
    /// If the batch size is zero.
    #[must_use]
    pub fn new(
        split: &Split,
        normalizer: &Arc<Normalizer>,
        batching: &Batching,
        epoch: u64,
        first_batch: usize,
        device: &Device,
    ) -> Self {
        let batches = batching.batches(split.len());
        Self {
            split: split.clone(),
            normalizer: Arc::clone(normalizer),
            device: device.clone(),
            order: batching.order(split.len(), epoch),
            batch_size: batching.batch_size,
            batches,
            next: first_batch.min(batches),
            first_step: None,
        }
    }

    /// The same batches for training: each has the number of its step, counted from the first batch of epoch 0, which
    /// is `epoch` epochs before this one.
    #[must_use]
    pub fn for_training(self, epoch: u64) -> Self {
        Self { first_step: Some(epoch * self.batches as u64), ..self }
    }

    /// The number of batches in the whole epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches
    }

    /// The number of examples in the whole epoch.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.order.len().min(self.batches * self.batch_size)
    }

    /// The number of examples in the batches before the next one.
    #[must_use]
    pub fn examples_done(&self) -> usize {
        self.examples().min(self.next * self.batch_size)
    }
}

impl Iterator for Epoch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next == self.batches {
            return None;
        }
        let start = self.next * self.batch_size;
        let end = self.order.len().min(start + self.batch_size);
        let pass = match self.first_step {
            Some(first) => Pass::Training { step: first + self.next as u64 },
            None => Pass::Inference,
        };
        self.next += 1;
        Some(self.split.batch(&self.order[start..end], &self.normalizer, pass, &self.device))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.batches - self.next, Some(self.batches - self.next))
    }
}

impl ExactSizeIterator for Epoch {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::Storage;

    fn epoch(examples: u8, batching: Batching, epoch: u64, first_batch: usize) -> Epoch {
        let values: Vec<u8> = (0..examples).flat_map(|value| [value, 2 * value]).collect();
        let labels = (0..u32::from(examples)).collect();
        let split = Split::new(Storage::bytes(2, values, 255), labels);
        let normalizer = Arc::new(Normalizer::Divide { divisor: 1.0 });
        Epoch::new(&split, &normalizer, &batching, epoch, first_batch, &Device::flex()).for_training(epoch)
    }

    fn classes(batch: &Batch) -> Vec<i64> {
        batch.targets.to_data().convert::<i64>().try_to_vec().unwrap()
    }

    #[test]
    fn a_batch_holds_the_features_and_classes_of_its_examples() {
        let batches: Vec<Batch> = epoch(5, Batching::in_order(2), 0, 0).collect();
        assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [2, 2, 1]);
        let batch = &batches[1];
        assert_eq!((batch.features.dims(), batch.targets.dims()), ([2, 2], [2]));
        let features = batch.features.to_data().convert::<f32>().try_to_vec::<f32>().unwrap();
        assert_eq!((features, classes(batch)), (vec![2.0, 4.0, 3.0, 6.0], vec![2, 3]));
        let passes: Vec<Pass> = batches.iter().map(|batch| batch.pass).collect();
        assert_eq!(passes, [0, 1, 2].map(|step| Pass::Training { step }));
    }

    #[test]
    fn an_epoch_resumed_in_its_middle_goes_on_as_if_it_had_not_stopped() {
        let batching = Batching::shuffled(3, 7, false);
        let whole: Vec<Batch> = epoch(20, batching, 4, 0).collect();
        let rest: Vec<Batch> = epoch(20, batching, 4, 2).collect();
        assert_eq!(rest.len(), whole.len() - 2);
        for (rest, whole) in rest.iter().zip(&whole[2..]) {
            assert_eq!((rest.pass, classes(rest)), (whole.pass, classes(whole)));
            assert_eq!(rest.features.to_data(), whole.features.to_data());
        }
        assert_eq!(whole[0].pass, Pass::Training { step: 4 * 7 });
    }

    #[test]
    fn a_short_last_batch_can_be_left_out() {
        assert_eq!(epoch(5, Batching::shuffled(2, 1, true), 0, 0).map(|batch| batch.len()).sum::<usize>(), 4);
        assert_eq!(Batching::shuffled(2, 1, true).batches(5), 2);
        assert_eq!(Batching::shuffled(2, 1, false).batches(5), 3);
        assert_eq!(epoch(5, Batching::in_order(8), 0, 9).count(), 0);
    }

    #[test]
    fn the_order_is_that_of_the_seed_and_the_epoch() {
        assert_eq!(epoch_order(4, 1, 0, false), [0, 1, 2, 3]);
        // Pinned: a change here changes the result of every run.
        assert_eq!(epoch_order(8, 42, 0, true), PINNED);
        assert_ne!(epoch_order(100, 42, 0, true), epoch_order(100, 42, 1, true));
        assert_ne!(epoch_order(100, 42, 0, true), epoch_order(100, 43, 0, true));
    }

    const PINNED: [u32; 8] = [1, 3, 2, 6, 7, 0, 4, 5];

    proptest! {
        #[test]
        fn every_epoch_uses_every_example_once(len in 0_usize..500, seed: u64, epoch: u64) {
            let mut order = epoch_order(len, seed, epoch, true);
            order.sort_unstable();
            prop_assert_eq!(order, epoch_order(len, 0, 0, false));
        }
    }
}
