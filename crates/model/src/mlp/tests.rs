//! The perceptron's loss, alone and in company.

use burn::tensor::Int;
use kiln_config::NumberEmbedding;
use kiln_config::random::{Purpose, Stream};

use super::*;
use crate::{StepOutput, Tally};

/// A mean of batch means would depend on how the examples are cut.
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

/// A network of `members` for four features, the first of which is a number, and its gradients for a batch of eight.
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
        Mlp::with_numbers(&self.experiment, [4, 3], &[0], Fused::On, &self.device).expect("drawn weights fit")
    }

    /// Eight examples, in turn of two parts if `has_folds`; the first has `first` for its number.
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
                1 => gradients.remove::<1>(parameter.id).map(crate::classified::values),
                2 => gradients.remove::<2>(parameter.id).map(crate::classified::values),
                _ => gradients.remove::<3>(parameter.id).map(crate::classified::values),
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
        // The first example is of the part that the first member leaves out.
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
            let softmax = burn::tensor::activation::softmax(member.logits(features(), Pass::Inference), 1);
            crate::classified::values(softmax.inner())
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
