//! The table of figures of a whole split, and the value of a figure, which may be undefined for a reason.
//!
//! To add a figure, add a row to [`FIGURES`]: its key, its name, and a function of [`FigureInputs`]. `metrics.json`, its
//! JSON Schema, the report, confidence intervals, the `expect` of studies and the property tests follow from the table.

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
    /// The smallest and the largest possible value.
    pub range: [f64; 2],
    /// Whether higher values are better; if not, lower values are.
    pub is_higher_better: bool,
    /// Where the report shows it.
    pub(crate) place: FigurePlace,
    /// Computes its value.
    pub(crate) of: fn(&FigureInputs<'_>) -> FigureValue,
    /// Computes its value over a resample, for a confidence interval; NaN if undefined.
    pub(crate) of_resample: Option<fn(&Resample<'_>) -> f64>,
}

/// Where the report shows a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigurePlace {
    /// On a card at the top.
    Card,
    /// In the list of other figures.
    List,
    /// In the last rows of the table of classes.
    ClassTable,
}

/// The data that figures are computed from.
pub(crate) struct FigureInputs<'a> {
    pub(crate) predictions: &'a Predictions,
    pub(crate) confusion: &'a ConfusionMatrix,
    pub(crate) counts: &'a [ClassCounts],
    pub(crate) scores: &'a [ClassScores],
    /// The number of examples of each class.
    pub(crate) support: &'a [u64],
    pub(crate) curves: &'a Curves,
    pub(crate) reliability: Option<&'a [ReliabilityBin]>,
}

/// The value of a figure, with notes for the reader.
#[derive(Clone, Copy)]
pub(crate) struct FigureValue {
    pub(crate) found: Defined,
    /// For a mean over classes: the number of classes with a defined figure, and of all classes.
    pub(crate) classes: Option<[usize; 2]>,
    /// Why it is 0 / 0, if it is set to 0 by convention.
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

/// The same, weighted by the number of examples of each class.
fn weighted(values: &[Defined], inputs: &FigureInputs<'_>) -> FigureValue {
    FigureValue { found: weighted_mean(values, inputs.support), ..mean(values) }
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

/// A figure in [0, 1], higher is better, shown in the table of classes.
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

/// All figures of a whole split, in the order in which they are shown.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's lifetimes are not a function pointer's"
)]
pub const FIGURES: &[Figure] = &[
    // `sklearn.metrics.accuracy_score`. The micro averages of precision, recall and F1 are equal to it.
    row("accuracy", "accuracy", |inputs| {
        Ok(inputs.confusion.correct() as f64 / inputs.confusion.total() as f64).into()
    })
    .on_a_card()
    .with_interval(|resample| resample.accuracy()),
    // The mean loss as in training: weighted by class weights, without l1 and l2 penalties.
    row("loss", "loss", |inputs| mean_loss(inputs.predictions).into())
        .within(0.0, f64::INFINITY)
        .lower_is_better()
        .on_a_card()
        .with_interval(|resample| resample.loss()),
    row("macro_f1", "macro F1", |inputs| mean(&inputs.f1()))
        .on_a_card()
        .with_interval(|resample| resample.macro_f1()),
    // The mean area under the classes' ROC curves (`sklearn.metrics.roc_auc_score`, one-vs-rest), also with two classes.
    row("macro_auc", "macro AUC", |inputs| mean(&inputs.curves.areas()))
        .on_a_card()
        .with_interval(|resample| resample.macro_auc()),
    // With 15 bins of equal width over the probability of the predicted class (Guo et al. 2017).
    row("ece", "expected calibration error", |inputs| expected_calibration_error(inputs.reliability).into())
        .lower_is_better()
        .on_a_card(),
    // Gorodkin 2004; `sklearn.metrics.matthews_corrcoef`: 0 if all examples or all predictions are of one class.
    row("mcc", "Matthews correlation", |inputs| {
        let value = matthews_correlation(inputs.counts);
        FigureValue { found: Ok(value.unwrap_or(0.0)), classes: None, convention: value.err() }
    })
    .within(-1.0, 1.0)
    .on_a_card(),
    // The mean recall over the classes with examples (`sklearn.metrics.balanced_accuracy_score`).
    row("balanced_accuracy", "balanced accuracy", |inputs| {
        let with_examples = |(recall, count): (Defined, &ClassCounts)| match count.support {
            0 => Err(Reason::NoExamples),
            _ => recall,
        };
        let recalls: Vec<Defined> =
            inputs.recalls().into_iter().zip(inputs.counts).map(with_examples).collect();
        mean(&recalls)
    })
    .in_the_list(),
    // Agreement beyond chance (Cohen 1960; `sklearn.metrics.cohen_kappa_score`).
    row("cohen_kappa", "Cohen's kappa", |inputs| cohen_kappa(inputs.counts).into())
        .within(-1.0, 1.0)
        .in_the_list(),
    // The mean of -ln of the true class's probability, clipped to [2^-52, 1 - 2^-52] (`sklearn.metrics.log_loss` in
    // double precision).
    row("log_loss", "log-loss", |inputs| log_loss(inputs.predictions).into())
        .within(0.0, f64::INFINITY)
        .lower_is_better()
        .in_the_list(),
    // The mean squared distance between the probabilities and the one-hot labels (Brier 1950), summed over classes, in
    // [0, 2]; with two classes half of that, in [0, 1] (`sklearn.metrics.brier_score_loss`).
    row("brier_score", "Brier score", |inputs| brier_score(inputs.predictions).into())
        .within(0.0, 2.0)
        .lower_is_better()
        .in_the_list(),
    // The area under the ROC curve of all probabilities pooled.
    row("micro_auc", "micro average AUC", |inputs| inputs.curves.micro_area().into()).in_the_list(),
    // The area under the mean of the classes' ROC curves, slightly larger than the mean of their areas.
    row("macro_average_roc_auc", "AUC of the average ROC curve", |inputs| {
        inputs.curves.average_area().into()
    })
    .in_the_list(),
    // The average precision of all probabilities pooled.
    row("micro_average_precision", "micro average precision", |inputs| {
        inputs.curves.micro_average_precision().into()
    })
    .in_the_list(),
    row("macro_precision", "macro precision", |inputs| mean(&inputs.precisions())),
    row("macro_recall", "macro recall", |inputs| mean(&inputs.recalls())),
    // The mean of the classes' average precisions (`sklearn.metrics.average_precision_score`).
    row("macro_average_precision", "macro average precision", |inputs| {
        mean(&inputs.curves.average_precisions())
    }),
    row("weighted_precision", "weighted precision", |inputs| weighted(&inputs.precisions(), inputs)),
    row("weighted_recall", "weighted recall", |inputs| weighted(&inputs.recalls(), inputs)),
    row("weighted_f1", "weighted F1", |inputs| weighted(&inputs.f1(), inputs)),
    row("weighted_auc", "weighted AUC", |inputs| weighted(&inputs.curves.areas(), inputs)),
    row("weighted_average_precision", "weighted average precision", |inputs| {
        weighted(&inputs.curves.average_precisions(), inputs)
    }),
];

/// A figure that is undefined for these predictions. It is null, or 0 by convention.
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

/// A mean over classes that leaves out classes with an undefined figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartialMean {
    /// The key of the mean in `metrics.json`.
    pub figure: String,
    /// The number of classes in the mean.
    pub classes: usize,
    /// The number of all classes.
    pub of: usize,
}

/// Why a figure is undefined.
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

/// The value of a figure, or why it is undefined.
pub(crate) type Defined = Result<f64, Reason>;

/// The value, or [`Reason::NotFinite`].
pub(crate) fn finite(value: f64) -> Defined {
    if value.is_finite() { Ok(value) } else { Err(Reason::NotFinite) }
}

/// Collects the notes about figures for `metrics.json`: undefined ones, those that are 0 by convention, partial means.
#[derive(Debug, Default)]
pub(crate) struct FigureNotes {
    pub(crate) undefined: Vec<UndefinedFigure>,
    pub(crate) by_convention: Vec<UndefinedFigure>,
    pub(crate) partial_means: Vec<PartialMean>,
}

impl FigureNotes {
    /// Takes the value of a figure of the whole split, and notes what is special about it.
    pub(crate) fn whole(&mut self, figure: &str, value: FigureValue) -> Option<f64> {
        if let Some([classes, of]) = value.classes.filter(|[classes, of]| *classes != 0 && classes != of) {
            self.partial_means.push(PartialMean { figure: figure.to_owned(), classes, of });
        }
        if let Some(reason) = value.convention {
            self.by_convention.push(UndefinedFigure::new(figure, None, reason));
        }
        value.found.map_err(|reason| self.undefined.push(UndefinedFigure::new(figure, None, reason))).ok()
    }

    /// Takes the value of a figure of one class, and notes the reason if it is undefined.
    pub(crate) fn of_class(&mut self, figure: &str, class: &str, value: Defined) -> Option<f64> {
        value.map_err(|reason| self.undefined.push(UndefinedFigure::new(figure, Some(class), reason))).ok()
    }

    /// Notes that a figure of one class is 0 / 0 and set to 0.
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

/// The mean over the classes whose figure is defined, weighted by `support`.
pub(crate) fn weighted_mean(values: &[Defined], support: &[u64]) -> Defined {
    let defined = || values.iter().zip(support).filter_map(|(value, &weight)| Some((value.ok()?, weight)));
    let total: u64 = defined().map(|(_, weight)| weight).sum();
    if total == 0 {
        return Err(common_reason(values));
    }
    finite(defined().map(|(value, weight)| value * weight as f64).sum::<f64>() / total as f64)
}

/// The reason for a mean if no class has a value.
fn common_reason(values: &[Defined]) -> Reason {
    if values.contains(&Err(Reason::NotFinite)) { Reason::NotFinite } else { Reason::NoClassDefined }
}

/// A compensated sum (Neumaier 1974): it collects the rounding errors of its additions and is accurate to the last bit or
/// two for any number of terms, so that their order does not matter.
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

    /// The sum; non-finite if a term was.
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
    fn means_leave_out_undefined_figures_and_note_it() {
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
    fn a_mean_without_a_defined_figure_is_undefined() {
        let mut notes = FigureNotes::default();
        assert_eq!(notes.whole("macro_auc", macro_mean(&[Err(Reason::NoExamples)]).into()), None);
        assert_eq!(notes.whole("loss", finite(f64::NAN).into()), None);
        let reasons: Vec<&str> = notes.undefined.iter().map(|entry| entry.reason.as_str()).collect();
        let expected =
            ["it is undefined for every class", "some probabilities or losses are not finite numbers"];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn small_terms_survive_large_ones() {
        let terms = [1e100, 1.0, 1e-30, -1e100, 1.0];
        assert_eq!(sum(terms), 2.0);
        assert_eq!(terms.iter().sum::<f64>(), 1.0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 1_000_000)), 100_000.0);
    }

    #[test]
    fn a_non_finite_term_makes_the_sum_non_finite() {
        assert!(sum([1.0, f64::INFINITY, 2.0]).is_infinite());
        assert!(sum([1.0, f64::NAN]).is_nan());
    }
}
