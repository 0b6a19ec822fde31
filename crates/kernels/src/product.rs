//! The matrix product on row-major slices, blocked for the caches.
//!
//! A unit of work is a block of the result: a range of rows by a range of columns, over the whole inner dimension. The
//! inner dimension is processed in steps of at most [`DEPTH`]. For each step, the right matrix is copied into panels of
//! 32 columns. The left matrix is read in place, or copied into strips of 8 rows if its rows are far apart in memory.
//! Strips and panels together fit into the second-level cache, and one panel fits into the first-level cache. Each strip
//! is multiplied with each panel; the result is a tile of 8 rows by 32 columns, whose sums stay in registers (Goto and
//! van de Geijn 2008, "Anatomy of high-performance matrix multiplication").
//!
//! Every value of the result is one chain of fused multiply-adds in the order of the inner dimension, however the
//! matrices are divided. So the bits depend neither on the processor nor on the number of threads.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::{map_units, threads_for};

/// Columns of a panel: two AVX-512 vectors.
pub(crate) const WIDTH: usize = 32;
/// The greatest number of inner positions per step.
const DEPTH: usize = 512;
/// The greatest number of values in a unit's strips, and in its panels. Both together take three quarters of a
/// second-level cache of 1 MiB, and leave room for the result.
const STRIPS: usize = 1 << 16;
const PANELS: usize = 1 << 17;
/// The smallest width of a unit, if the matrix is wide enough: for fewer columns, copying into panels costs too much.
const FEW_COLUMNS: usize = 64;
/// With fewer rows than this, copying the right matrix into panels costs more than it saves.
const FEW_ROWS: usize = 6;
/// Vectors of a tile that are computed together, per row.
const VECTORS: usize = 2;
/// Rows of a strip.
const HEIGHT: usize = 8;
/// From this distance between two rows of the left matrix on, the rows compete for the same cache sets and are copied.
const FAR: usize = 1024;

/// One row of a panel: its values at one inner position.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Row([f32; WIDTH]);

/// One column of a strip: its values at one inner position.
type Column = [f32; HEIGHT];

/// A matrix, stored row-major or as its transpose.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    /// Distance in memory from one stored row to the next.
    stride: usize,
    is_transposed: bool,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix with rows of `columns` values.
    pub(crate) fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, stride: columns, is_transposed: false }
    }

    /// The values in memory order.
    pub(crate) fn values(self) -> &'a [f32] {
        self.values
    }

    pub(crate) fn transposed(self) -> Self {
        Self { is_transposed: !self.is_transposed, ..self }
    }
}

/// A product to compute: `left`, shape [rows, depth], times `right`, shape [depth, columns].
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(crate) left: Matrix<'a>,
    pub(crate) right: Matrix<'a>,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    /// The initial value of every row of the result; zeros if absent.
    pub(crate) start: Option<&'a [f32]>,
}

/// An operation on a block of the result while it is in the cache.
pub(crate) trait Finish: Copy + Sync {
    /// Changes `values`, the part of row `row` that starts at `column`. `extra` is the same part of a second matrix, or
    /// empty.
    fn apply(self, row: usize, column: usize, values: &mut [f32], extra: &mut [f32]);
}

/// Leaves the product unchanged.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl Finish for Plain {
    #[inline(always)]
    fn apply(self, _: usize, _: usize, _: &mut [f32], _: &mut [f32]) {}
}

impl Product<'_> {
    /// Writes the product into `out`, and applies `finish` to every part of a row, together with the same part of
    /// `extra`, which is empty or has the shape of `out`.
    pub(crate) fn write(self, out: &mut [f32], extra: &mut [f32], finish: impl Finish) {
        let Some(rows) = out.len().checked_div(self.columns) else { return };
        let cost = rows * self.depth * self.columns;
        let (height, width) = self.unit_size(rows, threads_for(cost));
        let arch = Arch::new();
        let units = units(out, extra, self.columns, height, width);
        map_units(units, cost, |unit| {
            SCRATCH
                .with_borrow_mut(|scratch| arch.dispatch(UnitTask { product: self, unit, finish, scratch }));
        });
    }

    /// Rows and columns of a unit.
    fn unit_size(&self, rows: usize, threads: usize) -> (usize, usize) {
        let depth = self.depth.clamp(1, DEPTH);
        // More groups of columns than threads, so that all threads end at about the same time.
        let wanted = if threads == 1 { 1 } else { 2 * threads };
        let width = self.columns.div_ceil(wanted).max(FEW_COLUMNS).next_multiple_of(WIDTH);
        let width = width.min((PANELS / depth).max(WIDTH));
        let groups = self.columns.div_ceil(width);
        let blocks = rows.div_ceil((STRIPS / depth).max(HEIGHT)).max(threads.div_ceil(groups));
        (rows.div_ceil(blocks).next_multiple_of(HEIGHT).min(rows), width)
    }
}

/// A block of the result.
struct Unit<'a> {
    row: usize,
    column: usize,
    /// The block's part of each row.
    out: Vec<&'a mut [f32]>,
    /// The same part of the second matrix; empty without one.
    extra: Vec<&'a mut [f32]>,
}

/// Divides the result into units of at most `height` rows and `width` columns.
fn units<'a>(
    out: &'a mut [f32],
    extra: &'a mut [f32],
    columns: usize,
    height: usize,
    width: usize,
) -> Vec<Unit<'a>> {
    let mut units = Vec::new();
    let mut extra = extra.chunks_mut(height * columns);
    for (block, out) in out.chunks_mut(height * columns).enumerate() {
        let mut out = columns_of(out, columns, width).into_iter();
        let mut extra = columns_of(extra.next().unwrap_or_default(), columns, width).into_iter();
        for column in (0..columns).step_by(width) {
            units.push(Unit {
                row: block * height,
                column,
                out: out.next().unwrap_or_default(),
                extra: extra.next().unwrap_or_default(),
            });
        }
    }
    units
}

/// Divides rows into parts of `width` columns. Each part has its piece of every row.
fn columns_of(rows: &mut [f32], columns: usize, width: usize) -> Vec<Vec<&mut [f32]>> {
    let count = rows.len() / columns;
    let mut parts: Vec<Vec<_>> = (0..columns.div_ceil(width)).map(|_| Vec::with_capacity(count)).collect();
    for row in rows.chunks_exact_mut(columns) {
        for (part, piece) in parts.iter_mut().zip(row.chunks_mut(width)) {
            part.push(piece);
        }
    }
    parts
}

/// The computation of one unit.
struct UnitTask<'a, F> {
    product: Product<'a>,
    unit: Unit<'a>,
    finish: F,
    scratch: &'a mut Scratch,
}

/// Memory for the copies of one step, reused by each thread.
#[derive(Default)]
struct Scratch {
    strips: Vec<Column>,
    panels: Vec<Row>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<F: Finish> WithSimd for UnitTask<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { product, mut unit, finish, scratch } = self;
        let Scratch { strips, panels } = scratch;
        let block = product.depth.div_ceil(product.depth.div_ceil(DEPTH).max(1)).max(1);
        let width = unit.out.first().map_or(0, |row| row.len());
        unit.start(product.start);
        for start in (0..product.depth).step_by(block) {
            let range = start..product.depth.min(start + block);
            let is_fresh = start == 0 && product.start.is_none();
            if unit.out.len() < FEW_ROWS && !product.right.is_transposed && !product.left.is_transposed {
                unit.add_rows(simd, &product, range);
                continue;
            }
            copy_panels(product.right, range.clone(), unit.column..unit.column + width, panels);
            let left = left_side(product.left, unit.row..unit.row + unit.out.len(), range.clone(), strips);
            unit.add_panels(simd, left, panels, range.len(), is_fresh);
        }
        let mut extra = unit.extra.into_iter();
        for (row, values) in unit.out.into_iter().enumerate() {
            finish.apply(unit.row + row, unit.column, values, extra.next().unwrap_or_default());
        }
    }
}

/// The left matrix of a step.
#[derive(Clone, Copy)]
enum LeftSide<'a> {
    /// In place: rows at a distance of `stride`.
    Rows { values: &'a [f32], stride: usize },
    /// Copied into strips.
    Strips(&'a [Column]),
}

/// The `rows` of `matrix` at the inner positions in `range`, in place or copied into `strips`.
#[inline(always)]
fn left_side<'a>(
    matrix: Matrix<'a>,
    rows: Range<usize>,
    range: Range<usize>,
    strips: &'a mut Vec<Column>,
) -> LeftSide<'a> {
    let Matrix { values, stride, is_transposed } = matrix;
    if is_transposed || stride >= FAR {
        copy_strips(matrix, rows, range, strips);
        LeftSide::Strips(strips)
    } else {
        LeftSide::Rows { values: &values[rows.start * stride + range.start..], stride }
    }
}

/// Copies the `rows` of `matrix` at the inner positions in `range` into strips.
#[inline(always)]
fn copy_strips(matrix: Matrix<'_>, rows: Range<usize>, range: Range<usize>, strips: &mut Vec<Column>) {
    let Matrix { values, stride, is_transposed } = matrix;
    let depth = range.len();
    strips.resize(depth * rows.len().div_ceil(HEIGHT), [0.0; HEIGHT]);
    for (strip, first) in strips.chunks_exact_mut(depth).zip(rows.clone().step_by(HEIGHT)) {
        let height = HEIGHT.min(rows.end - first);
        if height < HEIGHT {
            strip.fill([0.0; HEIGHT]);
        }
        if is_transposed {
            for (column, line) in strip.iter_mut().zip(values[range.start * stride..].chunks(stride)) {
                copy_start(column, &line[first..first + height]);
            }
        } else {
            transpose(&values[first * stride + range.start..], stride, height, strip, |column| column);
        }
    }
}

#[inline(always)]
fn copy_start(column: &mut Column, values: &[f32]) {
    if let Some(whole) = values.first_chunk() {
        *column = *whole;
    } else {
        column[..values.len()].copy_from_slice(values);
    }
}

/// Transposes `height` rows of `values`, at most 8: writes one column into the place that `place` selects in each element
/// of `turned`.
#[inline(always)]
fn transpose<T>(
    values: &[f32],
    stride: usize,
    height: usize,
    turned: &mut [T],
    place: impl Fn(&mut T) -> &mut Column,
) {
    let length = turned.len();
    let mut done = 0;
    if height == HEIGHT {
        let (blocks, _) = turned.as_chunks_mut::<HEIGHT>();
        for block in blocks {
            let mut lines = [[0.0; HEIGHT]; HEIGHT];
            for (at, line) in lines.iter_mut().enumerate() {
                line.copy_from_slice(&values[at * stride + done..][..HEIGHT]);
            }
            for (at, out) in block.iter_mut().enumerate() {
                let mut column = [0.0; HEIGHT];
                for (value, line) in column.iter_mut().zip(&lines) {
                    *value = line[at];
                }
                *place(out) = column;
            }
            done += HEIGHT;
        }
    }
    for at in done..length {
        let column = place(&mut turned[at]);
        for (line, value) in column.iter_mut().enumerate().take(height) {
            *value = values[line * stride + at];
        }
    }
}

/// Copies the `columns` of `matrix` at the inner positions in `range` into panels.
#[inline(always)]
fn copy_panels(matrix: Matrix<'_>, range: Range<usize>, columns: Range<usize>, panels: &mut Vec<Row>) {
    let Matrix { values, stride, is_transposed } = matrix;
    let depth = range.len();
    panels.resize(depth * columns.len().div_ceil(WIDTH), Row([0.0; WIDTH]));
    if !is_transposed {
        for (line, row) in range.enumerate() {
            let (whole, rest) = values[row * stride..][columns.clone()].as_chunks::<WIDTH>();
            let mut place = line;
            for values in whole {
                panels[place] = Row(*values);
                place += depth;
            }
            if !rest.is_empty() {
                panels[place].0[..rest.len()].copy_from_slice(rest);
                panels[place].0[rest.len()..].fill(0.0);
            }
        }
        return;
    }
    for (panel, first) in panels.chunks_exact_mut(depth).zip(columns.clone().step_by(WIDTH)) {
        let width = WIDTH.min(columns.end - first);
        if width < WIDTH {
            panel.fill(Row([0.0; WIDTH]));
        }
        for column in (0..width).step_by(HEIGHT) {
            let height = HEIGHT.min(width - column);
            let values = &values[(first + column) * stride + range.start..];
            transpose(values, stride, height, panel, |row| {
                row.0[column..].first_chunk_mut().expect("a panel is four strips wide")
            });
        }
    }
}

impl Unit<'_> {
    #[inline(always)]
    fn start(&mut self, start: Option<&[f32]>) {
        let Some(start) = start else { return };
        for row in &mut self.out {
            let width = row.len();
            row.copy_from_slice(&start[self.column..self.column + width]);
        }
    }

    /// Continues every chain over one step, tile by tile.
    #[inline(always)]
    fn add_panels<S: Simd>(
        &mut self,
        simd: S,
        left: LeftSide<'_>,
        panels: &[Row],
        depth: usize,
        is_fresh: bool,
    ) {
        for (number, panel) in panels.chunks_exact(depth).enumerate() {
            for (strip, out) in self.out.chunks_mut(HEIGHT).enumerate() {
                let tile = Tile { strip, out, start: number * WIDTH, is_fresh };
                // As many rows as fit into the registers: AVX-512 and NEON have 32, AVX2 has 16.
                if S::REGISTER_COUNT >= 32 {
                    tile.add::<S, HEIGHT>(simd, left, panel);
                } else {
                    tile.add::<S, { HEIGHT / 2 }>(simd, left, panel);
                }
            }
        }
    }

    /// Continues every chain over one step, with the right matrix in place: for few rows, a copy would cost more than it
    /// saves.
    #[inline(always)]
    fn add_rows<S: Simd>(&mut self, simd: S, product: &Product<'_>, range: Range<usize>) {
        let Product { left, right, start, .. } = product;
        let is_fresh = range.start == 0 && start.is_none();
        for (row, out) in self.out.iter_mut().enumerate() {
            if is_fresh {
                out.fill(0.0);
            }
            let line = &left.values[(self.row + row) * left.stride..][range.clone()];
            let mut column = self.column;
            let (groups, rest) = out.as_chunks_mut::<{ 4 * WIDTH }>();
            for out in groups {
                add_line::<S, 4>(simd, line, right, range.start, column, out.as_chunks_mut().0);
                column += 4 * WIDTH;
            }
            let (panels, rest) = rest.as_chunks_mut::<WIDTH>();
            for out in panels {
                add_line::<S, 1>(simd, line, right, range.start, column, std::slice::from_mut(out));
                column += WIDTH;
            }
            for (at, value) in line.iter().enumerate() {
                let values = &right.values[(range.start + at) * right.stride + column..];
                for (sum, right) in rest.iter_mut().zip(values) {
                    *sum = value.mul_add(*right, *sum);
                }
            }
        }
    }
}

/// Continues the chains of `PANELS` times 32 columns from `column` on, over the inner positions from `first` on.
#[inline(always)]
fn add_line<S: Simd, const PANELS: usize>(
    simd: S,
    line: &[f32],
    right: &Matrix<'_>,
    first: usize,
    column: usize,
    out: &mut [[f32; WIDTH]],
) {
    let out: &mut [[f32; WIDTH]; PANELS] = out.first_chunk_mut().expect("a slice of at least PANELS panels");
    for vector in (0..WIDTH / S::F32_LANES).step_by(VECTORS) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; PANELS];
        for (sums, out) in sums.iter_mut().zip(&*out) {
            *sums = vectors::<S>(out, vector);
        }
        for (at, value) in line.iter().enumerate() {
            let value = simd.splat_f32s(*value);
            let values = &right.values[(first + at) * right.stride + column..][..PANELS * WIDTH];
            for (sums, values) in sums.iter_mut().zip(values.as_chunks().0) {
                for (sum, right) in sums.iter_mut().zip(vectors::<S>(values, vector)) {
                    *sum = simd.mul_add_f32s(value, right, *sum);
                }
            }
        }
        for (sums, out) in sums.iter().zip(&mut *out) {
            store::<S>(out, vector, sums);
        }
    }
}

/// The product of a strip and a panel: at most 8 rows by 32 columns of the result.
struct Tile<'a, 'b> {
    strip: usize,
    out: &'a mut [&'b mut [f32]],
    /// The first column.
    start: usize,
    /// Whether the sums start at 0 instead of the values in `out`.
    is_fresh: bool,
}

impl Tile<'_, '_> {
    /// Continues the chains, `R` rows at a time.
    #[inline(always)]
    fn add<S: Simd, const R: usize>(self, simd: S, left: LeftSide<'_>, panel: &[Row]) {
        let Self { strip, out, start, is_fresh } = self;
        for (part, out) in out.chunks_mut(R).enumerate() {
            let first = part * R;
            let row = strip * HEIGHT + first;
            if out.len() == R {
                match left {
                    LeftSide::Rows { values, stride } => {
                        let lines = Lines::<R>::new(&values[row * stride..], stride, panel.len());
                        add_tile(simd, lines, panel, out, start, is_fresh);
                    }
                    LeftSide::Strips(strips) => {
                        let columns =
                            Columns::<R> { strip: &strips[strip * panel.len()..][..panel.len()], first };
                        add_tile(simd, columns, panel, out, start, is_fresh);
                    }
                }
                continue;
            }
            // The remaining rows one by one, so that nothing beyond the last row is read.
            for (at, out) in out.iter_mut().enumerate() {
                let out = std::slice::from_mut(out);
                match left {
                    LeftSide::Rows { values, stride } => {
                        let lines = Lines::<1>::new(&values[(row + at) * stride..], stride, panel.len());
                        add_tile(simd, lines, panel, out, start, is_fresh);
                    }
                    LeftSide::Strips(strips) => {
                        let strip = &strips[strip * panel.len()..][..panel.len()];
                        add_tile(
                            simd,
                            Columns::<1> { strip, first: first + at },
                            panel,
                            out,
                            start,
                            is_fresh,
                        );
                    }
                }
            }
        }
    }
}

/// The left matrix of a tile of `R` rows.
trait TileRows<const R: usize>: Copy {
    /// The value of `row` at an inner position.
    fn value(&self, row: usize, position: usize) -> f32;
}

/// Rows in place.
#[derive(Clone, Copy)]
struct Lines<'a, const R: usize>([&'a [f32]; R]);

impl<'a, const R: usize> Lines<'a, R> {
    #[inline(always)]
    fn new(values: &'a [f32], stride: usize, depth: usize) -> Self {
        let mut lines = [&[][..]; R];
        for (at, line) in lines.iter_mut().enumerate() {
            *line = &values[at * stride..][..depth];
        }
        Self(lines)
    }
}

impl<const R: usize> TileRows<R> for Lines<'_, R> {
    #[inline(always)]
    fn value(&self, row: usize, position: usize) -> f32 {
        self.0[row][position]
    }
}

/// Rows of a strip, starting at `first`.
#[derive(Clone, Copy)]
struct Columns<'a, const R: usize> {
    strip: &'a [Column],
    first: usize,
}

impl<const R: usize> TileRows<R> for Columns<'_, R> {
    #[inline(always)]
    fn value(&self, row: usize, position: usize) -> f32 {
        self.strip[position][self.first + row]
    }
}

/// Continues the chains of `R` rows and the 32 columns from `start` on, or fewer at the right edge.
#[inline(always)]
fn add_tile<S: Simd, const R: usize>(
    simd: S,
    left: impl TileRows<R>,
    panel: &[Row],
    out: &mut [&mut [f32]],
    start: usize,
    is_fresh: bool,
) {
    assert_eq!(out.len(), R, "a row of the result for every row of the tile");
    for vector in (0..WIDTH / S::F32_LANES).step_by(VECTORS) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
        if !is_fresh {
            for (sums, out) in sums.iter_mut().zip(&*out) {
                if let Some(whole) = out[start..].first_chunk() {
                    *sums = vectors::<S>(whole, vector);
                } else {
                    let mut row = [0.0; WIDTH];
                    row[..out.len() - start].copy_from_slice(&out[start..]);
                    *sums = vectors::<S>(&row, vector);
                }
            }
        }
        for (position, row) in panel.iter().enumerate() {
            let right = vectors::<S>(&row.0, vector);
            for (row, sums) in sums.iter_mut().enumerate() {
                let value = simd.splat_f32s(left.value(row, position));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = simd.mul_add_f32s(value, right, *sum);
                }
            }
        }
        for (sums, out) in sums.iter().zip(&mut *out) {
            if let Some(whole) = out[start..].first_chunk_mut() {
                store::<S>(whole, vector, sums);
                continue;
            }
            let (mut row, width) = ([0.0; WIDTH], out.len() - start);
            store::<S>(&mut row, vector, sums);
            let lanes = vector * S::F32_LANES..((vector + VECTORS) * S::F32_LANES).min(width);
            if !lanes.is_empty() {
                out[start..][lanes.clone()].copy_from_slice(&row[lanes]);
            }
        }
    }
}

#[inline(always)]
fn vectors<S: Simd>(row: &[f32; WIDTH], first: usize) -> [S::f32s; VECTORS] {
    let (row, _) = S::as_simd_f32s(row);
    [row[first], row[first + 1]]
}

#[inline(always)]
fn store<S: Simd>(row: &mut [f32; WIDTH], first: usize, sums: &[S::f32s; VECTORS]) {
    let (row, _) = S::as_mut_simd_f32s(row);
    row[first..first + VECTORS].copy_from_slice(sums);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulp::Scalar;

    use super::*;

    fn values(rows: usize, columns: usize, salt: usize) -> Vec<f32> {
        (0..rows * columns).map(|at| ((at + salt) * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
    }

    /// The product with one chain of fused multiply-adds per value.
    fn expected(
        left: &[f32],
        right: &[f32],
        start: Option<&[f32]>,
        [rows, depth, columns]: [usize; 3],
    ) -> Vec<f32> {
        let at = |row: usize, column: usize| {
            let start = start.map_or(0.0, |start| start[column]);
            (0..depth)
                .fold(start, |sum: f32, k| left[row * depth + k].mul_add(right[k * columns + column], sum))
        };
        (0..rows).flat_map(|row| (0..columns).map(move |column| at(row, column))).collect()
    }

    fn turned(values: &[f32], columns: usize) -> Vec<f32> {
        (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
    }

    /// The product with the instructions of `simd`, in units of this size.
    fn by<S: Simd>(simd: S, product: Product<'_>, rows: usize, height: usize, width: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; rows * product.columns];
        for unit in units(&mut out, &mut [], product.columns, height, width) {
            simd.vectorize(UnitTask { product, unit, finish: Plain, scratch: &mut Scratch::default() });
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// For any shape, layout, unit size and processor.
        #[test]
        fn every_value_is_the_sum_in_one_fixed_order(
            rows in 1_usize..40, depth in 1_usize..600, columns in 1_usize..150, biased: bool,
            height in 1_usize..20, width in 1_usize..4,
        ) {
            let (left, right) = (values(rows, depth, 1), values(depth, columns, 2));
            let bias = values(1, columns, 3);
            let start = biased.then_some(bias.as_slice());
            let expected = expected(&left, &right, start, [rows, depth, columns]);
            let (left_turned, right_turned) = (turned(&left, depth), turned(&right, columns));
            let lefts = [Matrix::rows(&left, depth), Matrix::rows(&left_turned, rows).transposed()];
            let rights = [Matrix::rows(&right, columns), Matrix::rows(&right_turned, depth).transposed()];
            for (left, right) in lefts.into_iter().flat_map(|left| rights.map(|right| (left, right))) {
                let product = Product { left, right, depth, columns, start };
                let mut out = vec![f32::NAN; rows * columns];
                product.write(&mut out, &mut [], Plain);
                prop_assert_eq!(&out, &expected);
                prop_assert_eq!(&by(Scalar::new(), product, rows, height, width * WIDTH), &expected);
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    prop_assert_eq!(&by(simd, product, rows, height, width * WIDTH), &expected);
                }
            }
        }
    }
}
