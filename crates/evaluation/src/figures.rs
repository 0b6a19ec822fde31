//! The registry of figures: a row is all that a figure of a whole split takes. `metrics.json`, the report, intervals, what
//! a study may expect, and the property tests follow from it.

use crate::agreement::{cohen_kappa, matthews_correlation};
use crate::calibration::{ReliabilityBin, expected_calibration_error};
use crate::class_scores::ClassScores;
use crate::confusion::ClassCounts;
use crate::curves::Curves;
use crate::probability_scores::{brier_score, log_loss, mean_loss};
use crate::resample::Resample;
use crate::undefined::{Defined, Reason, macro_mean, weighted_mean};
use crate::{Confusion, Predictions};

/// A figure of a whole split.
#[derive(Debug)]
pub struct Figure {
    /// Its key in `metrics.json` and in a study's `expect`.
    pub key: &'static str,
    /// Its name in words.
    pub words: &'static str,
    /// The least and the greatest value that it can have.
    pub range: [f64; 2],
    /// Whether higher is better; else lower is.
    pub is_higher_better: bool,
    /// Where the report shows it.
    pub(crate) place: Place,
    /// Its value, or why it has none.
    pub(crate) of: fn(&Tables<'_>) -> Value,
    /// Its value over a resample, for an interval; NaN where it has none.
    pub(crate) of_resample: Option<fn(&Resample<'_>) -> f64>,
}

/// Where the report shows a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the top.
    Card,
    /// In the list of other figures.
    List,
    /// At the foot of the table of classes.
    ClassTable,
}

/// What figures are computed from.
pub(crate) struct Tables<'a> {
    pub(crate) predictions: &'a Predictions,
    pub(crate) confusion: &'a Confusion,
    pub(crate) counts: &'a [ClassCounts],
    pub(crate) scores: &'a [ClassScores],
    /// Examples of each class.
    pub(crate) support: &'a [u64],
    pub(crate) curves: &'a Curves,
    pub(crate) reliability: Option<&'a [ReliabilityBin]>,
}

/// A figure's value, or why there is none.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    pub(crate) found: Defined,
    /// For a mean over classes: how many count, of how many.
    pub(crate) classes: Option<[usize; 2]>,
    /// Why it is 0 / 0, where it is 0 by convention.
    pub(crate) convention: Option<Reason>,
}

impl From<Defined> for Value {
    fn from(value: Defined) -> Self {
        Self { found: value, classes: None, convention: None }
    }
}

/// The mean over the classes whose figure is defined.
fn mean(values: &[Defined]) -> Value {
    let classes = Some([values.iter().flatten().count(), values.len()]);
    Value { found: macro_mean(values), classes, convention: None }
}

/// The same, each class weighted by its examples.
fn weighted(values: &[Defined], tables: &Tables<'_>) -> Value {
    Value { found: weighted_mean(values, tables.support), ..mean(values) }
}

impl Tables<'_> {
    fn precisions(&self) -> Vec<Defined> {
        self.scores.iter().map(|scores| scores.precision).collect()
    }

    fn recalls(&self) -> Vec<Defined> {
        self.scores.iter().map(|scores| scores.recall).collect()
    }

    fn f1(&self) -> Vec<Defined> {
        self.scores.iter().map(|scores| scores.f1).collect()
    }
}

/// A share in [0, 1] of which more is better, at the foot of the table of classes.
const fn row(key: &'static str, words: &'static str, of: fn(&Tables<'_>) -> Value) -> Figure {
    let place = Place::ClassTable;
    Figure { key, words, range: [0.0, 1.0], is_higher_better: true, place, of, of_resample: None }
}

impl Figure {
    const fn within(mut self, low: f64, high: f64) -> Self {
        self.range = [low, high];
        self
    }

    const fn lower_is_better(mut self) -> Self {
        self.is_higher_better = false;
        self
    }

    const fn on_a_card(mut self) -> Self {
        self.place = Place::Card;
        self
    }

    const fn in_the_list(mut self) -> Self {
        self.place = Place::List;
        self
    }

    const fn with_interval(mut self, of_resample: fn(&Resample<'_>) -> f64) -> Self {
        self.of_resample = Some(of_resample);
        self
    }
}

/// Every figure of a whole split, in the order in which they are shown.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's lifetimes are not a function pointer's"
)]
pub const FIGURES: &[Figure] = &[
    // The share of examples predicted right (`sklearn.metrics.accuracy_score`). Precision, recall and F1 of a micro
    // average are this, too.
    row("accuracy", "accuracy", |tables| {
        Ok(tables.confusion.correct() as f64 / tables.confusion.total() as f64).into()
    })
    .on_a_card()
    .with_interval(|resample| resample.accuracy()),
    // The mean loss, as it was in training: weighted by class weights, without l1 and l2.
    row("loss", "loss", |tables| mean_loss(tables.predictions).into())
        .within(0.0, f64::INFINITY)
        .lower_is_better()
        .on_a_card()
        .with_interval(|resample| resample.loss()),
    row("macro_f1", "macro F1", |tables| mean(&tables.f1()))
        .on_a_card()
        .with_interval(|resample| resample.macro_f1()),
    // The mean area under the classes' ROC curves (`sklearn.metrics.roc_auc_score`, one-vs-rest); of two classes, too.
    row("macro_auc", "macro AUC", |tables| mean(&tables.curves.areas()))
        .on_a_card()
        .with_interval(|resample| resample.macro_auc()),
    // Over 15 bins of equal width, by the probability of the predicted class (Guo et al. 2017).
    row("ece", "expected calibration error", |tables| expected_calibration_error(tables.reliability).into())
        .lower_is_better()
        .on_a_card(),
    // Gorodkin 2004; `sklearn.metrics.matthews_corrcoef`: 0 where all examples or all predictions are of one class.
    row("mcc", "Matthews correlation", |tables| {
        let value = matthews_correlation(tables.counts);
        Value { found: Ok(value.unwrap_or(0.0)), classes: None, convention: value.err() }
    })
    .within(-1.0, 1.0)
    .on_a_card(),
    // The mean recall over the classes that there are examples of (`sklearn.metrics.balanced_accuracy_score`).
    row("balanced_accuracy", "balanced accuracy", |tables| {
        let with_examples = |(recall, count): (Defined, &ClassCounts)| match count.support {
            0 => Err(Reason::NoExamples),
            _ => recall,
        };
        let recalls: Vec<Defined> =
            tables.recalls().into_iter().zip(tables.counts).map(with_examples).collect();
        mean(&recalls)
    })
    .in_the_list(),
    // Agreement beyond chance (Cohen 1960; `sklearn.metrics.cohen_kappa_score`).
    row("cohen_kappa", "Cohen's kappa", |tables| cohen_kappa(tables.counts).into())
        .within(-1.0, 1.0)
        .in_the_list(),
    // The mean of -ln of the true class's probability, clipped to [2^-52, 1 - 2^-52] (`sklearn.metrics.log_loss` in
    // double precision).
    row("log_loss", "log-loss", |tables| log_loss(tables.predictions).into())
        .within(0.0, f64::INFINITY)
        .lower_is_better()
        .in_the_list(),
    // The mean squared distance of the probabilities to the one-hot truth (Brier 1950), summed over classes, in [0, 2];
    // for two classes half of that, in [0, 1] (`sklearn.metrics.brier_score_loss`).
    row("brier_score", "Brier score", |tables| brier_score(tables.predictions).into())
        .within(0.0, 2.0)
        .lower_is_better()
        .in_the_list(),
    // The area under the ROC curve of all probabilities pooled.
    row("micro_auc", "micro average AUC", |tables| tables.curves.micro_area().into()).in_the_list(),
    // The area under the mean of the classes' ROC curves; a little above the mean of their areas.
    row("macro_average_roc_auc", "AUC of the average ROC curve", |tables| {
        tables.curves.average_area().into()
    })
    .in_the_list(),
    // The average precision of all probabilities pooled.
    row("micro_average_precision", "micro average precision", |tables| {
        tables.curves.micro_average_precision().into()
    })
    .in_the_list(),
    row("macro_precision", "macro precision", |tables| mean(&tables.precisions())),
    row("macro_recall", "macro recall", |tables| mean(&tables.recalls())),
    // The mean of the classes' average precisions (`sklearn.metrics.average_precision_score`).
    row("macro_average_precision", "macro average precision", |tables| {
        mean(&tables.curves.average_precisions())
    }),
    row("weighted_precision", "weighted precision", |tables| weighted(&tables.precisions(), tables)),
    row("weighted_recall", "weighted recall", |tables| weighted(&tables.recalls(), tables)),
    row("weighted_f1", "weighted F1", |tables| weighted(&tables.f1(), tables)),
    row("weighted_auc", "weighted AUC", |tables| weighted(&tables.curves.areas(), tables)),
    row("weighted_average_precision", "weighted average precision", |tables| {
        weighted(&tables.curves.average_precisions(), tables)
    }),
];
