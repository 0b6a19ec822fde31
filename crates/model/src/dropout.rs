//! Dropout whose mask is a pure function of (seed, step, layer).

use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::DropoutMode;
use kiln_config::random::{Purpose, Stream};

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Every unit is kept: validation, test, prediction.
    Inference,
    /// Units are dropped with the mask of this step: training, or a test with dropout left on.
    Training {
        /// Batches trained on before this one.
        step: u64,
    },
}

/// Dropout after a hidden activation.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// Probability that a unit is dropped, in [0, 1).
    pub probability: f64,
    /// Where the scaling happens.
    pub mode: DropoutMode,
    /// Seed of the masks.
    pub seed: u64,
}

/// Random bits spent on a unit: the drop probability is met to 1 / 65,536.
const BITS: u32 = 16;

impl Dropout {
    /// Drops units of `layer`'s activations, shape [batch, units].
    #[must_use]
    pub fn forward(&self, activations: Tensor<2>, layer: usize, pass: Pass) -> Tensor<2> {
        if self.probability == 0.0 {
            return activations;
        }
        match (pass, self.mode) {
            (Pass::Inference, DropoutMode::Inverted) => activations,
            (Pass::Inference, DropoutMode::Standard) => activations * (1.0 - self.probability),
            (Pass::Training { step }, _) => {
                let [batch, units] = activations.dims();
                let mask = self.mask(batch, units, step, layer, &activations.device());
                activations * mask
            }
        }
    }

    /// The mask of shape [batch, units]: 0 where dropped; where kept 1, or 1 / keep probability if inverted.
    fn mask(&self, batch: usize, units: usize, step: u64, layer: usize, device: &Device) -> Tensor<2> {
        let keep = 1.0 - self.probability;
        let kept_value = match self.mode {
            DropoutMode::Inverted => (1.0 / keep) as f32,
            DropoutMode::Standard => 1.0,
        };
        let threshold = (keep * f64::from(1_u32 << BITS)).round() as u64;
        let mut stream = Stream::new(self.seed, Purpose::Dropout, &[step, layer as u64]);
        let mut values = vec![0.0_f32; batch * units];
        for chunk in values.chunks_mut((u64::BITS / BITS) as usize) {
            let mut bits = stream.next_u64();
            for value in chunk {
                *value = if (bits & 0xffff) < threshold { kept_value } else { 0.0 };
                bits >>= BITS;
            }
        }
        // Without the autodiff mark the mask is a constant: no gradient is computed for it.
        Tensor::from_data(TensorData::new(values, [batch, units]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropout(mode: DropoutMode) -> Dropout {
        Dropout { probability: 0.2, mode, seed: 1 }
    }

    fn values(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("a float tensor")
    }

    #[test]
    fn masks_depend_on_step_and_layer_alone() {
        let ones = || Tensor::<2>::ones([8, 50], &Device::flex());
        let drop = |layer, step| {
            values(dropout(DropoutMode::Inverted).forward(ones(), layer, Pass::Training { step }))
        };
        assert_eq!(drop(0, 3), drop(0, 3));
        assert_ne!(drop(0, 3), drop(1, 3));
        assert_ne!(drop(0, 3), drop(0, 4));
    }

    #[test]
    fn inverted_keeps_the_mean_and_standard_scales_at_inference() {
        let ones = || Tensor::<2>::ones([100, 1000], &Device::flex());
        let inverted = values(dropout(DropoutMode::Inverted).forward(ones(), 0, Pass::Training { step: 1 }));
        let mean = inverted.iter().sum::<f32>() / 100_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(inverted.iter().all(|&value| value == 0.0 || value == 1.25));

        let standard = dropout(DropoutMode::Standard);
        let dropped = values(standard.forward(ones(), 0, Pass::Training { step: 1 }));
        assert!(dropped.iter().all(|&value| value == 0.0 || value == 1.0));
        assert!(values(standard.forward(ones(), 0, Pass::Inference)).iter().all(|&value| value == 0.8));
    }
}
