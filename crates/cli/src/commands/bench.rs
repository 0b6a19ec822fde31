//! `kiln bench`.

use std::sync::Arc;
use std::time::Instant;

use kiln::{Fused, Setup, check_perceptron, optimizer, perceptron};
use kiln_backend::select;
use kiln_config::BackendName;
use kiln_data::{Batching, DataSet, Folders, Profile, load};
use kiln_evaluation::predict;
use kiln_training::{StepProfile, profile_steps};
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::Bench;
use crate::experiment::resolved;
use crate::failure::Failure;
use crate::output::{print, print_json, say, table};
use crate::view::DownloadBar;

/// Where the time of a training step goes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StepTimes {
    /// The backend that computes.
    backend: BackendName,
    /// What its device is called.
    adapter: String,
    /// Threads that compute.
    threads: usize,
    /// Examples in a batch of training.
    batch_size: usize,
    /// Batches in an epoch.
    batches: usize,
    /// The median time of each part of a step.
    microseconds: StepProfile,
    /// Test examples.
    test_examples: usize,
    /// Seconds that a pass over them takes.
    test_pass_seconds: f64,
}

/// Trains some steps without keeping anything, and prints where their time goes.
pub(crate) fn bench(arguments: &Bench) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?.experiment;
    check_perceptron(&experiment)?;
    let backend = select(&experiment.backend)?;
    let folders = Folders::from_environment();
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
        print(&shown(&profile, batches));
        let (examples, batch_size) = (data.test.len(), experiment.evaluation.batch_size);
        print(&format!(
            "A test pass over {examples} examples in batches of {batch_size} takes {test_pass_seconds:.3} s."
        ));
    }
    Ok(())
}

/// Test passes that are timed; the fastest counts.
const PASSES: usize = 3;

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
    (0..PASSES).map(|_| pass()).fold(f64::INFINITY, f64::min)
}

fn shown(profile: &StepProfile, batches: usize) -> String {
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
        "{}\n\n{:.2} times Burn's matrix products alone; {batches} steps, an epoch, take {:.2} s ({} steps timed).",
        table(&rows),
        profile.step / profile.matrix_products,
        profile.step * batches as f64 / 1e6,
        profile.steps
    )
}
