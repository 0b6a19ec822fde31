//! A linear layer with what comes after it, forwards and backwards, on row-major slices.

use kiln_config::Activation;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::activation::activate;
use crate::buffers::buffer;
use crate::mask::Dropping;
use crate::product::{Finish, Matrix, Plain, Product};
use crate::rule::flushed;
use crate::share::{each, threads_for};

/// What happens to the values of a linear layer.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The activation.
    pub activation: Activation,
    /// Dropout after it.
    pub dropping: Dropping,
}

impl Ending {
    /// An ending that leaves the values as they are.
    pub const NONE: Self = Self { activation: Activation::Identity, dropping: Dropping::None };

    fn is_none(&self) -> bool {
        self.activation == Activation::Identity && matches!(self.dropping, Dropping::None)
    }
}

/// Sizes of a layer at a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// What a forward pass gives.
pub(crate) struct Forward {
    /// Shape [batch, outputs].
    pub(crate) outputs: Vec<f32>,
    /// The slope of every output over its value before the ending; empty where it is 1 or nobody asked.
    pub(crate) slopes: Vec<f32>,
}

/// The layer's outputs for `input`, shape [batch, inputs]; `weight` has shape [inputs, outputs].
pub(crate) fn forward(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    sizes: Sizes,
    ending: &Ending,
    with_slopes: bool,
) -> Forward {
    let Sizes { batch, inputs, outputs: columns } = sizes;
    let mut outputs = vec![0.0; batch * columns];
    let mut slopes = vec![0.0; if with_slopes && !ending.is_none() { outputs.len() } else { 0 }];
    let product = Product {
        left: Matrix::rows(input, inputs),
        right: Matrix::rows(weight, columns),
        depth: inputs,
        columns,
        start: Some(bias),
    };
    if ending.is_none() {
        product.write(&mut outputs, &mut slopes, Plain);
    } else {
        product.write(&mut outputs, &mut slopes, Apply { ending, columns });
    }
    Forward { outputs, slopes }
}

#[derive(Clone, Copy)]
struct Apply<'a> {
    ending: &'a Ending,
    columns: usize,
}

impl Finish for Apply<'_> {
    #[inline(always)]
    fn apply(self, row: usize, column: usize, values: &mut [f32], slopes: &mut [f32]) {
        activate(self.ending.activation, values, slopes);
        match &self.ending.dropping {
            Dropping::None => {}
            Dropping::Scale(factor) => values.iter_mut().chain(slopes).for_each(|value| *value *= factor),
            Dropping::Mask(mask) => mask.multiply(row * self.columns + column, values, slopes),
        }
    }
}

/// The gradients that a layer passes on; those that nobody wants are left out.
pub(crate) struct Backward {
    /// Shape [batch, inputs].
    pub(crate) input: Option<Vec<f32>>,
    /// Shape [inputs, outputs].
    pub(crate) weight: Option<Vec<f32>>,
    /// Shape `[outputs]`.
    pub(crate) bias: Option<Vec<f32>>,
}

/// From `gradient`, the loss's over the outputs, to those over input, weight and bias, as far as they are `wanted`.
pub(crate) fn backward(
    gradient: Vec<f32>,
    slopes: &[f32],
    input: &[f32],
    weight: &[f32],
    sizes: Sizes,
    wanted: [bool; 3],
) -> Backward {
    let Sizes { batch, inputs, outputs } = sizes;
    let mut delta = gradient;
    if !slopes.is_empty() {
        in_pieces(&mut delta, slopes);
    }
    let delta = Matrix::rows(&delta, outputs);
    let product = |left, right, depth, rows, columns| {
        let mut out = buffer(rows * columns);
        Product { left, right, depth, columns, start: None }.write(&mut out, &mut [], Plain);
        out
    };
    let [for_input, for_weight, for_bias] = wanted;
    Backward {
        input: for_input
            .then(|| product(delta, Matrix::rows(weight, outputs).transposed(), outputs, batch, inputs)),
        weight: for_weight
            .then(|| product(Matrix::rows(input, inputs).transposed(), delta, batch, inputs, outputs)),
        bias: for_bias.then(|| Arch::new().dispatch(ColumnSums { rows: delta.values(), columns: outputs })),
    }
}

/// What one thread works off at a time.
const PIECE: usize = 1 << 14;

fn in_pieces(delta: &mut [f32], slopes: &[f32]) {
    let arch = Arch::new();
    let multiply = |(delta, slopes)| arch.dispatch(Multiply { delta, slopes });
    if threads_for(8 * delta.len()) == 1 {
        multiply((delta, slopes));
    } else {
        delta.par_chunks_mut(PIECE).zip(slopes.par_chunks(PIECE)).for_each(multiply);
    }
}

struct Multiply<'a> {
    delta: &'a mut [f32],
    slopes: &'a [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (value, slope) in self.delta.iter_mut().zip(self.slopes) {
            *value = flushed(*value * slope);
        }
    }
}

/// The sum of every column, added up row by row.
struct ColumnSums<'a> {
    rows: &'a [f32],
    columns: usize,
}

impl WithSimd for ColumnSums<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
        let mut sums = vec![0.0; self.columns];
        for row in self.rows.chunks_exact(self.columns) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        sums
    }
}

/// The sum of the squares of `values`, in double precision over pieces that are added up in their order.
pub(crate) fn square_sum(values: &[f32]) -> f64 {
    let arch = Arch::new();
    let sums = each(values.chunks(PIECE).collect(), 8 * values.len(), |piece| arch.dispatch(Squares(piece)));
    sums.into_iter().sum()
}

struct Squares<'a>(&'a [f32]);

impl WithSimd for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut lanes = [0.0_f64; 16];
        let (rows, rest) = self.0.as_chunks::<16>();
        for row in rows {
            for (lane, &value) in lanes.iter_mut().zip(row) {
                *lane += f64::from(value) * f64::from(value);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(value) * f64::from(value);
        }
        lanes.into_iter().sum()
    }
}
