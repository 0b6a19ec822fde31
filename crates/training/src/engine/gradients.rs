//! Gradients of a whole network: accumulation, norm and clipping.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use kiln_config::Training;
use kiln_model::Mlp;
use rayon::prelude::*;

use super::host;

/// PyTorch's guard against a division by zero in `clip_grad_norm_`.
pub(super) const NORM_EPSILON: f64 = 1e-6;

/// The gradient of every parameter, flattened, in the fixed order of [`Mlp::parameters`].
pub(crate) struct Gradients {
    entries: Vec<Tensor<1>>,
    on_host: bool,
}

impl Gradients {
    /// Takes the gradients of `mlp` out of Burn's container.
    pub(crate) fn new(mlp: &Mlp, mut params: GradientsParams, on_host: bool) -> Self {
        let mut entries = Vec::new();
        for layer in mlp.layers() {
            let weight = params.remove::<2>(layer.weight.id);
            entries.push(weight.expect("every weight takes part in the loss").flatten::<1>(0, 1));
            if let Some(bias) = &layer.bias {
                entries.push(params.remove::<1>(bias.id).expect("every bias takes part in the loss"));
            }
        }
        Self { entries, on_host }
    }

    /// Adds the gradients of another batch.
    pub(crate) fn add(self, other: Self) -> Self {
        let entries = self.entries.into_iter().zip(other.entries).map(|(sum, entry)| sum + entry).collect();
        Self { entries, on_host: self.on_host }
    }

    /// Divides by the number of batches that were added up.
    pub(crate) fn mean_of(self, batches: usize) -> Self {
        if batches == 1 { self } else { self.scale(1.0 / batches as f64) }
    }

    /// The 2-norm of each parameter's gradient.
    pub(crate) fn norms(&mut self) -> Vec<f64> {
        if !self.on_host {
            let squares = self.entries.iter().map(|entry| entry.clone().square().sum()).collect();
            let data = Tensor::cat(squares, 0).into_data().try_into_vec::<f32>();
            let squares = data.expect("all of Kiln's float tensors are 32-bit");
            return squares.into_iter().map(|square| f64::from(square).sqrt()).collect();
        }
        self.entries
            .iter_mut()
            .map(|entry| {
                let device = entry.device();
                let values = host::take(std::mem::replace(entry, Tensor::empty([0], &device)));
                let norm = sum_of_squares(&values).sqrt();
                *entry = host::give(values, &device);
                norm
            })
            .collect()
    }

    /// Clips as `training` asks, by value first, then by the global norm.
    pub(crate) fn clip(self, training: &Training) -> Self {
        let mut clipped = match training.max_value {
            Some(bound) => {
                let entries = self.entries.into_iter().map(|entry| entry.clamp(-bound, bound)).collect();
                Self { entries, on_host: self.on_host }
            }
            None => self,
        };
        let Some(max_norm) = training.max_norm else { return clipped };
        let norm = global_norm(&clipped.norms());
        let factor = max_norm / (norm + NORM_EPSILON);
        if factor < 1.0 { clipped.scale(factor) } else { clipped }
    }

    /// The entries, one per parameter.
    pub(crate) fn into_entries(self) -> std::vec::IntoIter<Tensor<1>> {
        self.entries.into_iter()
    }

    fn scale(self, factor: f64) -> Self {
        let entries = self.entries.into_iter().map(|entry| entry * factor).collect();
        Self { entries, on_host: self.on_host }
    }
}

/// The 2-norm over all parameters from the norm of each.
pub(crate) fn global_norm(norms: &[f64]) -> f64 {
    norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}

/// Lanes that are summed apart, so that the loop can use vector instructions.
const LANES: usize = 16;

/// Lanes that are added in single precision before they go on in double.
const BLOCK: usize = 256;
/// Blocks that one thread takes at a time.
const BLOCKS: usize = 16;

fn sum_of_squares(values: &[f32]) -> f64 {
    // Pieces have fixed ends and are added in order: the number of threads does not change the sum.
    let pieces = values.par_chunks(LANES * BLOCK * BLOCKS).map(|piece| {
        let (chunks, rest) = piece.as_chunks::<LANES>();
        let blocks: f64 = chunks.chunks(BLOCK).map(sum_of_block).sum();
        blocks + rest.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>()
    });
    pieces.collect::<Vec<f64>>().into_iter().sum()
}

fn sum_of_block(block: &[[f32; LANES]]) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    for chunk in block {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value * value;
        }
    }
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_squares_is_that_of_double_precision() {
        let values: Vec<f32> = (0..100_003).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        let expected: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
        assert!((sum_of_squares(&values) / expected - 1.0).abs() < 1e-6);
        assert_eq!(sum_of_squares(&[]), 0.0);
        assert!(sum_of_squares(&[f32::NAN; 40]).is_nan());
    }
}
