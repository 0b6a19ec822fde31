//! Batches of examples as tensors, in an order that is a pure function of (seed, epoch), and the data loader that gives
//! them to Burn's learner.

use std::marker::PhantomData;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_dataset::DatasetError;
use kiln_config::random::{Purpose, Stream};
use rayon::prelude::*;

use crate::{Normalizer, Split};

/// Values per task: fewer are not worth the hand-over to another thread.
const VALUES: usize = 1 << 14;

/// Examples that pass through the network together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Scaled features, shape `[examples, features]`.
    pub features: Tensor<2>,
    /// Classes from 0, shape `[examples]`.
    pub targets: Tensor<1, Int>,
    /// The kind of forward pass.
    pub pass: Pass,
    /// The cross-validation part of each example, from 0; `None` without `data.folds`.
    pub folds: Option<Vec<u32>>,
}

/// The kind of forward pass, which decides about dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// No dropout: validation, test, prediction.
    Inference,
    /// Dropout with the mask of this step: training, or a test with dropout left on.
    Training {
        /// The number of batches before this one, counted from the first batch of epoch 0.
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

impl Split {
    /// The examples at `positions`, scaled by `normalizer`, on `device`, for `pass`.
    ///
    /// Features and targets are one buffer and one transfer each: stacking a tensor per example takes many times as long.
    #[must_use]
    pub fn batch(&self, positions: &[u32], normalizer: &Normalizer, pass: Pass, device: &Device) -> Batch {
        let width = normalizer.features(self.width());
        let mut features = vec![0.0; positions.len() * width];
        // Shuffled examples are scattered in memory; several threads wait for them in parallel.
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

/// How a split is cut into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Examples in a batch; at least 1.
    pub batch_size: usize,
    /// Whether a smaller last batch is left out.
    pub drop_last: bool,
    /// The seed of the shuffling; none keeps the split's own order.
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
    #[must_use]
    pub fn batches(&self, examples: usize) -> usize {
        if self.drop_last { examples / self.batch_size } else { examples.div_ceil(self.batch_size) }
    }

    /// The positions of `examples` examples in the order of this epoch.
    #[must_use]
    pub fn order(&self, examples: usize, epoch: u64) -> Vec<u32> {
        epoch_order(examples, self.shuffle.unwrap_or_default(), epoch, self.shuffle.is_some())
    }
}

/// The positions 0 to `len` - 1 in the order of epoch number `epoch` (from 0). As a pure function of its arguments, it
/// lets a run resume anywhere.
#[must_use]
pub fn epoch_order(len: usize, seed: u64, epoch: u64, shuffle: bool) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    if shuffle {
        Stream::new(seed, Purpose::Order, &[epoch]).shuffle(&mut order);
    }
    order
}

/// An iterator over the batches of one epoch; each batch is made on demand.
#[derive(Clone, Debug)]
pub struct EpochBatches {
    split: Split,
    normalizer: Arc<Normalizer>,
    device: Device,
    order: Vec<u32>,
    batch_size: usize,
    batches: usize,
    next: usize,
    /// For training: the step of the epoch's first batch, counted from epoch 0.
    first_step: Option<u64>,
}

impl EpochBatches {
    /// The batches of epoch number `epoch`, beginning with batch number `first_batch` (both from 0). The rest of an epoch
    /// has the same batches as in an uninterrupted run.
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

    /// The same batches for training in epoch number `epoch`: each has the number of its step.
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

impl Iterator for EpochBatches {
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

impl ExactSizeIterator for EpochBatches {}

/// A data loader for Burn's learner: the batches of a split, epoch after epoch.
///
/// Burn's `iter` has no epoch number, so the loader counts: every call of `iter` begins the next epoch.
/// [`SplitLoader::resume_at`] sets the count.
#[derive(Debug)]
pub struct SplitLoader {
    split: Split,
    normalizer: Arc<Normalizer>,
    batching: Batching,
    device: Device,
    is_training: bool,
    next_epoch: AtomicU64,
    first_batch: AtomicUsize,
}

impl SplitLoader {
    /// A loader that begins with epoch 0, for inference.
    #[must_use]
    pub fn new(split: Split, normalizer: Arc<Normalizer>, batching: Batching, device: Device) -> Self {
        Self {
            split,
            normalizer,
            batching,
            device,
            is_training: false,
            next_epoch: AtomicU64::new(0),
            first_batch: AtomicUsize::new(0),
        }
    }

    /// The same for training: each batch has the number of its step.
    #[must_use]
    pub fn for_training(self) -> Self {
        Self { is_training: true, ..self }
    }

    /// Makes the next `iter` begin with batch number `first_batch` of epoch number `epoch` (both from 0). Loaders
    /// that were made from this one before (by `to_device` or `slice`) keep their own count.
    pub fn resume_at(&self, epoch: u64, first_batch: usize) {
        self.next_epoch.store(epoch, Ordering::Relaxed);
        self.first_batch.store(first_batch, Ordering::Relaxed);
    }

    /// The batches of epoch number `epoch` from batch number `first_batch` on (both from 0).
    #[must_use]
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> EpochBatches {
        let Self { split, normalizer, batching, device, .. } = self;
        let batches = EpochBatches::new(split, normalizer, batching, epoch, first_batch, device);
        if self.is_training { batches.for_training(epoch) } else { batches }
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batching.batches(self.split.len())
    }

    /// The number of examples in an epoch: fewer than in the split if the last batch is left out.
    #[must_use]
    pub fn examples(&self) -> usize {
        self.split.len().min(self.batches() * self.batching.batch_size)
    }

    fn with(&self, split: Split, device: &Device) -> Self {
        Self {
            split,
            normalizer: Arc::clone(&self.normalizer),
            batching: self.batching,
            device: device.clone(),
            is_training: self.is_training,
            next_epoch: AtomicU64::new(self.next_epoch.load(Ordering::Relaxed)),
            first_batch: AtomicUsize::new(self.first_batch.load(Ordering::Relaxed)),
        }
    }
}

/// A loader of a model's own input type, which is made from a batch.
impl<I: From<Batch> + 'static> DataLoader<I> for SplitLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<I> + 'a> {
        let epoch = self.next_epoch.fetch_add(1, Ordering::Relaxed);
        let first_batch = self.first_batch.swap(0, Ordering::Relaxed);
        Box::new(LoaderIterator { batches: self.epoch(epoch, first_batch), input: PhantomData })
    }

    fn num_items(&self) -> usize {
        self.examples()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<I>> {
        Arc::new(self.with(self.split.clone(), device))
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<I>> {
        let positions: Vec<u32> = (start as u32..end as u32).collect();
        Arc::new(self.with(self.split.select(&positions), &self.device))
    }
}

struct LoaderIterator<I> {
    batches: EpochBatches,
    input: PhantomData<I>,
}

impl<I: From<Batch>> Iterator for LoaderIterator<I> {
    type Item = Result<I, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batches.next().map(|batch| Ok(batch.into()))
    }
}

impl<I: From<Batch>> DataLoaderIterator<I> for LoaderIterator<I> {
    fn progress(&self) -> Progress {
        let Self { batches, .. } = self;
        Progress::new(batches.examples_done(), batches.examples(), Some("examples".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::Storage;

    fn epoch(examples: u8, batching: Batching, epoch: u64, first_batch: usize) -> EpochBatches {
        let values: Vec<u8> = (0..examples).flat_map(|value| [value, 2 * value]).collect();
        let labels = (0..u32::from(examples)).collect();
        let split = Split::new(Storage::bytes(2, values, 255), labels);
        let normalizer = Arc::new(Normalizer::Divide { divisor: 1.0 });
        EpochBatches::new(&split, &normalizer, &batching, epoch, first_batch, &Device::flex())
            .for_training(epoch)
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
    fn an_epoch_resumed_in_its_middle_has_the_batches_of_an_uninterrupted_one() {
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
    fn the_seed_and_the_epoch_decide_the_order() {
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

    fn loader(batching: Batching) -> SplitLoader {
        let split = Split::new(Storage::bytes(1, (0..10).collect(), 255), (0..10).collect());
        SplitLoader::new(split, Arc::new(Normalizer::Divide { divisor: 255.0 }), batching, Device::flex())
    }

    fn labels(loader: &dyn DataLoader<Batch>) -> Vec<u32> {
        let classes =
            |batch: Batch| batch.targets.into_data().convert::<i64>().try_into_vec::<i64>().unwrap();
        loader.iter().flat_map(|batch| classes(batch.unwrap())).map(|class| class as u32).collect()
    }

    #[test]
    fn every_pass_is_the_next_epoch() {
        let loader = loader(Batching::shuffled(4, 3, false));
        let passes = [labels(&loader), labels(&loader)];
        assert_eq!(passes, [0, 1].map(|epoch| crate::epoch_order(10, 3, epoch, true)));
        loader.resume_at(1, 1);
        assert_eq!(labels(&loader), passes[1][4..]);
        assert_eq!(labels(&loader), crate::epoch_order(10, 3, 2, true));
    }

    #[test]
    fn progress_counts_examples() {
        let loader = loader(Batching::in_order(4));
        let mut pass = DataLoader::<Batch>::iter(&loader);
        let mut done = Vec::new();
        while pass.next().is_some() {
            done.push((pass.progress().items_processed, pass.progress().items_total));
        }
        assert_eq!(done, [(4, 10), (8, 10), (10, 10)]);
        assert_eq!(loader.examples(), 10);
    }

    #[test]
    fn a_slice_is_a_separate_loader() {
        let slice: Arc<dyn DataLoader<Batch>> = loader(Batching::in_order(2)).slice(3, 6);
        assert_eq!((slice.num_items(), labels(&*slice)), (3, vec![3, 4, 5]));
    }
}
