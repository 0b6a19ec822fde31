//! The meaning of a study's results, in sentences. Every sentence follows from figures.

use std::collections::{BTreeMap, BTreeSet};

use kiln_config::{ClassWeightRule, ClassWeights, Experiment, LossName};
use kiln_diagnosis::{Finding, FindingKind};
use schemars::JsonSchema;
use serde::Serialize;
use toml::{Table, Value};

use crate::outcome::{Verdict, gap};
use crate::ranking::{McNemarMethod, SIGNIFICANCE};
use crate::results::{StudyResults, TrialResults};

/// A heading with statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AnalysisSection {
    /// The heading.
    pub title: &'static str,
    /// The statements, each a sentence or more.
    pub statements: Vec<String>,
}

/// Writes the statements of a section.
type Statements = fn(&StudyResults) -> Vec<String>;

/// The analysis of a study; sections without a statement are left out.
pub(crate) fn analysis(results: &StudyResults) -> Vec<AnalysisSection> {
    let sections: [(&'static str, Statements); 9] = [
        ("Ranking", ranking),
        ("Which losses may be compared", comparable_losses),
        ("Shared traces", shared_traces),
        ("Which settings lead", leading_settings),
        ("Underfitting and overfitting", fits),
        ("Gradients", gradients),
        ("Linearity", linearity),
        ("Failed trials", failures),
        ("What to try", advice),
    ];
    sections
        .into_iter()
        .map(|(title, statements)| AnalysisSection { title, statements: statements(results) })
        .filter(|section| !section.statements.is_empty())
        .collect()
}

/// "a", "a and b", "a, b and c".
fn listed(words: &[String]) -> String {
    kiln_config::listed(words.iter().cloned(), "and")
}

fn ranking(results: &StudyResults) -> Vec<String> {
    let mut statements = Vec::new();
    let leading = results.trials.iter().filter(|trial| trial.rank == Some(1));
    let names: Vec<String> = leading.map(|trial| trial.name.clone()).collect();
    let Some(first) = results.trials.first().filter(|trial| trial.rank.is_some()) else {
        return statements;
    };
    let accuracy = first.figures.get("test_accuracy").map_or_else(String::new, |spread| spread.shown(4));
    statements.push(format!(
        "{} has the best test accuracy, {accuracy} over {}.",
        first.name,
        results.over()
    ));
    if results.folds.is_some() && results.is_complete() {
        statements.push(
            "In each repeat, every example was tested by a network that was not trained on it. The networks share most of \
             their training examples, so the standard deviation means less than that of equally many independent samples \
             (Bengio and Grandvalet 2004)."
                .to_owned(),
        );
    }
    if names.len() > 1 {
        let others = listed(&names[1..]);
        statements
            .push(format!("The paired test cannot distinguish it from {others}: they share the first rank."));
    }
    statements.push(how_ties_were_found(results));
    statements
}

fn how_ties_were_found(results: &StudyResults) -> String {
    if !results.has_paired_tests() {
        return "No ties are marked: this needs the stored test predictions of at least two trials."
            .to_owned();
    }
    let methods = || results.trials.iter().filter_map(|trial| Some(trial.test.as_ref()?.1.result.method));
    let exact = methods().filter(|method| *method == McNemarMethod::ExactBinomial).count();
    let method = match (exact, methods().count() - exact) {
        (_, 0) => "the exact binomial form",
        (0, _) => "chi-square with continuity correction",
        _ => {
            "chi-square with continuity correction, and the exact binomial form below 25 discordant examples"
        }
    };
    let pooled = if results.folds.is_some() {
        "pooled over the folds of the first repeat, so that every example counts once"
    } else {
        "pooled over pairs of runs with the same seed"
    };
    format!(
        "Ties are marked by McNemar's test ({method}) on the test predictions, {pooled}: a \
         trial shares the rank of the first trial above it unless p is below {SIGNIFICANCE}. The test speaks of \
         these trained networks on these test examples; how far another seed would move them is what the \
         standard deviation says."
    )
}

fn comparable_losses(results: &StudyResults) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for trial in &results.trials {
        groups.entry(loss_function(&trial.experiment)).or_default().push(trial.name.clone());
    }
    let mut statements = Vec::new();
    let names = |name: LossName| {
        let has = |experiment: &Experiment| experiment.loss.name == name;
        results.trials.iter().filter(|trial| has(&trial.experiment)).count()
    };
    if names(LossName::Nll) > 0 && names(LossName::CrossEntropy) > 0 {
        statements.push(
            "nll on log-softmax outputs and cross-entropy on raw outputs are the same function, so their losses \
             may be compared."
                .to_owned(),
        );
    }
    if groups.len() == 1 {
        statements.push("All trials minimize the same function, so their losses may be compared.".to_owned());
        return statements;
    }
    for (function, names) in &groups {
        statements.push(format!("{function}: {}.", listed(names)));
    }
    statements.push(
        "Losses of different functions measure different things: between these groups, compare accuracies only."
            .to_owned(),
    );
    statements
}

/// The minimized function, in words. Penalties are left out: the displayed loss does not contain them.
fn loss_function(experiment: &Experiment) -> String {
    let loss = &experiment.loss;
    let mut words = match loss.name {
        LossName::CrossEntropy | LossName::Nll => "cross-entropy (nll is the same)".to_owned(),
        LossName::Mse => "mean squared error".to_owned(),
    };
    if loss.label_smoothing > 0.0 {
        words += &format!(" with label smoothing {}", loss.label_smoothing);
    }
    match &loss.class_weights {
        ClassWeights::Each(weights) if weights.is_empty() => {}
        ClassWeights::Each(weights) => words += &format!(" with class weights {weights:?}"),
        ClassWeights::ByName(weights) => words += &format!(" with class weights {weights:?}"),
        ClassWeights::Rule(ClassWeightRule::Balanced) => words += " with balanced class weights",
    }
    words
}

fn shared_traces(results: &StudyResults) -> Vec<String> {
    let shared = results.shared_traces.iter().map(|group| {
        format!(
            "{} have the same metric log, byte for byte, at every seed: what they are set to differently makes no \
             difference, and a gap between them elsewhere has another cause.",
            listed(group)
        )
    });
    shared.collect()
}

/// The most pairs in a sentence; more would need a table.
const MOST_PAIRS: usize = 6;

/// The settings of one trial, as text by dotted key.
type Settings = BTreeMap<String, String>;

fn leading_settings(results: &StudyResults) -> Vec<String> {
    let with_settings = results.trials.iter().map(|trial| (trial, settings_of(&trial.experiment)));
    let (trials, untested): (Vec<_>, Vec<_>) = with_settings.partition(|(trial, _)| trial.rank.is_some());
    let mut statements = Vec::new();
    for key in differing(&trials) {
        statements.extend(averages(&key, &trials, &untested));
        statements.extend(pairs(&key, &trials));
    }
    statements
}

fn settings_of(experiment: &Experiment) -> Settings {
    let table = Table::try_from(experiment).expect("a resolved experiment is plain TOML");
    let mut settings = Settings::new();
    for (section, value) in &table {
        match value {
            Value::Table(leaves) => settings.extend(
                leaves
                    .iter()
                    .map(|(leaf, value)| (format!("{section}.{leaf}"), value.to_string().replace('"', ""))),
            ),
            value if section != "name" && section != "seed" => {
                drop(settings.insert(section.clone(), value.to_string()));
            }
            _ => {}
        }
    }
    settings
}

fn setting_value<'a>(settings: &'a Settings, key: &str) -> &'a str {
    settings.get(key).map_or("not set", String::as_str)
}

fn differing(trials: &[(&TrialResults, Settings)]) -> BTreeSet<String> {
    let keys: BTreeSet<&String> = trials.iter().flat_map(|(_, settings)| settings.keys()).collect();
    let differs = |key: &&String| {
        let values: BTreeSet<&str> =
            trials.iter().map(|(_, settings)| setting_value(settings, key)).collect();
        values.len() > 1
    };
    keys.into_iter().filter(differs).cloned().collect()
}

/// The settings whose values are ranked by the mean over their trials. For other settings such a mean says little,
/// because the trials differ in too much else.
const AVERAGED: [&str; 3] = ["loss.name", "model.activation", "optimizer.name"];

/// The mean over the trials of each value, if some value has several trials, with the trials that are missing from it.
fn averages(
    key: &str,
    trials: &[(&TrialResults, Settings)],
    untested: &[(&TrialResults, Settings)],
) -> Option<String> {
    let mut groups: BTreeMap<&str, Vec<&TrialResults>> = BTreeMap::new();
    for (trial, settings) in trials {
        groups.entry(setting_value(settings, key)).or_default().push(trial);
    }
    if !AVERAGED.contains(&key) || groups.values().all(|group| group.len() == 1) {
        return None;
    }
    let accuracy = |trial: &TrialResults| trial.mean("test_accuracy").unwrap_or(f64::NAN);
    let mut means: Vec<(f64, String)> = groups
        .into_iter()
        .map(|(value, group)| {
            let mean = group.iter().map(|trial| accuracy(trial)).sum::<f64>() / group.len() as f64;
            let best = group.iter().max_by(|left, right| accuracy(left).total_cmp(&accuracy(right)));
            let best =
                best.map_or_else(String::new, |trial| format!("{} with {:.4}", trial.name, accuracy(trial)));
            let missing = untested.iter().filter(|(_, settings)| setting_value(settings, key) == value);
            let missing: Vec<String> = missing.map(|(trial, _)| trial.name.clone()).collect();
            let without = if missing.is_empty() {
                String::new()
            } else {
                format!("; without {}, not tested", listed(&missing))
            };
            (mean, format!("{value} {mean:.4} (mean of {}; best {best}{without})", group.len()))
        })
        .collect();
    means.sort_by(|left, right| right.0.total_cmp(&left.0));
    let words: Vec<String> = means.into_iter().map(|(_, words)| words).collect();
    Some(format!("By {key}, mean test accuracy: {}.", words.join("; ")))
}

/// Pairs of trials that differ only in this setting: only it can explain their difference.
fn pairs(key: &str, trials: &[(&TrialResults, Settings)]) -> Option<String> {
    let mut words = Vec::new();
    for (place, (better, left)) in trials.iter().enumerate() {
        for (worse, right) in &trials[place + 1..] {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let differing: Vec<&&String> =
                keys.iter().filter(|key| setting_value(left, key) != setting_value(right, key)).collect();
            let (Some(high), Some(low)) = (better.mean("test_accuracy"), worse.mean("test_accuracy")) else {
                continue;
            };
            if differing.len() == 1 && *differing[0] == key {
                let [best, other] = [left, right].map(|settings| setting_value(settings, key));
                let names = format!("({}, {})", better.name, worse.name);
                words.push(format!("{best} over {other} by {:.4} {names}", high - low));
            }
        }
    }
    if words.is_empty() {
        return None;
    }
    let more = words.len().saturating_sub(MOST_PAIRS);
    words.truncate(MOST_PAIRS);
    let more = if more > 0 { format!("; and {more} more pairs") } else { String::new() };
    Some(format!("With all else equal, {key}: {}{more}.", listed(&words)))
}

fn fits(results: &StudyResults) -> Vec<String> {
    let mut statements = Vec::new();
    let best = results.trials.iter().filter_map(|trial| trial.mean("test_accuracy")).fold(f64::NAN, f64::max);
    for trial in &results.trials {
        if trial.is(Verdict::Underfit) {
            statements.push(underfit(trial, best));
        } else if trial.is(Verdict::Overfit) {
            statements.push(overfit(trial));
        } else if !trial.is(Verdict::Fit) && trial.rank.is_some() {
            statements.push(format!(
                "{} has different verdicts for different seeds: {}.",
                trial.name,
                trial.verdict()
            ));
        }
    }
    let fitting = results.trials.iter().filter(|trial| trial.is(Verdict::Fit));
    let fitting: Vec<String> = fitting.map(|trial| trial.name.clone()).collect();
    if !fitting.is_empty() {
        statements.push(format!(
            "{}: the test accuracy is within {} of the best, and at most {} below the training accuracy.",
            with_verb(&fitting),
            results.rules.underfit_margin,
            results.rules.overfit_gap
        ));
    }
    statements
}

/// Trials that failed, each with its error.
fn failures(results: &StudyResults) -> Vec<String> {
    let failed = results.trials.iter().filter_map(|trial| Some((trial, trial.error()?)));
    failed.map(|(trial, error)| format!("{}: {error}", trial.name)).collect()
}

fn with_verb(names: &[String]) -> String {
    let verb = if names.len() == 1 { "fits" } else { "fit" };
    format!("{} {verb}", listed(names))
}

fn underfit(trial: &TrialResults, best: f64) -> String {
    let [test, train] = ["test_accuracy", "train_accuracy"].map(|name| trial.mean(name).unwrap_or(f64::NAN));
    format!(
        "{} underfits: its test accuracy {test:.4} is {:.4} below the best, and its training accuracy is only {train:.4}.",
        trial.name,
        best - test
    )
}

fn overfit(trial: &TrialResults) -> String {
    let gaps: Vec<(f64, &str)> = trial.seeds.iter().filter_map(|seed| gap(&seed.outcome)).collect();
    let mean = gaps.iter().map(|(gap, _)| gap).sum::<f64>() / gaps.len() as f64;
    let name = gaps.first().map_or("test_accuracy", |(_, name)| name);
    let [train, test] = ["train_accuracy", name].map(|name| trial.mean(name).unwrap_or(f64::NAN));
    let losses = match (trial.mean("train_loss"), trial.mean("test_loss")) {
        (Some(train), Some(test)) => format!("; loss {train:.4} in training and {test:.4} in test"),
        _ => String::new(),
    };
    let words = if name == "test_accuracy" { "test accuracy" } else { "test accuracy with dropout active" };
    format!(
        "{} overfits: training accuracy {train:.4}, {words} {test:.4}, a gap of {mean:.4}{losses}.",
        trial.name
    )
}

fn gradients(results: &StudyResults) -> Vec<String> {
    results.trials.iter().flat_map(gradient_findings).collect()
}

/// For each kind of finding: the statement of the first run that has it, and how many runs have it.
fn gradient_findings(trial: &TrialResults) -> impl Iterator<Item = String> {
    const KINDS: [FindingKind; 3] = [FindingKind::Vanishing, FindingKind::NonFinite, FindingKind::Exploding];
    KINDS.into_iter().filter_map(|kind| {
        let mut found = trial.seeds.iter().filter_map(|seed| of_kind(&seed.outcome.findings, kind));
        let first = found.next()?;
        let count = 1 + found.count();
        let share = if count == trial.seeds.len() {
            "each run".to_owned()
        } else {
            format!("{count} of {} runs", trial.seeds.len())
        };
        Some(format!("{}, {kind} in {share}; the first: {}", trial.name, first.statement))
    })
}

fn of_kind(findings: &[Finding], kind: FindingKind) -> Option<&Finding> {
    findings.iter().find(|finding| finding.kind == kind)
}

fn linearity(results: &StudyResults) -> Vec<String> {
    let mut statements = Vec::new();
    for trial in &results.trials {
        let collapses: Vec<_> = trial.seeds.iter().filter_map(|seed| seed.collapse).collect();
        let Some(first) = collapses.first() else { continue };
        let greatest = |of: fn(&crate::Collapse) -> f64| collapses.iter().map(of).fold(0.0, f64::max);
        let others: usize = collapses.iter().map(|collapse| collapse.other_predictions).sum();
        let examples: usize = collapses.iter().map(|collapse| collapse.examples).sum();
        statements.push(format!(
            "{}: its {} layers, multiplied out, are one linear layer. The outputs of the two differ by at most \
             {:.1e} over all test examples, {:.1e} of the greatest output; {others} of {examples} predictions \
             differ.",
            trial.name,
            first.layers,
            greatest(|collapse| collapse.greatest_difference),
            greatest(|collapse| collapse.relative_difference),
        ));
    }
    statements
}

fn advice(results: &StudyResults) -> Vec<String> {
    let advice = results.trials.iter().filter_map(|trial| Some((trial, trial_advice(trial)?)));
    let mut advised: Vec<(String, Vec<String>)> = Vec::new();
    for (trial, words) in advice {
        match advised.iter_mut().find(|(known, _)| *known == words) {
            Some((_, trials)) => trials.push(trial.name.clone()),
            None => advised.push((words, vec![trial.name.clone()])),
        }
    }
    advised.into_iter().map(|(words, trials)| format!("{}: {words}.", listed(&trials))).collect()
}

/// The advice for the first finding that has any; `None` for the trials that lead.
fn trial_advice(trial: &TrialResults) -> Option<String> {
    if trial.rank == Some(1) {
        return None;
    }
    let findings = trial.seeds.iter().flat_map(|seed| &seed.outcome.findings);
    let (finding, advice) =
        findings.map(|finding| (finding, finding.advice())).find(|(_, advice)| !advice.is_empty())?;
    Some(format!("{advice} ({})", finding.kind))
}
