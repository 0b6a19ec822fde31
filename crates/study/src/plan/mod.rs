//! The study file: what to try, with which seeds, and what is expected.
//!
//! `file` has its keys, the listed trials and the expectations; `search` reads its `[search]` section. This file puts
//! them together: it resolves every experiment, and it says before any training what a study would train.

mod file;
mod search;
#[cfg(test)]
mod tests;

pub use file::{Claim, Expectation, Trial};

use std::path::{Path, PathBuf};

use kiln_config::facts::TextRule;
use kiln_config::{
    ConfigError, Document, Experiment, Located, Origin, Patch, Problem, Request, Source, read, read_text,
    resolve_patched,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::outcome::VerdictRules;
use crate::plan::file::{StudyFile, TrialDraft, expectations, settings, table_at, trial_drafts};
use crate::search::{Search, expected_cost};
use crate::work::prepared;

/// A study file, resolved and valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The study's name, and that of its folder below `studies/`.
    pub name: String,
    /// What the study shows, in the file's words; may be empty.
    pub about: String,
    /// The seeds that every trial is run with.
    pub seeds: Vec<u64>,
    /// The number of folds of a cross-validation: each part of the examples is the test data once.
    pub folds: Option<u64>,
    /// Worker processes at once, if the file says.
    pub jobs: Option<usize>,
    /// Seconds without a heartbeat after which another worker takes over a worker's task.
    pub lease: f64,
    /// The trials; empty for a search.
    pub trials: Vec<Trial>,
    /// The search, if the study is one.
    pub search: Option<Search>,
    /// The expectations.
    pub expectations: Vec<Expectation>,
    /// Thresholds of the verdicts.
    pub rules: VerdictRules,
}

/// A study file, with the settings of the command line and the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRequest {
    /// The file.
    pub path: PathBuf,
    /// The environment; only `KILN_` variables matter.
    pub environment: Vec<(String, String)>,
    /// `key=value` arguments. `seeds`, `folds`, `repeats`, `jobs`, `lease` and the keys of `search` set the study;
    /// all others set every experiment.
    pub overrides: Vec<String>,
}

/// Keys of the study itself that the command line may set.
const OWN: [&str; 5] = ["seeds", "folds", "repeats", "jobs", "lease"];

impl Plan {
    /// Reads a study file and resolves every trial with every seed. The error lists everything that is wrong with the
    /// file, its base, and any experiment.
    pub fn read(request: &PlanRequest) -> Result<Self, ConfigError> {
        let text = read_text(&request.path)?;
        let shown = request.path.display().to_string();
        let document = Document::new(&shown, &text);
        let is_own = |argument: &&String| {
            let key = argument.split_once('=').map_or("", |(key, _)| key.trim());
            OWN.contains(&key) || key.starts_with("search.")
        };
        let (own, overrides): (Vec<_>, Vec<_>) =
            request.overrides.iter().cloned().partition(|argument| is_own(&argument));
        let file = read::<StudyFile>(&document, &own)?;
        let table = document.table().map_err(ConfigError::new)?;
        let mut problems = Vec::new();
        let is_search = table_at(&table, "search").is_some();
        let drafts = if is_search {
            reject_beside_search(&file, &mut problems);
            Vec::new()
        } else {
            trial_drafts(&file, &table, &mut problems)
        };
        let names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
        let expectations = expectations(&file, &names, &mut problems);
        let stem = request.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.value.name.clone().unwrap_or(stem);
        problems.extend(own.iter().filter_map(|argument| useless_argument(argument, is_search)));
        if !TextRule::Name.allows(&name) {
            let allowed = TextRule::Name.words();
            problems.push(
                file.problem("", format!("{name:?} cannot be a study's name: `name` must be {allowed}")),
            );
        }
        let resolver = ExperimentResolver {
            document: &document,
            source: source(&request.path, file.value.base.as_deref()),
            request,
            experiment: table_at(&table, "experiment").cloned().unwrap_or_default(),
            overrides,
            folds: file.value.folds,
        };
        let seeds = seeds(&file, &mut problems);
        let (search, trials, seeds) = if is_search {
            let search = search::read_search(&resolver, &file, &table, seeds, &mut problems);
            let seeds = search.as_ref().map_or_else(Vec::new, |search| search.seeds.clone());
            (search, Vec::new(), seeds)
        } else {
            let (trials, seeds) = resolver.trials(&drafts, seeds, &mut problems);
            (None, trials, seeds)
        };
        let mut experiments = trials.iter().flat_map(|trial| &trial.experiments);
        if let Some(folds) = file.value.folds
            && let Some(other) = experiments.find(|experiment| experiment.data.test_folds as u64 != folds)
        {
            let found = other.data.test_folds;
            problems.push(file.problem(
                "folds",
                format!("`folds` = {folds}, but `data.test_folds` = {found}: set `folds`"),
            ));
        }
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        let StudyFile { about, folds, jobs, lease, rules, .. } = file.value;
        Ok(Self { name, about, seeds, folds, jobs, lease, trials, search, expectations, rules })
    }
}

/// The problem with a `search.` argument, if there is one.
fn useless_argument(argument: &str, is_search: bool) -> Option<Problem> {
    let key = argument.split_once('=').map_or("", |(key, _)| key.trim());
    let origin = Origin::CommandLine { text: argument.to_owned() };
    if key.starts_with("search.") && !is_search {
        Some(Problem::at(origin, format!("`{key}` has no effect: the file has no `[search]`")))
    } else if key == "search.space" || key.starts_with("search.space.") {
        Some(Problem::at(origin, "only the study file can set the space of a search".to_owned()))
    } else {
        None
    }
}

impl Plan {
    /// Checks a plan that was read back from its file: the file may be damaged.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_whole = |trial: &Trial| trial.experiments.len() == self.seeds.len();
        let search = self.search.as_ref();
        if !(1.0..=86_400.0).contains(&self.lease) {
            Err(format!("lease = {}", self.lease))
        } else if self.seeds.is_empty() || search.is_some_and(|search| search.seeds.is_empty()) {
            Err("it has no seeds".to_owned())
        } else if !self.trials.iter().all(is_whole) {
            Err("a trial does not have one experiment for each seed".to_owned())
        } else if search.is_some_and(|search| !search.is_sound()) {
            Err("its search is not valid".to_owned())
        } else {
            Ok(())
        }
    }
}

/// Reports the sections that a search excludes: it chooses its own trials.
fn reject_beside_search(file: &Located<StudyFile>, problems: &mut Vec<Problem>) {
    let StudyFile { trial, axes, expect, .. } = &file.value;
    let others = [("trial", !trial.is_empty()), ("axes", !axes.is_empty()), ("expect", !expect.is_empty())];
    for (name, _) in others.into_iter().filter(|(_, is_there)| *is_there) {
        problems.push(file.problem(name, format!("`[search]` and `{name}` exclude each other")));
    }
}

/// The seeds of the file, listed or by folds; `None` if the base's seed is used.
fn seeds(file: &Located<StudyFile>, problems: &mut Vec<Problem>) -> Option<Vec<u64>> {
    let StudyFile { seeds, folds, repeats, .. } = &file.value;
    let named = seeds.as_deref();
    for (index, seed) in named.into_iter().flatten().enumerate() {
        if named.is_some_and(|seeds| seeds[..index].contains(seed)) {
            problems.push(file.problem(&format!("seeds[{index}]"), format!("seed {seed} is named twice")));
        }
    }
    if named.is_some_and(<[u64]>::is_empty) {
        problems.push(file.problem("seeds", "`seeds` must be a list with at least one value".to_owned()));
    }
    match (folds, repeats) {
        (Some(_), _) if named.is_some() => {
            let message =
                "`seeds` and `folds` exclude each other: the seed of a run is the number of its fold";
            problems.push(file.problem("folds", message.to_owned()));
        }
        (None, Some(_)) => {
            let message = "`repeats` has no effect without `folds`";
            problems.push(file.problem("repeats", message.to_owned()));
        }
        _ => {}
    }
    match folds {
        Some(folds) => Some((0..folds * repeats.unwrap_or(1)).collect()),
        None => seeds.clone(),
    }
}

/// The experiment file that all trials start from.
fn source(study: &Path, base: Option<&Path>) -> Source {
    match base {
        Some(base) => Source::File(study.parent().unwrap_or(Path::new("")).join(base)),
        None => Source::Text { name: study.display().to_string(), text: String::new() },
    }
}

/// Resolves experiments from their layers: the base, `[experiment]`, the trial's settings, the command line.
struct ExperimentResolver<'a> {
    document: &'a Document<'a>,
    source: Source,
    request: &'a PlanRequest,
    experiment: DeTable<'a>,
    overrides: Vec<String>,
    folds: Option<u64>,
}

impl ExperimentResolver<'_> {
    /// Every trial with every seed, and the seeds.
    fn trials(
        &self,
        drafts: &[TrialDraft<'_>],
        seeds: Option<Vec<u64>>,
        problems: &mut Vec<Problem>,
    ) -> (Vec<Trial>, Vec<u64>) {
        let seeds = seeds.or_else(|| {
            let base = self.resolve(&DeTable::new(), None);
            base.ok().map(|experiment| vec![experiment.seed])
        });
        let seeds = seeds.unwrap_or_default();
        // There is no seed only if the base is wrong. Each trial then reports the base's problems.
        let wanted: Vec<Option<u64>> =
            if seeds.is_empty() { vec![None] } else { seeds.iter().copied().map(Some).collect() };
        let mut trials = Vec::new();
        for draft in drafts {
            let mut experiments = Vec::new();
            for seed in &wanted {
                match self.resolve(&draft.overrides, *seed) {
                    Ok(experiment) => experiments.push(prepared(experiment, &draft.name)),
                    Err(error) => {
                        let new = error.problems.into_iter().filter(|problem| !problems.contains(problem));
                        problems.extend(new.collect::<Vec<_>>());
                    }
                }
            }
            let settings = settings(&draft.overrides);
            trials.push(Trial { name: draft.name.clone(), settings, experiments });
        }
        (trials, seeds)
    }

    fn resolve(&self, overrides: &DeTable<'_>, seed: Option<u64>) -> Result<Experiment, ConfigError> {
        self.resolve_layers(Patch { document: self.document, table: overrides }, seed)
    }

    /// The base with settings from another document than the study file.
    fn resolve_in(&self, document: &Document<'_>, settings: &DeTable<'_>) -> Result<Experiment, ConfigError> {
        self.resolve_layers(Patch { document, table: settings }, None)
    }

    fn resolve_layers(&self, settings: Patch<'_>, seed: Option<u64>) -> Result<Experiment, ConfigError> {
        let mut arguments = self.overrides.clone();
        arguments.extend(seed.map(|seed| format!("seed={seed}")));
        let request = Request {
            source: self.source.clone(),
            environment: self.request.environment.clone(),
            overrides: arguments,
        };
        let text = self.folds.map_or_else(String::new, |folds| format!("data.test_folds = {folds}"));
        let folds = Document::new("`folds`", &text);
        let parts = folds.table().map_err(ConfigError::new)?;
        let own = Patch { document: self.document, table: &self.experiment };
        let patches = [own, settings, Patch { document: &folds, table: &parts }];
        Ok(resolve_patched(&request, &patches)?.experiment)
    }
}

/// The most trials that a preview shows.
const MOST_PREVIEW_ROWS: usize = 20;

/// What a study would train, and its cost.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Preview {
    /// The study's name.
    pub study: String,
    /// Column names.
    pub head: Vec<String>,
    /// The first trials: name and settings.
    pub rows: Vec<Vec<String>>,
    /// Trials that are not shown.
    pub more: usize,
    /// The cost, in sentences.
    pub statements: Vec<String>,
}

impl Plan {
    /// Shows what the study would train, without training anything.
    pub(crate) fn preview(&self) -> Preview {
        match &self.search {
            Some(search) => search_preview(self, search),
            None => trials_preview(self),
        }
    }
}

fn trials_preview(plan: &Plan) -> Preview {
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
    preview_table(plan, &trials, trials.len(), statements)
}

fn search_preview(plan: &Plan, search: &Search) -> Preview {
    let (trials, epochs) = expected_cost(search);
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
        statements.push(format!("These are the first points of a grid of {points}, in order."));
    }
    if rungs.len() > 1 {
        statements.push(format!("They are compared after {} epochs.", kiln_config::listed(rungs, "and")));
        if search.epochs.is_none() && search.seconds.is_none() {
            let least = "Later trials that beat earlier ones are promoted too: this can take up to three times as many \
                         epochs.";
            statements.push(least.to_owned());
        }
    }
    let base = whole * search.seeds.len() as u64;
    statements.push(format!("The base adds {base} epochs."));
    let confirm = search.confirm;
    if confirm.best > 0 {
        let seeds = search.fresh_seeds(0).len() as u64;
        let first = (confirm.best as u64 + 1) * seeds * whole;
        let more = 2 * seeds * whole * confirm.repeats as u64;
        statements.push(format!(
            "The best {} and the base are trained again with {seeds} fresh seeds: {first} epochs, and up to {more} more for a \
             close call.",
            confirm.best
        ));
    }
    let mut preview = preview_table(plan, &shown, trials, statements);
    if trials == usize::MAX {
        preview.more = 0;
    }
    preview
}

/// A table of the first of `trials`; `count` is the number of all trials.
fn preview_table(
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
    let shown = &trials[..trials.len().min(MOST_PREVIEW_ROWS)];
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
