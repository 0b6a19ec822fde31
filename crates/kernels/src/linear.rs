//! A linear layer with its activation and dropout, forward and backward, on row-major slices.
//!
//! Dropout masks are functions of a random stream without state: any part of a mask can be computed alone, where it is
//! used. So no mask is stored, threads need no order, and a resumed training drops the same units. On GPUs, a `CubeCL`
//! kernel (module `cube`, feature `cube`) computes the same bits.

use kiln_config::Activation;
use kiln_config::random::Stream;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::functions::activate;
use crate::optimizer::flushed;
use crate::product::{Finish, Matrix, Plain, Product};
use crate::{buffer, threads_for};

/// Operations on the outputs of a linear layer while they are still in the cache.
#[derive(Clone, Debug)]
pub struct Epilogue {
    /// Applied to the outputs.
    pub activation: Activation,
    /// Applied after the activation.
    pub dropping: Dropping,
}

impl Epilogue {
    /// Leaves the outputs unchanged.
    pub const NONE: Self = Self { activation: Activation::Identity, dropping: Dropping::None };

    fn is_none(&self) -> bool {
        self.activation == Activation::Identity && matches!(self.dropping, Dropping::None)
    }
}

/// Sizes of a layer and its batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) batch: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

/// The result of a forward pass.
pub(crate) struct Forward {
    /// Shape [batch, outputs].
    pub(crate) outputs: Vec<f32>,
    /// The derivative of every output by its value before the epilogue; empty if all are 1, or if not requested.
    pub(crate) slopes: Vec<f32>,
}

/// The layer's outputs for `input`, shape [batch, inputs]; `weight` has shape [inputs, outputs].
pub(crate) fn forward(
    input: &[f32],
    weight: &[f32],
    bias: &[f32],
    sizes: Sizes,
    epilogue: &Epilogue,
    with_slopes: bool,
) -> Forward {
    let Sizes { batch, inputs, outputs: columns } = sizes;
    let mut outputs = vec![0.0; batch * columns];
    let mut slopes = vec![0.0; if with_slopes && !epilogue.is_none() { outputs.len() } else { 0 }];
    let product = Product {
        left: Matrix::rows(input, inputs),
        right: Matrix::rows(weight, columns),
        depth: inputs,
        columns,
        start: Some(bias),
    };
    if epilogue.is_none() {
        product.write(&mut outputs, &mut slopes, Plain);
    } else {
        product.write(&mut outputs, &mut slopes, Apply { epilogue, columns });
    }
    Forward { outputs, slopes }
}

#[derive(Clone, Copy)]
struct Apply<'a> {
    epilogue: &'a Epilogue,
    columns: usize,
}

impl Finish for Apply<'_> {
    #[inline(always)]
    fn apply(self, row: usize, column: usize, values: &mut [f32], slopes: &mut [f32]) {
        activate(self.epilogue.activation, values, slopes);
        match &self.epilogue.dropping {
            Dropping::None => {}
            Dropping::Scale(factor) => values.iter_mut().chain(slopes).for_each(|value| *value *= factor),
            Dropping::Mask(mask) => mask.multiply(row * self.columns + column, values, slopes),
        }
    }
}

/// The gradients of a layer; `None` where not requested.
pub(crate) struct Backward {
    /// Shape [batch, inputs].
    pub(crate) input: Option<Vec<f32>>,
    /// Shape [inputs, outputs].
    pub(crate) weight: Option<Vec<f32>>,
    /// Shape `[outputs]`.
    pub(crate) bias: Option<Vec<f32>>,
}

/// The gradients of input, weight and bias that are `wanted`, given the `gradient` of the outputs.
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
        multiply_by_slopes(&mut delta, slopes);
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

/// Values per unit of work.
const PIECE: usize = 1 << 14;

fn multiply_by_slopes(delta: &mut [f32], slopes: &[f32]) {
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

/// Computes the sum of every column, row by row.
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

/// Random bits per unit: the drop probability is exact to 1 / 65,536.
const BITS: usize = 16;
/// Units per random word.
const UNITS: usize = 64 / BITS;
/// Words drawn together.
const BLOCK: usize = 8;
/// Factors computed and applied together.
const FACTORS: usize = UNITS * BLOCK;

/// The effect of dropout on a layer's outputs in one pass.
#[derive(Clone, Debug)]
pub enum Dropping {
    /// Nothing.
    None,
    /// All outputs are multiplied by this factor.
    Scale(f32),
    /// Each output is multiplied by its factor in the mask.
    Mask(DropoutMask),
}

/// A dropout mask: for each output of a layer, 0 or the factor of the units that are kept.
#[derive(Clone, Debug)]
pub struct DropoutMask {
    stream: Stream,
    threshold: u32,
    kept_value: f32,
}

impl DropoutMask {
    /// Keeps each unit with probability `keep`, in (0, 1], and multiplies it by `kept_value`. `stream` decides.
    #[must_use]
    pub fn new(stream: Stream, keep: f64, kept_value: f32) -> Self {
        Self { stream, threshold: (keep * f64::from(1_u32 << BITS)).round() as u32, kept_value }
    }

    /// Multiplies the outputs that start at `position`, and their slopes unless these are empty.
    #[inline(always)]
    fn multiply(&self, position: usize, values: &mut [f32], slopes: &mut [f32]) {
        let (blocks, rest) = values.as_chunks_mut::<FACTORS>();
        let (slope_blocks, rest_slopes) = slopes.as_chunks_mut::<FACTORS>();
        let (mut slope_blocks, mut position) = (slope_blocks.iter_mut(), position);
        for values in blocks {
            let mut factors = [0.0; FACTORS];
            self.fill(position, &mut factors);
            *values = product(values, &factors);
            if let Some(slopes) = slope_blocks.next() {
                *slopes = product(slopes, &factors);
            }
            position += FACTORS;
        }
        let mut factors = [0.0; FACTORS];
        self.fill(position, &mut factors[..rest.len()]);
        for (value, factor) in rest.iter_mut().zip(&factors) {
            *value *= factor;
        }
        for (slope, factor) in rest_slopes.iter_mut().zip(&factors) {
            *slope *= factor;
        }
    }

    /// Writes the factors of the outputs that start at `position`, counted row after row over the whole batch. The factor
    /// of a dropped output is 0.
    #[inline(always)]
    pub fn fill(&self, position: usize, factors: &mut [f32]) {
        let (mut word, skipped) = ((position / UNITS) as u64, position % UNITS);
        let (head, rest) = factors.split_at_mut(((UNITS - skipped) % UNITS).min(factors.len()));
        if !head.is_empty() {
            self.fill_word(word, skipped, head);
            word += 1;
        }
        let (words, tail) = rest.as_chunks_mut::<UNITS>();
        let (blocks, words) = words.as_chunks_mut::<BLOCK>();
        for factors in blocks {
            self.fill_block(word, factors);
            word += BLOCK as u64;
        }
        for factors in words {
            self.fill_word(word, 0, factors);
            word += 1;
        }
        self.fill_word(word, 0, tail);
    }

    /// Several words at once, in vectors.
    #[inline(always)]
    fn fill_block(&self, first: u64, factors: &mut [[f32; UNITS]; BLOCK]) {
        let words: [u64; BLOCK] = std::array::from_fn(|word| self.stream.word(first + word as u64));
        for (factors, bits) in factors.iter_mut().zip(words) {
            for (unit, factor) in factors.iter_mut().enumerate() {
                let drawn = (bits >> (unit * BITS)) as u32 & 0xffff;
                *factor = if drawn < self.threshold { self.kept_value } else { 0.0 };
            }
        }
    }

    #[inline(always)]
    fn fill_word(&self, word: u64, skipped: usize, factors: &mut [f32]) {
        let bits = self.stream.word(word);
        for (unit, factor) in factors.iter_mut().enumerate() {
            let drawn = (bits >> ((skipped + unit) * BITS)) as u32 & 0xffff;
            *factor = if drawn < self.threshold { self.kept_value } else { 0.0 };
        }
    }
}

#[inline(always)]
fn product(values: &[f32; FACTORS], factors: &[f32; FACTORS]) -> [f32; FACTORS] {
    let mut product = [0.0; FACTORS];
    for (at, product) in product.iter_mut().enumerate() {
        *product = values[at] * factors[at];
    }
    product
}

/// The factors of a dropout mask on `CubeCL`'s devices, with the same bits as on a CPU.
#[cfg(feature = "cube")]
mod cube {
    use burn::backend::tensor::FloatTensor;
    use burn_cubecl::CubeBackend;
    use burn_cubecl::kernel::into_contiguous;
    use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
    use cubecl::{calculate_cube_count_elemwise, prelude::*};

    use super::DropoutMask;
    use crate::ops::Kernels;

    /// Burn wraps this backend in its fusion backend, for which the factors are an operation like any other.
    impl Kernels for CubeBackend {
        fn dropout_factors(like: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
            let like = into_contiguous(like);
            let (client, shape, dtype) = (like.client.clone(), like.meta.shape().clone(), like.dtype);
            let units = shape.num_elements();
            let output = empty_device_contiguous_dtype(client.clone(), like.device.clone(), shape, dtype);
            let dim = CubeDim::new(&client, units);
            let count = calculate_cube_count_elemwise(&client, units, dim);
            let key = mask.stream.key();
            factors::launch(
                &client,
                count,
                dim,
                output.clone().into_tensor_arg(),
                key as u32,
                (key >> 32) as u32,
                mask.threshold,
                mask.kept_value,
            );
            output
        }
    }

    /// One factor per unit, from 16 bits of a SplitMix64 word. Not every device has 64-bit integers, so each is a pair of
    /// 32-bit ones.
    #[cube(launch)]
    fn factors(output: &mut Tensor<f32>, key_low: u32, key_high: u32, threshold: u32, kept_value: f32) {
        if ABSOLUTE_POS >= output.len() {
            terminate!();
        }
        let position = ABSOLUTE_POS as u32;
        let word = position / 4 + 1;
        // Adds the counter times the golden gamma, 0x9e3779b97f4a7c15, to the key.
        let added_low = word * 0x7f4a_7c15;
        let added_high = u32::mul_hi(word, 0x7f4a_7c15) + word * 0x9e37_79b9;
        let mut low = key_low + added_low;
        let mut high = key_high + added_high;
        if low < added_low {
            high += 1;
        }
        // SplitMix64's finalizer: 0xbf58476d1ce4e5b9 and 0x94d049bb133111eb.
        low ^= (low >> 30) | (high << 2);
        high ^= high >> 30;
        high = u32::mul_hi(low, 0x1ce4_e5b9) + low * 0xbf58_476d + high * 0x1ce4_e5b9;
        low *= 0x1ce4_e5b9;
        low ^= (low >> 27) | (high << 5);
        high ^= high >> 27;
        high = u32::mul_hi(low, 0x1331_11eb) + low * 0x94d0_49bb + high * 0x1331_11eb;
        low *= 0x1331_11eb;
        low ^= (low >> 31) | (high << 1);
        high ^= high >> 31;
        let half = select(position % 4 < 2, low, high);
        let drawn = (half >> ((position % 2) * 16)) & 0xffff;
        output[ABSOLUTE_POS] = select(drawn < threshold, kept_value, 0.0);
    }

    #[cfg(all(test, feature = "wgpu"))]
    mod tests {
        use burn::tensor::{Device, DeviceKind, Tensor};
        use kiln_config::random::{Purpose, Stream};

        use super::*;

        /// Runs on any device of wgpu, including Mesa's driver for CPUs.
        #[test]
        fn the_factors_have_the_bits_of_those_on_a_cpu() {
            for (shape, seed, keep) in [([1, 1], 0, 0.5), ([64, 512], 1, 0.8), ([33, 77], u64::MAX, 0.3)] {
                let mask = DropoutMask::new(Stream::new(seed, Purpose::Dropout, &[seed, 3]), keep, 1.25);
                let mut expected = vec![0.0; shape[0] * shape[1]];
                mask.fill(0, &mut expected);
                let device = Device::wgpu(DeviceKind::DefaultDevice);
                for device in [device.clone(), device.autodiff()] {
                    let found = crate::dropout_factors(Tensor::zeros(shape, &device), mask.clone());
                    let found = found.into_data().try_into_vec::<f32>().expect("32-bit floats");
                    assert_eq!(found, expected, "{shape:?}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_config::random::Purpose;

    use super::*;

    fn mask(start: usize, end: usize) -> Vec<f32> {
        let mask = DropoutMask::new(Stream::new(1, Purpose::Dropout, &[3, 0]), 0.8, 1.25);
        let mut factors = vec![f32::NAN; end - start];
        mask.fill(start, &mut factors);
        factors
    }

    #[test]
    fn any_piece_of_the_mask_is_that_of_the_whole() {
        let whole = mask(0, 200);
        for (start, end) in [(0, 1), (1, 3), (3, 41), (40, 72), (6, 6), (7, 200)] {
            assert_eq!(mask(start, end), whole[start..end], "{start}..{end}");
        }
    }

    #[test]
    fn the_share_that_is_dropped_is_the_probability() {
        let dropped = mask(0, 100_000).into_iter().filter(|value| *value == 0.0).count();
        assert!((f64::from(dropped as u32) / 1e5 - 0.2).abs() < 0.005, "{dropped}");
    }
}
