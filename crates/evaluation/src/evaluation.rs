//! An evaluation of predictions: its figures (`metrics.json`), tables and curves.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kiln_diagnosis::{BaselineFigures, TestFigures};
use rayon::prelude::*;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::calibration::{ReliabilityBin, reliability};
use crate::confidence_intervals::{Bootstrap, ConfidenceIntervals, intervals};
use crate::confusion::{ClassCounts, ClassScores};
use crate::curves::Curves;
use crate::figures::{
    FIGURES, Figure, FigureInputs, FigureNotes, PartialMean, Reason, UndefinedFigure, finite,
};
use crate::ranking::{Ranking, top_k_accuracy};
use crate::{
    Baseline, BaselineModel, Calibration, ClassificationReport, ConfusionMatrix, EvaluationError,
    PassFigures, PrecisionRecallCurves, Predictions, RocCurves, Threshold,
};

/// An evaluation of a split. It follows from the predictions alone, and is equal bit for bit for any order of the examples
/// and any number of threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// All figures.
    pub metrics: Metrics,
    /// The confusion matrix.
    pub confusion: ConfusionMatrix,
    /// The classification report in scikit-learn's layout.
    pub report: ClassificationReport,
    /// The ROC curves.
    pub roc: RocCurves,
    /// The precision-recall curves.
    pub precision_recall: PrecisionRecallCurves,
}

/// The inputs of an evaluation besides the predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationSettings {
    /// Seed of the resamples.
    pub seed: u64,
    /// Resamples for the confidence intervals, fewer for very many examples; 0 for no intervals.
    pub resamples: usize,
    /// Step of the checkpoint that predicted, if known.
    pub checkpoint_step: Option<u64>,
    /// The result of [`crate::evaluate_with_dropout`], if it was measured.
    pub dropout_active: Option<PassFigures>,
    /// The calibration of the probabilities, if any.
    pub calibration: Option<Calibration>,
    /// The decision threshold of the predictions, if any.
    pub threshold: Option<Threshold>,
    /// The accuracy of the most probable class, if a threshold decides.
    pub accuracy_of_probable: Option<f64>,
    /// Baselines on the same examples.
    pub baselines: Vec<Baseline>,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self {
            seed: 42,
            resamples: 1000,
            checkpoint_step: None,
            dropout_active: None,
            calibration: None,
            threshold: None,
            accuracy_of_probable: None,
            baselines: Vec::new(),
        }
    }
}

impl Evaluation {
    /// Evaluates `predictions`.
    ///
    /// # Errors
    /// [`EvaluationError::NoExamples`] if `predictions` is empty.
    pub fn new(predictions: &Predictions, settings: &EvaluationSettings) -> Result<Self, EvaluationError> {
        if predictions.is_empty() {
            return Err(EvaluationError::NoExamples);
        }
        let predictions = &predictions.in_canonical_order();
        let rankings = predictions.has_all_probabilities().then(|| rankings(predictions));
        let curves = Curves::new(predictions, rankings.as_deref());
        let bootstrap = Bootstrap::new(predictions, &rankings.unwrap_or_default());
        let confusion = ConfusionMatrix::new(predictions);
        let metrics = metrics(predictions, &confusion, &curves, &bootstrap, settings);
        let report = ClassificationReport::new(&confusion);
        let (roc, precision_recall) = curves.into_defined();
        Ok(Self { metrics, confusion, report, roc, precision_recall })
    }
}

fn rankings(predictions: &Predictions) -> Vec<Ranking> {
    let classes = 0..predictions.class_count();
    classes.into_par_iter().map(|class| Ranking::of_class(predictions, class)).collect()
}

fn metrics(
    predictions: &Predictions,
    confusion: &ConfusionMatrix,
    curves: &Curves,
    bootstrap: &Bootstrap<'_>,
    settings: &EvaluationSettings,
) -> Metrics {
    let mut notes = FigureNotes::default();
    let counts = confusion.class_counts();
    let scores: Vec<ClassScores> = counts.iter().map(ClassScores::new).collect();
    let support: Vec<u64> = counts.iter().map(|counts| counts.support).collect();
    let draws = bootstrap.draw(settings.seed, settings.resamples);
    let reliability = reliability(predictions);
    let inputs = FigureInputs {
        predictions,
        confusion,
        counts: &counts,
        scores: &scores,
        support: &support,
        curves,
        reliability: reliability.as_deref(),
    };
    let figures = FIGURES.iter().map(|row| (row.key.to_owned(), notes.whole(row.key, (row.of)(&inputs))));
    Metrics {
        examples: predictions.len() as u64,
        checkpoint_step: settings.checkpoint_step,
        calibration: settings.calibration,
        figures: figures.collect(),
        top_k_accuracy: top_k(predictions, &mut notes),
        dropout_active: settings.dropout_active.map(|figures| DropoutActive {
            loss: notes.whole("dropout_active.loss", finite(figures.loss).into()),
            accuracy: figures.accuracy,
        }),
        intervals: (settings.resamples != 0).then(|| intervals(predictions, &draws, settings.seed)),
        classes: class_figures(confusion, curves, &counts, &scores, &mut notes),
        reliability,
        threshold: settings.threshold.clone(),
        accuracy_of_probable: settings.accuracy_of_probable,
        baselines: settings.baselines.clone(),
        non_finite_examples: predictions.non_finite() as u64,
        undefined: notes.undefined,
        by_convention: notes.by_convention,
        partial_means: notes.partial_means,
    }
}

fn top_k(predictions: &Predictions, notes: &mut FigureNotes) -> Option<BTreeMap<usize, f64>> {
    if predictions.has_all_probabilities() {
        return Some(top_k_accuracy(predictions));
    }
    notes.whole("top_k_accuracy", Err(Reason::NotFinite).into());
    None
}

fn class_figures(
    confusion: &ConfusionMatrix,
    curves: &Curves,
    counts: &[ClassCounts],
    scores: &[ClassScores],
    notes: &mut FigureNotes,
) -> Vec<ClassFigures> {
    let (areas, precisions) = (curves.areas(), curves.average_precisions());
    let figures = |(number, class): (usize, &String)| {
        if let Some((figure, reason)) = ClassScores::by_convention(&counts[number]) {
            notes.convention(figure, class, reason);
        }
        let mut take = |figure, value| notes.of_class(figure, class, value);
        ClassFigures {
            class: class.clone(),
            support: counts[number].support,
            predicted: counts[number].predicted,
            precision: take("precision", scores[number].precision),
            recall: take("recall", scores[number].recall),
            f1: take("f1", scores[number].f1),
            auc: take("auc", areas[number]),
            average_precision: take("average_precision", precisions[number]),
        }
    };
    confusion.classes.iter().enumerate().map(figures).collect()
}

/// The figures of a whole split. An undefined figure is null, and `undefined` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// The number of examples.
    pub examples: u64,
    /// Step of the checkpoint that predicted; null if unknown.
    pub checkpoint_step: Option<u64>,
    /// The calibration of the probabilities; absent if they are not calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The figures of [`FIGURES`](crate::FIGURES), by key.
    #[serde(flatten, serialize_with = "in_order")]
    #[schemars(with = "FigureFields")]
    pub figures: BTreeMap<String, Option<f64>>,
    /// The share of examples whose true class is among the k most probable ones (`sklearn.metrics.top_k_accuracy_score`),
    /// by k: those of 1, 3 and 5 that are below the number of classes. The predicted class ranks first; of equally probable
    /// ones, the lower number ranks first. Null if some probabilities are NaN.
    pub top_k_accuracy: Option<BTreeMap<usize, f64>>,
    /// Loss and accuracy with dropout active; null if they were not measured.
    pub dropout_active: Option<DropoutActive>,
    /// 95 % confidence intervals; null if no resamples were requested.
    pub intervals: Option<ConfidenceIntervals>,
    /// The figures of each class, by number.
    pub classes: Vec<ClassFigures>,
    /// The reliability diagram: accuracy by confidence; null if some confidence is NaN.
    pub reliability: Option<Vec<ReliabilityBin>>,
    /// The decision threshold; absent if the most probable class is predicted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The accuracy of the most probable class; absent if it is equal to `accuracy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_of_probable: Option<f64>,
    /// Baselines on the same examples, compared with the network; absent if none was evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<Baseline>,
    /// Examples with a non-finite loss or probability.
    pub non_finite_examples: u64,
    /// Undefined figures, with the reason.
    pub undefined: Vec<UndefinedFigure>,
    /// Figures that are 0 / 0 and set to 0, as in scikit-learn by default, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_convention: Vec<UndefinedFigure>,
    /// Means over classes that leave out classes with an undefined figure.
    pub partial_means: Vec<PartialMean>,
}

impl Metrics {
    /// The figures that `kiln-diagnosis` judges.
    #[must_use]
    pub fn tested(&self) -> TestFigures {
        TestFigures {
            accuracy: self.accuracy_of_probable(),
            supports: self.classes.iter().map(|class| class.support).collect(),
            step: self.checkpoint_step,
            guess: self.baseline(|model| model == BaselineModel::MostFrequentClass),
            linear: self.baseline(|model| model != BaselineModel::MostFrequentClass),
        }
    }

    /// The accuracy of the most probable class, without a threshold. It can be compared with training and validation figures.
    pub(crate) fn accuracy_of_probable(&self) -> f64 {
        self.accuracy_of_probable.unwrap_or_else(|| self.accuracy())
    }

    fn baseline(&self, is_it: impl Fn(BaselineModel) -> bool) -> Option<BaselineFigures> {
        let found = self.baselines.iter().find(|baseline| is_it(baseline.model))?;
        Some(BaselineFigures {
            accuracy: found.accuracy,
            log_loss: found.log_loss?,
            accuracy_gain: found.accuracy_gain?,
            log_loss_gain: found.log_loss_gain?,
        })
    }

    /// Lines of text to show with loss and accuracy: the decision threshold, if any, and the accuracies of the baselines.
    #[must_use]
    pub fn extra_lines(&self) -> Vec<String> {
        let one = |baseline: &Baseline| format!("{} {:.4}", baseline.model, baseline.accuracy);
        let all: Vec<String> = self.baselines.iter().map(one).collect();
        let own = self.accuracy_of_probable.map(|own| format!(" (network without the threshold: {own:.4})"));
        let own = own.unwrap_or_default();
        let baselines = (!all.is_empty()).then(|| format!("baseline accuracy: {}{own}", all.join(", ")));
        self.threshold.as_ref().map(Threshold::words).into_iter().chain(baselines).collect()
    }

    /// A figure by key; `None` if it is undefined or unknown.
    #[must_use]
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.figures.get(key).copied().flatten()
    }

    /// The accuracy, in [0, 1].
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.figure("accuracy").unwrap_or(f64::NAN)
    }
}

/// Writes the figures in the order of [`FIGURES`].
fn in_order<S: Serializer>(
    figures: &BTreeMap<String, Option<f64>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(FIGURES.iter().map(|figure| (figure.key, figures.get(figure.key).copied().flatten())))
}

/// The fields that [`in_order`] writes, for the JSON Schema.
struct FigureFields;

impl JsonSchema for FigureFields {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FigureFields".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let field = |figure: &Figure| {
            let [least, greatest] = figure.range;
            let mut field = json!({ "description": sentence(figure.words), "type": ["number", "null"] });
            for (bound, value) in [("minimum", least), ("maximum", greatest)] {
                if value.is_finite() {
                    field[bound] = json!(value);
                }
            }
            (figure.key.to_owned(), field)
        };
        let fields: serde_json::Map<_, _> = FIGURES.iter().map(field).collect();
        let names: Vec<&str> = FIGURES.iter().map(|figure| figure.key).collect();
        json_schema!({ "type": "object", "properties": fields, "required": names })
    }
}

/// The name of a figure as a sentence for the schema.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}; null if undefined.", letters.as_str())
}

/// The figures of one class, all in [0, 1]. A precision or recall of 0 / 0 is 0. They are null for a class that is neither
/// among the examples nor ever predicted; an AUC or average precision is null without examples of the class or of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassFigures {
    /// Its name.
    pub class: String,
    /// The number of examples of the class.
    pub support: u64,
    /// The number of predictions of the class.
    pub predicted: u64,
    /// The share of the predictions of the class that are correct.
    pub precision: Option<f64>,
    /// The share of the examples of the class that are predicted correctly.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// The area under its ROC curve, against all other classes.
    pub auc: Option<f64>,
    /// Its average precision.
    pub average_precision: Option<f64>,
}

/// Loss and accuracy with dropout active. A network should not be tested this way; the figures are for comparison with
/// published results that were measured so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropoutActive {
    /// The mean loss; null if it is not finite.
    pub loss: Option<f64>,
    /// The accuracy, in [0, 1].
    pub accuracy: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(classes: usize, truth: &[u32], rows: &[f32]) -> Predictions {
        let names = (0..classes).map(|class| class.to_string()).collect();
        let (predicted, loss) = (vec![0; truth.len()], vec![0.5; truth.len()]);
        Predictions::new(names, truth.to_vec(), predicted, rows.to_vec(), loss).unwrap()
    }

    fn evaluate(predictions: &Predictions) -> Evaluation {
        Evaluation::new(predictions, &EvaluationSettings::default()).unwrap()
    }

    fn find(entries: &[crate::UndefinedFigure], figure: &str, class: Option<&str>) -> String {
        let is_it =
            |entry: &&crate::UndefinedFigure| entry.figure == figure && entry.class.as_deref() == class;
        entries.iter().find(is_it).unwrap().reason.clone()
    }

    fn reason(evaluation: &Evaluation, figure: &str, class: Option<&str>) -> String {
        find(&evaluation.metrics.undefined, figure, class)
    }

    fn by_convention(evaluation: &Evaluation, figure: &str, class: Option<&str>) -> String {
        find(&evaluation.metrics.by_convention, figure, class)
    }

    #[test]
    fn without_examples_there_is_nothing_to_evaluate() {
        let error = Evaluation::new(&predictions(2, &[], &[]), &EvaluationSettings::default()).unwrap_err();
        assert_eq!(error.to_string(), "there are no examples to evaluate");
    }

    #[test]
    fn a_single_class_has_an_accuracy_and_no_curve() {
        let evaluation = evaluate(&predictions(1, &[0, 0], &[1.0, 1.0]));
        assert_eq!((evaluation.metrics.accuracy(), evaluation.metrics.figure("macro_auc")), (1.0, None));
        assert_eq!(reason(&evaluation, "auc", Some("0")), "no examples of any other class");
        assert_eq!(reason(&evaluation, "macro_auc", None), "it is undefined for every class");
        assert_eq!(by_convention(&evaluation, "mcc", None), "all examples are of one class");
        assert_eq!(evaluation.metrics.figure("mcc"), Some(0.0));
        assert_eq!(evaluation.metrics.intervals.unwrap().of("macro_auc"), None);
    }

    #[test]
    fn a_class_without_examples_has_a_reason_and_means_leave_it_out() {
        let rows = [0.6, 0.3, 0.1, 0.7, 0.2, 0.1, 0.2, 0.7, 0.1];
        let evaluation = evaluate(&predictions(3, &[0, 0, 1], &rows));
        assert_eq!(reason(&evaluation, "auc", Some("2")), "no examples of this class");
        let neither = "this class is neither among the examples nor ever predicted";
        assert_eq!(reason(&evaluation, "recall", Some("2")), neither);
        assert_eq!(by_convention(&evaluation, "precision", Some("1")), "this class is never predicted");
        assert_eq!(evaluation.metrics.classes[1].precision, Some(0.0));
        assert_eq!(evaluation.metrics.figure("macro_auc"), Some(1.0));
        let partial =
            evaluation.metrics.partial_means.iter().find(|mean| mean.figure == "macro_auc").unwrap();
        assert_eq!((partial.classes, partial.of), (2, 3));
    }

    #[test]
    fn a_diverged_model_keeps_the_figures_that_need_no_probabilities() {
        let evaluation = evaluate(&predictions(2, &[0, 1, 0], &[f32::NAN; 6]));
        let metrics = &evaluation.metrics;
        assert_eq!((metrics.accuracy(), metrics.non_finite_examples), (2.0 / 3.0, 3));
        assert_eq!((metrics.figure("micro_auc"), metrics.figure("log_loss")), (None, None));
        assert_eq!((metrics.reliability.is_none(), metrics.top_k_accuracy.is_none()), (true, true));
        for figure in ["log_loss", "brier_score", "ece", "macro_auc", "micro_auc", "top_k_accuracy"] {
            let reason = reason(&evaluation, figure, None);
            assert_eq!(reason, "some probabilities or losses are not finite numbers", "{figure}");
        }
        let intervals = metrics.intervals.as_ref().unwrap();
        assert!(intervals.of("macro_auc").is_none() && intervals.of("accuracy").is_some());
    }
}
