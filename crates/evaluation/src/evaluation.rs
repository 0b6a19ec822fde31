//! Everything that predictions say.

use rayon::prelude::*;
use serde::Serialize;

use crate::bootstrap::{Bootstrap, intervals};
use crate::calibration::reliability;
use crate::class_scores::ClassScores;
use crate::confusion::ClassCounts;
use crate::curves::Curves;
use crate::figures::{FIGURES, Tables};
use crate::metrics::{ClassFigures, DropoutActive, Metrics};
use crate::ranking::Ranking;
use crate::top_k::top_k_accuracy;
use crate::undefined::{Ledger, Reason, finite};
use crate::{
    Baseline, Calibration, ClassificationReport, Confusion, EvaluationError, PassFigures,
    PrecisionRecallCurves, Predictions, RocCurves, Threshold,
};

/// An evaluation of a split: its figures, tables and curves. They follow from the predictions alone, and are
/// equal to the bit for any order of the examples and any number of threads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Every figure that is a number.
    pub metrics: Metrics,
    /// Which classes are taken for which.
    pub confusion: Confusion,
    /// The report in scikit-learn's layout.
    pub report: ClassificationReport,
    /// The ROC curves.
    pub roc: RocCurves,
    /// The precision-recall curves.
    pub precision_recall: PrecisionRecallCurves,
}

/// What an evaluation has to know besides the predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationSettings {
    /// Seed of the resamples.
    pub seed: u64,
    /// Resamples for the intervals, as far as the number of examples allows; 0 for no intervals.
    pub resamples: usize,
    /// Step of the checkpoint that predicted, if that is known.
    pub checkpoint_step: Option<u64>,
    /// What [`crate::evaluate_with_dropout`] found, if that was asked.
    pub dropout_active: Option<PassFigures>,
    /// How the probabilities were calibrated, if they were.
    pub calibration: Option<Calibration>,
    /// From which probability on the predictions name a class, where a threshold decides that.
    pub threshold: Option<Threshold>,
    /// The accuracy of naming the most probable class, where a threshold decides.
    pub accuracy_of_probable: Option<f64>,
    /// What simple models make of the same examples.
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
    /// [`EvaluationError::NoExamples`] where there are none.
    pub fn new(predictions: &Predictions, settings: &EvaluationSettings) -> Result<Self, EvaluationError> {
        if predictions.is_empty() {
            return Err(EvaluationError::NoExamples);
        }
        let predictions = &predictions.in_canonical_order();
        let rankings = predictions.has_all_probabilities().then(|| rankings(predictions));
        let curves = Curves::new(predictions, rankings.as_deref());
        let bootstrap = Bootstrap::new(predictions, &rankings.unwrap_or_default());
        let confusion = Confusion::new(predictions);
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
    confusion: &Confusion,
    curves: &Curves,
    bootstrap: &Bootstrap<'_>,
    settings: &EvaluationSettings,
) -> Metrics {
    let mut ledger = Ledger::default();
    let counts = confusion.class_counts();
    let scores: Vec<ClassScores> = counts.iter().map(ClassScores::new).collect();
    let support: Vec<u64> = counts.iter().map(|counts| counts.support).collect();
    let draws = bootstrap.draw(settings.seed, settings.resamples);
    let reliability = reliability(predictions);
    let tables = Tables {
        predictions,
        confusion,
        counts: &counts,
        scores: &scores,
        support: &support,
        curves,
        reliability: reliability.as_deref(),
    };
    let figures = FIGURES.iter().map(|row| (row.key.to_owned(), ledger.whole(row.key, (row.of)(&tables))));
    Metrics {
        examples: predictions.len() as u64,
        checkpoint_step: settings.checkpoint_step,
        calibration: settings.calibration,
        figures: figures.collect(),
        top_k_accuracy: top_k(predictions, &mut ledger),
        dropout_active: settings.dropout_active.map(|figures| DropoutActive {
            loss: ledger.whole("dropout_active.loss", finite(figures.loss).into()),
            accuracy: figures.accuracy,
        }),
        intervals: (settings.resamples != 0).then(|| intervals(predictions, &draws, settings.seed)),
        classes: class_figures(confusion, curves, &counts, &scores, &mut ledger),
        reliability,
        threshold: settings.threshold.clone(),
        accuracy_of_probable: settings.accuracy_of_probable,
        baselines: settings.baselines.clone(),
        non_finite_examples: predictions.non_finite() as u64,
        undefined: ledger.undefined,
        by_convention: ledger.by_convention,
        partial_means: ledger.partial_means,
    }
}

fn top_k(predictions: &Predictions, ledger: &mut Ledger) -> Option<std::collections::BTreeMap<usize, f64>> {
    if predictions.has_all_probabilities() {
        return Some(top_k_accuracy(predictions));
    }
    ledger.whole("top_k_accuracy", Err(Reason::NotFinite).into());
    None
}

fn class_figures(
    confusion: &Confusion,
    curves: &Curves,
    counts: &[ClassCounts],
    scores: &[ClassScores],
    ledger: &mut Ledger,
) -> Vec<ClassFigures> {
    let (areas, precisions) = (curves.areas(), curves.average_precisions());
    let figures = |(number, class): (usize, &String)| {
        if let Some((figure, reason)) = ClassScores::by_convention(&counts[number]) {
            ledger.convention(figure, class, reason);
        }
        let mut take = |figure, value| ledger.of_class(figure, class, value);
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

    fn find(entries: &[crate::Undefined], figure: &str, class: Option<&str>) -> String {
        let is_it = |entry: &&crate::Undefined| entry.figure == figure && entry.class.as_deref() == class;
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
        assert_eq!(error.to_string(), "there is no example to evaluate");
    }

    #[test]
    fn one_class_alone_has_an_accuracy_and_no_curve() {
        let evaluation = evaluate(&predictions(1, &[0, 0], &[1.0, 1.0]));
        assert_eq!((evaluation.metrics.accuracy(), evaluation.metrics.figure("macro_auc")), (1.0, None));
        assert_eq!(reason(&evaluation, "auc", Some("0")), "no examples of any other class");
        assert_eq!(reason(&evaluation, "macro_auc", None), "it is undefined for every class");
        assert_eq!(by_convention(&evaluation, "mcc", None), "all examples are of one class");
        assert_eq!(evaluation.metrics.figure("mcc"), Some(0.0));
        assert_eq!(evaluation.metrics.intervals.unwrap().of("macro_auc"), None);
    }

    #[test]
    fn a_class_without_examples_says_so_and_means_leave_it_out() {
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
    fn a_diverged_model_keeps_what_classes_say_and_loses_the_rest() {
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
