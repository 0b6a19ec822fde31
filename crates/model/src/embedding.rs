//! Measured numbers as waves.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_kernels::{Fused, Waves, periodic};

use crate::initialization::{draw, stream};

/// Every number x among the features as `cos(2 pi (f x + p))` for each of its frequencies f and phases p, mixed by a linear
/// layer of its own, behind the features themselves: "PBLD" of Holzmueller and others 2024 ("Better by default"), after
/// Gorishniy and others 2022 ("On embeddings for numerical features"). All of it is learned.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    /// Shape [numbers * waves]: one list, as is what follows, because a layer's weights are known by their dimensions.
    frequency: Param<Tensor<1>>,
    /// In turns, shape [numbers * waves].
    phase: Param<Tensor<1>>,
    /// Shape [numbers, waves, size].
    weight: Param<Tensor<3>>,
    /// Shape [numbers * size].
    bias: Param<Tensor<1>>,
    #[module(skip)]
    columns: Arc<[usize]>,
}

/// Where the random numbers of an embedding begin, apart from those of any layer.
const PART: u64 = u64::MAX;

impl Embedding {
    /// The embedding of member number `member`, from 0, of the features in `columns`.
    pub(crate) fn new(
        model: &kiln_config::Model,
        columns: &[usize],
        member: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let (numbers, waves, size) = (columns.len(), model.embedding_frequencies, model.embedding_size);
        let stream = &mut stream(member, PART, seed);
        let frequency = draw(numbers * waves, || stream.normal() * model.embedding_scale);
        let phase = draw(numbers * waves, || stream.uniform() - 0.5);
        // As a linear layer of PyTorch's starts.
        let bound = (waves as f64).sqrt().recip();
        let mut uniform = || (2.0 * stream.uniform() - 1.0) * bound;
        let weight = draw(numbers * waves * size, &mut uniform);
        let bias = draw(numbers * size, &mut uniform);
        let list = |values: Vec<f32>| {
            let length = values.len();
            Param::from_data(TensorData::new(values, [length]), device)
        };
        Self {
            frequency: list(frequency),
            phase: list(phase),
            weight: Param::from_data(TensorData::new(weight, [numbers, waves, size]), device),
            bias: list(bias),
            columns: columns.into(),
        }
    }

    /// The features, shape [batch, features], with those of the waves behind them.
    pub(crate) fn forward(&self, features: Tensor<2>, fused: Fused) -> Tensor<2> {
        let waves = [self.frequency.val(), self.phase.val()];
        let columns = Waves { columns: Arc::clone(&self.columns) };
        periodic(features, waves, self.weight.val(), self.bias.val(), columns, fused)
    }
}
