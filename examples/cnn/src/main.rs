//! A user's own Burn module, trained by Kiln: a small convolutional network on MNIST.
//!
//! The module and its two steps are plain Burn. `main` adds Kiln: a run folder with checkpoints, a dashboard, a test pass,
//! a report, and a resume that is exact to the bit, including dropout.

use std::path::Path;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::train::{ClassificationOutput, InferenceStep, TrainOutput, TrainStep};
use kiln::{Batch, Error, Model, Options, Resumed, Run, Session, Setup, experiment};

/// Two blocks of convolution, `relu` and pooling to half the size; then a hidden layer, dropout, and a score for each class.
#[derive(Module, Debug)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    hidden: Linear,
    dropout: Dropout,
    output: Linear,
}

impl Cnn {
    /// `setup` has the shape of the data and the device for the parameters. Kiln has seeded the device, so Burn draws the
    /// same weights for the same `seed`.
    fn new(setup: &Setup) -> Self {
        let device = &setup.device;
        Self {
            conv1: Conv2dConfig::new([1, 8], [3, 3]).with_padding(PaddingConfig2d::Same).init(device),
            conv2: Conv2dConfig::new([8, 16], [3, 3]).with_padding(PaddingConfig2d::Same).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            hidden: LinearConfig::new(16 * 7 * 7, 64).init(device),
            dropout: DropoutConfig::new(0.25).init(),
            output: LinearConfig::new(64, setup.classes).init(device),
        }
    }

    /// From pixels, shape [batch, 784], to scores, shape [batch, classes].
    fn forward(&self, pixels: Tensor<2>) -> Tensor<2> {
        let [batch, _] = pixels.dims();
        let images = pixels.reshape([batch, 1, 28, 28]);
        let halves = self.pool.forward(relu(self.conv1.forward(images)));
        let quarters = self.pool.forward(relu(self.conv2.forward(halves)));
        let hidden = relu(self.hidden.forward(quarters.reshape([batch, 16 * 7 * 7])));
        self.output.forward(self.dropout.forward(hidden))
    }

    fn classify(&self, batch: Batch) -> ClassificationOutput {
        let scores = self.forward(batch.features);
        let loss = CrossEntropyLossConfig::new().init(&scores.device());
        let loss = loss.forward(scores.clone(), batch.targets.clone());
        ClassificationOutput::new(loss, scores, batch.targets)
    }
}

impl TrainStep for Cnn {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Cnn {
    type Input = Batch;
    type Output = ClassificationOutput;

    fn step(&self, batch: Batch) -> ClassificationOutput {
        self.classify(batch)
    }
}

/// Besides Burn's two steps, Kiln requires only this line.
impl Model for Cnn {}

/// Every step frees megabytes, which the system's allocator would return to the kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `cnn [key=value ...]` trains in a new run folder; `cnn resume [RUN]` resumes a run that was stopped or killed.
fn main() -> Result<(), Error> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let artifacts = Path::new("artifacts");
    let session = match words[..] {
        ["resume", ref run @ ..] => {
            let run = Run::resolve(artifacts, run.first().unwrap_or(&"cnn"))?;
            match Session::resume(run, &[])? {
                Resumed::Ready(session) => *session,
                Resumed::Finished(_) => return Ok(()),
            }
        }
        ref overrides => {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/cnn.toml");
            Session::create(&experiment(file, overrides)?, artifacts)?
        }
    };
    let outcome = session.train(Cnn::new, Options::default())?;
    show(&outcome);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program prints its result")]
fn show(outcome: &kiln::Outcome) {
    if let Some(test) = &outcome.test {
        println!("test accuracy {:.4}", test.accuracy());
    }
    for finding in &outcome.findings {
        println!("{finding}");
    }
    println!("{}", outcome.run.folder().display());
}
