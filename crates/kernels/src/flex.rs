//! The kernels on flex, Burn's CPU backend, with and without autodiff.
//!
//! A flex tensor is a slice in memory, so the kernels read and write it without a copy. Under autodiff, each operation is
//! one node of Burn's graph: `prepare` registers the node, the forward pass saves its state, and a [`Backward`]
//! implementation computes the gradients of the parents that need one.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::tensor::{DType, Tensor, TensorData};

use crate::functions;
use crate::linear::{self, Sizes};
use crate::ops::{EmbeddedColumns, Kernels, composed, constant_factors};
use crate::periodic::{self, Saved, Weights};
use crate::{DropoutMask, Epilogue, Fused};

impl Kernels for Flex {
    fn linear(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        epilogue: Epilogue,
        fused: Fused,
    ) -> FlexTensor {
        if fused.is_off() {
            return composed::linear::<Self>(input, weight, bias, epilogue);
        }
        let layer = Layer::new(&input, &weight);
        layer.forward(&bias, &epilogue, false).0
    }

    fn periodic(
        features: FlexTensor,
        frequency: FlexTensor,
        phase: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        embedded: EmbeddedColumns,
        fused: Fused,
    ) -> FlexTensor {
        let learned = [frequency, phase, weight, bias];
        if fused.is_off() {
            return composed::periodic::<Self>(features, learned, &embedded);
        }
        embed(&features, &learned, &embedded).0
    }

    fn cross_entropy(logits: FlexTensor, targets: FlexTensor, fused: Fused) -> FlexTensor {
        if fused.is_off() {
            return composed::cross_entropy::<Self>(logits, targets);
        }
        let (_, classes) = matrix(&logits);
        let losses = functions::cross_entropy(&mut take(logits), &classes_of(&targets), classes);
        vector(losses)
    }
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epilogue: Epilogue,
        fused: Fused,
    ) -> FloatTensor<Self> {
        if fused.is_off() {
            return composed::linear::<Self>(input, weight, bias, epilogue);
        }
        let (input, input_node) = input.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let layer = Layer::new(&input, &weight);
        let prepared = LinearBackward.prepare::<C>([input_node, weight_node, bias_node]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (outputs, slopes) = layer.forward(&bias, &epilogue, true);
                prepared.finish((layer, slopes), outputs)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(layer.forward(&bias, &epilogue, false).0),
        }
    }

    fn periodic(
        features: FloatTensor<Self>,
        frequency: FloatTensor<Self>,
        phase: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        embedded: EmbeddedColumns,
        fused: Fused,
    ) -> FloatTensor<Self> {
        if fused.is_off() {
            return composed::periodic::<Self>(features, [frequency, phase, weight, bias], &embedded);
        }
        let (features, _) = features.into_parts();
        let parts = [frequency, phase, weight, bias].map(FloatTensor::<Self>::into_parts);
        let learned = parts.each_ref().map(|(tensor, _)| tensor.clone());
        let prepared = PeriodicBackward.prepare::<C>(parts.map(|(_, node)| node));
        let (output, saved, sizes) = embed(&features, &learned, &embedded);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [_, _, weight, _] = learned;
                prepared.finish((weight.to_contiguous(), saved, sizes), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }

    fn cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>, fused: Fused) -> FloatTensor<Self> {
        if fused.is_off() {
            return composed::cross_entropy::<Self>(logits, targets);
        }
        let (logits, node) = logits.into_parts();
        let (batch, classes) = matrix(&logits);
        let targets = classes_of(&targets);
        match CrossEntropyBackward.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let mut softmax = take(logits);
                let losses = functions::cross_entropy(&mut softmax, &targets, classes);
                let softmax = FlexTensor::from_data(TensorData::new(softmax, [batch, classes]));
                prepared.finish((softmax, targets), vector(losses))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(vector(functions::cross_entropy(&mut take(logits), &targets, classes)))
            }
        }
    }

    fn dropout_factors(like: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        constant_factors::<Flex, C>(like, mask)
    }
}

/// Input and weight of a linear layer, row-major.
#[derive(Clone, Debug)]
struct Layer {
    input: FlexTensor,
    weight: FlexTensor,
    sizes: Sizes,
}

impl Layer {
    fn new(input: &FlexTensor, weight: &FlexTensor) -> Self {
        let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
        let ((batch, width), (inputs, outputs)) = (matrix(&input), matrix(&weight));
        assert_eq!(width, inputs, "a linear layer of {inputs} inputs cannot take {width}");
        Self { input, weight, sizes: Sizes { batch, inputs, outputs } }
    }

    /// The outputs and, if requested and not all 1, their derivatives by the values before the epilogue.
    fn forward(
        &self,
        bias: &FlexTensor,
        epilogue: &Epilogue,
        with_slopes: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let Sizes { batch, outputs, .. } = self.sizes;
        let bias = bias.to_contiguous();
        let (input, weight) = (slice(&self.input), slice(&self.weight));
        let forward = linear::forward(input, weight, slice(&bias), self.sizes, epilogue, with_slopes);
        let tensor = |values| FlexTensor::from_data(TensorData::new(values, [batch, outputs]));
        (tensor(forward.outputs), (!forward.slopes.is_empty()).then(|| tensor(forward.slopes)))
    }
}

/// The backward pass of a linear layer. Its state is the layer and the slopes of its outputs.
#[derive(Debug)]
struct LinearBackward;

impl Backward<Flex, 3> for LinearBackward {
    type State = (Layer, Option<FlexTensor>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (layer, slopes) = ops.state;
        let gradient = take(gradients.consume::<Flex>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let slopes = slopes.as_ref().map_or(&[][..], slice);
        let (input, weight) = (slice(&layer.input), slice(&layer.weight));
        let Sizes { batch, inputs, outputs } = layer.sizes;
        let found = linear::backward(gradient, slopes, input, weight, layer.sizes, wanted);
        let data = [
            found.input.map(|values| TensorData::new(values, [batch, inputs])),
            found.weight.map(|values| TensorData::new(values, [inputs, outputs])),
            found.bias.map(|values| TensorData::new(values, [outputs])),
        ];
        for (parent, data) in ops.parents.into_iter().zip(data) {
            if let (Some(parent), Some(data)) = (parent, data) {
                gradients.register::<Flex>(parent.id, FlexTensor::from_data(data));
            }
        }
    }
}

/// The output of an embedding, and the state for its backward pass.
fn embed(
    features: &FlexTensor,
    learned: &[FlexTensor; 4],
    embedded: &EmbeddedColumns,
) -> (FlexTensor, Saved, periodic::Sizes) {
    let (features, learned) = (features.to_contiguous(), learned.each_ref().map(FlexTensor::to_contiguous));
    let (batch, width) = matrix(&features);
    let shape = learned[2].shape();
    assert_eq!(shape.num_dims(), 3, "expected weights [numbers, waves, size], found shape {shape:?}");
    let sizes =
        periodic::Sizes { batch, features: width, numbers: shape[0], waves: shape[1], size: shape[2] };
    assert_eq!(embedded.columns.len(), sizes.numbers, "a column for every number");
    let [frequency, phase, weight, bias] = learned.each_ref().map(slice);
    let learned = Weights { frequency, phase, weight, bias };
    let (output, saved) = periodic::forward(slice(&features), &embedded.columns, learned, sizes);
    (FlexTensor::from_data(TensorData::new(output, [batch, sizes.width()])), saved, sizes)
}

/// The backward pass of an embedding of numbers.
#[derive(Debug)]
struct PeriodicBackward;

impl Backward<Flex, 4> for PeriodicBackward {
    type State = (FlexTensor, Saved, periodic::Sizes);

    fn backward(self, ops: Ops<Self::State, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (weight, saved, sizes) = ops.state;
        let gradient = take(gradients.consume::<Flex>(&ops.node));
        let [frequency, phase, mixing, bias] = periodic::backward(&gradient, slice(&weight), &saved, sizes);
        let vector = |values: Vec<f32>| {
            let length = values.len();
            TensorData::new(values, [length])
        };
        let mixing = TensorData::new(mixing, [sizes.numbers, sizes.waves, sizes.size]);
        let data = [vector(frequency), vector(phase), mixing, vector(bias)];
        for (parent, data) in ops.parents.into_iter().zip(data) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, FlexTensor::from_data(data));
            }
        }
    }
}

/// The backward pass of the cross-entropy. Its state is the softmax and the classes.
#[derive(Debug)]
struct CrossEntropyBackward;

impl Backward<Flex, 1> for CrossEntropyBackward {
    type State = (FlexTensor, Vec<usize>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (softmax, targets) = ops.state;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let [Some(parent)] = ops.parents else { return };
        let (batch, classes) = matrix(&softmax);
        let mut values = take(softmax);
        functions::cross_entropy_backward(&mut values, &targets, slice(&gradient));
        gradients
            .register::<Flex>(parent.id, FlexTensor::from_data(TensorData::new(values, [batch, classes])));
    }
}

fn matrix(tensor: &FlexTensor) -> (usize, usize) {
    let shape = tensor.shape();
    assert_eq!(shape.num_dims(), 2, "expected a matrix, found shape {shape:?}");
    (shape[0], shape[1])
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let shape = [values.len()];
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The values of a contiguous tensor.
fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of 32-bit floats")
}

/// The values, without a copy if this is the only reference to the tensor.
fn take(tensor: FlexTensor) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
}

fn classes_of(targets: &FlexTensor) -> Vec<usize> {
    let targets = targets.to_contiguous();
    match targets.dtype() {
        DType::I32 => indices(targets.as_slice::<i32>(), |&class| class as usize),
        _ => indices(targets.as_slice::<i64>(), |&class| class as usize),
    }
}

fn indices<E>(values: Option<&[E]>, index: impl Fn(&E) -> usize) -> Vec<usize> {
    values.expect("class numbers are 32- or 64-bit").iter().map(index).collect()
}

/// The tensor as a flex tensor; `None` on other backends and under autodiff.
pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    tensor.clone().try_into_primitive::<Flex>().ok().map(|tensor| tensor.to_contiguous())
}

pub(crate) fn softmax(logits: FlexTensor) -> FlexTensor {
    let (batch, classes) = matrix(&logits);
    let mut values = take(logits);
    functions::cross_entropy(&mut values, &vec![0; batch], classes);
    FlexTensor::from_data(TensorData::new(values, [batch, classes]))
}

pub(crate) fn hits(scores: &FlexTensor, targets: &FlexTensor) -> FlexTensor {
    let (_, classes) = matrix(scores);
    let rows = slice(scores).chunks_exact(classes).zip(classes_of(targets));
    let hits: i64 = rows.map(|(row, target)| i64::from(functions::greatest(row) == target)).sum();
    FlexTensor::from_data(TensorData::new(vec![hits], [1]))
}

pub(crate) fn square_sum(tensor: &FlexTensor) -> FlexTensor {
    vector(vec![functions::square_sum(slice(tensor)) as f32])
}
