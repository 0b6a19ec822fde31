//! The outcome of one trial with one seed, read from its run folder; its verdicts; and whether its network is linear.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_artifacts::{MetricRow, MetricScope, Run, RunState};
use kiln_config::facts::{AT_LEAST_0, number};
use kiln_config::{Experiment, Model};
use kiln_data::{Batching, DataFolders, DataSet, EpochBatches, NoProgress, load};
use kiln_diagnosis::{Finding, FindingKind, Severity, layers};
use kiln_evaluation::{
    FIGURES, METRICS_FILE, Metrics, PREDICTIONS_FILE, Predictions, findings_of_run, weight_count,
};
use kiln_files::sha256_hex;
use kiln_model::{Fused, MODEL_FILE, Mlp, Parameter, Pass, parameters_from_safetensors, with_parameters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::work::TrialRun;

/// The state of one trial with one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SeedState")]
pub enum SeedState {
    /// Trained and tested.
    Finished,
    /// It failed.
    Failed,
    /// Not done yet.
    Open,
}

/// The outcome of one trial with one seed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrialOutcome {
    /// Number of the trial, from 0.
    #[serde(skip)]
    pub trial: usize,
    /// The seed.
    pub seed: u64,
    /// Its state.
    pub state: SeedState,
    /// Why it failed; null otherwise.
    pub error: Option<String>,
    /// The run folder.
    pub run: Option<PathBuf>,
    /// Figures by name, such as `test_accuracy`; a figure that was not measured is left out.
    #[schemars(with = "BTreeMap<String, Option<f64>>")]
    pub figures: BTreeMap<String, f64>,
    /// Training figures by epoch.
    #[serde(skip)]
    pub epochs: Vec<MetricRow>,
    /// The findings of the run, as in the run's own report.
    pub findings: Vec<Finding>,
    /// The gradient norm of each layer, first to last, at the first measurement.
    #[serde(skip)]
    pub layer_gradients: Vec<f64>,
    /// SHA-256 of the metric log; equal hashes mean equal computations.
    pub trace_sha256: Option<String>,
    /// Whether each test example was predicted correctly; only if predictions were stored.
    #[serde(skip)]
    pub predictions: Option<Vec<bool>>,
}

impl TrialOutcome {
    /// Reads what the run folder contains. `error` is the error of the latest attempt to train it, if any.
    pub(crate) fn read(trial_run: &TrialRun, error: Option<&String>) -> Self {
        let found = trial_run.stored_run();
        let state = match (&found, error) {
            (Some((_, RunState::Finished)), _) => SeedState::Finished,
            (Some((_, RunState::Failed)), _) | (_, Some(_)) => SeedState::Failed,
            _ => SeedState::Open,
        };
        let mut outcome = Self {
            trial: trial_run.trial,
            seed: trial_run.seed,
            state,
            error: error.cloned(),
            run: None,
            figures: BTreeMap::new(),
            epochs: Vec::new(),
            findings: Vec::new(),
            layer_gradients: Vec::new(),
            trace_sha256: None,
            predictions: None,
        };
        if let Some((run, _)) = found {
            outcome.fill(&run, trial_run);
        }
        outcome
    }

    /// A figure by name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    /// True if it was trained and tested.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == SeedState::Finished
    }

    /// Whether the run has a finding of this kind that is more than information.
    pub(crate) fn has(&self, kind: FindingKind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind && finding.severity > Severity::Info)
    }

    fn fill(&mut self, run: &Run, trial_run: &TrialRun) {
        self.run = Some(run.folder().to_owned());
        let rows = run.metric_rows().unwrap_or_default();
        let epochs = rows.iter().filter(|row| row.split == "train" && row.scope == MetricScope::Epoch);
        self.epochs = epochs.cloned().collect();
        self.layer_gradients = first_gradients(&rows);
        if let Ok(status) = run.status() {
            if self.state == SeedState::Failed {
                self.error = status.error.clone().or(self.error.take());
            }
            if self.state != SeedState::Open {
                self.findings =
                    findings_of_run(run, &rows, &status, &trial_run.experiment).unwrap_or_default();
            }
            self.note("seconds", Some(status.elapsed_seconds));
            if let Some(test) = status.test {
                self.note("test_accuracy", Some(test.accuracy));
                self.note("test_loss", Some(test.loss));
            }
        }
        self.note_rows(&rows);
        self.note_evaluation(&run.evaluation("test").join(METRICS_FILE));
        self.note("parameters", weight_count(run, None).map(|count| count as f64));
        if self.is_finished() {
            let predictions = Predictions::read(&run.evaluation("test").join(PREDICTIONS_FILE)).ok();
            self.predictions = predictions.map(|found| found.is_right().collect());
            self.trace_sha256 = fs::read(run.metrics()).ok().map(|bytes| sha256_hex(&bytes));
        }
    }

    /// The last epoch's figures.
    fn note_rows(&mut self, rows: &[MetricRow]) {
        for split in ["train", "validation"] {
            let last = rows.iter().rfind(|row| row.split == split && row.scope == MetricScope::Epoch);
            for figure in ["loss", "accuracy"] {
                self.note(&format!("{split}_{figure}"), last.and_then(|row| row.figure(figure)));
            }
        }
    }

    /// The figures of the test split's evaluation, if it was stored.
    fn note_evaluation(&mut self, path: &Path) {
        let Ok(found) = Metrics::read(path) else { return };
        if let Some(active) = found.dropout_active {
            self.note("dropout_active_accuracy", Some(active.accuracy));
            self.note("dropout_active_loss", active.loss);
        }
        for key in figures_of_predictions() {
            self.note(key, found.figure(key));
        }
    }

    fn note(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.figures.insert(name.to_owned(), value);
        }
    }
}

fn first_gradients(rows: &[MetricRow]) -> Vec<f64> {
    let norms = |row: &MetricRow| -> Vec<f64> {
        layers(row).iter().filter_map(|layer| layer.figure("gradient_norm")).collect()
    };
    rows.iter().map(norms).find(|norms| !norms.is_empty()).unwrap_or_default()
}

/// Keys of the figures that come from test predictions, except accuracy and loss: those carry the name of their split.
pub(crate) fn figures_of_predictions() -> impl Iterator<Item = &'static str> {
    FIGURES.iter().map(|row| row.key).filter(|key| !["accuracy", "loss"].contains(key))
}

/// A word for the outcome of a trial with one seed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Verdict {
    /// Worse than the best trial, on the training data too.
    Underfit,
    /// Close to the best trial, and as good on new examples as on the training data.
    Fit,
    /// Better on the training data than on new examples.
    Overfit,
    /// The run has the finding `vanishing`.
    Vanishing,
    /// The run has the finding `exploding` or `non-finite`.
    Exploding,
    /// The network computes the same as one linear layer.
    Linear,
    /// The run failed.
    Failed,
}

impl Verdict {
    /// The word as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Thresholds of the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Rules")]
pub struct VerdictRules {
    /// A trial overfits if its training accuracy is above its test accuracy by more than this, and it does not
    /// underfit.
    #[schemars(transform = number(AT_LEAST_0))]
    pub overfit_gap: f64,
    /// A trial underfits if its training and its test accuracy are both below the best trial's test accuracy with the
    /// same seed by more than this; or its test accuracy alone, if it does not overfit.
    #[schemars(transform = number(AT_LEAST_0))]
    pub underfit_margin: f64,
}

impl Default for VerdictRules {
    fn default() -> Self {
        Self { overfit_gap: 0.05, underfit_margin: 0.03 }
    }
}

/// The difference between a deep linear network's outputs and those of one layer, as a share of the greatest output,
/// that 32-bit rounding can explain.
const ROUNDING: f64 = 1e-4;

/// All verdicts of `outcome`; `best` is the best test accuracy of any trial with its seed.
pub(crate) fn verdicts_of(
    outcome: &TrialOutcome,
    best: Option<f64>,
    collapse: Option<&Collapse>,
    rules: &VerdictRules,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    verdicts.extend(fit(outcome, best, rules));
    if outcome.has(FindingKind::Vanishing) {
        verdicts.push(Verdict::Vanishing);
    }
    if outcome.has(FindingKind::Exploding) || outcome.has(FindingKind::NonFinite) {
        verdicts.push(Verdict::Exploding);
    }
    if collapse.is_some_and(|collapse| collapse.relative_difference <= ROUNDING) {
        verdicts.push(Verdict::Linear);
    }
    if outcome.state == SeedState::Failed {
        verdicts.push(Verdict::Failed);
    }
    verdicts
}

/// Training accuracy minus test accuracy, and the name of the test figure. Training figures are measured with dropout
/// active, so the test figure with dropout active is used if there is one.
pub(crate) fn gap(outcome: &TrialOutcome) -> Option<(f64, &'static str)> {
    let train = outcome.figure("train_accuracy")?;
    let name = ["dropout_active_accuracy", "test_accuracy"];
    let name = name.into_iter().find(|name| outcome.figure(name).is_some())?;
    Some((train - outcome.figure(name)?, name))
}

fn fit(outcome: &TrialOutcome, best: Option<f64>, rules: &VerdictRules) -> Option<Verdict> {
    if !outcome.is_finished() {
        return None;
    }
    let (gap, _) = gap(outcome)?;
    let is_below = |name: &str| Some(best? - outcome.figure(name)? > rules.underfit_margin);
    let (test_is_below, train_is_below) = (is_below("test_accuracy")?, is_below("train_accuracy")?);
    Some(if test_is_below && train_is_below {
        Verdict::Underfit
    } else if gap > rules.overfit_gap || outcome.has(FindingKind::Overfit) {
        Verdict::Overfit
    } else if test_is_below {
        Verdict::Underfit
    } else {
        Verdict::Fit
    })
}

/// How close a deep network is to one linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Collapse {
    /// Layers of the deep network.
    pub layers: usize,
    /// The greatest difference between the outputs of the network and of the one layer, over all test examples.
    #[schemars(with = "Option<f64>")]
    pub greatest_difference: f64,
    /// That difference as a share of the greatest output.
    #[schemars(with = "Option<f64>")]
    pub relative_difference: f64,
    /// Test examples that the two classify differently.
    pub other_predictions: usize,
    /// Test examples.
    pub examples: usize,
}

/// A linear map: `x` times `weight`, plus `bias`.
#[derive(Clone, Debug, PartialEq)]
struct Linear {
    inputs: usize,
    /// Shape [inputs, outputs], row-major.
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// Multiplies out the layers of the run's last network, and compares the outputs of that single layer with those of the
/// network on the test data. `None` if the network or its data cannot be read.
pub(crate) fn collapse(run: &Run, experiment: &Experiment) -> Option<Collapse> {
    let store = run.checkpoint_store();
    let checkpoint = store.load(store.last().ok()??).ok()?;
    let parameters = parameters_from_safetensors(checkpoint.files.get(MODEL_FILE)?).ok()?;
    let data = load(&experiment.data, experiment.seed, &DataFolders::from_environment(), &NoProgress).ok()?;
    let device = kiln_backend::select(&experiment.backend).ok()?.device;
    let build = |model: &Model, parameters: &[Parameter]| {
        let shape = [data.features(), data.class_count()];
        let experiment = Experiment { model: model.clone(), ..experiment.clone() };
        let mlp = Mlp::new(&experiment, shape, Fused::On, &device).ok()?;
        with_parameters(mlp, parameters).ok()
    };
    let layers = linear_layers(&parameters)?;
    let product = layers.iter().skip(1).fold(layers.first()?.clone(), |product, next| product.then(next));
    let deep = build(&experiment.model, &parameters)?;
    let single = build(&Model { hidden: Vec::new(), ..experiment.model.clone() }, &product.parameters())?;
    Some(compare(&deep, &single, &data, layers.len(), &device))
}

/// The layers in order; a missing bias counts as zeros.
fn linear_layers(parameters: &[Parameter]) -> Option<Vec<Linear>> {
    let by_name: BTreeMap<&str, &Parameter> =
        parameters.iter().map(|parameter| (parameter.name.as_str(), parameter)).collect();
    let mut layers = Vec::new();
    while let Some(weight) = by_name.get(format!("layers.{}.weight", layers.len()).as_str()) {
        let [inputs, outputs] = weight.shape[..] else { return None };
        let bias = by_name.get(format!("layers.{}.bias", layers.len()).as_str());
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let bias = bias.map_or_else(|| vec![0.0; outputs], |bias| wide(&bias.values));
        layers.push(Linear { inputs, weight: wide(&weight.values), bias });
    }
    Some(layers)
}

impl Linear {
    /// This map followed by `next`, as one map.
    fn then(&self, next: &Self) -> Self {
        let rows = self.weight.chunks(next.inputs);
        let weight = rows.flat_map(|row| next.apply(row)).collect();
        let through = next.apply(&self.bias);
        let bias = through.iter().zip(&next.bias).map(|(through, bias)| through + bias).collect();
        Self { inputs: self.inputs, weight, bias }
    }

    /// `row` times the weights.
    fn apply(&self, row: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.bias.len()];
        for (value, weights) in row.iter().zip(self.weight.chunks(self.bias.len())) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        sums
    }

    fn parameters(&self) -> [Parameter; 2] {
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let outputs = self.bias.len();
        [
            Parameter {
                name: "layers.0.weight".to_owned(),
                shape: vec![self.inputs, outputs],
                values: narrow(&self.weight),
            },
            Parameter { name: "layers.0.bias".to_owned(), shape: vec![outputs], values: narrow(&self.bias) },
        ]
    }
}

fn compare(
    deep: &Mlp,
    single: &Mlp,
    data: &DataSet,
    layers: usize,
    device: &burn::tensor::Device,
) -> Collapse {
    let normalizer = Arc::new(data.normalizer.clone());
    let (mut difference, mut greatest, mut other_predictions) = (0.0_f64, 0.0_f64, 0);
    for batch in EpochBatches::new(&data.test, &normalizer, &Batching::in_order(256), 0, 0, device) {
        let outputs = |mlp: &Mlp| -> Vec<f32> {
            let output = mlp.forward(batch.features.clone(), Pass::Inference);
            output.into_data().try_to_vec().expect("outputs are 32-bit floats")
        };
        let (deep, single) = (outputs(deep), outputs(single));
        for (deep, single) in deep.chunks(data.class_count()).zip(single.chunks(data.class_count())) {
            other_predictions += usize::from(argmax(deep) != argmax(single));
            for (deep, single) in deep.iter().zip(single) {
                difference = difference.max(f64::from(deep - single).abs());
                greatest = greatest.max(f64::from(*deep).abs());
            }
        }
    }
    let relative_difference = difference / greatest.max(f64::MIN_POSITIVE);
    let examples = data.test.len();
    Collapse { layers, greatest_difference: difference, relative_difference, other_predictions, examples }
}

fn argmax(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|&left, &right| values[left].total_cmp(&values[right]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A failure of this kind.
    pub(crate) fn finding(kind: FindingKind) -> Finding {
        let (statement, remedies, evidence) = (String::new(), Vec::new(), Vec::new());
        Finding { kind, severity: Severity::Failure, statement, remedies, evidence }
    }

    /// A finished outcome of trial 0 with these figures.
    pub(crate) fn outcome(figures: &[(&str, f64)]) -> TrialOutcome {
        TrialOutcome {
            trial: 0,
            seed: 0,
            state: SeedState::Finished,
            error: None,
            run: None,
            figures: figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            epochs: Vec::new(),
            findings: Vec::new(),
            layer_gradients: Vec::new(),
            trace_sha256: None,
            predictions: None,
        }
    }

    fn words(outcome: &TrialOutcome) -> Vec<&'static str> {
        verdicts_of(outcome, Some(0.95), None, &VerdictRules::default())
            .into_iter()
            .map(Verdict::as_str)
            .collect()
    }

    #[test]
    fn accuracies_decide_between_underfit_fit_and_overfit() {
        for (train, test, expected) in
            [(0.80, 0.80, "underfit"), (0.96, 0.94, "fit"), (1.0, 0.94, "overfit"), (0.9, 0.8, "underfit")]
        {
            assert_eq!(words(&outcome(&[("train_accuracy", train), ("test_accuracy", test)])), [expected]);
        }
    }

    #[test]
    fn training_figures_are_compared_with_the_test_figures_with_dropout_active() {
        let figures = [("train_accuracy", 0.93), ("test_accuracy", 0.94), ("dropout_active_accuracy", 0.80)];
        assert_eq!(words(&outcome(&figures)), ["overfit"]);
    }

    #[test]
    fn gradients_and_failures_have_their_own_verdicts() {
        let mut vanishing = outcome(&[("train_accuracy", 0.1), ("test_accuracy", 0.1)]);
        vanishing.findings = vec![finding(FindingKind::Vanishing)];
        assert_eq!(words(&vanishing), ["underfit", "vanishing"]);
        let mut failed = outcome(&[]);
        failed.state = SeedState::Failed;
        assert_eq!(words(&failed), ["failed"]);
        failed.findings = vec![finding(FindingKind::NonFinite)];
        assert_eq!(words(&failed), ["exploding", "failed"]);
    }

    #[test]
    fn two_layers_multiplied_out_are_the_product_by_hand() {
        let first = Linear { inputs: 2, weight: vec![1.0, 2.0, 3.0, 4.0], bias: vec![1.0, -1.0] };
        let second = Linear { inputs: 2, weight: vec![2.0, 0.0, 1.0, -1.0], bias: vec![0.5, 0.0] };
        let product = first.then(&second);
        assert_eq!(product.weight, [4.0, -2.0, 10.0, -4.0]);
        assert_eq!(product.bias, [1.5, 1.0]);
    }
}
