//! `kiln evaluate`.

use std::path::{Path, PathBuf};

use kiln_artifacts::{Run, RunState, sha256_hex};
use kiln_backend::select;
use kiln_config::{Ckpt, Experiment};
use kiln_data::{DataSet, Folders, Profile, Split, labelled, load};
use kiln_evaluation::{Evaluation, Examination, Weights, load_model, read_profile, write_report};
use serde_json::json;

use crate::arguments::{Evaluate, SplitArgument};
use crate::experiment::of_run;
use crate::failure::Failure;
use crate::output::{print, print_json, say};
use crate::view::DownloadBar;

/// Tests a run's network and prints what that gives.
pub(crate) fn evaluate(arguments: &Evaluate) -> Result<(), Failure> {
    let run = Run::resolve(&arguments.root.artifacts, &arguments.run)?;
    let experiment = of_run(&run)?;
    let backend = select(&experiment.backend)?;
    let (profile, split, of) = examples(&run, &experiment, arguments)?;
    let weights = weights(arguments.ckpt.as_deref(), &experiment)?;
    let model = load_model(&run, &weights, &experiment, &profile, &backend)?;
    let name = match &arguments.ckpt {
        Some(ckpt) if weights != Weights::Marked(experiment.evaluation.ckpt) => match &weights {
            Weights::Path(path) => format!("{of}-{}", name_of(path)),
            _ => format!("{of}-{ckpt}"),
        },
        _ => of,
    };
    let state = run.state_now()?;
    if state != RunState::Finished {
        say(&format!("warning: the run is {state}; this is how far it has come"));
    }
    let examination =
        Examination { run: &run, experiment: &experiment, profile: &profile, backend: &backend };
    let (evaluation, gallery) = examination.evaluate(&name, &split, &model)?;
    let report = write_report(&run, &name, &experiment, &evaluation, Some(&gallery))?;
    show(&run, &name, &evaluation, &report, arguments.json);
    Ok(())
}

/// What the examples are like, the examples themselves, and a name for them.
fn examples(
    run: &Run,
    experiment: &Experiment,
    arguments: &Evaluate,
) -> Result<(Profile, Split, String), Failure> {
    if let Some(path) = &arguments.data {
        let profile = profile(run, experiment)?;
        let split = labelled(path, &experiment.data, &profile)?;
        return Ok((profile, split, name_of(path)));
    }
    let data = own_data(experiment)?;
    check_unchanged(run, &data)?;
    let profile = stored_profile(run)?.unwrap_or_else(|| Profile::of(&data));
    let split = match arguments.split {
        SplitArgument::Test => data.test,
        SplitArgument::Train => data.train,
        SplitArgument::Validation => data.validation.ok_or_else(|| {
            Failure::usage("the run held no validation examples out (data.validation = 0); see --split")
        })?,
    };
    Ok((profile, split, arguments.split.name().to_owned()))
}

/// Figures of other data must not take the place of the run's own.
fn check_unchanged(run: &Run, data: &DataSet) -> Result<(), Failure> {
    if !run.run_json().is_file() {
        return Ok(());
    }
    let trained_on = run.provenance()?.dataset.sha256;
    if trained_on == data.sha256 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the data are no longer those that the run was trained on (their SHA-256 was {trained_on}, now it is {}); \
         bring the old ones back, or evaluate the new ones with --data PATH",
        data.sha256
    )))
}

/// The profile that the run keeps; that of its data, if it keeps none.
pub(super) fn profile(run: &Run, experiment: &Experiment) -> Result<Profile, Failure> {
    match stored_profile(run)? {
        Some(profile) => Ok(profile),
        None => Ok(Profile::of(&own_data(experiment)?)),
    }
}

fn stored_profile(run: &Run) -> Result<Option<Profile>, Failure> {
    Ok(if run.data_json().is_file() { Some(read_profile(run)?) } else { None })
}

fn own_data(experiment: &Experiment) -> Result<DataSet, Failure> {
    let progress = DownloadBar::default();
    Ok(load(&experiment.data, experiment.seed, &Folders::from_environment(), &progress)?)
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
    let folder = run.evaluation(name);
    if as_json {
        let metrics = &evaluation.metrics;
        print_json(&json!({ "evaluation": folder, "report": report, "metrics": metrics }));
        return;
    }
    let metrics = &evaluation.metrics;
    let loss = metrics.loss.map_or_else(|| "undefined".to_owned(), |loss| format!("{loss:.4}"));
    say(&format!("{name}: loss {loss}  accuracy {:.4}  ({} examples)", metrics.accuracy, metrics.examples));
    say(&format!("report: {}", report.display()));
    print(evaluation.report.to_text().trim_end());
}
