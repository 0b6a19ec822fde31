//! One pass over a split.

use std::sync::Arc;

use burn::tensor::Device;
use burn::train::InferenceStep;
use kiln_data::{Batching, Epoch, Profile, Split};
use kiln_model::{Model, StepOutput, Tally};
use schemars::JsonSchema;
use serde::Serialize;

use crate::Predictions;

/// Whole-split figures; they do not depend on the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PassFigures {
    /// Mean loss; NaN, which is null in JSON, where it is not finite.
    #[schemars(with = "Option<f64>")]
    pub loss: f64,
    /// Share of examples whose most probable class is the true one, in [0, 1].
    #[schemars(with = "Option<f64>")]
    pub accuracy: f64,
    /// Examples seen.
    pub examples: u64,
}

/// Examples in a batch with dropout left on. Fixed, because the masks depend on it.
const DROPOUT_BATCH: usize = 256;

/// Loss and accuracy of `model` on every example of `split` with dropout left on: not the way to test a network, but the
/// way some published figures were measured. Batches are of 256 examples in the split's order, and batch number n, from
/// 0, drops the units that step n of training drops, so that the figures are the same every time.
#[must_use]
pub fn evaluate_with_dropout(
    model: &impl Model,
    profile: &Profile,
    split: &Split,
    device: &Device,
) -> PassFigures {
    // Within the pool, a parallel operation begins on this thread; from outside it would hand over and wait.
    let (mut tally, model) = (Tally::default(), model.clone());
    rayon::scope(|_| {
        let model = model;
        for batch in batches(profile, split, DROPOUT_BATCH, device).for_training(0) {
            tally.merge(&InferenceStep::step(&model, batch.into()).tally());
        }
    });
    PassFigures { loss: tally.loss(), accuracy: tally.accuracy(), examples: tally.examples }
}

/// Predicts every example of `split` in inference mode: the one pass that all of an evaluation follows from.
///
/// The predicted class is that of the greatest output, the first of several that are equal; an output that is NaN is
/// never the greatest. `class_weights` are those of the loss, one for each class, or none.
///
/// # Panics
/// Where `model` has not an output for each class of `profile`.
#[must_use]
pub fn predict(
    model: &impl Model,
    profile: &Profile,
    split: &Split,
    batch_size: usize,
    class_weights: &[f64],
    device: &Device,
) -> Predictions {
    let classes = profile.classes.len();
    let mut predicted = Vec::with_capacity(split.len());
    let mut probabilities = Vec::with_capacity(split.len() * classes);
    let mut losses = Vec::with_capacity(split.len());
    let model = model.clone();
    rayon::scope(|_| {
        let model = model;
        for batch in batches(profile, split, batch_size, device) {
            let found = InferenceStep::step(&model, batch.into()).predicted();
            losses.extend(found.losses.into_iter().map(f64::from));
            // A GPU's exponential function can be a little above 1.
            probabilities.extend(found.probabilities.into_iter().map(|value| value.clamp(0.0, 1.0)));
            predicted.extend(found.classes);
        }
    });
    let truth = split.labels().to_vec();
    let weights = example_weights(class_weights, &truth);
    let predictions = Predictions::new(profile.classes.clone(), truth, predicted, probabilities, losses);
    let weighted = predictions.and_then(|predictions| match weights {
        Some(weights) => predictions.with_weights(weights),
        None => Ok(predictions),
    });
    let lines: Option<Vec<u32>> = (0..split.len()).map(|position| split.line(position)).collect();
    let weighted = weighted.and_then(|predictions| match lines {
        Some(lines) if !lines.is_empty() => predictions.with_lines(lines),
        _ => Ok(predictions),
    });
    weighted.expect("a network gives each example as many outputs as there are classes")
}

fn batches(profile: &Profile, split: &Split, batch_size: usize, device: &Device) -> Epoch {
    let normalizer = Arc::new(profile.normalizer.clone());
    Epoch::new(split, &normalizer, &Batching::in_order(batch_size), 0, 0, device)
}

/// The weight of each example in the mean loss, which is in single precision; none where all count the same.
fn example_weights(class_weights: &[f64], truth: &[u32]) -> Option<Vec<f64>> {
    let weight = |class: u32| f64::from(class_weights[class as usize] as f32);
    let differ = class_weights.iter().any(|weight| *weight != 1.0);
    differ.then(|| truth.iter().map(|&class| weight(class)).collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kiln_config::{ClassWeights, Data, DataSource, Experiment, LossName, Output};
    use kiln_data::{DataSet, Folders, NoProgress};
    use kiln_model::{Fused, Mlp};

    use super::*;
    use crate::{Evaluation, EvaluationSettings, Metrics};

    struct Setup {
        mlp: Mlp,
        experiment: Experiment,
        data: DataSet,
    }

    impl Setup {
        /// An untrained network for the embedded digits.
        fn new(fused: Fused, change: impl Fn(&mut Experiment)) -> Self {
            let data = Data { source: DataSource::Digits, ..Data::default() };
            let mut experiment = Experiment { data, seed: 1, ..Experiment::default() };
            experiment.model.hidden = vec![16];
            change(&mut experiment);
            let folders = Folders { data_dir: None, cache: PathBuf::new() };
            let data = kiln_data::load(&experiment.data, 1, &folders, &NoProgress).unwrap();
            let shape = [data.features(), data.class_count()];
            let mlp = Mlp::new(&experiment, shape, fused, &Device::flex()).unwrap();
            Self { mlp, experiment, data }
        }

        fn predict(&self, batch_size: usize) -> Predictions {
            let profile = Profile::of(&self.data);
            let weights = self.experiment.loss.class_weights.each();
            predict(&self.mlp, &profile, &self.data.test, batch_size, weights, &Device::flex())
        }

        /// The figures as training logs them.
        fn tally(&self) -> Tally {
            let mut tally = Tally::default();
            for batch in batches(&Profile::of(&self.data), &self.data.test, DROPOUT_BATCH, &Device::flex()) {
                tally.merge(&InferenceStep::step(&self.mlp, batch).tally());
            }
            tally
        }

        /// The figures of the test pass.
        fn figures(&self) -> Metrics {
            let settings = EvaluationSettings { resamples: 0, ..EvaluationSettings::default() };
            Evaluation::new(&self.predict(DROPOUT_BATCH), &settings).unwrap().metrics
        }

        fn with_dropout(&self) -> PassFigures {
            let profile = Profile::of(&self.data);
            evaluate_with_dropout(&self.mlp, &profile, &self.data.test, &Device::flex())
        }
    }

    #[test]
    fn predictions_say_what_the_training_log_says() {
        let configs: [fn(&mut Experiment); 5] = [
            |_| {},
            |experiment| experiment.loss.name = LossName::Nll,
            |experiment| {
                experiment.loss.class_weights =
                    ClassWeights::Each((1..=10).map(|class| f64::from(class) / 4.0).collect());
            },
            |experiment| experiment.loss.label_smoothing = 0.1,
            |experiment| {
                experiment.loss.name = LossName::Mse;
                experiment.model.output = Output::Sigmoid;
            },
        ];
        for (config, fused) in configs.into_iter().flat_map(|it| [(it, Fused::Off), (it, Fused::On)]) {
            let setup = Setup::new(fused, config);
            let (predictions, metrics) = (setup.predict(DROPOUT_BATCH), setup.figures());
            let logged = setup.tally();
            assert!((metrics.figure("loss").unwrap() / logged.loss() - 1.0).abs() < 1e-12, "{metrics:?}");
            assert_eq!((metrics.accuracy(), metrics.examples), (logged.accuracy(), logged.examples));
            let sums = (0..predictions.len()).map(|at| predictions.probabilities(at).iter().sum::<f32>());
            assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn batches_of_any_size_predict_the_same() {
        let setup = Setup::new(Fused::On, |_| {});
        let whole = setup.predict(1000);
        for batch_size in [1, 7, 64] {
            let parts = setup.predict(batch_size);
            assert_eq!((parts.truth(), parts.predicted()), (whole.truth(), whole.predicted()));
            for at in 0..whole.len() {
                let pairs = parts.probabilities(at).iter().zip(whole.probabilities(at));
                assert!(pairs.into_iter().all(|(part, whole)| (part - whole).abs() < 1e-6));
                assert!((parts.loss()[at] - whole.loss()[at]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn dropout_left_on_changes_the_figures_the_same_way_every_time() {
        let without = Setup::new(Fused::On, |_| {});
        assert_eq!(Some(without.with_dropout().loss), without.figures().figure("loss"));
        let with = Setup::new(Fused::On, |experiment| experiment.model.dropout = 0.5);
        assert_eq!(with.with_dropout(), with.with_dropout());
        assert_ne!(Some(with.with_dropout().loss), with.figures().figure("loss"));
    }
}
