//! What a cross-validated trial says of every example, by the networks that have not learned from it.

use std::fs;
use std::io;
use std::path::Path;

use kiln_artifacts::{Run, replace_file};
use kiln_evaluation::PREDICTIONS_FILE;

use crate::StudyError;
use crate::findings::{Findings, TrialFindings};

/// Writes `out_of_fold/<trial>.csv` for each trial: the test predictions of all its runs below each other, each line behind the
/// seed of its run. No file for a trial of which a run is missing; those of earlier studies go.
pub(super) fn write(findings: &Findings, folder: &Path) -> Result<(), StudyError> {
    let folder = folder.join("out_of_fold");
    match fs::remove_dir_all(&folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(StudyError::io("remove", &folder, cause));
        }
        _ => {}
    }
    if findings.folds.is_none() {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|cause| StudyError::io("create", &folder, cause))?;
    for trial in &findings.trials {
        if let Some(text) = joined(trial) {
            replace_file(&folder.join(format!("{}.csv", trial.name)), &text)?;
        }
    }
    Ok(())
}

fn joined(trial: &TrialFindings) -> Option<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (number, seed) in trial.seeds.iter().enumerate() {
        let run = Run::open(seed.outcome.run.as_ref()?).ok()?;
        let mut reader = csv::Reader::from_path(run.evaluation("test").join(PREDICTIONS_FILE)).ok()?;
        let of = seed.outcome.seed.to_string();
        let behind = |first: &str, row: &csv::StringRecord| -> csv::StringRecord {
            std::iter::once(first).chain(row).collect()
        };
        let header = behind("seed", reader.headers().ok()?);
        if number == 0 {
            writer.write_record(&header).ok()?;
        }
        for row in reader.records() {
            writer.write_record(&behind(&of, &row.ok()?)).ok()?;
        }
    }
    writer.into_inner().ok()
}
