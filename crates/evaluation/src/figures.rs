//! The registry of figures: a row is all that a figure of a whole split takes. `metrics.json`, the report, intervals, what
//! a study may expect, and the property tests follow from it.
//! ---
//! Figures that have no value, and why.
//! ---
//! A sum that loses no digits on the way.
//! ---

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::calibration::{ReliabilityBin, brier_score, expected_calibration_error, log_loss, mean_loss};
use crate::confidence_intervals::Resample;
use crate::confusion::{ClassCounts, ClassScores, cohen_kappa, matthews_correlation};
use crate::curves::Curves;
use crate::{ConfusionMatrix, Predictions};

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
    pub(crate) place: FigurePlace,
    /// Its value, or why it has none.
    pub(crate) of: fn(&FigureInputs<'_>) -> FigureValue,
    /// Its value over a resample, for an interval; NaN where it has none.
    pub(crate) of_resample: Option<fn(&Resample<'_>) -> f64>,
}

/// Where the report shows a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigurePlace {
    /// At the top.
    Card,
    /// In the list of other figures.
    List,
    /// At the foot of the table of classes.
    ClassTable,
}

/// What figures are computed from.
pub(crate) struct FigureInputs<'a> {
    pub(crate) predictions: &'a Predictions,
    pub(crate) confusion: &'a ConfusionMatrix,
    pub(crate) counts: &'a [ClassCounts],
    pub(crate) scores: &'a [ClassScores],
    /// Examples of each class.
    pub(crate) support: &'a [u64],
    pub(crate) curves: &'a Curves,
    pub(crate) reliability: Option<&'a [ReliabilityBin]>,
}

/// A figure's value, or why there is none.
#[derive(Clone, Copy)]
pub(crate) struct FigureValue {
    pub(crate) found: Defined,
    /// For a mean over classes: how many count, of how many.
    pub(crate) classes: Option<[usize; 2]>,
    /// Why it is 0 / 0, where it is 0 by convention.
    pub(crate) convention: Option<Reason>,
}

impl From<Defined> for FigureValue {
    fn from(value: Defined) -> Self {
        Self { found: value, classes: None, convention: None }
    }
}

/// The mean over the classes whose figure is defined.
fn mean(values: &[Defined]) -> FigureValue {
    let classes = Some([values.iter().flatten().count(), values.len()]);
    FigureValue { found: macro_mean(values), classes, convention: None }
}

/// The same, each class weighted by its examples.
fn weighted(values: &[Defined], tables: &FigureInputs<'_>) -> FigureValue {
    FigureValue { found: weighted_mean(values, tables.support), ..mean(values) }
}

impl FigureInputs<'_> {
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
const fn row(key: &'static str, words: &'static str, of: fn(&FigureInputs<'_>) -> FigureValue) -> Figure {
    let place = FigurePlace::ClassTable;
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
        self.place = FigurePlace::Card;
        self
    }

    const fn in_the_list(mut self) -> Self {
        self.place = FigurePlace::List;
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
        FigureValue { found: Ok(value.unwrap_or(0.0)), classes: None, convention: value.err() }
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

/// A figure that these predictions do not define: it is null wherever it would stand, or 0 by convention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "UndefinedFigure")]
pub struct UndefinedFigure {
    /// The key of the figure in `metrics.json`.
    pub figure: String,
    /// The class, for a figure of one class.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
    /// Why, in words.
    pub reason: String,
}

/// A mean over classes in which some classes do not count, because their figure is undefined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartialMean {
    /// The key of the mean in `metrics.json`.
    pub figure: String,
    /// Classes that count.
    pub classes: usize,
    /// Classes in all.
    pub of: usize,
}

/// Why a figure has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
pub(crate) enum Reason {
    #[strum(serialize = "no examples of this class")]
    NoExamples,
    #[strum(serialize = "no examples of any other class")]
    NoOtherExamples,
    #[strum(serialize = "this class is never predicted")]
    NeverPredicted,
    #[strum(serialize = "this class is neither among the examples nor ever predicted")]
    NeitherTrueNorPredicted,
    #[strum(serialize = "all examples are of one class")]
    AllTrueAlike,
    #[strum(serialize = "all examples are predicted to be of one class")]
    AllPredictedAlike,
    #[strum(serialize = "some probabilities or losses are not finite numbers")]
    NotFinite,
    #[strum(serialize = "it is undefined for every class")]
    NoClassDefined,
}

/// A figure, or why there is none.
pub(crate) type Defined = Result<f64, Reason>;

/// The value if it is finite.
pub(crate) fn finite(value: f64) -> Defined {
    if value.is_finite() { Ok(value) } else { Err(Reason::NotFinite) }
}

/// Notes, while figures are gathered, which have no value.
#[derive(Debug, Default)]
pub(crate) struct FigureNotes {
    pub(crate) undefined: Vec<UndefinedFigure>,
    pub(crate) by_convention: Vec<UndefinedFigure>,
    pub(crate) partial_means: Vec<PartialMean>,
}

impl FigureNotes {
    /// The value of a figure of the whole split.
    pub(crate) fn whole(&mut self, figure: &str, value: FigureValue) -> Option<f64> {
        if let Some([classes, of]) = value.classes.filter(|[classes, of]| *classes != 0 && classes != of) {
            self.partial_means.push(PartialMean { figure: figure.to_owned(), classes, of });
        }
        if let Some(reason) = value.convention {
            self.by_convention.push(UndefinedFigure::new(figure, None, reason));
        }
        value.found.map_err(|reason| self.undefined.push(UndefinedFigure::new(figure, None, reason))).ok()
    }

    /// The value of a figure of one class.
    pub(crate) fn of_class(&mut self, figure: &str, class: &str, value: Defined) -> Option<f64> {
        value.map_err(|reason| self.undefined.push(UndefinedFigure::new(figure, Some(class), reason))).ok()
    }

    /// That a figure of one class is 0 because it is 0 / 0.
    pub(crate) fn convention(&mut self, figure: &str, class: &str, reason: Reason) {
        self.by_convention.push(UndefinedFigure::new(figure, Some(class), reason));
    }
}

impl UndefinedFigure {
    fn new(figure: &str, class: Option<&str>, reason: Reason) -> Self {
        Self { figure: figure.to_owned(), class: class.map(str::to_owned), reason: reason.to_string() }
    }
}

/// The mean over the classes whose figure is defined.
pub(crate) fn macro_mean(values: &[Defined]) -> Defined {
    weighted_mean(values, &vec![1; values.len()])
}

/// The mean over the classes whose figure is defined, each counting `support` times.
pub(crate) fn weighted_mean(values: &[Defined], support: &[u64]) -> Defined {
    let defined = || values.iter().zip(support).filter_map(|(value, &weight)| Some((value.ok()?, weight)));
    let total: u64 = defined().map(|(_, weight)| weight).sum();
    if total == 0 {
        return Err(common_reason(values));
    }
    finite(defined().map(|(value, weight)| value * weight as f64).sum::<f64>() / total as f64)
}

/// What keeps every class from having a value, where that is one thing.
fn common_reason(values: &[Defined]) -> Reason {
    if values.contains(&Err(Reason::NotFinite)) { Reason::NotFinite } else { Reason::NoClassDefined }
}

/// A running sum with the rounding errors of its additions kept aside (Neumaier 1974): accurate to the last
/// bit or two for any number of terms, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, term: f64) {
        let total = self.total + term;
        let (greater, smaller) =
            if self.total.abs() >= term.abs() { (self.total, term) } else { (term, self.total) };
        self.lost += (greater - total) + smaller;
        self.total = total;
    }

    /// The sum; infinite or NaN where a term was.
    pub(crate) fn value(self) -> f64 {
        if self.total.is_finite() { self.total + self.lost } else { self.total }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        for term in terms {
            sum.add(term);
        }
        sum
    }
}

/// The sum of `terms`.
pub(crate) fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().collect::<Sum>().value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_leave_out_what_is_undefined_and_say_so() {
        let mut notes = FigureNotes::default();
        let values = [Ok(0.5), Err(Reason::NoExamples), Ok(1.0)];
        assert_eq!(macro_mean(&values), Ok(0.75));
        assert_eq!(weighted_mean(&values, &[3, 0, 1]), Ok(0.625));
        let counted = |value| FigureValue { found: value, classes: Some([2, 3]), convention: None };
        assert_eq!(notes.whole("macro_auc", counted(Ok(0.75))), Some(0.75));
        let partial = PartialMean { figure: "macro_auc".to_owned(), classes: 2, of: 3 };
        assert_eq!(notes.partial_means, [partial]);
        assert!(notes.undefined.is_empty());
    }

    #[test]
    fn a_mean_of_nothing_is_undefined() {
        let mut notes = FigureNotes::default();
        assert_eq!(notes.whole("macro_auc", macro_mean(&[Err(Reason::NoExamples)]).into()), None);
        assert_eq!(notes.whole("loss", finite(f64::NAN).into()), None);
        let reasons: Vec<&str> = notes.undefined.iter().map(|entry| entry.reason.as_str()).collect();
        let expected =
            ["it is undefined for every class", "some probabilities or losses are not finite numbers"];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn small_terms_survive_great_ones() {
        let terms = [1e100, 1.0, 1e-30, -1e100, 1.0];
        assert_eq!(sum(terms), 2.0);
        assert_eq!(terms.iter().sum::<f64>(), 1.0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 1_000_000)), 100_000.0);
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        assert!(sum([1.0, f64::INFINITY, 2.0]).is_infinite());
        assert!(sum([1.0, f64::NAN]).is_nan());
    }
}
