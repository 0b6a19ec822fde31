//! A report for each trial, so that the study's page can lead to it.

use std::fs;

use kiln_artifacts::Run;
use kiln_config::Experiment;
use kiln_evaluation::{EvaluationError, read_evaluation, write_report, write_training_report};

use crate::findings::{Findings, TrialFindings};

/// Writes the report of one run of each trial where there is none yet: that of a failed run, if one failed, else the first.
/// A report takes a tenth of a second; `kiln report` writes those of the other seeds. The study does not depend on them: a
/// report that cannot be written is left out.
pub(super) fn write(findings: &Findings) {
    for run in findings.trials.iter().filter_map(example) {
        if !run.report().exists() {
            // What is wrong with the run's files is in the study's figures already.
            let _ = report(&run);
        }
    }
}

/// The run that tells most of a trial.
fn example(trial: &TrialFindings) -> Option<Run> {
    let seeds = || trial.seeds.iter().map(|seed| &seed.outcome).filter(|outcome| outcome.run.is_some());
    let ended = seeds()
        .find(|outcome| outcome.error.is_some())
        .or_else(|| seeds().find(|outcome| outcome.is_finished()));
    Run::open(ended?.run.as_ref()?).ok()
}

/// Writes the report of a run: of its test, or of its training alone.
pub(crate) fn report(run: &Run) -> Result<(), EvaluationError> {
    let text = fs::read_to_string(run.config_toml()).unwrap_or_default();
    let Ok(experiment) = Experiment::from_toml_str("config.toml", &text) else { return Ok(()) };
    if run.evaluation("test").is_dir() {
        let (evaluation, gallery) = read_evaluation(run, "test")?;
        write_report(run, "test", &experiment, &evaluation, gallery.as_ref())?;
    } else {
        write_training_report(run, &experiment)?;
    }
    Ok(())
}
