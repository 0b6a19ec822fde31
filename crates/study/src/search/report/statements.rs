//! What a search found, in words.

use super::super::{Method, Search};
use super::{SearchReport, SearchedTrial, TrialStage, Winner};

/// What the report says first.
pub(super) fn statements(report: &SearchReport, search: &Search) -> Vec<String> {
    let mut statements = Vec::new();
    if report.was_stopped {
        statements.push("The search was stopped before its end: what follows may change.".to_owned());
    }
    let monitor = report.monitor.replace('_', " ");
    match &report.winner {
        Some(winner) => statements.extend(of_winner(report, winner, &monitor)),
        None => statements.extend(undecided(report, search)),
    }
    statements.extend(cost(report));
    let begun = report.trials.len().saturating_sub(1);
    let is_bounded = search.epochs.is_some() || search.seconds.is_some() || search.method == Method::Grid;
    if !report.was_stopped && !is_bounded && search.trials.is_some_and(|trials| begun < trials) {
        statements.push(format!(
            "It ended with {begun} trials: draws gave no settings that were not tried before."
        ));
    }
    let most = report.importance.first().filter(|most| most.share >= 0.05);
    if let Some(most) = most {
        let share = most.share * 100.0;
        statements
            .push(format!("{} matters most: alone it explains {share:.0} % of the trials' ranks.", most.key));
    }
    let failed = report.trials.iter().filter(|trial| trial.stage == TrialStage::Failed).count();
    if failed > 0 {
        statements.push(format!("{failed} of {} trials failed by their settings.", report.trials.len() - 1));
    }
    statements
}

fn of_winner(report: &SearchReport, winner: &Winner, monitor: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let found = report.trials.iter().find(|trial| trial.name == winner.name);
    let Some(found) = found else { return statements };
    if winner.name == "base" {
        statements.push("Nothing that was found beats the base on fresh seeds: keep the base.".to_owned());
    } else {
        let settings: Vec<String> =
            found.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let verb = if report.was_stopped {
            "leads so far"
        } else if too_close(winner).is_some() {
            "leads"
        } else {
            "wins"
        };
        statements.push(format!("{} {verb}: {}.", winner.name, settings.join(" ")));
    }
    if let (Some(searched), Some(gain)) = (winner.gain_in_search, winner.gain) {
        let error = winner.standard_error.map_or_else(String::new, |error| format!(" ± {error:.4}"));
        statements.push(format!(
            "On the seed that chose it, its {monitor} is {} than the base's; on fresh seeds it is {}{error}. {}",
            better(searched),
            better(gain),
            luck(searched, gain)
        ));
    }
    if found.confirmed.as_ref().is_some_and(|confirmed| confirmed.count == 1) {
        statements.push(
            "One fresh seed does not say how far seeds differ: give more in `search.confirm`.".to_owned(),
        );
    }
    statements.extend(too_close(winner));
    statements.extend(tested(found));
    if let Some(run) = &winner.run {
        statements
            .push(format!("Its best run on fresh seeds, to predict with and to serve: {}", run.display()));
    }
    statements
}

fn better(gain: f64) -> String {
    if gain >= 0.0 { format!("{gain:.4} better") } else { format!("{:.4} worse", -gain) }
}

/// What of a gain was luck.
fn luck(searched: f64, gain: f64) -> String {
    if searched <= 0.0 {
        return "The search itself did not see it before the base.".to_owned();
    }
    let share = (searched - gain) / searched * 100.0;
    if share >= 1.0 {
        format!("So {:.0} % of the gain was luck.", share.min(100.0))
    } else {
        "Luck does not show in it.".to_owned()
    }
}

fn too_close(winner: &Winner) -> Option<String> {
    let (second, lead) = (winner.second.as_ref()?, winner.lead?);
    let error = winner.lead_standard_error?;
    (lead < 2.0 * error).then(|| {
        format!(
            "{} and {second} are too close to call: {lead:.4} between them, with a standard error of {error:.4}.",
            winner.name
        )
    })
}

fn tested(found: &SearchedTrial) -> Option<String> {
    let accuracy = found.test_accuracy.as_ref()?;
    Some(format!(
        "Its test accuracy is {} over {} fresh seeds; no other trial has seen the test data.",
        accuracy.shown(4),
        accuracy.count
    ))
}

fn undecided(report: &SearchReport, search: &Search) -> Option<String> {
    let words = if search.confirm.best == 0 {
        "The best was not tried with fresh seeds (`search.confirm.best` = 0): some of its lead is luck."
    } else {
        "No trial came to its end with a finite figure: there is nothing to confirm."
    };
    (!report.was_stopped).then(|| words.to_owned())
}

fn cost(report: &SearchReport) -> Option<String> {
    let trials = report.trials.len().checked_sub(1).filter(|&trials| trials > 0)?;
    let whole = report.rungs.last().copied().unwrap_or_default();
    let in_full = report.trials.iter().filter(|trial| trial.name != "base" && trial.rung == whole).count();
    Some(format!(
        "{trials} trials were searched, {in_full} of them in full: {} epochs and {:.1} s of training, all workers together, \
         without the base and the confirmation.",
        report.epochs, report.seconds
    ))
}
