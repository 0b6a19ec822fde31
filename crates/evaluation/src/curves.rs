//! The curves of all classes and their averages.

use kiln_files::csv_cell;
use rayon::prelude::*;
use serde::Serialize;

use crate::Predictions;
use crate::average_roc::average_roc;
use crate::precision_recall::PrecisionRecallCurve;
use crate::ranking::Ranking;
use crate::roc::RocCurve;
use crate::undefined::{Defined, Reason};

/// The ROC curves: each class against the rest, and two averages. None where a curve is undefined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RocCurves {
    /// One for each class, by number.
    pub classes: Vec<Option<RocCurve>>,
    /// The curve of all probabilities pooled.
    pub micro: Option<RocCurve>,
    /// The mean of the classes' curves.
    pub macro_average: Option<RocCurve>,
}

/// The precision-recall curves: each class against the rest, and all pooled. None where a curve is undefined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRecallCurves {
    /// One for each class, by number.
    pub classes: Vec<Option<PrecisionRecallCurve>>,
    /// The curve of all probabilities pooled.
    pub micro: Option<PrecisionRecallCurve>,
}

/// All curves, or why there are none.
pub(crate) struct Curves {
    roc: Vec<Result<RocCurve, Reason>>,
    micro_roc: Result<RocCurve, Reason>,
    macro_average: Result<RocCurve, Reason>,
    precision_recall: Vec<Result<PrecisionRecallCurve, Reason>>,
    micro_precision_recall: Result<PrecisionRecallCurve, Reason>,
}

impl Curves {
    /// `rankings` are those of the classes; none where probabilities are not finite.
    pub(crate) fn new(predictions: &Predictions, rankings: Option<&[Ranking]>) -> Self {
        let Some(rankings) = rankings else { return Self::undefined(predictions.class_count()) };
        let macro_average = average_roc(rankings);
        let roc = rankings.par_iter().map(RocCurve::new).collect();
        let precision_recall = rankings.par_iter().map(PrecisionRecallCurve::new).collect();
        let pooled = Ranking::pooled(predictions);
        let (micro_roc, micro_precision_recall) =
            rayon::join(|| RocCurve::new(&pooled), || PrecisionRecallCurve::new(&pooled));
        Self { roc, micro_roc, macro_average, precision_recall, micro_precision_recall }
    }

    fn undefined(classes: usize) -> Self {
        Self {
            roc: vec![Err(Reason::NotFinite); classes],
            micro_roc: Err(Reason::NotFinite),
            macro_average: Err(Reason::NotFinite),
            precision_recall: vec![Err(Reason::NotFinite); classes],
            micro_precision_recall: Err(Reason::NotFinite),
        }
    }

    /// The area under each class's ROC curve.
    pub(crate) fn areas(&self) -> Vec<Defined> {
        self.roc.iter().map(area).collect()
    }

    /// The average precision of each class.
    pub(crate) fn average_precisions(&self) -> Vec<Defined> {
        self.precision_recall.iter().map(average_precision).collect()
    }

    /// The area under the ROC curve of all probabilities pooled.
    pub(crate) fn micro_area(&self) -> Defined {
        area(&self.micro_roc)
    }

    /// The area under the mean of the classes' ROC curves.
    pub(crate) fn average_area(&self) -> Defined {
        area(&self.macro_average)
    }

    /// The average precision of all probabilities pooled.
    pub(crate) fn micro_average_precision(&self) -> Defined {
        average_precision(&self.micro_precision_recall)
    }

    pub(crate) fn into_defined(self) -> (RocCurves, PrecisionRecallCurves) {
        let roc = RocCurves {
            classes: self.roc.into_iter().map(Result::ok).collect(),
            micro: self.micro_roc.ok(),
            macro_average: self.macro_average.ok(),
        };
        let precision_recall = PrecisionRecallCurves {
            classes: self.precision_recall.into_iter().map(Result::ok).collect(),
            micro: self.micro_precision_recall.ok(),
        };
        (roc, precision_recall)
    }
}

fn area(curve: &Result<RocCurve, Reason>) -> Defined {
    curve.as_ref().map(|curve| curve.auc).map_err(|reason| *reason)
}

fn average_precision(curve: &Result<PrecisionRecallCurve, Reason>) -> Defined {
    curve.as_ref().map(|curve| curve.average_precision).map_err(|reason| *reason)
}

impl RocCurves {
    /// The curves as CSV with the columns class, fpr, tpr and threshold. The class is that of the row's
    /// curve by name, or `micro avg` or `macro avg`, which stand last; the threshold of the first point of a
    /// curve is `inf`, and a macro average has none.
    ///
    /// # Panics
    /// Where `names` has not a name for each class.
    #[must_use]
    pub fn to_csv(&self, names: &[String]) -> Vec<u8> {
        assert_eq!(names.len(), self.classes.len(), "a name for each class");
        let mut text = b"class,fpr,tpr,threshold\n".to_vec();
        let classes = names.iter().map(String::as_str).zip(&self.classes);
        for (name, curve) in classes.chain([("micro avg", &self.micro), ("macro avg", &self.macro_average)]) {
            if let Some(curve) = curve {
                append_rows(curve, &csv_cell(name), &mut text);
            }
        }
        text
    }
}

fn append_rows(curve: &RocCurve, name: &[u8], text: &mut Vec<u8>) {
    for (index, (fpr, tpr)) in curve.fpr.iter().zip(&curve.tpr).enumerate() {
        text.extend_from_slice(name);
        text.extend_from_slice(format!(",{fpr:?},{tpr:?},").as_bytes());
        if let Some(&threshold) = curve.thresholds.get(index) {
            // Scores are of single precision, and have its digits.
            text.extend_from_slice(format!("{:?}", threshold as f32).as_bytes());
        }
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_names_the_curve_of_each_row() {
        let names = vec!["a, b".to_owned(), "c".to_owned(), "absent".to_owned()];
        let rows = vec![0.9, 0.1, 0.0, 0.2, 0.8, 0.0];
        let predictions =
            Predictions::new(names.clone(), vec![0, 1], vec![0, 1], rows, vec![0.0; 2]).unwrap();
        let rankings: Vec<Ranking> = (0..3).map(|class| Ranking::of_class(&predictions, class)).collect();
        let (roc, precision_recall) = Curves::new(&predictions, Some(&rankings)).into_defined();
        assert!(roc.classes[2].is_none() && precision_recall.classes[2].is_none());
        let text = String::from_utf8(roc.to_csv(&names)).unwrap();
        let starts =
            "class,fpr,tpr,threshold\n\"a, b\",0.0,0.0,inf\n\"a, b\",0.0,1.0,0.9\n\"a, b\",1.0,1.0,0.2\n";
        assert!(text.starts_with(starts), "{text}");
        assert!(text.ends_with("macro avg,0.0,0.0,\nmacro avg,0.0,1.0,\nmacro avg,1.0,1.0,\n"), "{text}");
        assert!(!text.contains("absent") && text.contains("micro avg,0.0,1.0,0.8\n"), "{text}");
    }
}
