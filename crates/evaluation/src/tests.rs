//! Tests of whole evaluations: all figures compared with those of scikit-learn, which `tests/golden/scikit_learn.py`
//! computed, and properties that every evaluation has.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use crate::ranking::Ranking;
use crate::{Evaluation, EvaluationSettings, FIGURES, Metrics, Predictions, RocCurve};

const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct GoldenCase {
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

fn cases() -> Vec<GoldenCase> {
    let text = include_str!("../tests/golden/scikit_learn.json");
    let cases: Vec<GoldenCase> = serde_json::from_str(text).unwrap();
    assert!(cases.len() >= 5);
    cases
}

impl GoldenCase {
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

/// The value of `key` in `metrics.json`, which may be null but must exist.
fn entry<'a>(json: &'a Value, key: &str) -> &'a Value {
    json.get(key).unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn figures_equal_those_of_scikit_learn() {
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
            let is_it =
                |entry: &&crate::UndefinedFigure| entry.figure == figure && entry.class.as_deref() == class;
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
fn curves_equal_those_of_scikit_learn() {
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
fn the_report_equals_that_of_scikit_learn_to_the_byte() {
    for case in cases() {
        let report = case.evaluation().report;
        assert_eq!(report.to_text(), case.report_text, "{}", case.name);
        assert_same(&case, &serde_json::to_value(&report).unwrap(), &case.report_dict);
        let keys = |value: &Value| value.as_object().unwrap().len();
        assert_eq!(keys(&serde_json::to_value(&report).unwrap()), keys(&case.report_dict));
    }
}

fn assert_same(case: &GoldenCase, found: &Value, expected: &Value) {
    match expected {
        Value::Object(entries) => {
            entries.iter().for_each(|(key, expected)| assert_same(case, entry(found, key), expected));
        }
        _ => case.assert_near("report", found.as_f64(), expected.as_f64()),
    }
}

#[test]
fn metrics_are_the_same_after_writing_and_reading() {
    for case in cases() {
        let metrics = case.evaluation().metrics;
        let text = serde_json::to_string(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<Metrics>(&text).unwrap(), metrics, "{}", case.name);
    }
}

/// An example: true class, predicted class, score of each of four classes, loss, weight.
type Example = (u32, u32, [f32; CLASSES], f64, f64);

const CLASSES: usize = 4;

/// Few distinct scores, so that there are ties; with NaN if `diverged`.
fn example(diverged: bool) -> impl Strategy<Value = Example> {
    let score = prop_oneof![
        4 => (0_u8..=8).prop_map(|eighths| f32::from(eighths) / 8.0),
        2 => 0.0_f32..=1.0,
        u32::from(diverged) => Just(f32::NAN),
    ];
    let classes = CLASSES as u32;
    let loss = prop_oneof![9 => 0.0..20.0, u32::from(diverged) => Just(f64::INFINITY)];
    (0..classes, 0..classes, prop::array::uniform4(score), loss, 0.25..4.0)
}

fn examples() -> impl Strategy<Value = Vec<Example>> {
    let some = |diverged| prop::collection::vec(example(diverged), 1..60);
    prop_oneof![3 => some(false), 1 => some(true)]
}

fn predictions(examples: &[Example], weighted: bool) -> Predictions {
    let names = (0..CLASSES).map(|class| class.to_string()).collect();
    let truth = examples.iter().map(|example| example.0).collect();
    let predicted = examples.iter().map(|example| example.1).collect();
    let rows = examples.iter().flat_map(|example| example.2).collect();
    let loss = examples.iter().map(|example| example.3).collect();
    let predictions = Predictions::new(names, truth, predicted, rows, loss).unwrap();
    if !weighted {
        return predictions;
    }
    predictions.with_weights(examples.iter().map(|example| example.4).collect()).unwrap()
}

fn evaluation(predictions: &Predictions) -> Evaluation {
    let settings = EvaluationSettings { resamples: 20, ..EvaluationSettings::default() };
    Evaluation::new(predictions, &settings).unwrap()
}

/// As text, in which NaN equals NaN.
fn text(evaluation: &Evaluation) -> String {
    serde_json::to_string(evaluation).unwrap()
}

proptest! {
    #[test]
    fn any_order_gives_the_same_bits(
        (examples, shuffled) in examples().prop_flat_map(|examples| {
            (Just(examples.clone()), Just(examples).prop_shuffle())
        }),
        weighted: bool,
    ) {
        let before = evaluation(&predictions(&examples, weighted));
        prop_assert_eq!(text(&before), text(&evaluation(&predictions(&shuffled, weighted))));
    }

    #[test]
    fn what_is_written_and_read_gives_the_same_bits(examples in examples(), weighted: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let written = predictions(&examples, weighted);
        std::fs::write(&path, written.to_csv()).unwrap();
        let read = Predictions::read(&path).unwrap();
        prop_assert_eq!(text(&evaluation(&read)), text(&evaluation(&written)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, cut in 0_usize..400, examples in examples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let mut text = predictions(&examples, true).to_csv();
        text.truncate(cut);
        text.extend(bytes);
        std::fs::write(&path, text).unwrap();
        if let Ok(predictions) = Predictions::read(&path) {
            let _ = Evaluation::new(&predictions, &EvaluationSettings::default());
        }
    }

    #[test]
    fn figures_stay_in_their_ranges(mut examples in examples()) {
        // The ranges assume probabilities that sum to 1.
        for (_, _, scores, _, _) in &mut examples {
            let sum: f32 = scores.iter().sum();
            *scores = scores.map(|score| if sum == 0.0 { 1.0 / CLASSES as f32 } else { score / sum });
        }
        let evaluation = evaluation(&predictions(&examples, false));
        let metrics = &evaluation.metrics;
        for row in FIGURES {
            let [low, high] = row.range;
            let value = metrics.figure(row.key);
            prop_assert!(value.is_none_or(|value| (low - 1e-6..=high + 1e-6).contains(&value)), "{}", row.key);
        }
        let of_classes = metrics.classes.iter();
        let of_classes = of_classes.flat_map(|c| [c.precision, c.recall, c.f1, c.auc, c.average_precision]);
        for share in of_classes.flatten() {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&share), "{}", share);
        }
    }

    #[test]
    fn sums_of_the_confusion_matrix_equal_the_supports(examples in examples()) {
        let Evaluation { metrics, confusion, report, .. } = evaluation(&predictions(&examples, false));
        prop_assert_eq!(confusion.total(), examples.len() as u64);
        let accuracy = metrics.accuracy();
        for (class, figures) in metrics.classes.iter().enumerate() {
            let row = confusion.counts[class].iter().sum::<u64>();
            let column = confusion.counts.iter().map(|row| row[class]).sum::<u64>();
            prop_assert_eq!((row, column), (figures.support, figures.predicted));
            let in_report = report.classes.iter().find(|line| line.name == figures.class);
            prop_assert_eq!(in_report.map_or(0, |line| line.support), row);
            prop_assert_eq!(in_report.is_some(), row + column > 0);
        }
        prop_assert_eq!(metrics.reliability.map_or(confusion.total(), |bins| {
            bins.iter().map(|bin| bin.examples).sum()
        }), confusion.total());
        let top_k = metrics.top_k_accuracy.unwrap_or_default();
        prop_assert!(top_k.get(&1).is_none_or(|share| *share == accuracy));
    }

    #[test]
    fn an_auc_is_the_share_of_pairs_in_order(examples in prop::collection::vec(example(false), 1..40)) {
        let predictions = predictions(&examples, false);
        let found = evaluation(&predictions).metrics.classes[0].auc;
        let scores = |of: bool| examples.iter().filter(move |e| (e.0 == 0) == of).map(|e| f64::from(e.2[0]));
        let wins = |a: f64, b: f64| if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
        let pairs = (scores(true).count() * scores(false).count()) as f64;
        let won: f64 = scores(true).flat_map(|a| scores(false).map(move |b| wins(a, b))).sum();
        prop_assert!((found.unwrap_or(f64::NAN) - won / pairs).abs() < 1e-12 || (found.is_none() && pairs == 0.0));
    }
}
