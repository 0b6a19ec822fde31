//! The raw values of examples, stored once and shared by all splits, and their scaling to a network's features.

use std::ops::Range;
use std::sync::Arc;

use kiln_config::Normalization;
use kiln_table::{Blocks, Preparation};
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

use crate::Split;

/// The values of many examples, row after row, in the type of the source: a pixel takes one byte.
#[derive(Debug)]
pub(crate) struct Storage {
    width: usize,
    values: StoredValues,
}

#[derive(Debug)]
enum StoredValues {
    Bytes { values: Vec<u8>, greatest: u8 },
    Floats(Vec<f32>),
    Cells { values: Blocks<f64>, preparation: Arc<Preparation>, lines: Vec<u32> },
}

/// The raw values of one example, as the source has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValues<'a> {
    /// Pixels from 0 to 255 (`digits`: to 16), plane by plane and row by row; see [`Shape::Image`](crate::Shape).
    Bytes(&'a [u8]),
    /// Numbers, one per feature.
    Floats(&'a [f32]),
    /// The stored cells of a table's row; see [`Preparation`].
    Cells(&'a [f64]),
}

impl Storage {
    /// Pixels of images of `width` pixels each, none above `greatest`.
    pub(crate) fn bytes(width: usize, values: Vec<u8>, greatest: u8) -> Self {
        debug_assert_eq!(values.len() % width, 0, "rows are whole");
        Self { width, values: StoredValues::Bytes { values, greatest } }
    }

    /// Rows of `width` numbers each.
    pub(crate) fn floats(width: usize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len() % width, 0, "rows are whole");
        Self { width, values: StoredValues::Floats(values) }
    }

    /// Rows of a table as `preparation` stores them, and the line of the file on which each begins.
    pub(crate) fn cells(values: Blocks<f64>, preparation: Arc<Preparation>, lines: Vec<u32>) -> Self {
        let width = preparation.raw_width();
        debug_assert_eq!((values.rows(), values.width()), (lines.len(), width), "rows are whole");
        Self { width, values: StoredValues::Cells { values, preparation, lines } }
    }

    /// No rows yet: a table is stored after its columns are fitted on the training rows.
    pub(crate) fn pending() -> Self {
        Self::floats(1, Vec::new())
    }

    /// Values per example.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The greatest value that a pixel can have; `None` for numbers.
    pub(crate) fn greatest(&self) -> Option<u8> {
        match self.values {
            StoredValues::Bytes { greatest, .. } => Some(greatest),
            StoredValues::Floats(_) | StoredValues::Cells { .. } => None,
        }
    }

    /// How the rows of a table are stored; `None` for other examples.
    pub(crate) fn preparation(&self) -> Option<&Arc<Preparation>> {
        match &self.values {
            StoredValues::Cells { preparation, .. } => Some(preparation),
            _ => None,
        }
    }

    /// The line of the user's table on which example `row` begins; `None` for other examples.
    pub(crate) fn line(&self, row: usize) -> Option<u32> {
        match &self.values {
            StoredValues::Cells { lines, .. } => Some(lines[row]),
            _ => None,
        }
    }

    /// For each pair of rows, a copy of the first with the columns `values` of the second.
    pub(crate) fn with_values_of(
        &self,
        pairs: impl Iterator<Item = (u32, u32)>,
        values: &Range<usize>,
    ) -> Self {
        let donor_of = |(row, donor): (u32, u32)| {
            let from = move |at: usize| if values.contains(&at) { donor } else { row };
            (0..self.width).map(move |at| (from(at) as usize, at))
        };
        let flat = |(row, at): (usize, usize)| row * self.width + at;
        match &self.values {
            StoredValues::Bytes { values, greatest } => {
                let values = pairs.flat_map(donor_of).map(|place| values[flat(place)]).collect();
                Self::bytes(self.width, values, *greatest)
            }
            StoredValues::Floats(values) => {
                let values = pairs.flat_map(donor_of).map(|place| values[flat(place)]).collect();
                Self::floats(self.width, values)
            }
            StoredValues::Cells { values, preparation, lines } => {
                let (mut cells, mut own_lines) = (Blocks::new(self.width), Vec::new());
                for pair in pairs {
                    cells.push(donor_of(pair).map(|(row, at)| values.row(row)[at]));
                    own_lines.push(lines[pair.0 as usize]);
                }
                Self::cells(cells, Arc::clone(preparation), own_lines)
            }
        }
    }

    /// The values of example `row`.
    pub(crate) fn row(&self, row: usize) -> RawValues<'_> {
        let range = || row * self.width..(row + 1) * self.width;
        match &self.values {
            StoredValues::Bytes { values, .. } => RawValues::Bytes(&values[range()]),
            StoredValues::Floats(values) => RawValues::Floats(&values[range()]),
            StoredValues::Cells { values, .. } => RawValues::Cells(values.row(row)),
        }
    }
}

impl RawValues<'_> {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Cells(values) => values.len(),
        }
    }

    /// True when there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floats, not scaled.
    #[must_use]
    pub fn to_floats(&self) -> Vec<f32> {
        match self {
            Self::Bytes(values) => values.iter().copied().map(f32::from).collect(),
            Self::Floats(values) => values.to_vec(),
            Self::Cells(values) => values.iter().map(|&value| value as f32).collect(),
        }
    }
}

/// A scaling, fitted on the training split only and kept with the run, so that test data and a user's own examples are
/// scaled in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Normalizer {
    /// `value / divisor`: pixels to [0, 1]. IEEE division gives the same bits as `image.float() / 255` in `PyTorch`.
    Divide {
        /// The greatest value that a pixel can have.
        divisor: f32,
    },
    /// `(value / divisor - mean) / deviation`, the same for all pixels, as in torchvision's `ToTensor`
    /// followed by `Normalize`.
    Standardize {
        /// The greatest value that a pixel can have.
        divisor: f32,
        /// Mean of all training pixels, after the division.
        mean: f32,
        /// Standard deviation (of the population) of all training pixels, after the division.
        deviation: f32,
    },
    /// `(value - offset) / spread`, by column; a column whose spread is zero becomes zero.
    Columns {
        /// Subtracted, one number per column.
        offset: Vec<f32>,
        /// Divisor, one number per column; zero marks a constant column.
        spread: Vec<f32>,
    },
    /// The columns of a table, each by its own treatment.
    Table(Preparation),
}

impl Normalizer {
    /// Fits a scaling on `train`, which must not be empty. The columns of a table are fitted already.
    ///
    /// `unit` divides pixels by the greatest value a pixel can have, and maps columns from their range to
    /// [0, 1]; `standard` gives all pixels together, or each column, mean 0 and standard deviation 1.
    #[must_use]
    pub fn fit(normalization: Normalization, train: &Split) -> Self {
        if let Some(preparation) = train.preparation() {
            return Self::Table(preparation.clone());
        }
        match (normalization, train.greatest_pixel()) {
            (Normalization::Unit, Some(greatest)) => Self::Divide { divisor: f32::from(greatest) },
            // `robust` and `quantile` are for tables only; the experiment file is checked for that.
            (_, Some(greatest)) => standardize_pixels(train, greatest),
            (Normalization::Unit, None) => by_column(train, least_and_range),
            (_, None) => by_column(train, mean_and_deviation),
        }
    }

    /// The number of features of an example of `width` raw values.
    #[must_use]
    pub fn features(&self, width: usize) -> usize {
        match self {
            Self::Table(preparation) => preparation.features(),
            _ => width,
        }
    }

    /// Writes the features of `raw` to `out`.
    ///
    /// # Panics
    /// If the length of `out` is not [`Normalizer::features`], or the scaling was fitted on another number of columns.
    pub fn write(&self, raw: RawValues<'_>, out: &mut [f32]) {
        assert_eq!(self.features(raw.len()), out.len(), "a place for every feature");
        match (self, raw) {
            (Self::Table(preparation), RawValues::Cells(cells)) => preparation.encode(cells, out),
            // Networks of the first version of Kiln scale 32-bit floats.
            (_, RawValues::Cells(_)) => self.dispatch(RawValues::Floats(&raw.to_floats()), out),
            _ => self.dispatch(raw, out),
        }
    }

    fn dispatch(&self, raw: RawValues<'_>, out: &mut [f32]) {
        Arch::new().dispatch(ScaleTask { normalizer: self, raw, out });
    }
}

/// The scaling of one example, compiled for each set of vector instructions; `pulp` selects the processor's set at run
/// time. Division rounds the same way in all of them.
struct ScaleTask<'a> {
    normalizer: &'a Normalizer,
    raw: RawValues<'a>,
    out: &'a mut [f32],
}

#[expect(clippy::inline_always, reason = "only inlined code is compiled with the vector instructions")]
impl WithSimd for ScaleTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.raw {
            RawValues::Bytes(values) => self.normalizer.scale(values, self.out),
            RawValues::Floats(values) => self.normalizer.scale(values, self.out),
            RawValues::Cells(_) => {
                unreachable!("`write` hands over a table's rows as floats, or to their preparation")
            }
        }
    }
}

#[expect(clippy::inline_always, reason = "only inlined code is compiled with the vector instructions")]
impl Normalizer {
    // Each arm is one pass over slices without branches or lookups, so that the compiler can vectorize it.
    #[inline(always)]
    fn scale<T: Copy + Into<f32>>(&self, values: &[T], out: &mut [f32]) {
        match self {
            &Self::Divide { divisor } => {
                for (out, &value) in out.iter_mut().zip(values) {
                    *out = value.into() / divisor;
                }
            }
            &Self::Standardize { divisor, mean, deviation } => {
                for (out, &value) in out.iter_mut().zip(values) {
                    *out = (value.into() / divisor - mean) / deviation;
                }
            }
            Self::Columns { offset, spread } => {
                assert_eq!(
                    values.len(),
                    offset.len(),
                    "examples have the columns that the scaling was fitted on"
                );
                let columns = offset.iter().zip(spread);
                for ((out, &value), (offset, &spread)) in out.iter_mut().zip(values).zip(columns) {
                    *out = if spread == 0.0 { 0.0 } else { (value.into() - offset) / spread };
                }
            }
            Self::Table(_) => unreachable!("a table's preparation scales the rows of tables"),
        }
    }
}

/// Mean and deviation of all pixels. Sums over a histogram are sums of integers: exact in any order.
fn standardize_pixels(train: &Split, greatest: u8) -> Normalizer {
    let mut histogram = [0_u64; 256];
    for position in 0..train.len() {
        if let RawValues::Bytes(pixels) = train.raw(position) {
            for &pixel in pixels {
                histogram[usize::from(pixel)] += 1;
            }
        }
    }
    let count: u64 = histogram.iter().sum();
    let levels = || (0_u64..).zip(histogram.iter());
    let sum: u64 = levels().map(|(level, count)| level * count).sum();
    let mean = sum as f64 / count as f64;
    let squares: f64 = levels().map(|(level, &count)| (level as f64 - mean).powi(2) * count as f64).sum();
    let deviation = (squares / count as f64).sqrt();
    let divisor = f32::from(greatest);
    Normalizer::Standardize {
        divisor,
        mean: (mean / f64::from(divisor)) as f32,
        // If all pixels are equal, they become zero.
        deviation: if deviation == 0.0 { 1.0 } else { (deviation / f64::from(divisor)) as f32 },
    }
}

/// Offset and spread of every column; `measure` computes them from the column's values.
fn by_column(train: &Split, measure: impl Fn(&[f32]) -> (f32, f32)) -> Normalizer {
    let (offset, spread) = (0..train.width())
        .map(|column| {
            let value = |position| match train.raw(position) {
                RawValues::Bytes(values) => f32::from(values[column]),
                RawValues::Floats(values) => values[column],
                RawValues::Cells(values) => values[column] as f32,
            };
            measure(&(0..train.len()).map(value).collect::<Vec<f32>>())
        })
        .unzip();
    Normalizer::Columns { offset, spread }
}

fn least_and_range(column: &[f32]) -> (f32, f32) {
    let least = column.iter().copied().fold(f32::INFINITY, f32::min);
    let greatest = column.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (least, greatest - least)
}

fn mean_and_deviation(column: &[f32]) -> (f32, f32) {
    // Rounding would give a constant column a deviation of about 1e-17, and the division would magnify it.
    if let (least, 0.0) = least_and_range(column) {
        return (least, 0.0);
    }
    let count = column.len() as f64;
    let mean = column.iter().copied().map(f64::from).sum::<f64>() / count;
    let squares = column.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    (mean as f32, (squares / count).sqrt() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(values: &[u8], greatest: u8) -> Split {
        Split::new(Storage::bytes(1, values.to_vec(), greatest), vec![0; values.len()])
    }

    fn table(width: usize, values: &[f32]) -> Split {
        Split::new(Storage::floats(width, values.to_vec()), vec![0; values.len() / width])
    }

    fn scaled(normalizer: &Normalizer, split: &Split) -> Vec<f32> {
        let mut out = vec![0.0; split.len() * split.width()];
        for (position, out) in out.chunks_mut(split.width()).enumerate() {
            normalizer.write(split.raw(position), out);
        }
        out
    }

    #[test]
    fn every_pixel_becomes_the_float_nearest_to_its_exact_quotient() {
        let levels: Vec<u8> = (0..=255).collect();
        let split = pixels(&levels, 255);
        let floats = scaled(&Normalizer::fit(Normalization::Unit, &split), &split);
        for (level, float) in levels.into_iter().zip(floats) {
            // A quotient in double precision rounds to the same float as the exact one (Figueroa 1995).
            assert_eq!(float.to_bits(), ((f64::from(level) / 255.0) as f32).to_bits(), "{level}");
        }
    }

    #[test]
    fn digits_are_divided_by_sixteen() {
        let split = pixels(&[0, 8, 16], 16);
        assert_eq!(scaled(&Normalizer::fit(Normalization::Unit, &split), &split), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn standardized_pixels_have_mean_zero_and_deviation_one() {
        let split = pixels(&[0, 255, 255, 0], 255);
        let normalizer = Normalizer::fit(Normalization::Standard, &split);
        assert_eq!(normalizer, Normalizer::Standardize { divisor: 255.0, mean: 0.5, deviation: 0.5 });
        assert_eq!(scaled(&normalizer, &split), [-1.0, 1.0, 1.0, -1.0]);
    }

    #[test]
    fn images_of_one_level_become_zero() {
        let split = pixels(&[7, 7, 7], 255);
        assert_eq!(scaled(&Normalizer::fit(Normalization::Standard, &split), &split), [0.0; 3]);
    }

    #[test]
    fn columns_are_scaled_by_the_range_of_the_training_data() {
        let train = table(2, &[1.0, 5.0, 3.0, 5.0]);
        let normalizer = Normalizer::fit(Normalization::Unit, &train);
        assert_eq!(scaled(&normalizer, &train), [0.0, 0.0, 1.0, 0.0]);
        assert_eq!(scaled(&normalizer, &table(2, &[5.0, 9.0])), [2.0, 0.0], "test data may leave the range");
    }

    #[test]
    fn columns_are_standardized_as_scikit_learn_does() {
        // StandardScaler().fit_transform([[1.0, 0.1], [2.0, 0.1], [6.0, 0.1]])
        let train = table(2, &[1.0, 0.1, 2.0, 0.1, 6.0, 0.1]);
        let floats = scaled(&Normalizer::fit(Normalization::Standard, &train), &train);
        let expected = [-0.925_820_1, 0.0, -0.462_910_05, 0.0, 1.388_730_2, 0.0];
        for (float, expected) in floats.into_iter().zip(expected) {
            assert!((float - expected).abs() < 1e-6, "{float} {expected}");
        }
    }

    #[test]
    fn a_scaling_is_the_same_after_it_was_stored() {
        for normalizer in [
            Normalizer::Divide { divisor: 255.0 },
            Normalizer::Standardize { divisor: 255.0, mean: 0.130_660_5, deviation: 0.308_107_8 },
            Normalizer::Columns { offset: vec![0.1, -3.0], spread: vec![1.0 / 3.0, 0.0] },
        ] {
            let text = serde_json::to_string(&normalizer).unwrap();
            assert_eq!(serde_json::from_str::<Normalizer>(&text).unwrap(), normalizer, "{text}");
        }
    }
}
