//! A Burn module that no crate of Kiln's knows, with an optimizer that none knows: trained, stopped, resumed, tested,
//! reported, without a change in any crate.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
use burn::optim::{LionConfig, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::train::{ClassificationOutput, ExecutionStrategy, InferenceStep, TrainOutput, TrainStep};
use kiln::{
    Batch, Error, Event, Model, Observer, Options, Outcome, Resumed, Session, Setup, StopSignal, Trained,
    experiment, is_over, perceptron,
};

/// What a Burn user may have: an input of one's own, a state that is no weight, Burn's own dropout.
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

/// Asks to stop at the interval with this number, from 0.
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
        None => Box::new(kiln::Silent),
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

/// Burn's random numbers are one stream for the whole process: tests that draw from it take turns.
static TURN: Mutex<()> = Mutex::new(());

fn digits() -> kiln::Resolved {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/digits.toml");
    experiment(file, &SETTINGS).expect("a valid experiment")
}

fn read(outcome: &Outcome, file: &str) -> Vec<u8> {
    fs::read(outcome.run.folder().join(file)).expect("the run has the file")
}

fn trained_with_stops(artifacts: &Path, stops: &[usize]) -> Outcome {
    let mut session = Session::create(&digits(), artifacts).expect("the digits are built in");
    for &stop in stops {
        let outcome = session.train(Own::new, options(Some(stop))).expect("it trains");
        assert!(!is_over(outcome.trained.reason), "it was to stop at interval {stop}");
        drop(session);
        session = match Session::resume(outcome.run, &[]).expect("it can be resumed") {
            Resumed::Ready(session) => *session,
            Resumed::Finished(_) => panic!("it was not finished"),
        };
    }
    session.train(Own::new, options(None)).expect("it trains")
}

#[test]
fn it_learns_and_a_resume_is_exact_with_burns_dropout_running_means_and_lion() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let whole = trained_with_stops(&folder.path().join("whole"), &[]);
    let test = whole.test.as_ref().expect("it came to its end");
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

    // The stored model answers as it did in the test pass.
    let stored = Trained::open(whole.run.clone(), None, Own::new).expect("its weights are there");
    let split = stored.own_split("test", &kiln_data::NoProgress).expect("the digits are built in");
    let predictions = stored.predict(&split);
    let right = (0..predictions.len()).filter(|&at| predictions.predicted()[at] == predictions.truth()[at]);
    assert!((right.count() as f64 / predictions.len() as f64 - test.accuracy()).abs() < 1e-12);
}

#[test]
fn burns_own_strategies_train_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::create(&digits(), folder.path()).expect("the digits are built in");
    let device = session.setup().device;
    let model = session.train_by(ExecutionStrategy::single(device.clone()), Own::new, options(None));
    let model = model.expect("Burn trains it");
    let split = &session.data().test;
    let normalizer = std::sync::Arc::new(session.data().normalizer.clone());
    let batching = kiln_data::Batching::in_order(split.len());
    let batch = kiln_data::Epoch::new(split, &normalizer, &batching, 0, 0, &device.inner()).next();
    let tally = kiln::StepOutput::tally(InferenceStep::step(&model, batch.expect("test examples").into()));
    assert!(tally.accuracy() > 0.8, "{}", tally.accuracy());
}

#[test]
fn a_network_is_trained_by_the_program_that_brings_it_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = Session::create(&digits(), folder.path()).expect("the digits are built in");
    let error = session.train(perceptron, options(None)).err().expect("another network was named");
    assert!(matches!(error, Error::OtherModel { .. }) && error.to_string().contains("\"own\""), "{error}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/digits.toml");
    let unnamed = experiment(file, &[]).expect("a valid experiment");
    let session = Session::create(&unnamed, folder.path()).expect("the digits are built in");
    let error = session.train(Own::new, options(None)).err().expect("it has no name");
    assert!(matches!(error, Error::OtherModel { .. }), "{error}");
}
