//! The multilayer perceptron as a Burn module, with its loss.
//!
//! With `model.members` above 1 it is an ensemble: several networks see the same batches, each trained as if it were
//! alone, and the ensemble predicts the mean of their probabilities. With `data.folds`, each member leaves out one part
//! of the training data. That part has no influence on the member's gradients, so the member can validate it.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use kiln_config::{Activation, Experiment};
use kiln_data::{Batch, Pass};
use kiln_kernels::{Dropping, Epilogue, Fused, dropout_factors, linear};

use crate::layers::{Embedding, check_weights, layer_widths, start_layer};
use crate::{Classified, Dropout, Loss, Model, ModelError, Probe};

/// A multilayer perceptron, or an ensemble of them: linear layers, with an activation and dropout after each but the
/// last.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The embedding and the layers of a single network.
    embedding: Option<Embedding>,
    layers: Vec<Linear>,
    /// The networks of an ensemble; empty for a single network.
    members: Vec<Network>,
    #[module(skip)]
    config: NetworkConfig,
}

/// A network of an ensemble.
#[derive(Module, Debug)]
struct Network {
    embedding: Option<Embedding>,
    layers: Vec<Linear>,
}

/// The settings of all networks.
#[derive(Clone, Debug)]
struct NetworkConfig {
    activation: Activation,
    dropout: Dropout,
    loss: Loss,
    /// The training data is divided into this many parts, and each member leaves out one; 0 without folds.
    folds: u32,
    fused: Fused,
}

impl Mlp {
    /// Builds the network that `experiment` describes on `device`, for data of this shape: features and classes. An error
    /// if explicit weights or class weights do not fit.
    pub fn new(
        experiment: &Experiment,
        shape: [usize; 2],
        fused: Fused,
        device: &Device,
    ) -> Result<Self, ModelError> {
        Self::with_numbers(experiment, shape, &[], fused, device)
    }

    /// The same for data whose features at the indices `numbers` are measured numbers, which may get an embedding.
    pub fn with_numbers(
        experiment: &Experiment,
        [inputs, classes]: [usize; 2],
        numbers: &[usize],
        fused: Fused,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let Experiment { model, loss, seed, .. } = experiment;
        let loss = Loss::new(loss, model.output, classes)?;
        check_weights(model, [inputs, classes])?;
        let added = model.features_of_numbers(numbers.len());
        let widths = layer_widths(model, [inputs + added, classes]);
        let network = |member: usize| {
            let layers = widths.windows(2).enumerate().map(|(layer, pair)| {
                let shape = [pair[0], pair[1]];
                let start = start_layer(model, [member, layer], shape, *seed);
                linear_layer(start.weight, model.bias.then_some(start.bias), shape, device)
            });
            let embedding = (added > 0).then(|| Embedding::new(model, numbers, member, *seed, device));
            Network { embedding, layers: layers.collect() }
        };
        let dropout = Dropout { probability: model.dropout, mode: model.dropout_mode, seed: *seed };
        let folds = experiment.data.folds as u32;
        let config = NetworkConfig { activation: model.activation, dropout, loss, folds, fused };
        Ok(if model.members == 1 {
            let Network { embedding, layers } = network(0);
            Self { embedding, layers, members: Vec::new(), config }
        } else {
            let members = (0..model.members).map(network).collect();
            Self { embedding: None, layers: Vec::new(), members, config }
        })
    }

    /// The outputs for `features`, shape [batch, inputs]: shape [batch, classes].
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "like the forward passes of Burn's own modules")]
    pub fn forward(&self, features: Tensor<2>, pass: Pass) -> Tensor<2> {
        let logits = self.networks().map(|member| member.logits(features.clone(), pass)).collect();
        self.config.loss.output(mean_of(logits, None))
    }

    /// The linear layers, first to last. Of an ensemble, the layers of its first member.
    #[must_use]
    pub fn layers(&self) -> &[Linear] {
        self.members.first().map_or(&self.layers, |first| &first.layers)
    }

    /// All networks, one or several.
    fn networks(&self) -> impl Iterator<Item = Member<'_>> {
        let Self { embedding, layers, members, config } = self;
        let alone = members.is_empty().then_some((embedding, layers));
        let several = members.iter().map(|Network { embedding, layers }| (embedding, layers));
        let all = alone.into_iter().chain(several).enumerate();
        all.map(move |(number, (embedding, layers))| Member {
            number,
            embedding: embedding.as_ref(),
            layers,
            config,
        })
    }

    /// The objective of a batch, which is the mean loss summed over the members, and the output of the step.
    fn loss(&self, batch: Batch) -> (Tensor<1>, Classified) {
        let NetworkConfig { loss, fused, .. } = &self.config;
        let weights = loss.target_weights(&batch.targets);
        let folds = self.fold_mask(&batch);
        let one = |member: Member<'_>| {
            let logits = member.logits(batch.features.clone(), batch.pass);
            let losses = loss.per_example(logits.clone(), batch.targets.clone(), *fused);
            let mean = match &folds {
                None => loss.mean(losses.clone(), weights.as_ref()),
                Some(folds) => folds.mean(member.number, losses.clone(), weights.as_ref()),
            };
            (mean, logits, losses)
        };
        let mut networks = self.networks();
        let (mut total, logits, mut losses) = one(networks.next().expect("a model has at least one network"));
        let mut all = vec![logits.without_autodiff()];
        for member in networks {
            let (mean, logits, _) = one(member);
            total = total + mean;
            all.push(logits.without_autodiff());
        }
        let is_alone = all.len() == 1;
        let logits = mean_of(all, folds.map(|folds| folds.counted(batch.pass)));
        if !is_alone {
            losses = loss.per_example(logits.clone(), batch.targets.clone().without_autodiff(), *fused);
        }
        let classified = Classified::new(logits, losses, batch.targets);
        (total, classified.with_weights(weights).with_output(loss.output_name(), *fused))
    }

    /// The examples of `batch` that each member learns from; `None` without folds.
    fn fold_mask(&self, batch: &Batch) -> Option<FoldMask> {
        let folds = batch.folds.as_ref()?;
        let members = self.members.len().max(1) as u32;
        let kept = |member: u32| {
            folds.iter().map(move |fold| f32::from(u8::from(member % self.config.folds != *fold)))
        };
        let kept = TensorData::new((0..members).flat_map(kept).collect(), [members as usize, folds.len()]);
        Some(FoldMask { kept: Tensor::from_data(kept, &batch.targets.device()) })
    }
}

/// The examples of a batch that each member learns from.
struct FoldMask {
    /// 1 if the member learns from the example, 0 if it leaves it out; shape [members, batch].
    kept: Tensor<2>,
}

impl FoldMask {
    /// The mean loss over the examples that `member` learns from; 0 if the batch contains no such example. `weights` is
    /// the result of [`Loss::target_weights`]; the losses contain them already.
    fn mean(&self, member: usize, losses: Tensor<1>, weights: Option<&Tensor<1>>) -> Tensor<1> {
        let kept = self.kept.clone().narrow(0, member, 1).squeeze_dim::<1>(0);
        let weight = weights.map_or(kept.clone(), |weights| kept.clone() * weights.clone());
        // Without such an example, the sum is 0 and the divisor must only not be 0.
        (losses * kept).sum() / weight.sum().clamp_min(f32::MIN_POSITIVE)
    }

    /// The members whose probabilities count for each example, as 1 and 0: in training the members that learn from it, in
    /// validation the members that leave it out. Shape [members, batch, 1].
    fn counted(self, pass: Pass) -> Tensor<3> {
        let kept = self.kept.without_autodiff().unsqueeze_dim(2);
        if pass == Pass::Inference { kept.neg() + 1.0 } else { kept }
    }
}

/// The logits of the members' mean probabilities, given the logits of each, shape [batch, classes]. `counted`, shape
/// [members, batch, 1], is 1 for each member that counts and 0 for the others; by default all count.
fn mean_of(mut logits: Vec<Tensor<2>>, counted: Option<Tensor<3>>) -> Tensor<2> {
    if logits.len() == 1 {
        return logits.remove(0);
    }
    let members = logits.len();
    let all: Vec<Tensor<3>> =
        logits.into_iter().map(|logits| log_softmax(logits, 1).unsqueeze_dim(0)).collect();
    let all = Tensor::cat(all, 0);
    let counted = counted.unwrap_or_else(|| Tensor::ones([members, 1, 1], &all.device()));
    // Subtracting the greatest value keeps the exponentials in range. It must be that of a member that counts.
    let masked = (counted.clone().neg() + 1.0) * f64::from(f32::MIN) * 1e-8;
    let greatest = (all.clone() + masked).max_dim(0);
    let counts = counted.clone().sum_dim(0);
    let sum = ((all - greatest.clone()).clamp_max(0.0).exp() * counted).sum_dim(0);
    ((sum / counts).log() + greatest).squeeze_dim(0)
}

/// A reference to one network, alone or in an ensemble.
#[derive(Clone, Copy)]
struct Member<'a> {
    number: usize,
    embedding: Option<&'a Embedding>,
    layers: &'a [Linear],
    config: &'a NetworkConfig,
}

impl Member<'_> {
    /// The logits for `features`, shape [batch, inputs]: shape [batch, classes].
    fn logits(self, features: Tensor<2>, pass: Pass) -> Tensor<2> {
        self.layers.iter().enumerate().fold(self.embedded(features), |input, (index, layer)| {
            let epilogue =
                Epilogue { activation: self.activation_of(index), dropping: self.dropping(index, pass) };
            self.layer(layer, input, epilogue)
        })
    }

    /// The input of the first layer.
    fn embedded(self, features: Tensor<2>) -> Tensor<2> {
        match self.embedding {
            Some(embedding) => embedding.forward(features, self.config.fused),
            None => features,
        }
    }

    fn layer(self, layer: &Linear, input: Tensor<2>, epilogue: Epilogue) -> Tensor<2> {
        let bias = layer.bias.as_ref().map(Param::val);
        linear(input, layer.weight.val(), bias, epilogue, self.config.fused)
    }

    fn is_last(self, layer: usize) -> bool {
        layer + 1 == self.layers.len()
    }

    fn dropping(self, layer: usize, pass: Pass) -> Dropping {
        if self.is_last(layer) {
            Dropping::None
        } else {
            self.config.dropout.dropping([self.number, layer], pass)
        }
    }

    fn activation_of(self, layer: usize) -> Activation {
        if self.is_last(layer) { Activation::Identity } else { self.config.activation }
    }

    /// The outputs of each layer. `parent` is the path of the network in the module.
    fn probes(self, features: Tensor<2>, pass: Pass, parent: &str) -> Vec<Probe> {
        let mut input = self.embedded(features);
        let layers = self.layers.iter().enumerate().map(|(index, layer)| {
            let activation = self.activation_of(index);
            let epilogue = Epilogue { activation, dropping: Dropping::None };
            let outputs = self.layer(layer, input.clone(), epilogue);
            input = match self.dropping(index, pass) {
                Dropping::None => outputs.clone(),
                Dropping::Scale(factor) => outputs.clone() * factor,
                Dropping::Mask(mask) => outputs.clone() * dropout_factors(outputs.clone(), mask),
            };
            Probe { layer: format!("{parent}layers.{index}"), activation, outputs }
        });
        layers.collect()
    }
}

impl TrainStep for Mlp {
    type Input = Batch;
    type Output = Classified;

    fn step(&self, batch: Batch) -> TrainOutput<Classified> {
        let (loss, output) = self.loss(batch);
        TrainOutput::new(self, loss.backward(), output)
    }
}

impl InferenceStep for Mlp {
    type Input = Batch;
    type Output = Classified;

    fn step(&self, batch: Batch) -> Classified {
        self.loss(batch).1
    }
}

impl Model for Mlp {
    fn probes(&self, batch: Batch) -> Vec<Probe> {
        let parent =
            |number| if self.members.is_empty() { String::new() } else { format!("members.{number}.") };
        let of =
            |member: Member<'_>| member.probes(batch.features.clone(), batch.pass, &parent(member.number));
        self.networks().flat_map(of).collect()
    }

    /// Weight decay would shrink the frequencies and so flatten the waves.
    fn is_decayed(&self, path: &str, _: usize) -> bool {
        !matches!(path.rsplit('.').next(), Some("frequency" | "phase"))
    }
}

fn linear_layer(
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    [inputs, outputs]: [usize; 2],
    device: &Device,
) -> Linear {
    Linear {
        weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
        bias: bias.map(|bias| Param::from_data(TensorData::new(bias, [outputs]), device)),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Int;
    use kiln_config::NumberEmbedding;
    use kiln_config::random::{Purpose, Stream};

    use super::*;
    use crate::contract::values;
    use crate::{StepOutput, Tally};

    /// A mean of batch means would depend on the batch size.
    #[test]
    fn a_training_loss_under_class_weights_is_that_of_all_examples_whatever_the_batch() {
        let mut experiment = Experiment::default();
        experiment.model.hidden = vec![8];
        experiment.loss.class_weights = kiln_config::ClassWeights::Each(vec![1.0, 5.0, 20.0]);
        let device = Device::flex().autodiff();
        let mut stream = Stream::new(1, Purpose::Sampling, &[]);
        let features: Vec<f32> = (0..61 * 4).map(|_| stream.normal() as f32).collect();
        let targets: Vec<i64> = (0..61).map(|_| i64::from(stream.below(3) as u32)).collect();
        for fused in [Fused::On, Fused::Off] {
            let mlp = Mlp::new(&experiment, [4, 3], fused, &device).expect("drawn weights fit");
            let loss = |size: usize| {
                let mut tally = Tally::default();
                for (features, targets) in features.chunks(4 * size).zip(targets.chunks(size)) {
                    let batch = Batch {
                        features: Tensor::from_data(
                            TensorData::new(features.to_vec(), [targets.len(), 4]),
                            &device,
                        ),
                        targets: Tensor::<1, Int>::from_data(
                            TensorData::new(targets.to_vec(), [targets.len()]),
                            &device,
                        ),
                        pass: Pass::Training { step: 0 },
                        folds: None,
                    };
                    tally.merge(&TrainStep::step(&mlp, batch).item.tally());
                }
                assert_eq!(tally.examples, 61);
                tally.loss()
            };
            let whole = loss(61);
            assert!([1, 4, 16].into_iter().all(|size| (loss(size) / whole - 1.0).abs() < 1e-6), "{fused:?}");
        }
    }

    /// A perceptron with several members for four features, the first a number, and its gradients for a batch of eight.
    struct Members {
        experiment: Experiment,
        device: Device,
    }

    impl Members {
        fn new(members: usize, folds: usize) -> Self {
            let mut experiment = Experiment::default();
            experiment.model.hidden = vec![8];
            experiment.model.dropout = 0.5;
            experiment.model.members = members;
            experiment.model.number_embedding = NumberEmbedding::Periodic;
            experiment.data.folds = folds;
            Self { experiment, device: Device::flex().autodiff() }
        }

        fn mlp(&self) -> Mlp {
            Mlp::with_numbers(&self.experiment, [4, 3], &[0], Fused::On, &self.device)
                .expect("drawn weights fit")
        }

        /// Eight examples, alternately in two folds if `has_folds`. The number of the first example is `first`.
        fn batch(&self, first: f32, pass: Pass, has_folds: bool) -> Batch {
            let mut stream = Stream::new(1, Purpose::Sampling, &[]);
            let mut features: Vec<f32> = (0..32).map(|_| stream.normal() as f32).collect();
            features[0] = first;
            let targets: Vec<i64> = (0..8).map(|at| at % 3).collect();
            Batch {
                features: Tensor::from_data(TensorData::new(features, [8, 4]), &self.device),
                targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [8]), &self.device),
                pass,
                folds: has_folds.then(|| (0..8).map(|at| at % 2).collect()),
            }
        }

        /// The gradient of each parameter, by path.
        fn gradients(&self, batch: Batch) -> Vec<(String, Vec<f32>)> {
            let mlp = self.mlp();
            let mut gradients = TrainStep::step(&mlp, batch).grads;
            let mut found = Vec::new();
            for parameter in crate::named(&mlp) {
                let values = match parameter.shape.len() {
                    1 => gradients.remove::<1>(parameter.id).map(values),
                    2 => gradients.remove::<2>(parameter.id).map(values),
                    _ => gradients.remove::<3>(parameter.id).map(values),
                };
                found.push((parameter.path, values.expect("a gradient")));
            }
            found
        }
    }

    const TRAINING: Pass = Pass::Training { step: 3 };

    #[test]
    fn a_member_is_trained_as_if_it_were_alone() {
        let [alone, several] = [1, 3].map(|members| {
            let of = Members::new(members, 0);
            of.gradients(of.batch(0.5, TRAINING, false))
        });
        assert_eq!(alone.len() * 3, several.len());
        for (path, gradient) in &alone {
            let first = several.iter().find(|(other, _)| *other == format!("members.0.{path}"));
            assert_eq!(first.map(|(_, gradient)| gradient), Some(gradient), "{path}");
            let second = several.iter().find(|(other, _)| *other == format!("members.1.{path}"));
            assert_ne!(second.map(|(_, gradient)| gradient), Some(gradient), "{path}");
        }
    }

    #[test]
    fn a_member_learns_nothing_from_the_part_that_it_leaves_out() {
        let of = Members::new(2, 2);
        let [one, other] = [0.5, -2.0].map(|first| of.gradients(of.batch(first, TRAINING, true)));
        for ((path, one), (_, other)) in one.iter().zip(&other) {
            // The first member leaves out the fold of the first example.
            assert_eq!(one == other, path.starts_with("members.0."), "{path}");
        }
    }

    #[test]
    fn an_example_is_validated_by_the_members_that_leave_it_out_and_tested_by_all() {
        let of = Members::new(2, 2);
        let mlp = of.mlp();
        let probabilities = |has_folds| {
            let batch = of.batch(0.5, Pass::Inference, has_folds);
            let found = InferenceStep::step(&mlp, batch).predicted();
            found.probabilities.chunks(3).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let features = || of.batch(0.5, Pass::Inference, false).features;
        let each: Vec<Vec<f32>> = mlp
            .networks()
            .map(|member| {
                let softmax =
                    burn::tensor::activation::softmax(member.logits(features(), Pass::Inference), 1);
                values(softmax.inner())
            })
            .collect();
        let (validated, tested) = (probabilities(true), probabilities(false));
        for example in 0..8 {
            for class in 0..3 {
                let [first, second] = [0, 1].map(|member: usize| each[member][3 * example + class]);
                let own = if example % 2 == 0 { first } else { second };
                assert!((validated[example][class] - own).abs() < 1e-6, "{example}, {class}");
                assert!(
                    (tested[example][class] - f32::midpoint(first, second)).abs() < 1e-6,
                    "{example}, {class}"
                );
            }
        }
    }
}
