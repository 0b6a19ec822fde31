//! One pass over a split.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use kiln_backend::Selected;
use kiln_data::{Batching, Epoch, Profile, Split};
use kiln_model::{Loss, Mlp, Pass, Predictor, Tally};
use serde::Serialize;

use crate::Predictions;

/// Whole-split figures; they do not depend on the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PassFigures {
    /// Mean loss.
    pub loss: f64,
    /// Share of examples whose most probable class is the true one, in [0, 1].
    pub accuracy: f64,
    /// Examples seen.
    pub examples: u64,
}

/// Examples in a batch with dropout left on. Fixed, because the masks depend on it.
const DROPOUT_BATCH: usize = 256;

/// Loss and accuracy of `mlp` on every example of `split` with dropout left on: not the way to test a network,
/// but the way some published figures were measured. Batches are of 256 examples in the split's order, and batch number n, from 0, drops the
/// units that step n of training drops, so that the figures are the same every time.
#[must_use]
pub fn evaluate_with_dropout(
    mlp: &Mlp,
    loss: &Loss,
    profile: &Profile,
    split: &Split,
    backend: &Selected,
) -> PassFigures {
    // Within the pool, a parallel operation begins on this thread; from outside it would hand over and wait.
    let mut predictor = Predictor::new(mlp, loss, backend.fused);
    let mut tally = Tally::default();
    rayon::scope(|_| {
        for batch in batches(profile, split, DROPOUT_BATCH, backend) {
            let pass = Pass::Training { step: batch.step };
            let weights = loss.target_weights(batch.targets.clone());
            let predicted = predictor.predict(batch.features, batch.targets, pass);
            let hits = predicted.classes.iter().zip(&batch.labels).filter(|(found, label)| found == label);
            let sum = predicted.losses.iter().copied().map(f64::from).sum();
            let weight = values(weights).into_iter().map(f64::from).sum();
            tally.add_sum(sum, weight, hits.count() as u64, batch.labels.len() as u64);
        }
    });
    PassFigures { loss: tally.loss(), accuracy: tally.accuracy(), examples: tally.examples }
}

/// Predicts every example of `split` in inference mode: the one pass that all of an evaluation follows from.
///
/// The predicted class is that of the greatest output, the first of several that are equal; an output that
/// is NaN is never the greatest.
///
/// # Panics
/// Where `mlp` has not an output for each class of `profile`.
#[must_use]
pub fn predict(
    mlp: &Mlp,
    loss: &Loss,
    profile: &Profile,
    split: &Split,
    batch_size: usize,
    backend: &Selected,
) -> Predictions {
    let classes = profile.classes.len();
    let mut predicted = Vec::with_capacity(split.len());
    let mut probabilities = Vec::with_capacity(split.len() * classes);
    let mut losses = Vec::with_capacity(split.len());
    let mut predictor = Predictor::new(mlp, loss, backend.fused);
    rayon::scope(|_| {
        for batch in batches(profile, split, batch_size, backend) {
            let found = predictor.predict(batch.features, batch.targets, Pass::Inference);
            losses.extend(found.losses.into_iter().map(f64::from));
            // A GPU's exponential function can be a little above 1.
            probabilities.extend(found.probabilities.into_iter().map(|value| value.clamp(0.0, 1.0)));
            predicted.extend(found.classes);
        }
    });
    let truth = split.labels().to_vec();
    let weights = example_weights(loss, &truth, classes, &backend.device);
    let predictions = Predictions::new(profile.classes.clone(), truth, predicted, probabilities, losses);
    let weighted = predictions.and_then(|predictions| match weights {
        Some(weights) => predictions.with_weights(weights),
        None => Ok(predictions),
    });
    weighted.expect("a network gives each example as many outputs as there are classes")
}

fn batches(profile: &Profile, split: &Split, batch_size: usize, backend: &Selected) -> Epoch {
    let normalizer = Arc::new(profile.normalizer.clone());
    Epoch::new(split, &normalizer, &Batching::in_order(batch_size), 0, 0, &backend.device)
}

/// The weight of each example in the mean loss; none where no class has a weight of its own.
fn example_weights(loss: &Loss, truth: &[u32], classes: usize, device: &Device) -> Option<Vec<f64>> {
    let every_class = Tensor::<1, Int>::arange(0..i64::from(classes as u32), device);
    let weights = values(loss.target_weights(every_class));
    let differ = weights.iter().any(|weight| *weight != 1.0);
    differ.then(|| truth.iter().map(|&class| f64::from(weights[class as usize])).collect())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kiln_config::{BackendName, Data, DataSource, Experiment, LossName, Output};
    use kiln_data::{DataSet, Folders, NoProgress};

    use super::*;
    use crate::{Evaluation, EvaluationSettings, Metrics};

    struct Setup {
        mlp: Mlp,
        loss: Loss,
        data: DataSet,
        backend: Selected,
    }

    impl Setup {
        /// An untrained network for the embedded digits.
        fn new(change: impl Fn(&mut Experiment)) -> Self {
            let data = Data { source: DataSource::Digits, ..Data::default() };
            let mut experiment = Experiment { data, ..Experiment::default() };
            experiment.model.hidden = vec![16];
            change(&mut experiment);
            let folders = Folders { data_dir: None, cache: PathBuf::new() };
            let data = kiln_data::load(&experiment.data, 1, &folders, &NoProgress).unwrap();
            let backend = Selected {
                device: Device::flex(),
                name: BackendName::Flex,
                reason: String::new(),
                adapter: String::new(),
                on_host: true,
                threads: 1,
                fused: true,
            };
            let shape = [data.features(), data.class_count()];
            let mlp = Mlp::new(&experiment.model, experiment.loss.name, shape, 1, &backend.device).unwrap();
            let loss = Loss::new(&experiment.loss, data.class_count()).unwrap();
            Self { mlp, loss, data, backend }
        }

        fn predict(&self, batch_size: usize) -> Predictions {
            let profile = Profile::of(&self.data);
            predict(&self.mlp, &self.loss, &profile, &self.data.test, batch_size, &self.backend)
        }

        /// The figures as training logs them.
        fn tally(&self) -> Tally {
            let mut tally = Tally::default();
            for batch in batches(&Profile::of(&self.data), &self.data.test, DROPOUT_BATCH, &self.backend) {
                let output = self.mlp.forward(batch.features, Pass::Inference);
                self.loss.tally(output, batch.targets, &mut tally);
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
            evaluate_with_dropout(&self.mlp, &self.loss, &profile, &self.data.test, &self.backend)
        }
    }

    #[test]
    fn predictions_say_what_the_training_log_says() {
        let configs: [fn(&mut Experiment); 5] = [
            |_| {},
            |experiment| experiment.loss.name = LossName::Nll,
            |experiment| {
                experiment.loss.class_weights = (1..=10).map(|class| f64::from(class) / 4.0).collect();
            },
            |experiment| experiment.loss.label_smoothing = 0.1,
            |experiment| {
                experiment.loss.name = LossName::Mse;
                experiment.model.output = Output::Sigmoid;
            },
        ];
        for (config, fused) in configs.into_iter().flat_map(|config| [(config, false), (config, true)]) {
            let mut setup = Setup::new(config);
            setup.backend.fused = fused;
            let (predictions, metrics) = (setup.predict(DROPOUT_BATCH), setup.figures());
            let logged = setup.tally();
            // Burn, which logs here, sums in another order than Kiln's own kernels.
            let tolerance = if fused { 1e-7 } else { 1e-12 };
            assert!((metrics.loss.unwrap() / logged.loss() - 1.0).abs() < tolerance, "{metrics:?}");
            assert_eq!((metrics.accuracy, metrics.examples), (logged.accuracy(), logged.examples));
            let sums = (0..predictions.len()).map(|at| predictions.probabilities(at).iter().sum::<f32>());
            assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn batches_of_any_size_predict_the_same() {
        let setup = Setup::new(|_| {});
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
        let without = Setup::new(|_| {});
        assert_eq!(Some(without.with_dropout().loss), without.figures().loss);
        let with = Setup::new(|experiment| experiment.model.dropout = 0.5);
        assert_eq!(with.with_dropout(), with.with_dropout());
        assert_ne!(Some(with.with_dropout().loss), with.figures().loss);
    }
}
