//! Every figure against scikit-learn's numbers, which `tests/golden/scikit_learn.py` made.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::ranking::Ranking;
use crate::{Evaluation, EvaluationSettings, Metrics, Predictions, RocCurve};

const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Case {
    name: String,
    classes: Vec<String>,
    truth: Vec<u32>,
    predicted: Vec<u32>,
    probabilities: Vec<f32>,
    loss: Vec<f64>,
    figures: BTreeMap<String, Option<f64>>,
    top_k: BTreeMap<usize, f64>,
    confusion: Vec<Vec<u64>>,
    class_figures: Vec<BTreeMap<String, Option<f64>>>,
    curves: Curves,
    report_text: String,
    report_dict: Value,
}

#[derive(Deserialize)]
struct Curves {
    class: usize,
    roc: Roc,
    roc_whole: Roc,
    micro: Roc,
    #[serde(rename = "macro")]
    macro_average: MacroRoc,
    precision_recall: PrecisionRecall,
}

#[derive(Deserialize)]
struct Roc {
    fpr: Vec<f64>,
    tpr: Vec<f64>,
    threshold: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct MacroRoc {
    fpr: Vec<f64>,
    tpr: Vec<f64>,
    auc: f64,
}

#[derive(Deserialize)]
struct PrecisionRecall {
    precision: Vec<f64>,
    recall: Vec<f64>,
    threshold: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../tests/golden/scikit_learn.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert!(cases.len() >= 5);
    cases
}

impl Case {
    fn predictions(&self) -> Predictions {
        let Self { classes, truth, predicted, probabilities, loss, .. } = self;
        let (classes, probabilities) = (classes.clone(), probabilities.clone());
        Predictions::new(classes, truth.clone(), predicted.clone(), probabilities, loss.clone()).unwrap()
    }

    fn evaluation(&self) -> Evaluation {
        let settings = EvaluationSettings { resamples: 20, ..EvaluationSettings::default() };
        Evaluation::new(&self.predictions(), &settings).unwrap()
    }

    fn assert_near(&self, what: &str, found: Option<f64>, expected: Option<f64>) {
        let is_near = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= TOLERANCE * expected.abs().max(1.0),
            (found, expected) => found == expected,
        };
        assert!(is_near, "{} {what}: {found:?} is not scikit-learn's {expected:?}", self.name);
    }

    fn assert_all_near(&self, what: &str, found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{} {what}", self.name);
        for (found, expected) in found.iter().zip(expected) {
            self.assert_near(what, Some(*found), Some(*expected));
        }
    }

    fn assert_curve(&self, what: &str, found: &RocCurve, expected: &Roc) {
        let thresholds: Vec<f64> =
            expected.threshold.iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
        assert_eq!(found.thresholds, thresholds, "{} {what}", self.name);
        self.assert_all_near(what, &found.fpr, &expected.fpr);
        self.assert_all_near(what, &found.tpr, &expected.tpr);
    }
}

/// What `metrics.json` has under `key`, null or not; missing keys are a failure.
fn entry<'a>(json: &'a Value, key: &str) -> &'a Value {
    json.get(key).unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn figures_are_scikit_learns() {
    for case in cases() {
        let evaluation = case.evaluation();
        let json = serde_json::to_value(&evaluation.metrics).unwrap();
        for (key, expected) in &case.figures {
            case.assert_near(key, entry(&json, key).as_f64(), *expected);
        }
        assert_eq!(evaluation.confusion.counts, case.confusion, "{}", case.name);
        for (class, expected) in case.class_figures.iter().enumerate() {
            let found = &entry(&json, "classes")[class];
            for (key, expected) in expected {
                case.assert_near(&format!("{key} of {class}"), entry(found, key).as_f64(), *expected);
            }
        }
        for (k, expected) in &case.top_k {
            let found = evaluation.metrics.top_k_accuracy.as_ref().unwrap()[k];
            case.assert_near(&format!("top {k}"), Some(found), Some(*expected));
        }
    }
}

#[test]
fn every_null_has_a_reason() {
    for case in cases() {
        let metrics = case.evaluation().metrics;
        let reasons = |figure: &str, class: Option<&str>| {
            let is_it = |entry: &&crate::Undefined| entry.figure == figure && entry.class.as_deref() == class;
            metrics.undefined.iter().filter(is_it).count()
        };
        for (key, value) in &case.figures {
            assert_eq!(reasons(key, None), usize::from(value.is_none()), "{} {key}", case.name);
        }
        for (name, figures) in case.classes.iter().zip(&case.class_figures) {
            for (key, value) in figures {
                assert_eq!(reasons(key, Some(name)), usize::from(value.is_none()), "{key} of {name}");
            }
        }
    }
}

#[test]
fn curves_are_scikit_learns() {
    for case in cases() {
        let evaluation = case.evaluation();
        let Curves { class, roc, roc_whole, micro, macro_average, precision_recall } = &case.curves;
        case.assert_curve("roc", evaluation.roc.classes[*class].as_ref().unwrap(), roc);
        let ranking = Ranking::of_class(&case.predictions(), *class);
        case.assert_curve("whole roc", &RocCurve::whole(&ranking).unwrap(), roc_whole);
        case.assert_curve("micro roc", evaluation.roc.micro.as_ref().unwrap(), micro);

        let found = evaluation.roc.macro_average.as_ref().unwrap();
        case.assert_all_near("macro fpr", &found.fpr[1..], &macro_average.fpr);
        case.assert_all_near("macro tpr", &found.tpr[1..], &macro_average.tpr);
        case.assert_near("macro curve", Some(found.auc), Some(macro_average.auc));
        assert_eq!(evaluation.metrics.figure("macro_average_roc_auc"), Some(found.auc));

        let found = evaluation.precision_recall.classes[*class].as_ref().unwrap();
        let reversed = |values: &[f64]| values.iter().rev().copied().collect::<Vec<f64>>();
        case.assert_all_near("precision", &reversed(&found.precision), &precision_recall.precision);
        case.assert_all_near("recall", &reversed(&found.recall), &precision_recall.recall);
        let thresholds = reversed(&found.thresholds[1..]);
        case.assert_all_near("thresholds", &thresholds, &precision_recall.threshold);
    }
}

#[test]
fn the_report_is_scikit_learns_to_the_byte() {
    for case in cases() {
        let report = case.evaluation().report;
        assert_eq!(report.to_text(), case.report_text, "{}", case.name);
        assert_same(&case, &serde_json::to_value(&report).unwrap(), &case.report_dict);
        let keys = |value: &Value| value.as_object().unwrap().len();
        assert_eq!(keys(&serde_json::to_value(&report).unwrap()), keys(&case.report_dict));
    }
}

fn assert_same(case: &Case, found: &Value, expected: &Value) {
    match expected {
        Value::Object(entries) => {
            entries.iter().for_each(|(key, expected)| assert_same(case, entry(found, key), expected));
        }
        _ => case.assert_near("report", found.as_f64(), expected.as_f64()),
    }
}

#[test]
fn what_is_written_is_read_again() {
    for case in cases() {
        let metrics = case.evaluation().metrics;
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics, "{}", case.name);
    }
}
