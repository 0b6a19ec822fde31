//! A split as the data loader that Burn's learner takes, in Kiln's exact order.

use std::marker::PhantomData;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use burn::{
    data::dataloader::{DataLoader, DataLoaderIterator, Progress},
    tensor::Device,
};
use burn_dataset::DatasetError;

use crate::{Batch, Batching, Epoch, Normalizer, Split};

/// The batches of a split, epoch after epoch.
///
/// Burn's `iter` does not say which epoch it is for, so the loader counts: every `iter` is one epoch later than the one
/// before. [`SplitLoader::resume_at`] sets the count.
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

    /// Lets the next `iter` begin with batch number `first_batch` of epoch number `epoch` (both from 0).
    ///
    /// A loader made from this one earlier (by `to_device` or `slice`) keeps its own count.
    pub fn resume_at(&self, epoch: u64, first_batch: usize) {
        self.next_epoch.store(epoch, Ordering::Relaxed);
        self.first_batch.store(first_batch, Ordering::Relaxed);
    }

    /// The batches of epoch number `epoch` from batch number `first_batch` on (both from 0).
    #[must_use]
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Epoch {
        let Self { split, normalizer, batching, device, .. } = self;
        let batches = Epoch::new(split, normalizer, batching, epoch, first_batch, device);
        if self.is_training { batches.for_training(epoch) } else { batches }
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batching.batches(self.split.len())
    }

    /// The number of examples in an epoch: fewer than the split's when the last batch is left out.
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

/// A loader of whatever a model makes of a batch.
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
    batches: Epoch,
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
    use super::*;
    use crate::storage::Storage;

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
    fn a_slice_is_a_loader_of_its_own() {
        let slice: Arc<dyn DataLoader<Batch>> = loader(Batching::in_order(2)).slice(3, 6);
        assert_eq!((slice.num_items(), labels(&*slice)), (3, vec![3, 4, 5]));
    }
}
