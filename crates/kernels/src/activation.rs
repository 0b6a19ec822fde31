//! Activations with their slopes.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use kiln_config::Activation;

use crate::elementary::{exp, exp_m1, sigmoid, tanh};

/// PyTorch's `negative_slope` of `LeakyReLU`.
pub(crate) const LEAKY_SLOPE: f32 = 0.01;

/// The constants of SELU, for which the mean 0 and the variance 1 are kept from layer to layer.
pub(crate) const SELU_SCALE: f32 = 1.050_701;
pub(crate) const SELU_ALPHA: f32 = 1.673_263_2;

/// Values that are worked off together: two vectors of the widest kind.
const WIDTH: usize = 32;

/// Replaces every value by its activation, and writes the slope there into `slopes`, unless that is empty.
#[inline(always)]
pub(crate) fn activate(function: Activation, values: &mut [f32], slopes: &mut [f32]) {
    match function {
        Activation::Identity => slopes.fill(1.0),
        // A NaN is not zero: it must reach the loss, where it is found.
        Activation::Relu => {
            each(values, slopes, |z| (if z <= 0.0 { 0.0 } else { z }, if z <= 0.0 { 0.0 } else { 1.0 }));
        }
        Activation::LeakyRelu => each(values, slopes, |z| {
            (if z <= 0.0 { LEAKY_SLOPE * z } else { z }, if z <= 0.0 { LEAKY_SLOPE } else { 1.0 })
        }),
        Activation::Tanh => each(values, slopes, |z| {
            let tanh = tanh(z);
            (tanh, 1.0 - tanh * tanh)
        }),
        Activation::Sigmoid => each(values, slopes, |z| {
            let sigmoid = sigmoid(z);
            (sigmoid, sigmoid * (1.0 - sigmoid))
        }),
        Activation::Silu => each(values, slopes, |z| {
            let sigmoid = sigmoid(z);
            (z * sigmoid, sigmoid * (1.0 + z * (1.0 - sigmoid)))
        }),
        Activation::Softplus => each(values, slopes, |z| {
            let positive = if z <= 0.0 { 0.0 } else { z };
            (positive + libm::log1pf(exp(-z.abs())), sigmoid(z))
        }),
        Activation::Selu => each(values, slopes, |z| {
            let below = SELU_SCALE * SELU_ALPHA * exp_m1(z);
            let slope = below + SELU_SCALE * SELU_ALPHA;
            if z > 0.0 { (SELU_SCALE * z, SELU_SCALE) } else { (below, slope) }
        }),
        // With w = e^x, tanh(ln(1 + w)) is (w^2 + 2 w) / (w^2 + 2 w + 2), in powers that do not overflow.
        Activation::Mish => each(values, slopes, |z| {
            let w = exp(-z.abs());
            let (above, below) = if z > 0.0 { (1.0 + 2.0 * w, 2.0 * w * w) } else { (w * w + 2.0 * w, 2.0) };
            let tanh = above / (above + below);
            (z * tanh, tanh + z * (1.0 - tanh * tanh) * sigmoid(z))
        }),
        Activation::Gelu => each(values, slopes, |z| {
            let below = 0.5 * (1.0 + libm::erff(z * FRAC_1_SQRT_2));
            let density = exp(-0.5 * z * z) / (2.0 * PI).sqrt();
            (z * below, below + z * density)
        }),
    }
}

#[inline(always)]
fn each(values: &mut [f32], slopes: &mut [f32], function: impl Fn(f32) -> (f32, f32)) {
    if slopes.is_empty() {
        for value in values {
            *value = function(*value).0;
        }
        return;
    }
    let (blocks, rest) = values.as_chunks_mut::<WIDTH>();
    let (block_slopes, rest_slopes) = slopes.as_chunks_mut::<WIDTH>();
    for (values, slopes) in blocks.iter_mut().zip(block_slopes) {
        // On copies of its own the compiler sees that nothing overlaps, and works on whole vectors.
        let (mut activated, mut slope) = ([0.0; WIDTH], [0.0; WIDTH]);
        for (at, value) in values.iter().enumerate() {
            (activated[at], slope[at]) = function(*value);
        }
        (*values, *slopes) = (activated, slope);
    }
    for (value, slope) in rest.iter_mut().zip(rest_slopes) {
        (*value, *slope) = function(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 10] = [
        Activation::Identity,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Softplus,
        Activation::Gelu,
        Activation::Selu,
        Activation::Mish,
    ];

    fn at(function: Activation, z: f32) -> (f32, f32) {
        let (mut values, mut slopes) = ([z; WIDTH + 1], [0.0; WIDTH + 1]);
        activate(function, &mut values, &mut slopes);
        let mut alone = [z];
        activate(function, &mut alone, &mut []);
        if !z.is_nan() {
            assert_eq!(values.map(f32::to_bits), [alone[0].to_bits(); WIDTH + 1]);
            assert_eq!(slopes.map(f32::to_bits), [slopes[0].to_bits(); WIDTH + 1]);
        }
        (values[0], slopes[0])
    }

    #[test]
    fn the_slope_is_that_of_the_values() {
        for function in ALL {
            for z in [-7.3, -1.0, -0.1, 0.2, 1.5, 6.0] {
                let (h, slope) = (1e-2, at(function, z).1);
                let measured = (at(function, z + h).0 - at(function, z - h).0) / (2.0 * h);
                assert!((slope - measured).abs() < 2e-4, "{function:?} at {z}: {slope}, measured {measured}");
            }
        }
    }

    #[test]
    fn nan_is_never_hidden() {
        assert!(ALL.into_iter().all(|function| at(function, f32::NAN).0.is_nan()));
    }
}
