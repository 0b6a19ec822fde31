//! `kiln config`, `kiln data`, `kiln bench` and `kiln doctor`: commands that answer a question and write no run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use kiln::{Fused, Setup, check_perceptron, optimizer, perceptron};
use kiln_backend::{ALL, compiled_in, has_kernels, is_host, probe, select};
use kiln_config::{BackendName, Experiment, explain, keys, schema};
use kiln_data::{
    Batching, Column, DataContent, DataDescription, DataFolders, DataSet, Profile, Shape, Split, describe,
    load,
};
use kiln_evaluation::predict;
use kiln_table::{escaped, listed};
use kiln_training::{Parity, StepProfile, parity, profile_steps};
use schemars::JsonSchema;
use serde::Serialize;

use super::bare_keys;
use crate::experiment::{ExperimentArguments, resolved};
use crate::failure::Failure;
use crate::output::{print, print_json, say, table};
use crate::view::DownloadBar;

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Check an experiment file and list all of its errors.
    Check {
        #[command(flatten)]
        experiment: ExperimentArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the resolved experiment with the origin of each value.
    Show {
        #[command(flatten)]
        experiment: ExperimentArguments,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of experiment files, for editors that complete and check TOML. For the schema of `--json` output,
    /// see `kiln schema`.
    Schema,
    /// Explain a key: its meaning, its possible values and its default.
    Explain {
        /// A key such as `optimizer.lr`, or a section such as `optimizer`. Default: list all keys.
        #[arg(add = ArgValueCompleter::new(bare_keys))]
        key: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// An experiment without errors.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CheckedExperiment {
    /// Always true: a wrong experiment is an error.
    ok: bool,
    /// The name of the experiment.
    name: String,
}

/// An experiment with the origins of its values.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownExperiment {
    /// The experiment.
    experiment: Experiment,
    /// The origin of the value of each key, such as `default` or `experiment.toml:3`.
    origins: BTreeMap<String, String>,
}

/// Checks, shows or explains experiment files.
pub(crate) fn config(action: &ConfigAction) -> Result<(), Failure> {
    match action {
        ConfigAction::Check { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                print_json(&CheckedExperiment { ok: true, name: resolved.experiment.name });
            } else {
                print(&format!("{}: no errors", resolved.experiment.name));
            }
        }
        ConfigAction::Show { experiment, json } => {
            let resolved = resolved(experiment)?;
            if *json {
                let origins = resolved.origins.into_iter().map(|(key, origin)| (key, origin.to_string()));
                print_json(&ShownExperiment { experiment: resolved.experiment, origins: origins.collect() });
            } else {
                print(resolved.show().trim_end());
            }
        }
        ConfigAction::Schema => print_json(&schema()),
        ConfigAction::Explain { key: None, json } => {
            if *json {
                print_json(&keys());
            } else {
                print(&keys().join("\n"));
            }
        }
        ConfigAction::Explain { key: Some(key), json } => {
            let explanation = explain(key)?;
            if *json {
                print_json(&explanation);
            } else {
                print(&explanation.to_string());
            }
        }
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(crate) struct DataArguments {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// The number of examples to print.
    #[arg(long, value_name = "N", default_value_t = 4)]
    examples: usize,
    /// Print JSON, without examples.
    #[arg(long)]
    json: bool,
}

/// Describes the data of an experiment and prints some examples.
pub(crate) fn data(arguments: &DataArguments) -> Result<(), Failure> {
    let experiment = resolved(&arguments.experiment)?.experiment;
    let folders = DataFolders::from_environment();
    let description = describe(&experiment.data, experiment.seed, &folders)?;
    if arguments.json {
        print_json(&description);
        return Ok(());
    }
    print(&described(&description));
    let Some(content) = &description.content else {
        print(&format!(
            "not on this machine; download it with `kiln train data.source={}`",
            description.name
        ));
        return Ok(());
    };
    if !content.columns.is_empty() {
        print(&format!("\n{}", column_table(&content.columns)));
    }
    let data = load(&experiment.data, experiment.seed, &folders, &DownloadBar::default())?;
    print(&splits(&data));
    examples(&data, arguments.examples);
    Ok(())
}

fn described(description: &DataDescription) -> String {
    let mut rows = vec![vec!["data".to_owned(), description.name.clone()]];
    let mut fact = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if let Some(origin) = &description.origin {
        fact("origin", origin.clone());
    }
    let location = description.location.as_ref();
    fact("where", location.map_or("built in".to_owned(), |path| path.display().to_string()));
    if description.download_bytes > 0 {
        fact("download", format!("{:.1} MB", description.download_bytes as f64 / 1e6));
    }
    if let Some(DataContent { shape, classes, files, sha256, notices, .. }) = &description.content {
        fact("shape", shape_text(shape));
        fact("classes", format!("{}: {}", classes.len(), listed(classes.iter().map(String::as_str), 20)));
        fact("sha256", sha256.clone());
        for file in files {
            fact("file", format!("{} ({} bytes, {})", file.shown_name(), file.bytes, &file.sha256[..12]));
        }
        for notice in notices {
            fact("note", notice.clone());
        }
    }
    table(&rows)
}

/// A table of columns: the kind of each, and the reason for it.
pub(crate) fn column_table(columns: &[Column]) -> String {
    let head = ["column", "kind", "features", "missing in training", "why"].map(str::to_owned).to_vec();
    let row = |column: &Column| {
        let features = column
            .treatment
            .as_ref()
            .map_or("left out".to_owned(), |treatment| treatment.features().to_string());
        let missing = if column.missing == 0 { String::new() } else { column.missing.to_string() };
        vec![escaped(&column.name), column.kind.name().to_owned(), features, missing, column.why.clone()]
    };
    table(&std::iter::once(head).chain(columns.iter().map(row)).collect::<Vec<_>>())
}

fn shape_text(shape: &Shape) -> String {
    match shape {
        Shape::Image { height, width, channels: 1 } => format!("{height}x{width} grey pixels"),
        Shape::Image { height, width, .. } => format!("{height}x{width} pixels in red, green and blue"),
        Shape::Columns(names) => {
            format!("{} features: {}", names.len(), listed(names.iter().map(String::as_str), 12))
        }
    }
}

fn splits(data: &DataSet) -> String {
    let head =
        ["split", "examples"].map(str::to_owned).into_iter().chain(data.classes.iter().cloned()).collect();
    let row = |name: &str, split: &Split| -> Vec<String> {
        let counts = split.counts(data.class_count()).into_iter().map(|count| count.to_string());
        [name.to_owned(), split.len().to_string()].into_iter().chain(counts).collect()
    };
    let mut rows: Vec<Vec<String>> = vec![head, row("train", &data.train)];
    rows.extend(data.held_out().map(|split| row("validation", split)));
    rows.push(row("test", &data.test));
    format!("\n{}", table(&rows))
}

/// Prints `count` training examples in short form, then the first one in full.
fn examples(data: &DataSet, count: usize) {
    let class = |position: usize| &data.classes[data.train.label(position) as usize];
    for position in 0..count.min(data.train.len()) {
        let shown = data.train.render(position, &data.shape);
        print(&format!("\nexample {position}, class {}\n{}", class(position), shown.trim_end()));
    }
    if count > 0 {
        let values = data.train.render_values(0, &data.shape);
        print(&format!("\nexample 0, class {}, in full\n{}", class(0), values.trim_end()));
    }
}

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
    is_wrong: bool,
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
        checks.iter().filter(|check| check.is_wrong).map(|check| check.backend.to_string()).collect();
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
    let check = |adapter, parity, verdict: String, is_wrong| BackendCheck {
        backend,
        compiled_in,
        adapter,
        parity,
        verdict,
        is_wrong,
    };
    if !compiled_in {
        let how = format!("not compiled in; add it with `cargo build --release --features {backend}`");
        return check(None, None, how, false);
    }
    match probe(backend, 0) {
        Err(cause) => check(None, None, format!("no working device: {cause}"), false),
        Ok(probe) => {
            let parity = parity(&probe.device, Fused::when(has_kernels(backend)));
            let verdict = match (parity.holds(), probe.is_software) {
                (true, false) => "works".to_owned(),
                (true, true) => "works, but computes on the CPU: no GPU was found".to_owned(),
                (false, _) => {
                    "WRONG: one training step differs from the CPU's by more than rounding errors".to_owned()
                }
            };
            check(Some(probe.adapter), Some(parity), verdict, !parity.holds())
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
    let gpu = checks
        .iter()
        .any(|check| check.adapter.is_some() && !is_host(check.backend) && !check.verdict.contains("no GPU"));
    if !gpu {
        text.push_str("\nno GPU works with this program; training uses the CPU");
    }
    text
}
