//! A split as the data loader that Burn's learner takes.

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
/// Burn's `iter` does not say which epoch it is for, so the loader counts: every `iter` is one epoch later
/// than the one before. [`SplitLoader::resume_at`] sets the count, and [`SplitLoader::epoch`] leaves it alone.
#[derive(Debug)]
pub struct SplitLoader {
    split: Split,
    normalizer: Arc<Normalizer>,
    batching: Batching,
    device: Device,
    next_epoch: AtomicU64,
    first_batch: AtomicUsize,
}

impl SplitLoader {
    /// A loader that begins with epoch 0.
    #[must_use]
    pub fn new(split: Split, normalizer: Arc<Normalizer>, batching: Batching, device: Device) -> Self {
        Self {
            split,
            normalizer,
            batching,
            device,
            next_epoch: AtomicU64::new(0),
            first_batch: AtomicUsize::new(0),
        }
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
        Epoch::new(&self.split, &self.normalizer, &self.batching, epoch, first_batch, &self.device)
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batching.batches(self.split.len())
    }

    /// The split that the batches come from.
    #[must_use]
    pub fn split(&self) -> &Split {
        &self.split
    }

    fn with(&self, split: Split, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        let loader = Self::new(split, Arc::clone(&self.normalizer), self.batching, device.clone());
        loader.resume_at(self.next_epoch.load(Ordering::Relaxed), self.first_batch.load(Ordering::Relaxed));
        Arc::new(loader)
    }
}

impl DataLoader<Batch> for SplitLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch> + 'a> {
        let epoch = self.next_epoch.fetch_add(1, Ordering::Relaxed);
        let first_batch = self.first_batch.swap(0, Ordering::Relaxed);
        Box::new(LoaderIterator(self.epoch(epoch, first_batch)))
    }

    fn num_items(&self) -> usize {
        self.epoch_examples()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch>> {
        self.with(self.split.clone(), device)
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch>> {
        let positions: Vec<u32> = (start as u32..end as u32).collect();
        self.with(self.split.select(&positions), &self.device)
    }
}

impl SplitLoader {
    /// Examples in an epoch: fewer than the split's when the last batch is left out.
    fn epoch_examples(&self) -> usize {
        self.split.len().min(self.batches() * self.batching.batch_size)
    }
}

struct LoaderIterator(Epoch);

impl Iterator for LoaderIterator {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

impl DataLoaderIterator<Batch> for LoaderIterator {
    fn progress(&self) -> Progress {
        Progress::new(self.0.examples_done(), self.0.examples(), Some("examples".to_owned()))
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
        loader.iter().flat_map(|batch| batch.unwrap().labels).collect()
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
        let mut pass = loader.iter();
        let mut done = Vec::new();
        while pass.next().is_some() {
            done.push((pass.progress().items_processed, pass.progress().items_total));
        }
        assert_eq!(done, [(4, 10), (8, 10), (10, 10)]);
        assert_eq!(super::SplitLoader::num_items(&loader), 10);
    }

    #[test]
    fn a_slice_is_a_loader_of_its_own() {
        let slice = loader(Batching::in_order(2)).slice(3, 6);
        assert_eq!((slice.num_items(), labels(&*slice)), (3, vec![3, 4, 5]));
    }
}
