//! A split: some of the examples of a shared storage, with their labels; and examples as text, for a terminal or a
//! report.

use std::borrow::Cow;
use std::fmt::{Display, Write};
use std::sync::Arc;

use burn_dataset::{Dataset, DatasetError};
use kiln_table::Preparation;

use crate::{Profile, RawValues, Shape, values::Storage};

/// From background to the strongest ink.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// Examples for one use (training, validation or test). A clone is cheap: it shares everything.
///
/// Examples are numbered by their position in the split, from 0.
#[derive(Clone, Debug)]
pub struct Split {
    storage: Arc<Storage>,
    rows: Arc<[u32]>,
    labels: Arc<[u32]>,
    /// The cross-validation part of each example, with `data.folds`.
    folds: Option<Arc<[u32]>>,
}

/// One example with raw values ([`crate::Normalizer::write`] scales them).
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

    /// The given rows of a table that is not stored yet, with one label for each.
    pub(crate) fn pending(rows: Vec<u32>, labels: Vec<u32>) -> Self {
        debug_assert_eq!(rows.len(), labels.len(), "every row has a label");
        let storage = Arc::new(Storage::pending());
        Self { storage, rows: rows.into(), labels: labels.into(), folds: None }
    }

    /// The same rows, of `storage`.
    pub(crate) fn of(self, storage: &Arc<Storage>) -> Self {
        Self { storage: Arc::clone(storage), ..self }
    }

    /// The same rows, of the storage of `other`.
    pub(crate) fn in_storage_of(self, other: &Self) -> Self {
        Self { storage: Arc::clone(&other.storage), ..self }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The rows of the storage, in order of position.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The examples of a Burn data set, stored as 32-bit floats.
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

    /// The number of raw values per example. For images it is the number of features; the rows of a table may have
    /// more or fewer features, see [`crate::Normalizer::features`].
    #[must_use]
    pub fn width(&self) -> usize {
        self.storage.width()
    }

    /// The class of the example at `position`, from 0.
    #[must_use]
    pub fn label(&self, position: usize) -> u32 {
        self.labels[position]
    }

    /// The classes of all examples, by position.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The raw values of the example at `position`.
    #[must_use]
    pub fn raw(&self, position: usize) -> RawValues<'_> {
        self.storage.row(self.rows[position] as usize)
    }

    /// The line of the user's table on which the example at `position` begins, from 1; `None` for other examples.
    #[must_use]
    pub fn line(&self, position: usize) -> Option<u32> {
        self.storage.line(self.rows[position] as usize)
    }

    /// How the rows of a table are stored; `None` for other examples.
    #[must_use]
    pub fn preparation(&self) -> Option<&Preparation> {
        self.storage.preparation().map(|preparation| &**preparation)
    }

    /// The number of the example at `position` in the source's file or folder, from 0.
    #[must_use]
    pub fn source_row(&self, position: usize) -> u32 {
        self.rows[position]
    }

    /// The number of examples of each of `class_count` classes.
    #[must_use]
    pub fn counts(&self, class_count: usize) -> Vec<usize> {
        let mut counts = vec![0; class_count];
        for &label in self.labels.iter() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The examples at `positions`, in that order.
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

    /// The same examples with a cross-validation part each. The members that leave a part out are not trained on its
    /// examples, and only they validate it.
    #[must_use]
    pub(crate) fn with_folds(self, folds: Vec<u32>) -> Self {
        assert_eq!(folds.len(), self.len(), "a part for every example");
        Self { folds: Some(folds.into()), ..self }
    }

    /// The same examples without parts: every member of the ensemble predicts all of them.
    #[must_use]
    pub fn without_folds(self) -> Self {
        Self { folds: None, ..self }
    }

    /// Whether the examples have cross-validation parts.
    #[must_use]
    pub fn has_folds(&self) -> bool {
        self.folds.is_some()
    }

    /// The part of each example at `positions`; `None` without parts.
    pub(crate) fn folds_of(&self, positions: &[u32]) -> Option<Vec<u32>> {
        let folds = self.folds.as_ref()?;
        Some(positions.iter().map(|&position| folds[position as usize]).collect())
    }

    /// The same examples with other labels.
    pub(crate) fn with_labels(self, labels: Vec<u32>) -> Self {
        debug_assert_eq!(labels.len(), self.rows.len(), "every example has a label");
        Self { labels: labels.into(), ..self }
    }

    /// Renumbers the labels, and drops the examples for which `renumber` returns `None`.
    pub(crate) fn relabel(&self, renumber: impl Fn(u32) -> Option<u32>) -> Self {
        let (rows, labels): (Vec<u32>, Vec<u32>) = self
            .rows
            .iter()
            .zip(self.labels.iter())
            .filter_map(|(&row, &label)| Some((row, renumber(label)?)))
            .unzip();
        Self { storage: Arc::clone(&self.storage), rows: rows.into(), labels: labels.into(), folds: None }
    }

    /// The same images, converted from levels of 0 to 255 to those of the training images.
    pub(crate) fn at_levels_of(&self, profile: &Profile) -> Self {
        let mut pixels = Vec::with_capacity(self.len() * self.width());
        for position in 0..self.len() {
            if let RawValues::Bytes(row) = self.raw(position) {
                pixels.extend_from_slice(row);
            }
        }
        profile.to_own_levels(&mut pixels);
        let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
        Self::new(Storage::bytes(self.width(), pixels, greatest), self.labels.to_vec())
    }

    /// The greatest value that a pixel can have; `None` for tables.
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

/// An image as block characters, a line per row of `width` pixels. A pixel takes two characters, because a terminal's
/// characters are about twice as high as wide. `greatest` is the greatest possible value of a pixel.
#[must_use]
pub fn render_blocks(pixels: &[u8], width: usize, greatest: u8) -> String {
    let shade = |pixel: u8| {
        // Rounded up: faint pixels show, only zero is background.
        let level = usize::from(pixel.min(greatest)) * (SHADES.len() - 1);
        SHADES[level.div_ceil(usize::from(greatest.max(1)))]
    };
    let mut text = String::with_capacity(pixels.len() * 6);
    for row in pixels.chunks(width.max(1)) {
        text.extend(row.iter().flat_map(|&pixel| [shade(pixel); 2]));
        text.push('\n');
    }
    text
}

/// The pixel values of an image, a line per row of `width` pixels, in columns of equal width.
#[must_use]
pub fn render_numbers(pixels: &[u8], width: usize) -> String {
    let digits = pixels.iter().max().map_or(1, |greatest| greatest.to_string().len());
    let mut text = String::with_capacity(pixels.len() * (digits + 1));
    for row in pixels.chunks(width.max(1)) {
        let cells: Vec<String> = row.iter().map(|pixel| format!("{pixel:digits$}")).collect();
        text.push_str(&cells.join(" "));
        text.push('\n');
    }
    text
}

/// One line `name = value` per column.
#[must_use]
pub fn render_columns<V: Display>(columns: &[(String, V)]) -> String {
    let width = columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    columns.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name:width$} = {value}").expect("writing to a string cannot fail");
        text
    })
}

impl Split {
    /// The example at `position` at a glance: an image in shades of grey, or `name = value` lines.
    #[must_use]
    pub fn render(&self, position: usize, shape: &Shape) -> String {
        self.render_with(position, shape, |pixels, width| {
            render_blocks(&luma(pixels, shape), width, self.greatest_pixel().unwrap_or(u8::MAX))
        })
    }

    /// The example at `position` in full detail: every pixel value, plane by plane, or `name = value` lines.
    #[must_use]
    pub fn render_values(&self, position: usize, shape: &Shape) -> String {
        self.render_with(position, shape, |pixels, width| match shape {
            Shape::Image { channels: 3, .. } => {
                let planes = ["red", "green", "blue"].iter().zip(pixels.chunks(pixels.len() / 3));
                planes.map(|(colour, plane)| format!("{colour}\n{}", render_numbers(plane, width))).collect()
            }
            _ => render_numbers(pixels, width),
        })
    }

    /// The columns of the example at `position`, each with its value as text; empty for an image.
    #[must_use]
    pub fn words(&self, position: usize, shape: &Shape) -> Vec<(String, String)> {
        match (self.raw(position), shape, self.preparation()) {
            (RawValues::Cells(cells), _, Some(preparation)) => preparation.words(cells),
            (raw, Shape::Columns(names), _) => {
                let values = raw.to_floats().into_iter().map(|value| value.to_string());
                names.iter().cloned().zip(values).collect()
            }
            (_, Shape::Image { .. }, _) => Vec::new(),
        }
    }

    fn render_with(&self, position: usize, shape: &Shape, image: impl Fn(&[u8], usize) -> String) -> String {
        let numbered =
            |values: Vec<f32>| (0..).map(|at: usize| at.to_string()).zip(values).collect::<Vec<_>>();
        match (self.raw(position), shape) {
            (RawValues::Bytes(pixels), Shape::Image { width, .. }) => image(pixels, *width),
            (_, Shape::Columns(_)) => render_columns(&self.words(position, shape)),
            (raw, Shape::Image { .. }) => render_columns(&numbered(raw.to_floats())),
        }
    }
}

/// The grey levels (ITU-R BT.709 luma) of a colour image; a grey image as it is.
fn luma<'a>(pixels: &'a [u8], shape: &Shape) -> Cow<'a, [u8]> {
    let Shape::Image { channels: 3, .. } = shape else { return Cow::Borrowed(pixels) };
    let (red, others) = pixels.split_at(pixels.len() / 3);
    let (green, blue) = others.split_at(red.len());
    let grey = |((red, green), blue): ((&u8, &u8), &u8)| {
        ((2126 * u32::from(*red) + 7152 * u32::from(*green) + 722 * u32::from(*blue)) / 10_000) as u8
    };
    red.iter().zip(green).zip(blue).map(grey).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_shown_in_shades_and_counted_by_plane() {
        let shape = Shape::Image { height: 1, width: 2, channels: 3 };
        let split = Split::new(Storage::bytes(6, vec![255, 9, 255, 0, 255, 0], 255), vec![0]);
        assert_eq!(split.render(0, &shape), "██░░\n");
        assert_eq!(split.render_values(0, &shape), "red\n255   9\ngreen\n255   0\nblue\n255   0\n");
    }

    #[test]
    fn shades_go_from_background_to_full_ink() {
        assert_eq!(render_blocks(&[0, 1, 64, 128, 255, 0], 3, 255), "  ░░▒▒\n▓▓██  \n");
        assert_eq!(render_blocks(&[16, 0], 1, 16), "██\n  \n");
        assert_eq!(render_blocks(&[], 0, 0), "");
    }

    #[test]
    fn numbers_are_shown_in_aligned_columns() {
        assert_eq!(render_numbers(&[0, 255, 13, 7], 2), "  0 255\n 13   7\n");
    }

    #[test]
    fn each_value_is_shown_with_the_name_of_its_column() {
        let columns = [("length".to_owned(), 1.5), ("id".to_owned(), 2.0)];
        assert_eq!(render_columns(&columns), "length = 1.5\nid     = 2\n");
    }
}
