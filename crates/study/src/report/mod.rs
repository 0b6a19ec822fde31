//! The findings as files.

mod csv;
mod html;
mod leaderboard;
mod markdown;
mod out_of_fold;
mod runs;

use std::path::Path;

use kiln_artifacts::replace_file;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use html::{STYLE, link};
pub(crate) use markdown::{made_by, table as markdown_table};
pub(crate) use runs::report as run_report;

pub use leaderboard::{Table, leaderboard, verdicts};

use crate::findings::Findings;
use crate::pictures::pictures;
use crate::{Section, StudyError};

/// What a study found, and what that means in words.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "StudyReport")]
pub struct Report {
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
    /// What the figures mean.
    pub analysis: Vec<Section>,
}

/// Writes every form of the report into the study's folder, each file whole or not at all.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<(), StudyError> {
    let Report { findings, analysis } = report;
    let pictures = pictures(findings)?;
    runs::write(findings);
    let files = [
        ("leaderboard.csv", csv::csv(findings)),
        ("leaderboard.md", markdown::markdown(findings).into_bytes()),
        ("leaderboard.html", html::html(report, &pictures, folder).into_bytes()),
        ("analysis.md", markdown::analysis_markdown(&findings.study, analysis).into_bytes()),
        ("study.json", json_text(report)),
    ];
    for (name, bytes) in files {
        replace_file(&folder.join(name), &bytes)?;
    }
    out_of_fold::write(findings, folder)?;
    pictures.iter().try_for_each(|picture| picture.write(folder))
}
