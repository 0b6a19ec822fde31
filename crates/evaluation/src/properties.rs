//! What holds for every evaluation.

use proptest::prelude::*;

use crate::{Evaluation, EvaluationSettings, FIGURES, Predictions};

/// An example: true class, predicted class, score of each of four classes, loss, weight.
type Example = (u32, u32, [f32; CLASSES], f64, f64);

const CLASSES: usize = 4;

/// Few distinct scores, so that there are ties; some that are not numbers, where `diverged`.
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
        // The ranges are those of probabilities, which sum to 1.
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
    fn sums_of_the_confusion_matrix_are_supports(examples in examples()) {
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
    fn an_area_is_the_share_of_pairs_in_order(examples in prop::collection::vec(example(false), 1..40)) {
        let predictions = predictions(&examples, false);
        let found = evaluation(&predictions).metrics.classes[0].auc;
        let scores = |of: bool| examples.iter().filter(move |e| (e.0 == 0) == of).map(|e| f64::from(e.2[0]));
        let wins = |a: f64, b: f64| if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
        let pairs = (scores(true).count() * scores(false).count()) as f64;
        let won: f64 = scores(true).flat_map(|a| scores(false).map(move |b| wins(a, b))).sum();
        prop_assert!((found.unwrap_or(f64::NAN) - won / pairs).abs() < 1e-12 || (found.is_none() && pairs == 0.0));
    }
}
