//! The report of a search: its trials ranked, the winner compared with the base, and the conclusions in sentences.

use std::path::{Path, PathBuf};

use kiln_artifacts::{Machine, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::Plan;
use crate::ranking::Spread;
use crate::search::history::{History, KeyImportance, importance};
use crate::search::{Search, SearchMethod, trial_name};
use crate::work::{TrialRun, figure_name};

/// The results of a search, as `study.json` stores them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SearchReport {
    /// The study's name.
    pub study: String,
    /// What the search is for, in its file's words.
    pub about: String,
    /// Kiln's version.
    pub kiln: &'static str,
    /// The time of writing.
    #[schemars(with = "String")]
    pub written: Timestamp,
    /// The machine.
    pub machine: Machine,
    /// How trials were chosen.
    pub method: SearchMethod,
    /// The figure that decides, such as `validation_loss`.
    pub monitor: String,
    /// Epochs of training in the search, without the base and the confirmation.
    pub epochs: u64,
    /// Seconds of that training, over all workers.
    pub seconds: f64,
    /// The epochs after which trials were compared.
    pub rungs: Vec<usize>,
    /// The trials, the best first.
    pub trials: Vec<SearchedTrial>,
    /// The result of the confirmation; null before it.
    pub winner: Option<Winner>,
    /// How much of the trials' ranks each key explains, the most important first.
    pub importance: Vec<KeyImportance>,
    /// Trials that no other beats in both figure and seconds of training, the fastest first.
    pub front: Vec<String>,
    /// The conclusions, in sentences.
    pub statements: Vec<String>,
    /// Whether it was stopped before its end.
    pub was_stopped: bool,
    /// The searched keys, which are columns of `leaderboard.csv`.
    #[serde(skip)]
    pub(super) keys: Vec<String>,
}

/// How far a trial came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TrialStage {
    /// Trained again with fresh seeds.
    Confirmed,
    /// Trained in full.
    Trained,
    /// Paused at a rung, where others are better.
    Paused,
    /// Its settings cannot be trained, or its figures became non-finite.
    Failed,
    /// Not done yet.
    Open,
}

/// The results of one trial of a search.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SearchedTrial {
    /// Its rank, from 1.
    pub rank: usize,
    /// Its name, and that of its runs; `base` is the base itself.
    pub name: String,
    /// Its settings: dotted keys and values as TOML.
    pub settings: Vec<(String, String)>,
    /// How far it came.
    pub stage: TrialStage,
    /// Epochs of training in the search, with each seed.
    pub epochs: usize,
    /// The rung at which its figure was last compared; a training that ended early counts as complete.
    #[serde(skip)]
    pub(super) rung: usize,
    /// The best figure up to that rung, as a mean over the search's seeds.
    pub figure: Option<f64>,
    /// The figure over the fresh seeds that all confirmed trials share; null if it was not confirmed.
    pub confirmed: Option<Spread>,
    /// The figure over all fresh seeds, for the two trials of a close call: it decides between them. Null for others.
    pub close_call: Option<Spread>,
    /// Test accuracy over all its fresh seeds; only the winner has it.
    pub test_accuracy: Option<Spread>,
    /// Test loss over all its fresh seeds; only the winner has it.
    pub test_loss: Option<Spread>,
    /// Why it failed; null otherwise.
    pub error: Option<String>,
    /// Seconds of training in the search.
    pub seconds: f64,
    /// Its runs with fresh seeds; otherwise its runs of the search.
    pub runs: Vec<PathBuf>,
}

/// The winner, compared with the base and with the second best.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Winner {
    /// Its name; `base` if no trial beats the base.
    pub name: String,
    /// Its run with the best figure among fresh seeds.
    pub run: Option<PathBuf>,
    /// Its lead over the base in the search, on the seeds that chose it; positive is better.
    pub gain_in_search: Option<f64>,
    /// Its lead over the base on fresh seeds.
    pub gain: Option<f64>,
    /// The standard error of that lead.
    pub standard_error: Option<f64>,
    /// The part of the lead in the search that was luck: `gain_in_search` minus `gain`.
    pub luck: Option<f64>,
    /// The second best on fresh seeds.
    pub second: Option<String>,
    /// The winner's lead over the second best, on fresh seeds.
    pub lead: Option<f64>,
    /// The standard error of that lead; a lead below twice this is too close to call.
    pub lead_standard_error: Option<f64>,
}

impl SearchReport {
    pub(crate) fn of(
        plan: &Plan,
        search: &Search,
        history: &History,
        study: &Path,
        was_stopped: bool,
    ) -> Self {
        let order = order(history);
        let found = ReportInputs { search, history, study, shared_seeds: history.shared_seeds() };
        let trials: Vec<SearchedTrial> =
            (1..).zip(&order).map(|(rank, &trial)| found.trial(rank, trial)).collect();
        let mut report = Self {
            study: plan.name.clone(),
            about: plan.about.clone(),
            kiln: env!("CARGO_PKG_VERSION"),
            written: Timestamp::now(),
            machine: Machine::detect(),
            method: search.method,
            monitor: figure_name(search.monitor),
            epochs: history.epochs(),
            seconds: history.seconds(),
            rungs: search.rungs(),
            front: front(search, &trials),
            trials,
            winner: found.winner(),
            importance: importance(search, history),
            statements: Vec::new(),
            was_stopped,
            keys: search.space.iter().map(|dimension| dimension.key.clone()).collect(),
        };
        report.statements = statements(&report, search);
        report
    }
}

/// The order of the leaderboard: confirmed trials first, then higher rungs, and within a rung the better.
fn order(history: &History) -> Vec<usize> {
    let confirmed = history.ranked();
    let others = (0..history.trials.len()).filter(|trial| !confirmed.contains(trial));
    let others = history.in_order(others);
    confirmed.into_iter().chain(others).collect()
}

/// The inputs of a report.
struct ReportInputs<'a> {
    search: &'a Search,
    history: &'a History,
    /// The study's folder.
    study: &'a Path,
    /// The fresh seeds that all confirmed trials share.
    shared_seeds: Vec<u64>,
}

impl ReportInputs<'_> {
    /// The run of trial `number` with a seed, if it exists.
    fn run(&self, number: usize, seed: u64) -> Option<PathBuf> {
        let settings = &self.history.trials[number].settings;
        let experiment = self.search.experiment(&trial_name(number), settings, seed).ok()?;
        Some(TrialRun::new(number, &experiment, self.study).stored_run()?.0.folder().to_owned())
    }

    fn trial(&self, rank: usize, number: usize) -> SearchedTrial {
        let (search, history) = (self.search, self.history);
        let trial = &history.trials[number];
        let last = trial.last().filter(|_| trial.error.is_none());
        let whole = search.base.training.epochs;
        let stage = match last {
            _ if !trial.confirmed.is_empty() => TrialStage::Confirmed,
            _ if trial.error.is_some() => TrialStage::Failed,
            Some((rung, _)) if rung == whole => TrialStage::Trained,
            Some(_) => TrialStage::Paused,
            None => TrialStage::Open,
        };
        let shared = self.shared_seeds.iter().filter_map(|seed| trial.confirmed.get(seed));
        let confirmed: Vec<f64> = shared.map(|&loss| search.figure(loss)).collect();
        let all: Vec<f64> = trial.confirmed.values().map(|&loss| search.figure(loss)).collect();
        let test = |figure: &str| {
            let values = trial.tested.values().filter_map(|tested| tested.get(figure).copied().flatten());
            Spread::of(&values.collect::<Vec<f64>>())
        };
        let seeds: Vec<u64> = if trial.confirmed.is_empty() {
            search.seeds.clone()
        } else {
            trial.confirmed.keys().copied().collect()
        };
        SearchedTrial {
            rank,
            name: trial_name(number),
            settings: trial.settings.clone(),
            stage,
            epochs: trial.epochs_of_a_seed().unwrap_or(0) as usize,
            rung: last.map_or(0, |(rung, _)| rung),
            figure: last.map(|(_, loss)| search.figure(loss)).filter(|figure| figure.is_finite()),
            close_call: finite(&all).filter(|_| all.len() > confirmed.len()),
            confirmed: finite(&confirmed),
            test_accuracy: test("accuracy"),
            test_loss: test("loss"),
            error: trial.error.clone(),
            seconds: trial.seconds(),
            runs: seeds.iter().filter_map(|&seed| self.run(number, seed)).collect(),
        }
    }

    fn winner(&self) -> Option<Winner> {
        let (search, history) = (self.search, self.history);
        let ranked = history.ranked();
        let &first = ranked.first()?;
        let whole = search.base.training.epochs;
        let in_search = |trial: usize| history.trials[trial].loss_at(whole).filter(|loss| loss.is_finite());
        let base = (first != 0).then(|| history.paired_difference(first, 0)).flatten();
        let gain_in_search = (first != 0)
            .then(|| Some(in_search(0)? - in_search(first)?))
            .flatten()
            .filter(|gain| gain.is_finite());
        let gain = base.map(|base| base.mean).filter(|gain| gain.is_finite());
        let second = ranked.get(1).copied();
        let lead = second.and_then(|second| history.paired_difference(first, second));
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let trial = &history.trials[first];
        let best =
            trial.confirmed.iter().min_by(|left, right| left.1.total_cmp(right.1).then(left.0.cmp(right.0)));
        let run = best.and_then(|(&seed, _)| self.run(first, seed));
        Some(Winner {
            name: trial_name(first),
            run,
            gain_in_search,
            gain,
            standard_error: finite(base.map(|base| base.standard_error)),
            luck: gain_in_search.zip(gain).map(|(searched, fresh)| searched - fresh),
            second: second.map(trial_name),
            lead: finite(lead.map(|lead| lead.mean)),
            lead_standard_error: finite(lead.map(|lead| lead.standard_error)),
        })
    }
}

/// The spread of figures; `None` if one of them is infinite.
fn finite(figures: &[f64]) -> Option<Spread> {
    Spread::of(figures).filter(|_| figures.iter().all(|figure| figure.is_finite()))
}

/// The fully trained trials that no other beats in both figure and time.
fn front(search: &Search, trials: &[SearchedTrial]) -> Vec<String> {
    let whole = search.base.training.epochs;
    let mut complete: Vec<(f64, f64, &str)> = trials
        .iter()
        .filter(|trial| trial.rung == whole)
        .filter_map(|trial| Some((trial.seconds, search.loss(trial.figure?), trial.name.as_str())))
        .collect();
    complete.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    let mut best = f64::INFINITY;
    complete.retain(|(_, loss, _)| {
        let is_better = *loss < best;
        best = best.min(*loss);
        is_better
    });
    complete.into_iter().map(|(_, _, name)| name.to_owned()).collect()
}

/// The conclusions.
fn statements(report: &SearchReport, search: &Search) -> Vec<String> {
    let mut statements = Vec::new();
    if report.was_stopped {
        statements.push("The search was stopped before its end: these conclusions may change.".to_owned());
    }
    let monitor = report.monitor.replace('_', " ");
    match &report.winner {
        Some(winner) => statements.extend(of_winner(report, winner, &monitor)),
        None => statements.extend(undecided(report, search)),
    }
    statements.extend(cost(report));
    let begun = report.trials.len().saturating_sub(1);
    let is_bounded =
        search.epochs.is_some() || search.seconds.is_some() || search.method == SearchMethod::Grid;
    if !report.was_stopped && !is_bounded && search.trials.is_some_and(|trials| begun < trials) {
        statements.push(format!(
            "It ended with {begun} trials: further draws only repeated settings that were tried before."
        ));
    }
    let most = report.importance.first().filter(|most| most.share >= 0.05);
    if let Some(most) = most {
        let share = most.share * 100.0;
        statements.push(format!(
            "{} matters most: by itself it explains {share:.0} % of the variance of the trials' ranks.",
            most.key
        ));
    }
    let failed = report.trials.iter().filter(|trial| trial.stage == TrialStage::Failed).count();
    if failed > 0 {
        statements.push(format!(
            "{failed} of {} trials failed because of their settings.",
            report.trials.len() - 1
        ));
    }
    statements
}

fn of_winner(report: &SearchReport, winner: &Winner, monitor: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let found = report.trials.iter().find(|trial| trial.name == winner.name);
    let Some(found) = found else { return statements };
    if winner.name == "base" {
        statements.push("No trial beats the base on fresh seeds: keep the base.".to_owned());
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
            "One fresh seed does not show how much results vary between seeds: give more in `search.confirm`.".to_owned(),
        );
    }
    statements.extend(too_close(winner));
    statements.extend(tested(found));
    if let Some(run) = &winner.run {
        statements
            .push(format!("Its best run on fresh seeds, for predictions and for serving: {}", run.display()));
    }
    statements
}

fn better(gain: f64) -> String {
    if gain >= 0.0 { format!("{gain:.4} better") } else { format!("{:.4} worse", -gain) }
}

/// How much of a lead was luck.
fn luck(searched: f64, gain: f64) -> String {
    if searched <= 0.0 {
        return "In the search itself it was not ahead of the base.".to_owned();
    }
    let share = (searched - gain) / searched * 100.0;
    if share >= 1.0 {
        format!("So {:.0} % of the lead was luck.", share.min(100.0))
    } else {
        "No luck is visible in it.".to_owned()
    }
}

fn too_close(winner: &Winner) -> Option<String> {
    let (second, lead) = (winner.second.as_ref()?, winner.lead?);
    let error = winner.lead_standard_error?;
    (lead < 2.0 * error).then(|| {
        format!(
            "{} and {second} are too close to call: they differ by {lead:.4}, with a standard error of {error:.4}.",
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
        "The best trial was not confirmed with fresh seeds (`search.confirm.best` = 0): some of its lead is luck."
    } else {
        "No trial was trained in full with a finite figure: there is nothing to confirm."
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
