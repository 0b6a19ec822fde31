//! The findings as files.

mod csv;
mod html;
mod leaderboard;
mod markdown;

use std::path::Path;

use kiln_artifacts::replace_file;
use kiln_files::json_text;

pub use leaderboard::{Table, leaderboard, verdicts};

use crate::StudyError;
use crate::findings::Findings;
use crate::pictures::pictures;

/// Writes every form of the report into the study's folder, each file whole or not at all.
pub(crate) fn write(findings: &Findings, folder: &Path) -> Result<(), StudyError> {
    let pictures = pictures(findings)?;
    let files = [
        ("leaderboard.csv", csv::csv(findings)),
        ("leaderboard.md", markdown::markdown(findings).into_bytes()),
        ("leaderboard.html", html::html(findings, &pictures).into_bytes()),
        ("analysis.md", markdown::analysis_markdown(findings).into_bytes()),
        ("study.json", json_text(findings)),
    ];
    for (name, bytes) in files {
        replace_file(&folder.join(name), &bytes)?;
    }
    for picture in pictures {
        let path = folder.join(picture.name);
        replace_file(&path.with_extension("svg"), picture.svg.as_bytes())?;
        replace_file(&path.with_extension("png"), &picture.png)?;
    }
    Ok(())
}
