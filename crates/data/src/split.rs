//! A split: some of the examples of a shared storage, with their labels.

use std::sync::Arc;

use burn_dataset::{Dataset, DatasetError};

use kiln_table::Preparation;

use crate::{Profile, Raw, storage::Storage};

/// Examples for one use (training, validation or test). A clone is cheap: it shares everything.
///
/// Examples are numbered by their position in the split, from 0.
#[derive(Clone, Debug)]
pub struct Split {
    storage: Arc<Storage>,
    rows: Arc<[u32]>,
    labels: Arc<[u32]>,
    /// The part of each example, where some are left out by some members of a network.
    folds: Option<Arc<[u32]>>,
}

/// One example with its values as the source has them, not scaled (see [`crate::Normalizer::write`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Raw values, one per feature.
    pub features: Vec<f32>,
    /// The class, from 0.
    pub label: u32,
}

impl Split {
    /// All rows of `storage`, with one label for each.
    pub(crate) fn new(storage: Storage, labels: Vec<u32>) -> Self {
        let rows = (0..labels.len() as u32).collect();
        Self { storage: Arc::new(storage), rows, labels: labels.into(), folds: None }
    }

    /// The given rows of a storage that is yet to come, with one label for each.
    pub(crate) fn pending(rows: Vec<u32>, labels: Vec<u32>) -> Self {
        debug_assert_eq!(rows.len(), labels.len(), "every row has a label");
        let storage = Arc::new(Storage::pending());
        Self { storage, rows: rows.into(), labels: labels.into(), folds: None }
    }

    /// The same rows of `storage`.
    pub(crate) fn of(self, storage: &Arc<Storage>) -> Self {
        Self { storage: Arc::clone(storage), ..self }
    }

    /// The same rows of the storage of `other`.
    pub(crate) fn in_storage_of(self, other: &Self) -> Self {
        Self { storage: Arc::clone(&other.storage), ..self }
    }

    /// Where the values are kept.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The rows of the storage, in order of position.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The examples of any of Burn's data sets, kept as 32-bit numbers.
    ///
    /// # Errors
    /// Where an example cannot be had.
    ///
    /// # Panics
    /// If two examples have different numbers of features.
    pub fn from_dataset(dataset: &impl Dataset<Example>) -> Result<Self, DatasetError> {
        let (mut values, mut labels, mut width) = (Vec::new(), Vec::new(), 0);
        for index in 0..dataset.len() {
            let Example { features, label } = dataset.get(index)?;
            assert!(index == 0 || features.len() == width, "all examples have {width} features");
            width = features.len();
            values.extend(features);
            labels.push(label);
        }
        Ok(Self::new(Storage::floats(width.max(1), values), labels))
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is no example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of values that every example is kept as: its features, but for the rows of tables, whose columns become
    /// features as the [`crate::Normalizer`] says.
    #[must_use]
    pub fn width(&self) -> usize {
        self.storage.width()
    }

    /// The class of the example at `position`, from 0.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn label(&self, position: usize) -> u32 {
        self.labels[position]
    }

    /// The classes of all examples, by position.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The values of the example at `position`, as the source has them.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn raw(&self, position: usize) -> Raw<'_> {
        self.storage.row(self.rows[position] as usize)
    }

    /// The line of the user's file on which the example at `position` begins, from 1; none where there are no lines.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn line(&self, position: usize) -> Option<u32> {
        self.storage.line(self.rows[position] as usize)
    }

    /// How the rows of a table are kept; none for other examples.
    #[must_use]
    pub fn preparation(&self) -> Option<&Preparation> {
        self.storage.preparation().map(|preparation| &**preparation)
    }

    /// The number of the example at `position` in the source's own file or folder, from 0.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn source_row(&self, position: usize) -> u32 {
        self.rows[position]
    }

    /// The number of examples of each of `class_count` classes.
    ///
    /// # Panics
    /// If a label is not below `class_count`.
    #[must_use]
    pub fn counts(&self, class_count: usize) -> Vec<usize> {
        let mut counts = vec![0; class_count];
        for &label in self.labels.iter() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The examples at `positions`, in that order.
    ///
    /// # Panics
    /// If a position is not below [`Split::len`].
    #[must_use]
    pub fn select(&self, positions: &[u32]) -> Self {
        Self {
            storage: Arc::clone(&self.storage),
            rows: positions.iter().map(|&position| self.rows[position as usize]).collect(),
            labels: positions.iter().map(|&position| self.labels[position as usize]).collect(),
            folds: self
                .folds
                .as_ref()
                .map(|folds| positions.iter().map(|&position| folds[position as usize]).collect()),
        }
    }

    /// The same examples, each in its part of the training data: training leaves it out for the members that leave the
    /// part out, and they alone predict it.
    ///
    /// # Panics
    /// If there is not a part for each example.
    #[must_use]
    pub(crate) fn with_folds(self, folds: Vec<u32>) -> Self {
        assert_eq!(folds.len(), self.len(), "a part for every example");
        Self { folds: Some(folds.into()), ..self }
    }

    /// The same examples, all of which every member of a network predicts.
    #[must_use]
    pub fn without_folds(self) -> Self {
        Self { folds: None, ..self }
    }

    /// Whether its examples are in parts that members of a network leave out.
    #[must_use]
    pub fn has_folds(&self) -> bool {
        self.folds.is_some()
    }

    /// The part of each example at `positions`; none where there are no parts.
    pub(crate) fn folds_of(&self, positions: &[u32]) -> Option<Vec<u32>> {
        let folds = self.folds.as_ref()?;
        Some(positions.iter().map(|&position| folds[position as usize]).collect())
    }

    /// The same examples under other labels.
    pub(crate) fn with_labels(self, labels: Vec<u32>) -> Self {
        debug_assert_eq!(labels.len(), self.rows.len(), "every example has a label");
        Self { labels: labels.into(), ..self }
    }

    /// Keeps the examples whose label `renumber` gives a number, under that number.
    pub(crate) fn relabel(&self, renumber: impl Fn(u32) -> Option<u32>) -> Self {
        let (rows, labels): (Vec<u32>, Vec<u32>) = self
            .rows
            .iter()
            .zip(self.labels.iter())
            .filter_map(|(&row, &label)| Some((row, renumber(label)?)))
            .unzip();
        Self { storage: Arc::clone(&self.storage), rows: rows.into(), labels: labels.into(), folds: None }
    }

    /// The same images, with their grey levels of 0 to 255 brought to those of `profile`.
    pub(crate) fn at_levels_of(&self, profile: &Profile) -> Self {
        let mut pixels = Vec::with_capacity(self.len() * self.width());
        for position in 0..self.len() {
            if let Raw::Bytes(row) = self.raw(position) {
                pixels.extend_from_slice(row);
            }
        }
        profile.to_own_levels(&mut pixels);
        let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
        Self::new(Storage::bytes(self.width(), pixels, greatest), self.labels.to_vec())
    }

    /// The greatest value that a pixel can have; none for tables.
    #[must_use]
    pub fn greatest_pixel(&self) -> Option<u8> {
        self.storage.greatest()
    }
}

impl Dataset<Example> for Split {
    fn get(&self, index: usize) -> Result<Example, DatasetError> {
        Ok(Example { features: self.raw(index).to_floats(), label: self.label(index) })
    }

    fn len(&self) -> usize {
        self.rows.len()
    }
}
