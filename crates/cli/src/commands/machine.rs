//! `kiln bench` and `kiln doctor`: how fast this machine trains, and which backends work on it.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use kiln::{Fused, Setup, check_perceptron, optimizer, perceptron};
use kiln_backend::{ALL, compiled_in, has_kernels, is_host, probe, select};
use kiln_config::BackendName;
use kiln_data::{Batching, DataFolders, DataSet, Profile, load};
use kiln_evaluation::predict;
use kiln_training::{Parity, StepProfile, parity, profile_steps};
use schemars::JsonSchema;
use serde::Serialize;

use crate::experiment::{ExperimentArguments, resolved};
use crate::failure::Failure;
use crate::output::{print, print_json, say, table};
use crate::view::DownloadBar;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// The number of training steps. The first tenth is warm-up.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..))]
    steps: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The times of a training step.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StepTimes {
    /// The backend.
    backend: BackendName,
    /// The name of its device.
    adapter: String,
    /// The number of computing threads.
    threads: usize,
    /// Examples in a training batch.
    batch_size: usize,
    /// Batches in an epoch.
    batches: usize,
    /// The median time of each part of a step.
    microseconds: StepProfile,
    /// Test examples.
    test_examples: usize,
    /// Seconds of a pass over them, the fastest of several.
    test_pass_seconds: f64,
}

/// Trains some steps without writing anything, and prints the time of each part of a step.
pub(crate) fn bench(arguments: &BenchArguments) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?.experiment;
    check_perceptron(&experiment)?;
    let backend = select(&experiment.backend)?;
    let folders = DataFolders::from_environment();
    let data = Arc::new(load(&experiment.data, experiment.seed, &folders, &DownloadBar::default())?);
    say(&format!("{} on {}, {} threads", backend.name, backend.adapter, backend.threads));
    let setup = Setup {
        experiment: experiment.clone(),
        features: data.features(),
        numbers: Profile::of(&data).numbers(),
        image_size: None,
        channels: None,
        classes: data.class_count(),
        device: backend.device.clone().autodiff(),
        fused: Fused::when(backend.fused),
    };
    setup.check()?;
    let model = perceptron(&setup);
    let optimizer = optimizer(&model, &setup);
    let profile = profile_steps(model, optimizer, &experiment, &data, &backend, arguments.steps as usize)?;
    let test_pass_seconds = test_pass_seconds(&Setup { device: backend.device.clone(), ..setup }, &data);
    let training = &experiment.training;
    let batching = Batching::shuffled(training.batch_size, experiment.seed, training.drop_last);
    let batches = batching.batches(data.train.len());
    if arguments.json {
        print_json(&StepTimes {
            backend: backend.name,
            adapter: backend.adapter,
            threads: backend.threads,
            batch_size: training.batch_size,
            batches,
            microseconds: profile,
            test_examples: data.test.len(),
            test_pass_seconds,
        });
    } else {
        print(&profile_text(&profile, batches));
        let (examples, batch_size) = (data.test.len(), experiment.evaluation.batch_size);
        print(&format!(
            "A test pass over {examples} examples in batches of {batch_size} takes {test_pass_seconds:.3} s."
        ));
    }
    Ok(())
}

/// Timed test passes. The fastest counts.
const TEST_PASSES: usize = 3;

fn test_pass_seconds(setup: &Setup, data: &DataSet) -> f64 {
    let profile = Profile::of(data);
    let model = perceptron(setup);
    let (batch_size, weights) =
        (setup.experiment.evaluation.batch_size, setup.experiment.loss.class_weights.each());
    let pass = || {
        let started = Instant::now();
        std::hint::black_box(predict(&model, &profile, &data.test, batch_size, weights, &setup.device));
        started.elapsed().as_secs_f64()
    };
    (0..TEST_PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min)
}

fn profile_text(profile: &StepProfile, batches: usize) -> String {
    let row = |name: &str, microseconds: f64| {
        let share = microseconds / profile.step * 100.0;
        vec![name.to_owned(), format!("{microseconds:>10.1}"), format!("{share:>5.1} %")]
    };
    let head = ["median of a step", "          µs", "  share"].map(str::to_owned).to_vec();
    let rows = [
        head,
        row("data", profile.data),
        row("forward", profile.forward),
        row("backward", profile.backward),
        row("optimizer", profile.optimizer),
        row("metrics", profile.metrics),
        row("step", profile.step),
        row("Burn's products alone", profile.matrix_products),
    ];
    format!(
        "{}\n\n{:.2} times Burn's matrix products alone; an epoch of {batches} steps takes {:.2} s ({} steps timed).",
        table(&rows),
        profile.step / profile.matrix_products,
        profile.step * batches as f64 / 1e6,
        profile.steps
    )
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The check of a backend.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BackendCheck {
    /// The backend.
    backend: BackendName,
    /// Whether it is compiled into this program.
    compiled_in: bool,
    /// The name of its device; null if no device works.
    adapter: Option<String>,
    /// The differences from the CPU; null if no device works.
    parity: Option<Parity>,
    /// The conclusion, in words.
    verdict: String,
    #[serde(skip)]
    state: BackendState,
}

/// Whether a backend works on this machine.
#[derive(Debug)]
enum BackendState {
    /// Its device gives the CPU's results.
    Works,
    /// It works, but its device is a program on the CPU.
    SoftwareOnly,
    /// Its results differ from the CPU's.
    WrongNumbers,
    /// It finds no working device, for this reason.
    NoDevice(String),
    /// This program does not contain it.
    NotCompiledIn,
}

impl BackendState {
    /// The verdict on `backend`.
    fn words(&self, backend: BackendName) -> String {
        match self {
            Self::Works => "works".to_owned(),
            Self::SoftwareOnly => "works, but computes on the CPU: no GPU was found".to_owned(),
            Self::WrongNumbers => {
                "WRONG: one training step differs from the CPU's by more than rounding errors".to_owned()
            }
            Self::NoDevice(cause) => format!("no working device: {cause}"),
            Self::NotCompiledIn => {
                format!("not compiled in; add it with `cargo build --release --features {backend}`")
            }
        }
    }
}

impl BackendCheck {
    fn is_wrong(&self) -> bool {
        matches!(self.state, BackendState::WrongNumbers)
    }

    /// Whether a GPU computed the step, with right or wrong results.
    fn has_gpu(&self) -> bool {
        !is_host(self.backend) && matches!(self.state, BackendState::Works | BackendState::WrongNumbers)
    }
}

/// Tries every backend: finds its device, and compares one training step with the CPU's.
pub(crate) fn doctor(arguments: &DoctorArguments) -> Result<(), Failure> {
    let checks: Vec<BackendCheck> = ALL.into_iter().map(examine).collect();
    if arguments.json {
        print_json(&checks);
    } else {
        print(&check_table(&checks));
    }
    let wrong: Vec<String> =
        checks.iter().filter(|check| check.is_wrong()).map(|check| check.backend.to_string()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "wrong results: {}; choose another backend with backend.name",
        wrong.join(", ")
    )))
}

fn examine(backend: BackendName) -> BackendCheck {
    let compiled_in = compiled_in().contains(&backend);
    let check = |adapter, parity, state: BackendState| BackendCheck {
        backend,
        compiled_in,
        adapter,
        parity,
        verdict: state.words(backend),
        state,
    };
    if !compiled_in {
        return check(None, None, BackendState::NotCompiledIn);
    }
    match probe(backend, 0) {
        Err(cause) => check(None, None, BackendState::NoDevice(cause)),
        Ok(probe) => {
            let parity = parity(&probe.device, Fused::when(has_kernels(backend)));
            let state = match (parity.holds(), probe.is_software) {
                (true, false) => BackendState::Works,
                (true, true) => BackendState::SoftwareOnly,
                (false, _) => BackendState::WrongNumbers,
            };
            check(Some(probe.adapter), Some(parity), state)
        }
    }
}

fn check_table(checks: &[BackendCheck]) -> String {
    let head = ["backend", "adapter", "loss", "gradients", "weights", "verdict"].map(str::to_owned).to_vec();
    let rows = checks.iter().map(|check| {
        let difference = |figure: fn(&Parity) -> f64| {
            check.parity.as_ref().map_or_else(|| "-".to_owned(), |parity| format!("{:.1e}", figure(parity)))
        };
        vec![
            check.backend.to_string(),
            check.adapter.clone().unwrap_or_else(|| "-".to_owned()),
            difference(|parity| parity.loss),
            difference(|parity| parity.gradients),
            difference(|parity| parity.weights),
            check.verdict.clone(),
        ]
    });
    let mut text = table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    text.push_str(
        "\n\nloss, gradients, weights: the largest relative difference from the CPU after one training step",
    );
    if !checks.iter().any(BackendCheck::has_gpu) {
        text.push_str("\nno GPU works with this program; training uses the CPU");
    }
    text
}
