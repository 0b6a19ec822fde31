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
    /// Values of a row.
    depth: usize,
    /// Values of a row that are worked off before the next rows are taken.
    block: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `depth` values that follow each other.
    pub(crate) fn plain(values: &'a [f32], depth: usize) -> Self {
        let block = depth.div_ceil(depth.div_ceil(DEPTH));
        Self { values, chunk: depth, chunk_stride: depth, row_stride: depth, depth, block }
    }

    /// The rows of a matrix in panels.
    pub(crate) fn panels(matrix: &'a Panels) -> Self {
        Self {
            values: matrix.values().as_flattened(),
            chunk: WIDTH,
            chunk_stride: matrix.rows() * WIDTH,
            row_stride: WIDTH,
            depth: matrix.columns(),
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

/// Adds to `out` the product of `left`'s rows from `first_row` on with the panel `right`, which has as many rows as
/// `left` has columns.
#[inline(always)]
pub(crate) fn add_product<S: Simd>(
    simd: S,
    left: Rows<'_>,
    first_row: usize,
    right: &[Row],
    out: &mut [Row],
) {
    // As many rows as registers can hold besides what is read: AVX-512 and NEON have 32, AVX2 has 16.
    if S::REGISTER_COUNT >= 32 {
        product_by::<S, 8>(simd, left, first_row, right, out);
    } else {
        product_by::<S, 4>(simd, left, first_row, right, out);
    }
}

#[inline(always)]
fn product_by<S: Simd, const R: usize>(
    simd: S,
    left: Rows<'_>,
    first_row: usize,
    right: &[Row],
    out: &mut [Row],
) {
    for start in (0..left.depth).step_by(left.block) {
        let range = start..left.depth.min(start + left.block);
        let mut row = first_row;
        let (tiles, rest) = out.as_chunks_mut::<R>();
        for tile in tiles {
            product_tile(simd, left, range.clone(), row, right, tile);
            row += R;
        }
        for out in rest {
            product_tile(simd, left, range.clone(), row, right, std::array::from_mut(out));
            row += 1;
        }
    }
}

#[inline(always)]
fn product_tile<S: Simd, const R: usize>(
    simd: S,
    left: Rows<'_>,
    range: Range<usize>,
    first_row: usize,
    right: &[Row],
    out: &mut [Row; R],
) {
    for vector in (0..WIDTH / S::F32_LANES).step_by(VECTORS) {
        let mut sums = load(simd, out, vector);
        let mut start = range.start;
        while start < range.end {
            let (chunk, offset) = (start / left.chunk, start % left.chunk);
            let end = range.end.min(start - offset + left.chunk);
            let length = end - start;
            let rows: [&[f32]; R] = std::array::from_fn(|row| {
                let begin = chunk * left.chunk_stride + (first_row + row) * left.row_stride + offset;
                &left.values[begin..][..length]
            });
            let right = &right[start..end];
            start = end;
            for at in 0..length {
                let right = vectors::<S>(&right[at], vector);
                for row in 0..R {
                    let value = simd.splat_f32s(rows[row][at]);
                    for part in 0..VECTORS {
                        sums[row][part] = simd.mul_add_f32s(value, right[part], sums[row][part]);
                    }
                }
            }
        }
        store::<S, R>(&sums, out, vector);
    }
}

/// Adds to `out` the product of the transpose of `left`, its columns from `first_column` on, with the panel `right`;
/// writes it there, if `fresh`. With activations and slopes it is the gradient of a block of weights. `first_column` is
/// a multiple of 8.
#[inline(always)]
pub(crate) fn add_transposed_product<S: Simd>(
    simd: S,
    left: Rows<'_>,
    first_column: usize,
    right: &[Row],
    out: &mut [Row],
    fresh: bool,
) {
    if S::REGISTER_COUNT >= 32 {
        transposed_by::<S, 8>(simd, left, first_column, right, out, fresh);
    } else {
        transposed_by::<S, 4>(simd, left, first_column, right, out, fresh);
    }
}

#[inline(always)]
fn transposed_by<S: Simd, const R: usize>(
    simd: S,
    left: Rows<'_>,
    first_column: usize,
    right: &[Row],
    out: &mut [Row],
    fresh: bool,
) {
    for (block, right) in right.chunks(DEPTH).enumerate() {
        let fresh = fresh && block == 0;
        let first_row = block * DEPTH;
        let mut column = first_column;
        let (tiles, rest) = out.as_chunks_mut::<R>();
        for tile in tiles {
            transposed_tile(simd, left, first_row, column, right, tile, fresh);
            column += R;
        }
        for out in rest {
            transposed_tile(simd, left, first_row, column, right, std::array::from_mut(out), fresh);
            column += 1;
        }
    }
}

#[inline(always)]
fn transposed_tile<S: Simd, const R: usize>(
    simd: S,
    left: Rows<'_>,
    first_row: usize,
    first_column: usize,
    right: &[Row],
    out: &mut [Row; R],
    fresh: bool,
) {
    for vector in (0..WIDTH / S::F32_LANES).step_by(VECTORS) {
        let zeros = [[simd.splat_f32s(0.0); VECTORS]; R];
        let mut sums = if fresh { zeros } else { load(simd, out, vector) };
        for (values, right) in left.at_column(first_row, first_column).zip(right) {
            let values: &[f32; R] = values.first_chunk().expect("a tile's columns lie in one chunk");
            let right = vectors::<S>(right, vector);
            for row in 0..R {
                let value = simd.splat_f32s(values[row]);
                for part in 0..VECTORS {
                    sums[row][part] = simd.mul_add_f32s(value, right[part], sums[row][part]);
                }
            }
        }
        store::<S, R>(&sums, out, vector);
    }
}

#[inline(always)]
fn load<S: Simd, const R: usize>(_: S, rows: &[Row; R], vector: usize) -> [[S::f32s; VECTORS]; R] {
    std::array::from_fn(|row| vectors::<S>(&rows[row], vector))
}

#[inline(always)]
fn vectors<S: Simd>(row: &Row, first: usize) -> [S::f32s; VECTORS] {
    let (row, _) = S::as_simd_f32s(row);
    std::array::from_fn(|part| row[first + part])
}

#[inline(always)]
fn store<S: Simd, const R: usize>(sums: &[[S::f32s; VECTORS]; R], rows: &mut [Row; R], vector: usize) {
    for (sums, row) in sums.iter().zip(rows) {
        let (row, _) = S::as_mut_simd_f32s(row);
        row[vector..vector + VECTORS].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::{Arch, Scalar, WithSimd};

    use super::*;
    use crate::panels::Place;

    /// The product of two matrices, or of the transpose of the first with the second, in blocks of some rows.
    struct Product<'a> {
        left: Rows<'a>,
        right: &'a Panels,
        transposed: bool,
        block: usize,
        out: Panels,
    }

    impl WithSimd for Product<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(mut self, simd: S) -> Vec<f32> {
            for (Place { panel, row }, out) in self.out.blocks_mut(self.block) {
                let right = self.right.panel(panel);
                if self.transposed {
                    out.fill([f32::NAN; WIDTH]);
                    add_transposed_product(simd, self.left, row, right, out, true);
                } else {
                    add_product(simd, self.left, row, right, out);
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
                let product = || {
                    Product { left, right: &right, transposed, block: 8 * block, out: Panels::zeros(rows, columns) }
                };
                prop_assert_eq!(&Arch::new().dispatch(product()), &expected);
                prop_assert_eq!(&product().with_simd(Scalar::new()), &expected);
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    prop_assert_eq!(&pulp::Simd::vectorize(simd, product()), &expected);
                }
            }
        }
    }
}
