//! The library, used as another program would use it: a Burn module and an optimizer from outside Kiln, the baselines
//! against scikit-learn, and predictions as a server requests them.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{LionConfig, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::train::{ClassificationOutput, ExecutionStrategy, InferenceStep, TrainOutput, TrainStep};
use kiln::{
    Batch, Error, Evaluation, Event, Model, Observer, Options, Outcome, Resolved, Resumed, Session, Setup,
    Silent, Split, StepOutput, StopSignal, Trained, experiment, is_over, perceptron,
};
use kiln_data::{Batching, EpochBatches, NoProgress};
use kiln_evaluation::BaselineModel;

/// A module that uses what a Burn user may have: its own input type, running means, and Burn's dropout.
#[derive(Clone)]
struct Images {
    pixels: Tensor<4>,
    batch: Batch,
}

impl From<Batch> for Images {
    fn from(batch: Batch) -> Self {
        let [examples, _] = batch.features.dims();
        Self { pixels: batch.features.clone().reshape([examples, 1, 8, 8]), batch }
    }
}

#[derive(Module, Debug)]
struct Own {
    conv: Conv2d,
    norm: BatchNorm,
    dropout: Dropout,
    output: Linear,
}

impl Own {
    fn new(setup: &Setup) -> Self {
        Self {
            conv: Conv2dConfig::new([1, 4], [3, 3]).init(&setup.device),
            norm: BatchNormConfig::new(4).init(&setup.device),
            dropout: DropoutConfig::new(0.3).init(),
            output: LinearConfig::new(4 * 36, setup.classes).init(&setup.device),
        }
    }

    fn classify(&self, images: Images) -> ClassificationOutput {
        let hidden = relu(self.norm.forward(self.conv.forward(images.pixels)));
        let scores = self.output.forward(self.dropout.forward(hidden.flatten(1, 3)));
        let targets = images.batch.targets;
        let loss = CrossEntropyLossConfig::new().init(&scores.device());
        ClassificationOutput::new(loss.forward(scores.clone(), targets.clone()), scores, targets)
    }
}

impl TrainStep for Own {
    type Input = Images;
    type Output = ClassificationOutput;

    fn step(&self, images: Images) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(images);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Own {
    type Input = Images;
    type Output = ClassificationOutput;

    fn step(&self, images: Images) -> ClassificationOutput {
        self.classify(images)
    }
}

impl Model for Own {}

fn lion() -> ModuleOptimizer {
    LionConfig::new().with_weight_decay(0.01).init()
}

/// Requests a stop at the interval with this number, from 0.
struct StopsAt(usize, StopSignal);

impl Observer for StopsAt {
    fn observe(&mut self, event: &Event) {
        if let Event::Interval { .. } = event {
            if self.0 == 0 {
                let _ = self.1.request();
            }
            self.0 = self.0.saturating_sub(1);
        }
    }
}

fn options(stop_at: Option<usize>) -> Options {
    let stop = StopSignal::default();
    let observer: Box<dyn Observer> = match stop_at {
        Some(interval) => Box::new(StopsAt(interval, stop.clone())),
        None => Box::new(Silent),
    };
    Options { optimizer: Some(lion()), dashboard: false, observer, stop, report: true, pause_after: None }
}

const SETTINGS: [&str; 7] = [
    "model.name=own",
    "training.epochs=4",
    "training.gradient_accumulation=2",
    "training.max_norm=1.0",
    "optimizer.lr=0.003",
    "dashboard.log_interval=3",
    "loss.l2=1e-5",
];

const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/digits.toml");

/// On a CPU, Burn has one random stream for the whole process, and each training seeds it: trainings take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digits() -> Resolved {
    experiment(DIGITS, &SETTINGS).expect("a valid experiment")
}

fn read(outcome: &Outcome, file: &str) -> Vec<u8> {
    fs::read(outcome.run.folder().join(file)).expect("the run has the file")
}

fn trained_with_stops(artifacts: &Path, stops: &[usize]) -> Outcome {
    let mut session = Session::create(&digits(), artifacts).expect("the digits are built in");
    for &stop in stops {
        let outcome = session.train(Own::new, options(Some(stop))).expect("it trains");
        assert!(!is_over(outcome.trained.reason), "the training did not stop at interval {stop}");
        drop(session);
        session = match Session::resume(outcome.run, &[]).expect("it can be resumed") {
            Resumed::Ready(session) => *session,
            Resumed::Finished(_) => panic!("the training was stopped"),
        };
    }
    session.train(Own::new, options(None)).expect("it trains")
}

#[test]
fn a_module_of_a_user_learns_and_resumes_exactly_with_burns_dropout_running_means_and_lion() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let whole = trained_with_stops(&folder.path().join("whole"), &[]);
    let test = whole.test.as_ref().expect("the training was not stopped");
    assert!(test.accuracy() > 0.9, "{}", test.accuracy());
    for file in ["report.html", "plots/loss.svg", "evaluation/test/metrics.json"] {
        assert!(!read(&whole, file).is_empty(), "{file}");
    }
    let stopped = trained_with_stops(&folder.path().join("stopped"), &[4, 7, 2]);
    assert_eq!(stopped.trained.weights_sha256, whole.trained.weights_sha256);
    for file in ["metrics.jsonl", "evaluation/test/predictions.csv"] {
        assert_eq!(read(&stopped, file), read(&whole, file), "{file}");
    }
    let log = String::from_utf8(read(&whole, "metrics.jsonl")).expect("text");
    assert!(log.contains("\"conv.gradient_norm\"") && log.contains("\"output.update_ratio\""), "{log}");

    // The stored model predicts the same as in the test pass.
    let stored = Trained::open(whole.run.clone(), None, Own::new).expect("its weights are there");
    let split = stored.own_split("test", &NoProgress).expect("the digits are built in");
    let predictions = stored.predict(&split);
    let right = (0..predictions.len()).filter(|&at| predictions.predicted()[at] == predictions.truth()[at]);
    assert!((right.count() as f64 / predictions.len() as f64 - test.accuracy()).abs() < 1e-12);
}

#[test]
fn burns_own_strategies_train_the_same_module() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::create(&digits(), folder.path()).expect("the digits are built in");
    let device = session.setup().device;
    let model = session.train_by(ExecutionStrategy::single(device.clone()), Own::new, options(None));
    let model = model.expect("Burn trains it");
    let split = &session.data().test;
    let normalizer = Arc::new(session.data().normalizer.clone());
    let batching = Batching::in_order(split.len());
    let batch = EpochBatches::new(split, &normalizer, &batching, 0, 0, &device.inner()).next();
    let tally = StepOutput::tally(InferenceStep::step(&model, batch.expect("test examples").into()));
    assert!(tally.accuracy() > 0.8, "{}", tally.accuracy());
}

#[test]
fn a_run_is_trained_only_with_the_network_that_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::create(&digits(), folder.path()).expect("the digits are built in");
    let error = session.train(perceptron, options(None)).err().expect("another network was named");
    assert!(matches!(error, Error::OtherModel { .. }) && error.to_string().contains("\"own\""), "{error}");
    let unnamed = experiment(DIGITS, &[]).expect("a valid experiment");
    let session = Session::create(&unnamed, folder.path()).expect("the digits are built in");
    let error = session.train(Own::new, options(None)).err().expect("it has no name");
    assert!(matches!(error, Error::OtherModel { .. }), "{error}");
}

/// Rows of three overlapping classes. The third is half as frequent as the others.
fn rows() -> String {
    let mut text = "p,q,r,s,label\n".to_owned();
    for row in 0..90_u32 {
        let class = row % 3;
        if class == 2 && row % 2 == 0 {
            continue;
        }
        for column in 0..4_u32 {
            let shift = if column < 2 { 1.0 } else { 0.2 * f64::from(column) };
            let value =
                (f64::from(row) * 1.7 + f64::from(column)).sin() * 1.5 + (f64::from(class) - 1.0) * shift;
            text += &format!("{value:.3},");
        }
        text += ["a\n", "b\n", "c\n"][class as usize];
    }
    text
}

/// Trains a small network on the rows, and evaluates it on the same rows.
fn trained(folder: &Path, settings: &[&str]) -> Evaluation {
    let path = folder.join("rows.csv");
    fs::write(&path, rows()).unwrap();
    let path = path.to_str().unwrap();
    let file = folder.join("rows.toml");
    let text = format!(
        "name = \"rows\"\n[data]\nsource = \"csv\"\npath = {path:?}\ntest_path = {path:?}\nvalidation = 0\n\
         normalization = \"unit\"\n[model]\nhidden = [4]\n[training]\nepochs = 2\n"
    );
    fs::write(&file, text).unwrap();
    let resolved = experiment(file.to_str().unwrap(), settings).unwrap();
    let session = Session::create(&resolved, folder.join("artifacts")).unwrap();
    let outcome = session.train(perceptron, Options { dashboard: false, ..Options::default() }).unwrap();
    let trained = Trained::open(outcome.run, None, perceptron).unwrap();
    let split = trained.own_split("train", &NoProgress).unwrap();
    trained.evaluate("train", &split).unwrap().0
}

// X, y: the rows, each column scaled to [0, 1]
// m = LogisticRegression(class_weight=w, tol=1e-8, max_iter=1000).fit(X, y)
// log_loss(y, m.predict_proba(X)), m.score(X, y)        (scikit-learn 1.9.1)
const PLAIN: [f64; 2] = [0.666_193_613_404_067_4, 0.8];
const BALANCED: [f64; 2] = [0.683_960_868_445_784_7, 0.786_666_666_666_666_6];

#[test]
fn the_linear_model_equals_scikit_learns_logistic_regression() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    for (settings, [log_loss, accuracy]) in
        [(&[][..], PLAIN), (&["loss.class_weights=\"balanced\""][..], BALANCED)]
    {
        let evaluation = trained(folder.path(), settings);
        let [majority, linear] = &evaluation.metrics.baselines[..] else { panic!("two baselines") };
        assert_eq!(majority.model, BaselineModel::MostFrequentClass);
        assert_eq!(majority.accuracy, 0.4, "30 of 75 rows");
        assert_eq!(linear.model, BaselineModel::LinearModel);
        // Kiln stops when no entry of the gradient is above 1e-4.
        assert!((linear.log_loss.unwrap() - log_loss).abs() < 5e-4, "{settings:?}: {linear:?}");
        assert!((linear.accuracy - accuracy).abs() < 1e-12, "{settings:?}: {linear:?}");
    }
}

#[test]
fn unlabelled_predictions_equal_the_others_to_the_bit_in_batches_of_any_size() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    for more in
        [&[][..], &["model.members=3"], &["evaluation.calibration=temperature", "loss.label_smoothing=0"]]
    {
        let overrides = [&["training.epochs=2", "model.hidden=[24]"], more].concat();
        let digits = experiment(DIGITS, &overrides).unwrap();
        let session = Session::create(&digits, folder.path()).unwrap();
        let outcome = session.train(perceptron, Options { dashboard: false, ..Options::default() }).unwrap();
        let trained = Trained::open(outcome.run, None, perceptron).unwrap();
        let split = trained.own_split("test", &NoProgress).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let check = |split: &Split| {
            let (predictions, answers) = (trained.predict(split), trained.predict_unlabelled(split));
            assert_eq!(answers.classes, predictions.predicted());
            for (at, row) in answers.probabilities.chunks_exact(10).enumerate() {
                assert_eq!(bits(row), bits(predictions.probabilities(at)));
            }
            answers
        };
        let whole = check(&split);
        for size in [1, 7] {
            for first in (0..100_u32).step_by(size as usize) {
                let some = check(&split.select(&(first..first + size).collect::<Vec<_>>()));
                let range = first as usize * 10..(first + size) as usize * 10;
                assert_eq!(bits(&some.probabilities), bits(&whole.probabilities[range]));
            }
        }
    }
}

#[test]
fn values_that_do_not_fit_the_network_are_refused() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let digits = experiment(DIGITS, &["training.epochs=1", "model.hidden=[8]"]).unwrap();
    let session = Session::create(&digits, folder.path()).unwrap();
    let outcome = session.train(perceptron, Options { dashboard: false, ..Options::default() }).unwrap();
    let trained = Trained::open(outcome.run, None, perceptron).unwrap();
    for (values, expected) in [
        (vec![0.0; 63], "64 values for each example"),
        (Vec::new(), "64 values for each example"),
        (vec![f32::NAN; 64], "finite numbers"),
    ] {
        let message = trained.predict_values(&values).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
