//! What a cross-validated trial says of every example, by the networks that have not learned from it.

use std::fs;
use std::path::Path;

use kiln_artifacts::{Run, replace_file};
use kiln_evaluation::PREDICTIONS_FILE;

use crate::StudyError;
use crate::findings::TrialFindings;

/// Writes `out_of_fold/<trial>.csv`: the test predictions of all its runs below each other, each line behind the seed of its
/// run. Nothing where a run is missing, or kept no predictions.
pub(super) fn write(trial: &TrialFindings, folder: &Path) -> Result<(), StudyError> {
    let Some(text) = joined(trial) else { return Ok(()) };
    let folder = folder.join("out_of_fold");
    fs::create_dir_all(&folder).map_err(|cause| StudyError::io("create", &folder, cause))?;
    Ok(replace_file(&folder.join(format!("{}.csv", trial.name)), text.as_bytes())?)
}

fn joined(trial: &TrialFindings) -> Option<String> {
    let mut all = String::new();
    for seed in &trial.seeds {
        let run = Run::open(seed.outcome.run.as_ref()?).ok()?;
        let text = fs::read_to_string(run.evaluation("test").join(PREDICTIONS_FILE)).ok()?;
        let (header, rows) = text.split_once('\n')?;
        if all.is_empty() {
            all = format!("seed,{header}\n");
        }
        for row in rows.lines() {
            all += &format!("{},{row}\n", seed.outcome.seed);
        }
    }
    Some(all)
}
