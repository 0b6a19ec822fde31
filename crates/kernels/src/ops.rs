//! The operations as an extension of Burn's backends: one trait, and the same operations composed from Burn's own.
//!
//! The composed bodies are the defaults of the trait, also under autodiff. Three users depend on them: backends without a
//! kernel here, flex with [`Fused::Off`], and the tests, which compare the kernels with them.

#![cfg_attr(
    feature = "ndarray",
    allow(deprecated, reason = "burn-ndarray is one of the backends that Kiln offers")
)]

use std::sync::Arc;

use burn::backend::Autodiff;
#[cfg(feature = "cube")]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, Scalar, TensorMetadata, backend_extension};
use burn::tensor::{Shape, TensorData};
use kiln_config::Activation;

use crate::functions::{LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE};
use crate::{DropoutMask, Dropping, Epilogue, Fused};

/// The numbers of an example that get a periodic embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedColumns {
    /// Their indices among the features.
    pub columns: Arc<[usize]>,
}

/// Kiln's operations. To add a backend, list it here and implement the trait for it; an empty implementation computes
/// the composed bodies.
#[backend_extension(
    Flex,
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
    Autodiff
)]
pub trait Kernels: Backend {
    /// See [`linear`](crate::linear()).
    #[fusion(default)]
    fn linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epilogue: Epilogue,
        fused: Fused,
    ) -> FloatTensor<Self> {
        let _ = fused;
        composed::linear::<Self>(input, weight, bias, epilogue)
    }

    /// See [`cross_entropy`](crate::cross_entropy).
    #[fusion(default)]
    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>, fused: Fused) -> FloatTensor<Self> {
        let _ = fused;
        composed::cross_entropy::<Self>(logits, targets)
    }

    /// See [`periodic`](crate::periodic()).
    #[fusion(default)]
    fn periodic(
        features: FloatTensor<Self>,
        frequency: FloatTensor<Self>,
        phase: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        embedded: EmbeddedColumns,
        fused: Fused,
    ) -> FloatTensor<Self> {
        let _ = fused;
        composed::periodic::<Self>(features, [frequency, phase, weight, bias], &embedded)
    }

    /// See [`dropout_factors`](crate::dropout_factors). Under autodiff the factors are constants.
    #[fusion(dtype = like, shape = like)]
    fn dropout_factors(like: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        composed::dropout_factors::<Self>(&like.shape(), &mask, &like.device())
    }
}

#[cfg(feature = "ndarray")]
impl Kernels for NdArray {}

#[cfg(feature = "ndarray")]
impl<C: CheckpointStrategy> Kernels for Autodiff<NdArray, C> {
    fn dropout_factors(like: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        constant_factors::<NdArray, C>(like, mask)
    }
}

#[cfg(feature = "cube")]
impl<C: CheckpointStrategy> Kernels for Autodiff<Cube, C> {
    fn dropout_factors(like: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        constant_factors::<Cube, C>(like, mask)
    }
}

/// The factors as constants of the autodiff graph, without a gradient.
pub(crate) fn constant_factors<B: Kernels, C: CheckpointStrategy>(
    like: FloatTensor<Autodiff<B, C>>,
    mask: DropoutMask,
) -> FloatTensor<Autodiff<B, C>> {
    use burn::backend::AutodiffBackend;
    Autodiff::<B, C>::from_inner(B::dropout_factors(like.into_primitive(), mask))
}

/// The operations composed from Burn's own.
pub(crate) mod composed {
    use super::{
        Activation, Backend, Device, DropoutMask, Dropping, EmbeddedColumns, Epilogue, FloatTensor,
        IntTensor, Kernels, LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE, Scalar, Shape, TensorData, TensorMetadata,
    };

    pub(crate) fn linear<B: Kernels>(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        epilogue: Epilogue,
    ) -> FloatTensor<B> {
        let outputs = bias.shape()[0];
        let bias = B::float_reshape(bias, Shape::new([1, outputs]));
        let values = B::float_add(B::float_matmul(input, weight), bias);
        let values = activate::<B>(epilogue.activation, values);
        match epilogue.dropping {
            Dropping::None => values,
            Dropping::Scale(factor) => B::float_mul_scalar(values, factor.into()),
            Dropping::Mask(mask) => {
                let factors = B::dropout_factors(values.clone(), mask);
                B::float_mul(values, factors)
            }
        }
    }

    pub(crate) fn activate<B: Backend>(function: Activation, values: FloatTensor<B>) -> FloatTensor<B> {
        match function {
            Activation::Identity => values,
            Activation::Relu => B::relu(values),
            Activation::LeakyRelu => B::leaky_relu(values, Scalar::from(LEAKY_SLOPE)),
            Activation::Tanh => B::float_tanh(values),
            Activation::Sigmoid => B::sigmoid(values),
            Activation::Silu => B::float_mul(values.clone(), B::sigmoid(values)),
            Activation::Gelu => B::gelu(values),
            Activation::Selu => {
                let below = B::float_exp(B::float_clamp_max(values.clone(), 0_f32.into()));
                let below = B::float_mul_scalar(B::float_sub_scalar(below, 1_f32.into()), SELU_ALPHA.into());
                B::float_mul_scalar(B::float_add(B::relu(values), below), SELU_SCALE.into())
            }
            Activation::Mish => {
                let softplus = activate::<B>(Activation::Softplus, values.clone());
                B::float_mul(values, B::float_tanh(softplus))
            }
            Activation::Softplus => {
                let below = B::float_exp(B::float_neg(B::float_abs(values.clone())));
                B::float_add(B::relu(values), B::float_log1p(below))
            }
        }
    }

    pub(crate) fn cross_entropy<B: Backend>(logits: FloatTensor<B>, targets: IntTensor<B>) -> FloatTensor<B> {
        let batch = targets.shape()[0];
        let targets = B::int_reshape(targets, Shape::new([batch, 1]));
        let chosen = B::float_gather(1, B::log_softmax(logits, 1), targets);
        B::float_neg(B::float_reshape(chosen, Shape::new([batch])))
    }

    pub(crate) fn periodic<B: Backend>(
        features: FloatTensor<B>,
        [frequency, phase, weight, bias]: [FloatTensor<B>; 4],
        embedded: &EmbeddedColumns,
    ) -> FloatTensor<B> {
        let (batch, device) = (features.shape()[0], features.device());
        let [numbers, count, size] = [0, 1, 2].map(|dimension| weight.shape()[dimension]);
        let places: Vec<i64> = embedded.columns.iter().map(|&column| i64::from(column as u32)).collect();
        let places = B::int_from_data(TensorData::new(places, [numbers]), &device);
        let values =
            B::float_reshape(B::float_select(features.clone(), 1, places), Shape::new([batch, numbers, 1]));
        let each = |tensor: FloatTensor<B>| B::float_reshape(tensor, Shape::new([1, numbers, count]));
        let turns = B::float_add(B::float_mul(values, each(frequency)), each(phase));
        let cosines = B::float_cos(B::float_mul_scalar(turns, std::f64::consts::TAU.into()));
        let mixed = B::float_matmul(B::float_swap_dims(cosines, 0, 1), weight);
        let mixed = B::float_add(mixed, B::float_reshape(bias, Shape::new([numbers, 1, size])));
        let mixed = B::float_reshape(B::float_swap_dims(mixed, 0, 1), Shape::new([batch, numbers * size]));
        B::float_cat(vec![features, mixed], 1)
    }

    pub(crate) fn dropout_factors<B: Backend>(
        shape: &Shape,
        mask: &DropoutMask,
        device: &Device<B>,
    ) -> FloatTensor<B> {
        let mut factors = vec![0.0; shape.num_elements()];
        mask.fill(0, &mut factors);
        B::float_from_data(TensorData::new(factors, shape.clone()), device)
    }
}
