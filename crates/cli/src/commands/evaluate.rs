//! `kiln evaluate`.

use std::path::{Path, PathBuf};

use kiln::{Evaluation, Experiment, Metrics, Mlp, Run, RunState, Trained, Weights, of_run, perceptron};
use kiln_config::Ckpt;
use kiln_files::sha256_hex;
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::Evaluate;
use crate::failure::Failure;
use crate::output::{print, print_json, say};
use crate::view::DownloadBar;

/// What came of testing a network.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Evaluated<'a> {
    /// The folder that has all of it.
    evaluation: PathBuf,
    /// The report, an HTML file.
    report: &'a Path,
    /// The figures, as in the folder's `metrics.json`.
    metrics: &'a Metrics,
}

/// Tests a run's network and prints what that gives.
pub(crate) fn evaluate(arguments: &Evaluate) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = of_run(&run)?;
    let weights = weights(arguments.ckpt.as_deref(), &experiment)?;
    let progress = DownloadBar::default();
    let trained = Trained::open_with(run, Some(weights.clone()), perceptron, &progress)?;
    let (split, of) = if let Some(path) = &arguments.data {
        (trained.labelled(path)?, name_of(path))
    } else {
        let name = arguments.split.name();
        (trained.own_split(name, &progress)?, name.to_owned())
    };
    let name = match &arguments.ckpt {
        Some(ckpt) if weights != Weights::Marked(experiment.evaluation.ckpt) => match &weights {
            Weights::Path(path) => format!("{of}-{}", name_of(path)),
            _ => format!("{of}-{ckpt}"),
        },
        _ => of,
    };
    let run = trained.run();
    let state = run.state_now()?;
    if state != RunState::Finished {
        say(&format!("warning: the run is {state}; this is how far it has come"));
    }
    warn_of_threshold(&trained);
    let (evaluation, report) = trained.evaluate(&name, &split)?;
    show(run, &name, &evaluation, &report, arguments.json);
    Ok(())
}

/// Says so where no threshold belongs to the weights, though the experiment asks for one.
pub(super) fn warn_of_threshold(trained: &Trained<Mlp>) {
    if trained.lacks_threshold() {
        say("warning: the run's threshold was chosen for other weights: the more probable class is named");
    }
}

/// The weights that `--ckpt` means; without it those of the experiment.
pub(super) fn weights(ckpt: Option<&str>, experiment: &Experiment) -> Result<Weights, Failure> {
    let Some(ckpt) = ckpt else { return Ok(Weights::Marked(experiment.evaluation.ckpt)) };
    match ckpt {
        "best" => return Ok(Weights::Marked(Ckpt::Best)),
        "last" => return Ok(Weights::Marked(Ckpt::Last)),
        _ => {}
    }
    if let Some(step) = ckpt.strip_prefix("step-").and_then(|step| step.parse().ok()) {
        return Ok(Weights::Step(step));
    }
    let path = PathBuf::from(ckpt);
    if path.exists() {
        return Ok(Weights::Path(path));
    }
    Err(Failure::usage(format!(
        "--ckpt {ckpt}: neither `best`, `last`, `step-N`, nor a checkpoint folder or file that exists"
    )))
}

/// The last part of a path, with six digits that tell paths of one ending apart: the name of an evaluation.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(|| "data".into(), |stem| stem.to_string_lossy());
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let digest = sha256_hex(whole.to_string_lossy().as_bytes());
    format!("{stem}-{}", &digest[..6])
}

fn show(run: &Run, name: &str, evaluation: &Evaluation, report: &Path, as_json: bool) {
    if as_json {
        print_json(&Evaluated { evaluation: run.evaluation(name), report, metrics: &evaluation.metrics });
        return;
    }
    let metrics = &evaluation.metrics;
    let loss = metrics.figure("loss").map_or_else(|| "undefined".to_owned(), |loss| format!("{loss:.4}"));
    say(&format!("{name}: loss {loss}  accuracy {:.4}  ({} examples)", metrics.accuracy(), metrics.examples));
    for line in metrics.beside() {
        say(&line);
    }
    say(&format!("report: {}", report.display()));
    print(evaluation.report.to_text().trim_end());
}
