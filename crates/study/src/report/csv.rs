//! The leaderboard with all digits, for programs.

use kiln_files::csv_text;

use crate::findings::{Findings, TrialFindings};

/// Figures with mean, deviation, least and greatest.
const FIGURES: [&str; 6] = [
    "test_accuracy",
    "dropout_active_accuracy",
    "test_loss",
    "dropout_active_loss",
    "train_accuracy",
    "train_loss",
];

/// `leaderboard.csv`. Time is the last column: it alone differs between equal studies.
pub(crate) fn csv(findings: &Findings) -> Vec<u8> {
    let mut head: Vec<String> = ["rank", "tied", "trial", "seeds", "verdict"].map(str::to_owned).to_vec();
    for figure in FIGURES {
        head.extend(["mean", "deviation", "least", "greatest"].map(|part| format!("{figure}_{part}")));
    }
    head.extend(
        ["paired_test_against", "paired_test_p", "parameters", "error", "seconds_mean"].map(str::to_owned),
    );
    csv_text(std::iter::once(head).chain(findings.trials.iter().map(row)))
}

fn row(trial: &TrialFindings) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let finished = trial.seeds.iter().filter(|seed| seed.outcome.is_finished()).count();
    let mut row = vec![
        trial.rank.map_or_else(String::new, |rank| rank.to_string()),
        trial.is_tied.to_string(),
        trial.name.clone(),
        finished.to_string(),
        trial.verdict(),
    ];
    for figure in FIGURES {
        let spread = trial.figures.get(figure);
        row.push(number(spread.map(|spread| spread.mean)));
        row.push(number(spread.and_then(|spread| spread.deviation)));
        row.push(number(spread.map(|spread| spread.least)));
        row.push(number(spread.map(|spread| spread.greatest)));
    }
    row.push(trial.test.as_ref().map_or_else(String::new, |(other, _)| other.clone()));
    row.push(number(trial.test.as_ref().map(|(_, test)| test.result.p_value)));
    row.push(number(trial.mean("parameters")));
    row.push(trial.error().unwrap_or_default().to_owned());
    row.push(number(trial.mean("seconds")));
    row
}
