//! The confusion matrix, and the figures that follow from it: precision, recall and F1 of each class, the classification
//! report, Cohen's kappa and Matthews correlation.

use kiln_files::{csv_text, shortened};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::Predictions;
use crate::figures::{Defined, Reason, macro_mean, weighted_mean};

/// Counts of examples by true and predicted class (`sklearn.metrics.confusion_matrix`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// The names of the classes, by number.
    pub classes: Vec<String>,
    /// Counts: rows are true classes, columns are predicted classes.
    pub counts: Vec<Vec<u64>>,
}

/// The counts of one class, from which precision, recall and F1 follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassCounts {
    /// Correct predictions of the class.
    pub(crate) hits: u64,
    /// Examples of the class.
    pub(crate) support: u64,
    /// Predictions of the class.
    pub(crate) predicted: u64,
}

impl ConfusionMatrix {
    /// Counts `predictions`.
    #[must_use]
    pub fn new(predictions: &Predictions) -> Self {
        let classes = predictions.class_count();
        let mut counts = vec![vec![0; classes]; classes];
        for (&truth, &predicted) in predictions.truth().iter().zip(predictions.predicted()) {
            counts[truth as usize][predicted as usize] += 1;
        }
        Self { classes: predictions.classes().to_vec(), counts }
    }

    /// The number of examples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The number of correct predictions.
    #[must_use]
    pub fn correct(&self) -> u64 {
        self.counts.iter().enumerate().map(|(class, row)| row[class]).sum()
    }

    /// The matrix as CSV; the first cell, `true \ predicted`, says which axis is which.
    #[must_use]
    pub fn to_csv(&self) -> Vec<u8> {
        let corner = "true \\ predicted".to_owned();
        let header = std::iter::once(corner).chain(self.classes.iter().cloned()).collect();
        let rows = self.classes.iter().zip(&self.counts).map(|(class, counts)| {
            std::iter::once(class.clone()).chain(counts.iter().map(u64::to_string)).collect()
        });
        csv_text(std::iter::once(header).chain(rows))
    }

    /// The counts of each class.
    pub(crate) fn class_counts(&self) -> Vec<ClassCounts> {
        let mut counts = vec![ClassCounts::default(); self.classes.len()];
        for (truth, row) in self.counts.iter().enumerate() {
            counts[truth].hits = row[truth];
            for (predicted, &examples) in row.iter().enumerate() {
                counts[truth].support += examples;
                counts[predicted].predicted += examples;
            }
        }
        counts
    }
}

/// Precision, recall and F1 of a class as `sklearn.metrics.precision_recall_fscore_support` gives them: 0 / 0 is 0. A
/// class that is neither among the examples nor ever predicted has no scores, and means leave it out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ClassScores {
    /// The share of the predictions of the class that are correct.
    pub(crate) precision: Defined,
    /// The share of the examples of the class that are predicted correctly.
    pub(crate) recall: Defined,
    /// The harmonic mean of both: 2 hits / (support + predicted).
    pub(crate) f1: Defined,
}

impl ClassScores {
    pub(crate) fn new(counts: &ClassCounts) -> Self {
        let ClassCounts { hits, support, predicted } = *counts;
        if support + predicted == 0 {
            let none = Err(Reason::NeitherTrueNorPredicted);
            return Self { precision: none, recall: none, f1: none };
        }
        // If the whole is 0, there are no hits either, and the share is set to 0.
        let share = |whole: u64| Ok(hits as f64 / whole.max(1) as f64);
        let f1 = Ok((2 * hits) as f64 / (support + predicted) as f64);
        Self { precision: share(predicted), recall: share(support), f1 }
    }

    /// The score that is 0 / 0 and set to 0, if any, with the reason.
    pub(crate) fn by_convention(counts: &ClassCounts) -> Option<(&'static str, Reason)> {
        match (counts.support, counts.predicted) {
            (0, 0) => None,
            (_, 0) => Some(("precision", Reason::NeverPredicted)),
            (0, _) => Some(("recall", Reason::NoExamples)),
            _ => None,
        }
    }
}

/// The text report shows at most this many characters of a class name.
const WIDEST: usize = 200;

/// Precision, recall, F1 and support of each class with their means, as in `sklearn.metrics.classification_report`: 0 / 0 is
/// 0, and classes that are neither among the examples nor ever predicted are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationReport {
    /// A row for each class that is among the examples or predicted.
    pub classes: Vec<ReportRow>,
    /// The accuracy, in [0, 1].
    pub accuracy: f64,
    /// The mean over classes.
    pub macro_avg: ReportRow,
    /// The mean over classes, weighted by their support.
    pub weighted_avg: ReportRow,
}

/// A row of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// The name of the class, or `macro avg` or `weighted avg`.
    pub name: String,
    /// Precision in [0, 1].
    pub precision: f64,
    /// Recall in [0, 1].
    pub recall: f64,
    /// F1 in [0, 1].
    pub f1: f64,
    /// The number of examples.
    pub support: u64,
}

const HEADERS: [&str; 4] = ["precision", "recall", "f1-score", "support"];
const MACRO: &str = "macro avg";
const WEIGHTED: &str = "weighted avg";

impl ClassificationReport {
    /// The report of these counts.
    #[must_use]
    pub fn new(confusion: &ConfusionMatrix) -> Self {
        let counts = confusion.class_counts();
        let scores: Vec<ClassScores> = counts.iter().map(ClassScores::new).collect();
        let support: Vec<u64> = counts.iter().map(|counts| counts.support).collect();
        let rows = confusion.classes.iter().zip(&scores).zip(&support);
        let rows = rows.filter(|((_, scores), _)| scores.f1.is_ok());
        let total = confusion.total();
        let weighted = |values: &[Defined]| weighted_mean(values, &support);
        Self {
            classes: rows.map(|((name, scores), &support)| ReportRow::new(name, *scores, support)).collect(),
            accuracy: confusion.correct() as f64 / total as f64,
            macro_avg: ReportRow::new(MACRO, average(&scores, macro_mean), total),
            weighted_avg: ReportRow::new(WEIGHTED, average(&scores, weighted), total),
        }
    }

    /// The report as scikit-learn prints it, with two digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        let names = self.classes.iter().map(|row| shortened(&row.name, WIDEST).chars().count());
        let width = names.chain([WEIGHTED.len()]).max().unwrap_or_default();
        let headers = HEADERS.map(|header| format!(" {header:>9}")).concat();
        let rows: String = self.classes.iter().map(|row| row.to_text(width)).collect();
        let accuracy = digits(self.accuracy);
        let accuracy = format!("{:>width$}  {:>9} {:>9} {accuracy:>9}", "accuracy", "", "");
        let total = self.macro_avg.support;
        let averages = [&self.macro_avg, &self.weighted_avg].map(|row| row.to_text(width)).concat();
        format!("{:>width$} {headers}\n\n{rows}\n{accuracy} {total:>9}\n{averages}", "")
    }
}

impl ReportRow {
    fn new(name: &str, scores: ClassScores, support: u64) -> Self {
        let ClassScores { precision, recall, f1 } = scores;
        let [precision, recall, f1] = [precision, recall, f1].map(|score| score.unwrap_or(f64::NAN));
        Self { name: name.to_owned(), precision, recall, f1, support }
    }

    fn to_text(&self, width: usize) -> String {
        let Self { name, support, .. } = self;
        let name = shortened(name, WIDEST);
        let [precision, recall, f1] = [self.precision, self.recall, self.f1].map(digits);
        format!("{name:>width$}  {precision:>9} {recall:>9} {f1:>9} {support:>9}\n")
    }
}

/// The mean of each score over classes.
fn average(scores: &[ClassScores], mean: impl Fn(&[Defined]) -> Defined) -> ClassScores {
    let of = |score: fn(&ClassScores) -> Defined| mean(&scores.iter().map(score).collect::<Vec<_>>());
    ClassScores {
        precision: of(|scores| scores.precision),
        recall: of(|scores| scores.recall),
        f1: of(|scores| scores.f1),
    }
}

fn digits(value: f64) -> String {
    if value.is_nan() { "nan".to_owned() } else { format!("{value:.2}") }
}

/// The same as scikit-learn's `output_dict=True`; NaN becomes null.
impl Serialize for ClassificationReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.classes.len() + 3))?;
        for row in &self.classes {
            map.serialize_entry(&row.name, row)?;
        }
        map.serialize_entry("accuracy", &self.accuracy)?;
        map.serialize_entry(MACRO, &self.macro_avg)?;
        map.serialize_entry(WEIGHTED, &self.weighted_avg)?;
        map.end()
    }
}

impl Serialize for ReportRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = [self.precision, self.recall, self.f1, self.support as f64];
        let mut map = serializer.serialize_map(Some(HEADERS.len()))?;
        for (header, value) in HEADERS.iter().zip(values) {
            map.serialize_entry(header, &value)?;
        }
        map.end()
    }
}

/// Exact sums over the confusion matrix, from which kappa and the correlation follow.
struct Sums {
    examples: i128,
    correct: i128,
    /// Sum over classes of support times predictions.
    chance: i128,
    /// Sum over classes of the squared support.
    truth: i128,
    /// Sum over classes of the squared number of predictions.
    predicted: i128,
}

impl Sums {
    fn new(counts: &[ClassCounts]) -> Self {
        let sum = |of: &dyn Fn(&ClassCounts) -> i128| counts.iter().map(of).sum();
        Self {
            examples: sum(&|class| class.support.into()),
            correct: sum(&|class| class.hits.into()),
            chance: sum(&|class| i128::from(class.support) * i128::from(class.predicted)),
            truth: sum(&|class| i128::from(class.support).pow(2)),
            predicted: sum(&|class| i128::from(class.predicted).pow(2)),
        }
    }
}

/// Cohen's kappa (Cohen 1960; `sklearn.metrics.cohen_kappa_score`), in [-1, 1]: 0 for chance, 1 for perfect
/// agreement.
pub(crate) fn cohen_kappa(counts: &[ClassCounts]) -> Defined {
    let Sums { examples, correct, chance, .. } = Sums::new(counts);
    let expected_errors = examples * examples - chance;
    if expected_errors == 0 {
        return Err(Reason::AllTrueAlike);
    }
    Ok(1.0 - (examples * (examples - correct)) as f64 / expected_errors as f64)
}

/// The Matthews correlation for any number of classes (Gorodkin 2004; `sklearn.metrics.matthews_corrcoef`), in [-1, 1]. If
/// all examples or all predictions are of one class, it is 0 / 0, an error here; the figure is then 0, as in scikit-learn.
pub(crate) fn matthews_correlation(counts: &[ClassCounts]) -> Defined {
    let Sums { examples, correct, chance, truth, predicted } = Sums::new(counts);
    let square = examples * examples;
    if square == truth {
        return Err(Reason::AllTrueAlike);
    }
    if square == predicted {
        return Err(Reason::AllPredictedAlike);
    }
    let spread = ((square - truth) as f64 * (square - predicted) as f64).sqrt();
    Ok((correct * examples - chance) as f64 / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion() -> ConfusionMatrix {
        let classes = vec!["cat".to_owned(), "dog, small".to_owned()];
        let predictions = Predictions::new(classes, vec![0, 0, 1], vec![1, 0, 1], vec![0.5; 6], vec![0.0; 3]);
        ConfusionMatrix::new(&predictions.unwrap())
    }

    #[test]
    fn rows_are_true_classes_and_columns_predicted_ones() {
        assert_eq!(confusion().counts, [[1, 1], [0, 1]]);
        assert_eq!((confusion().total(), confusion().correct()), (3, 2));
        let expected =
            [(1, 2, 1), (1, 1, 2)].map(|(hits, support, predicted)| ClassCounts { hits, support, predicted });
        assert_eq!(confusion().class_counts(), expected);
    }

    #[test]
    fn the_corner_of_the_table_names_both_axes() {
        let expected = "true \\ predicted,cat,\"dog, small\"\ncat,1,1\n\"dog, small\",0,1\n";
        assert_eq!(String::from_utf8(confusion().to_csv()).unwrap(), expected);
    }

    #[test]
    fn zero_over_zero_is_0_with_a_reason() {
        let counts = |hits, support, predicted| ClassCounts { hits, support, predicted };
        let scores = |hits, support, predicted| ClassScores::new(&counts(hits, support, predicted));
        let usual = scores(2, 4, 3);
        assert_eq!((usual.precision, usual.recall, usual.f1), (Ok(2.0 / 3.0), Ok(0.5), Ok(4.0 / 7.0)));
        assert_eq!((scores(0, 4, 0).precision, scores(0, 4, 0).f1), (Ok(0.0), Ok(0.0)));
        assert_eq!((scores(0, 0, 3).recall, scores(0, 0, 3).f1), (Ok(0.0), Ok(0.0)));
        assert_eq!(scores(0, 0, 0).f1, Err(Reason::NeitherTrueNorPredicted));
        let by_convention = [counts(2, 4, 3), counts(0, 4, 0), counts(0, 0, 3), counts(0, 0, 0)]
            .map(|counts| ClassScores::by_convention(&counts));
        let expected =
            [None, Some(("precision", Reason::NeverPredicted)), Some(("recall", Reason::NoExamples)), None];
        assert_eq!(by_convention, expected);
    }

    fn counts(entries: &[(u64, u64, u64)]) -> Vec<ClassCounts> {
        entries.iter().map(|&(hits, support, predicted)| ClassCounts { hits, support, predicted }).collect()
    }

    #[test]
    fn kappa_equals_that_of_an_example_computed_by_hand() {
        // 35 of 50 agree, margins 25 to 25 and 30 to 20: observed agreement 0.7, by chance 0.5.
        let counts = counts(&[(20, 25, 30), (15, 25, 20)]);
        assert!((cohen_kappa(&counts).unwrap() - 0.4).abs() < 1e-15);
    }

    #[test]
    fn with_a_single_class_agreement_is_undefined() {
        let one = counts(&[(5, 5, 5), (0, 0, 0)]);
        assert_eq!(cohen_kappa(&one), Err(Reason::AllTrueAlike));
        assert_eq!(matthews_correlation(&one), Err(Reason::AllTrueAlike));
        let collapsed = counts(&[(5, 5, 8), (0, 3, 0)]);
        assert_eq!(cohen_kappa(&collapsed), Ok(0.0));
        assert_eq!(matthews_correlation(&collapsed), Err(Reason::AllPredictedAlike));
    }

    #[test]
    fn a_billion_examples_do_not_overflow() {
        let counts = counts(&[(1 << 29, 1 << 29, 1 << 29), (1 << 29, 1 << 29, 1 << 29)]);
        assert_eq!((cohen_kappa(&counts), matthews_correlation(&counts)), (Ok(1.0), Ok(1.0)));
    }
}
