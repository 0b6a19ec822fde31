//! Matrix products on blocks that fit the first-level cache.
//!
//! Accumulators stay in registers along the inner dimension: a tile of a few rows by two vectors. Every output is
//! one chain of fused multiply-adds in the order of the inner dimension, however rows, columns and the inner
//! dimension are cut, so that the bits do not depend on the processor.

use std::ops::Range;

use pulp::Simd;

use crate::panels::{Panels, Row, WIDTH};

/// Inner positions that are worked off before the next rows are taken: a panel's rows of them are half a
/// first-level cache.
const DEPTH: usize = 256;
/// Vectors of a tile's row.
const VECTORS: usize = 2;

/// The left side of a product: a matrix whose rows lie in chunks.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    values: &'a [f32],
    /// Values of a row that follow each other in memory.
    chunk: usize,
    /// From a row's chunk to its next.
    chunk_stride: usize,
    /// From a row to the next.
    row_stride: usize,
    /// Values of a row that are worked off before the next rows are taken.
    block: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `depth` values that follow each other.
    pub(crate) fn plain(values: &'a [f32], depth: usize) -> Self {
        let block = depth.div_ceil(depth.div_ceil(DEPTH));
        Self { values, chunk: depth, chunk_stride: depth, row_stride: depth, block }
    }

    /// The rows of a matrix in panels.
    pub(crate) fn panels(matrix: &'a Panels) -> Self {
        Self {
            values: matrix.values().as_flattened(),
            chunk: WIDTH,
            chunk_stride: matrix.rows() * WIDTH,
            row_stride: WIDTH,
            block: DEPTH,
        }
    }

    /// Every row from `first_row` on, beginning with its value at `column`, as far as they lie in one chunk.
    #[inline(always)]
    fn at_column(&self, first_row: usize, column: usize) -> impl Iterator<Item = &'a [f32]> {
        let (chunk, offset) = (column / self.chunk, column % self.chunk);
        let values = &self.values[chunk * self.chunk_stride + first_row * self.row_stride..];
        values.chunks(self.row_stride).map(move |row| &row[offset..])
    }
}

/// The left side of a product as the tiles take it: rows of the outputs, each a chain along the inner dimension.
pub(crate) trait Left: Copy {
    /// Inner positions that are worked off before the next rows are taken.
    fn block(&self) -> usize;

    /// Goes on with the chains of the outputs from `row` on, along the inner positions in `range`.
    fn add<S: Simd, const R: usize>(
        self,
        simd: S,
        row: usize,
        range: Range<usize>,
        right: &[Row],
        vector: usize,
        sums: &mut Tile<S, R>,
    );
}

/// Accumulators of some rows by two vectors.
pub(crate) type Tile<S, const R: usize> = [[<S as Simd>::f32s; VECTORS]; R];

/// Adds to `out` the product of `left`'s rows from `first_row` on with the panel `right`, which has a row for every
/// inner position; writes it there, if `fresh`.
#[inline(always)]
pub(crate) fn product<S: Simd>(
    simd: S,
    left: impl Left,
    first_row: usize,
    right: &[Row],
    out: &mut [Row],
    fresh: bool,
) {
    // As many rows as registers can hold besides what is read: AVX-512 and NEON have 32, AVX2 has 16.
    if S::REGISTER_COUNT >= 32 {
        in_tiles::<S, 8>(simd, left, first_row, right, out, fresh);
    } else {
        in_tiles::<S, 4>(simd, left, first_row, right, out, fresh);
    }
}

#[inline(always)]
fn in_tiles<S: Simd, const R: usize>(
    simd: S,
    left: impl Left,
    first_row: usize,
    right: &[Row],
    out: &mut [Row],
    fresh: bool,
) {
    for start in (0..right.len()).step_by(left.block()) {
        let range = start..right.len().min(start + left.block());
        let fresh = fresh && start == 0;
        let mut row = first_row;
        let (tiles, rest) = out.as_chunks_mut::<R>();
        for out in tiles {
            tile(simd, left, row, range.clone(), right, out, fresh);
            row += R;
        }
        for out in rest {
            tile(simd, left, row, range.clone(), right, std::array::from_mut(out), fresh);
            row += 1;
        }
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize>(
    simd: S,
    left: impl Left,
    row: usize,
    range: Range<usize>,
    right: &[Row],
    out: &mut [Row; R],
    fresh: bool,
) {
    for vector in (0..WIDTH / S::F32_LANES).step_by(VECTORS) {
        let zeros = [[simd.splat_f32s(0.0); VECTORS]; R];
        let mut sums = if fresh { zeros } else { std::array::from_fn(|row| vectors::<S>(&out[row], vector)) };
        left.add(simd, row, range.clone(), right, vector, &mut sums);
        for (sums, row) in sums.iter().zip(&mut *out) {
            let (row, _) = S::as_mut_simd_f32s(row);
            row[vector..vector + VECTORS].copy_from_slice(sums);
        }
    }
}

impl Left for Rows<'_> {
    #[inline(always)]
    fn block(&self) -> usize {
        self.block
    }

    #[inline(always)]
    fn add<S: Simd, const R: usize>(
        self,
        simd: S,
        row: usize,
        range: Range<usize>,
        right: &[Row],
        vector: usize,
        sums: &mut Tile<S, R>,
    ) {
        let mut start = range.start;
        while start < range.end {
            let (chunk, offset) = (start / self.chunk, start % self.chunk);
            let end = range.end.min(start - offset + self.chunk);
            let length = end - start;
            let rows: [&[f32]; R] = std::array::from_fn(|at| {
                let begin = chunk * self.chunk_stride + (row + at) * self.row_stride + offset;
                &self.values[begin..][..length]
            });
            let right = &right[start..end];
            start = end;
            for at in 0..length {
                step(simd, rows.map(|row| row[at]), vectors::<S>(&right[at], vector), sums);
            }
        }
    }
}

/// The transpose of a matrix: with activations and slopes, the product is the gradient of a block of weights. Blocks
/// begin at columns that are multiples of 8.
#[derive(Clone, Copy)]
pub(crate) struct Transposed<'a>(pub(crate) Rows<'a>);

impl Left for Transposed<'_> {
    #[inline(always)]
    fn block(&self) -> usize {
        DEPTH
    }

    #[inline(always)]
    fn add<S: Simd, const R: usize>(
        self,
        simd: S,
        row: usize,
        range: Range<usize>,
        right: &[Row],
        vector: usize,
        sums: &mut Tile<S, R>,
    ) {
        for (values, right) in self.0.at_column(range.start, row).zip(&right[range]) {
            let values: &[f32; R] = values.first_chunk().expect("a tile's columns lie in one chunk");
            step(simd, *values, vectors::<S>(right, vector), sums);
        }
    }
}

/// One inner position of every chain.
#[inline(always)]
fn step<S: Simd, const R: usize>(simd: S, left: [f32; R], right: [S::f32s; VECTORS], sums: &mut Tile<S, R>) {
    for (sums, value) in sums.iter_mut().zip(left) {
        let value = simd.splat_f32s(value);
        for (sum, right) in sums.iter_mut().zip(right) {
            *sum = simd.mul_add_f32s(value, right, *sum);
        }
    }
}

#[inline(always)]
fn vectors<S: Simd>(row: &Row, first: usize) -> [S::f32s; VECTORS] {
    let (row, _) = S::as_simd_f32s(row);
    std::array::from_fn(|part| row[first + part])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::{Arch, Scalar, WithSimd};

    use super::*;
    use crate::panels::Place;

    /// The product of two matrices, or of the transpose of the first with the second, in blocks of some rows.
    struct Whole<'a> {
        left: Rows<'a>,
        right: &'a Panels,
        transposed: bool,
        block: usize,
        out: Panels,
    }

    impl WithSimd for Whole<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(mut self, simd: S) -> Vec<f32> {
            for (Place { panel, row }, out) in self.out.blocks_mut(self.block) {
                let right = self.right.panel(panel);
                out.fill([f32::NAN; WIDTH]);
                if self.transposed {
                    product(simd, Transposed(self.left), row, right, out, true);
                } else {
                    product(simd, self.left, row, right, out, true);
                }
            }
            self.out.to_rows()
        }
    }

    fn values(rows: usize, columns: usize, salt: usize) -> Vec<f32> {
        (0..rows * columns).map(|at| ((at + salt) * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
    }

    /// One chain of fused multiply-adds for every output.
    fn expected(left: &[f32], right: &[f32], [rows, depth, columns]: [usize; 3]) -> Vec<f32> {
        let at = |row: usize, column: usize| {
            (0..depth)
                .fold(0.0, |sum: f32, k| left[row * depth + k].mul_add(right[k * columns + column], sum))
        };
        (0..rows).flat_map(|row| (0..columns).map(move |column| at(row, column))).collect()
    }

    fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
        (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever the shape, the layout, the blocks and the processor.
        #[test]
        fn every_output_is_one_chain(
            rows in 1_usize..40, depth in 1_usize..600, columns in 1_usize..80, block in 1_usize..6,
        ) {
            let (left, right) = (values(rows, depth, 1), values(depth, columns, 2));
            let expected = expected(&left, &right, [rows, depth, columns]);
            let (left_panels, right) = (Panels::from_rows(&left, depth), Panels::from_rows(&right, columns));
            let turned = transposed(&left, depth);
            let turned_panels = Panels::from_rows(&turned, rows);
            let layouts = [
                (Rows::plain(&left, depth), false),
                (Rows::panels(&left_panels), false),
                (Rows::plain(&turned, rows), true),
                (Rows::panels(&turned_panels), true),
            ];
            for (left, transposed) in layouts {
                let whole = || {
                    Whole { left, right: &right, transposed, block: 8 * block, out: Panels::zeros(rows, columns) }
                };
                prop_assert_eq!(&Arch::new().dispatch(whole()), &expected);
                prop_assert_eq!(&whole().with_simd(Scalar::new()), &expected);
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    prop_assert_eq!(&pulp::Simd::vectorize(simd, whole()), &expected);
                }
            }
        }
    }
}
