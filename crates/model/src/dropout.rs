//! Dropout after a hidden activation, on tensors.

use burn::tensor::{Tensor, TensorData};
use kiln_config::DropoutMode;
use kiln_cpu::{Dropout, Pass};

/// Drops units of `layer`'s activations, shape [batch, units].
pub(crate) fn drop_units(dropout: &Dropout, activations: Tensor<2>, layer: usize, pass: Pass) -> Tensor<2> {
    if dropout.probability == 0.0 {
        return activations;
    }
    match (pass, dropout.mode) {
        (Pass::Inference, DropoutMode::Inverted) => activations,
        (Pass::Inference, DropoutMode::Standard) => activations * (1.0 - dropout.probability),
        (Pass::Training { step }, _) => {
            let [batch, units] = activations.dims();
            let mut factors = vec![0.0; batch * units];
            dropout.mask(step, layer).fill(0, &mut factors);
            // Without the autodiff mark the mask is a constant: no gradient is computed for it.
            let mask = TensorData::new(factors, [batch, units]);
            let mask = Tensor::from_data(mask, &activations.device());
            activations * mask
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

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
            values(drop_units(&dropout(DropoutMode::Inverted), ones(), layer, Pass::Training { step }))
        };
        assert_eq!(drop(0, 3), drop(0, 3));
        assert_ne!(drop(0, 3), drop(1, 3));
        assert_ne!(drop(0, 3), drop(0, 4));
    }

    #[test]
    fn inverted_keeps_the_mean_and_standard_scales_at_inference() {
        let ones = || Tensor::<2>::ones([100, 1000], &Device::flex());
        let inverted =
            values(drop_units(&dropout(DropoutMode::Inverted), ones(), 0, Pass::Training { step: 1 }));
        let mean = inverted.iter().sum::<f32>() / 100_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(inverted.iter().all(|&value| value == 0.0 || value == 1.25));

        let standard = dropout(DropoutMode::Standard);
        let dropped = values(drop_units(&standard, ones(), 0, Pass::Training { step: 1 }));
        assert!(dropped.iter().all(|&value| value == 0.0 || value == 1.0));
        assert!(values(drop_units(&standard, ones(), 0, Pass::Inference)).iter().all(|&value| value == 0.8));
    }
}
