//! The report as Markdown.

use kiln_artifacts::{Machine, Timestamp};

use super::leaderboard::{Table, leaderboard, verdicts};
use crate::Section;
use crate::findings::Findings;

/// `leaderboard.md`: the ranking and the verdicts.
pub(crate) fn markdown(findings: &Findings) -> String {
    let mut text = format!("# {}\n\n", findings.study);
    if !findings.about.is_empty() {
        text += &format!("{}\n\n", findings.about.trim());
    }
    text += &format!("{}\n\n", provenance(findings));
    text += &table(&leaderboard(findings));
    if findings.trials.iter().any(|trial| trial.rank.is_some()) {
        text += "\n![Test accuracy of every trial: seeds, mean and standard deviation](intervals.svg)\n";
    }
    if let Some(verdicts) = verdicts(findings) {
        text += &format!("\n## Expectations\n\n{}", table(&verdicts));
    }
    text
}

/// `analysis.md`: what the figures mean.
pub(crate) fn analysis_markdown(study: &str, analysis: &[Section]) -> String {
    let sections = analysis.iter().map(|section| {
        let statements = section.statements.iter().map(|statement| format!("- {statement}\n"));
        format!("\n## {}\n\n{}", section.title, statements.collect::<String>())
    });
    format!("# {study}: analysis\n{}", sections.collect::<String>())
}

/// Version, day, machine and seeds in a line.
pub(crate) fn provenance(findings: &Findings) -> String {
    let seeds: Vec<String> = findings.seeds.iter().map(ToString::to_string).collect();
    let over = match findings.folds {
        Some(_) => format!("Cross-validated in {}", findings.over()),
        None => format!("Seeds {}", seeds.join(", ")),
    };
    let stopped = if findings.was_stopped { " Stopped before its end." } else { "" };
    let made_by = made_by(findings.kiln, findings.written, &findings.machine);
    format!("{made_by} {over}; mean ± standard deviation (n - 1).{stopped}")
}

/// Version, day and machine.
pub(crate) fn made_by(kiln: &str, written: Timestamp, machine: &Machine) -> String {
    let cpu = machine.cpu.as_deref().unwrap_or(&machine.architecture);
    let cores = machine.cores.map_or_else(String::new, |cores| format!(", {cores} cores"));
    let day: String = written.to_string().chars().take(10).collect();
    format!("Made by kiln {kiln} on {day}: {cpu}{cores}.")
}

/// A table as Markdown.
pub(crate) fn table(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = format!("|{}\n", " --- |".repeat(table.head.len()));
    line(&table.head) + &rule + &table.rows.iter().map(|row| line(row)).collect::<String>()
}
