//! The classification report, in scikit-learn's layout.

use kiln_files::shortened;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::class_scores::ClassScores;
use crate::confusion::Confusion;
use crate::undefined::{Defined, macro_mean, weighted_mean};

/// Characters of a class name that the text shows.
const WIDEST: usize = 200;

/// Precision, recall, F1 and support of each class with their means, as `sklearn.metrics.classification_report` gives them:
/// what is 0 / 0 is 0, and classes that are neither among the examples nor ever predicted are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationReport {
    /// A row for each class that is among the examples or predicted.
    pub classes: Vec<ReportRow>,
    /// The share of examples predicted right, in [0, 1].
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
    pub fn new(confusion: &Confusion) -> Self {
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

    /// The report as the text that scikit-learn prints, with two digits.
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

/// As `output_dict=True` gives it; NaN is null.
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
