//! What a study would train, and what that would cost.

use schemars::JsonSchema;
use serde::Serialize;

use crate::search::{Search, expected};
use crate::{Plan, Trial};

/// Trials that a preview shows.
const MOST_ROWS: usize = 20;

/// What a study would train.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Preview {
    /// The study's name.
    pub study: String,
    /// The names of the columns.
    pub head: Vec<String>,
    /// The first trials: names and settings.
    pub rows: Vec<Vec<String>>,
    /// Trials that are not shown.
    pub more: usize,
    /// What it costs, in words.
    pub statements: Vec<String>,
}

pub(crate) fn preview(plan: &Plan) -> Preview {
    match &plan.search {
        Some(search) => of_search(plan, search),
        None => of_trials(plan),
    }
}

fn of_trials(plan: &Plan) -> Preview {
    let runs = plan.trials.len() * plan.seeds.len();
    let of_trial = |trial: &Trial| {
        trial.experiments.iter().map(|experiment| experiment.training.epochs as u64).sum::<u64>()
    };
    let epochs: u64 = plan.trials.iter().map(of_trial).sum();
    let trials: Vec<(String, Vec<(String, String)>)> =
        plan.trials.iter().map(|trial| (trial.name.clone(), trial.settings.clone())).collect();
    let statements = vec![format!(
        "{} trials with {} seeds each: {runs} runs, at most {epochs} epochs.",
        plan.trials.len(),
        plan.seeds.len()
    )];
    table(plan, &trials, trials.len(), statements)
}

fn of_search(plan: &Plan, search: &Search) -> Preview {
    let (trials, epochs) = expected(search);
    let first = search.first_points(search.wave.min(trials));
    let shown: Vec<(String, Vec<(String, String)>)> =
        (1..).zip(first).map(|(number, settings)| (format!("trial-{number:04}"), settings)).collect();
    let rungs: Vec<String> = search.rungs().iter().map(ToString::to_string).collect();
    let whole = search.base.training.epochs as u64;
    let mut statements = Vec::new();
    let ends_by = match (trials, search.seconds) {
        (usize::MAX, Some(seconds)) => format!("As many trials as {seconds} s of training allow"),
        (trials, Some(seconds)) => format!("At most {trials} trials and {seconds} s of training"),
        (trials, None) if search.epochs.is_some() => format!("About {trials} trials, {epochs} epochs"),
        (trials, None) => format!("{trials} trials, at least {epochs} epochs"),
    };
    statements.push(format!("{ends_by}, in waves of {}.", search.wave));
    if let Some(points) = search.points().filter(|points| *points > trials) {
        statements.push(format!("That is the beginning of a grid of {points} points, in order."));
    }
    if rungs.len() > 1 {
        statements.push(format!("They are compared after {} epochs.", kiln_config::listed(rungs, "and")));
        if search.epochs.is_none() && search.seconds.is_none() {
            let least = "Later trials that are better than earlier ones are promoted as well: up to three times as many epochs.";
            statements.push(least.to_owned());
        }
    }
    let base = whole * search.seeds.len() as u64;
    statements.push(format!("Besides, the base: {base} epochs."));
    let confirm = search.confirm;
    if confirm.best > 0 {
        let seeds = search.fresh_seeds(0).len() as u64;
        let first = (confirm.best as u64 + 1) * seeds * whole;
        let more = 2 * seeds * whole * confirm.repeats as u64;
        statements.push(format!(
            "The best {} and the base again with {seeds} fresh seeds: {first} epochs, and up to {more} more for a close call.",
            confirm.best
        ));
    }
    let mut preview = table(plan, &shown, trials, statements);
    if trials == usize::MAX {
        preview.more = 0;
    }
    preview
}

/// A table of the first of `trials`. There are `count` trials in all.
fn table(
    plan: &Plan,
    trials: &[(String, Vec<(String, String)>)],
    count: usize,
    statements: Vec<String>,
) -> Preview {
    let mut keys: Vec<String> = Vec::new();
    for (key, _) in trials.iter().flat_map(|(_, settings)| settings) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let shown = &trials[..trials.len().min(MOST_ROWS)];
    let row = |(name, settings): &(String, Vec<(String, String)>)| {
        let value = |key: &String| {
            settings
                .iter()
                .find(|(found, _)| found == key)
                .map_or_else(String::new, |(_, value)| value.clone())
        };
        std::iter::once(name.clone()).chain(keys.iter().map(value)).collect()
    };
    Preview {
        study: plan.name.clone(),
        head: std::iter::once("trial".to_owned()).chain(keys.iter().cloned()).collect(),
        rows: shown.iter().map(row).collect(),
        more: count - shown.len(),
        statements,
    }
}
