use kiln_artifacts::{Best, MetricLog, RunFailure, RunInputs, RunState, Scope, StopReason};
use kiln_config::Monitor;
use kiln_data::{ExampleCounts, Normalizer, Profile, Reading, Shape, Ties};
use tempfile::TempDir;

use super::*;
use crate::{Baseline, BaselineModel, write_evaluation, write_profile};

/// A run of three epochs on two classes, the second the best, and the folder that it is in.
fn run(state: RunState) -> (TempDir, Run, Experiment) {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::create(
        folder.path(),
        "demo",
        &RunInputs { resolved_toml: "", input_toml: "", overrides: &[], start: None },
    )
    .unwrap();
    let mut log = MetricLog::open_append(run.metrics()).unwrap();
    for (epoch, loss) in [(1, 0.9), (2, 0.3), (3, 0.4)] {
        for split in ["train", "validation"] {
            let figures = [("loss", loss), ("accuracy", 1.0 - loss)];
            log.append(&MetricRow::new(split, Scope::Epoch, epoch, epoch * 10, figures)).unwrap();
        }
    }
    log.sync().unwrap();
    let status = Status {
        epoch: 3,
        step: 30,
        best: Some(Best { monitor: Monitor::ValidationLoss, value: 0.3, epoch: 2, step: 20 }),
        ..Status::running(3, 30)
    };
    run.write_status(&status.stopped(state, StopReason::Completed)).unwrap();
    let mut experiment = Experiment::default();
    experiment.model.hidden = vec![16];
    (folder, run, experiment)
}

fn with_profile(run: &Run) {
    let profile = Profile {
        source: "idx".to_owned(),
        shape: Shape::Image { height: 2, width: 4, channels: 1 },
        classes: vec!["no".to_owned(), "yes".to_owned()],
        greatest_pixel: Some(255),
        normalizer: Normalizer::Divide { divisor: 255.0 },
        reading: Reading::default(),
        class_weights: Vec::new(),
        ties: Ties::Drawn,
        notices: Vec::new(),
        examples: Some(ExampleCounts { train: 1294, validation: 10, test: 4 }),
    };
    write_profile(run, &profile).unwrap();
}

/// Three of four right.
fn evaluation(run: &Run, name: &str, step: u64) -> Evaluation {
    let names = || vec!["no".to_owned(), "yes".to_owned()];
    let probabilities = vec![0.9, 0.1, 0.8, 0.2, 0.3, 0.7, 0.6, 0.4];
    let predictions =
        Predictions::new(names(), vec![0, 0, 1, 1], vec![0, 0, 1, 0], probabilities, vec![0.5; 4]).unwrap();
    let guess =
        Predictions::new(names(), vec![0, 0, 1, 1], vec![0; 4], [0.6, 0.4].repeat(4), vec![0.6; 4]).unwrap();
    let settings = EvaluationSettings {
        resamples: 0,
        checkpoint_step: Some(step),
        baselines: vec![Baseline::new(BaselineModel::MostFrequentClass, &guess, &predictions)],
        ..EvaluationSettings::default()
    };
    write_evaluation(run, name, &predictions, &settings).unwrap()
}

/// The words of the page's first paragraph.
fn lead(page: &str) -> String {
    let rest = page.split_once("<p class=\"lead\">").unwrap().1;
    rest.split_once("</p>").unwrap().0.replace('\u{a0}', " ")
}

fn page(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_first_sentence_says_what_was_trained_on_what_and_how_good_it_is() {
    let (_folder, run, experiment) = run(RunState::Finished);
    with_profile(&run);
    let tested = evaluation(&run, "test", 20);
    let report = page(write_report(&run, "test", &experiment, &tested, None).unwrap());
    let expected = "A multilayer perceptron 8-16-2, trained on 1,294 examples of idx for 3 epochs, gets 75.0 % of 4 test \
                    examples right. Naming the most frequent class every time gets 50.0 % right. Tested: the checkpoint of \
                    epoch 2, the best by validation loss.";
    assert_eq!(lead(&report), expected);
    assert_eq!(report.matches("<h1>").count(), 1);
    assert!(report.contains(">\nbest: epoch 2\n<"), "the best epoch is marked");
    assert!(!report.contains("macro avg") && !report.contains("micro average"), "there are two classes");
}

#[test]
fn the_page_is_the_same_while_the_run_ends_and_after() {
    let (_folder, run, experiment) = run(RunState::Running);
    with_profile(&run);
    let tested = evaluation(&run, "test", 20);
    let report = || page(write_report(&run, "test", &experiment, &tested, None).unwrap());
    let before = report();
    run.write_status(&run.status().unwrap().stopped(RunState::Finished, StopReason::Completed)).unwrap();
    assert_eq!(report(), before);
}

#[test]
fn what_a_run_of_an_earlier_version_does_not_tell_is_left_out() {
    let (_folder, run, experiment) = run(RunState::Finished);
    let tested = evaluation(&run, "validation", 30);
    let report = page(write_report(&run, "validation", &experiment, &tested, None).unwrap());
    let expected =
        "A multilayer perceptron, trained for 3 epochs, gets 75.0 % of 4 validation examples right.";
    assert!(lead(&report).starts_with(expected), "{}", lead(&report));
    assert!(lead(&report).ends_with("Tested: the last checkpoint, of epoch 3."), "{}", lead(&report));
}

#[test]
fn a_failed_run_has_a_page_of_its_training() {
    let (_folder, run, experiment) = run(RunState::Failed);
    let status = Status {
        error: Some("loss became NaN at step 31 (epoch 4)".to_owned()),
        failure: Some(RunFailure::NonFinite {
            figure: "loss".to_owned(),
            value: "NaN".to_owned(),
            step: 31,
            epoch: 4,
            place: "the loss".to_owned(),
        }),
        ..run.status().unwrap()
    };
    run.write_status(&status).unwrap();
    let report = page(write_training_report(&run, &experiment).unwrap());
    assert!(
        lead(&report).ends_with("The run failed: loss became NaN at step 31 (epoch 4)."),
        "{}",
        lead(&report)
    );
    for part in ["findings", "training", "experiment"] {
        assert!(report.contains(&format!("<section id=\"{part}\"")), "{part}");
    }
    for part in ["confusion", "classes", "curves", "examples"] {
        assert!(!report.contains(&format!("<section id=\"{part}\"")), "{part} takes a test");
    }
    assert!(run.plots().join("loss.svg").is_file());
    assert_eq!(report, page(write_training_report(&run, &experiment).unwrap()), "the same every time");
}

#[test]
fn an_interrupted_run_says_how_far_it_is() {
    let (_folder, run, experiment) = run(RunState::Interrupted);
    let report = page(write_training_report(&run, &experiment).unwrap());
    assert!(
        lead(&report).ends_with("The run was stopped at step 30 of 30 and can be resumed."),
        "{}",
        lead(&report)
    );
}
