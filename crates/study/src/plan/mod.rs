//! The study file: what to try, with which seeds, and what is expected of it.

mod expectation;
mod file;
mod search;
#[cfg(test)]
mod tests;
mod trial;

use std::path::{Path, PathBuf};

use kiln_config::facts::TextRule;
use kiln_config::{
    ConfigError, Document, Experiment, Located, Origin, Patch, Problem, Request, Source, read, read_text,
    resolve_patched,
};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

pub use expectation::{Claim, Expectation};
pub use file::Rules;
pub use trial::Trial;

use file::StudyFile;
use trial::{Draft, drafts, part, settings};

use crate::search::Search;

/// Everything that a study file asks for, resolved and valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The study's name: the folder below `studies/` that its results land in.
    pub name: String,
    /// What it shows, in the file's words; may be empty.
    pub about: String,
    /// The seeds that every trial is run with.
    pub seeds: Vec<u64>,
    /// Into how many parts the examples are dealt, where each is to be the test data once.
    pub folds: Option<u64>,
    /// Worker processes at once, where the file says.
    pub jobs: Option<usize>,
    /// Seconds after which the work of a worker that gives no sign of life is taken over.
    pub lease: f64,
    /// What is tried; empty for a search.
    pub trials: Vec<Trial>,
    /// What is searched.
    pub search: Option<Search>,
    /// What is expected.
    pub expectations: Vec<Expectation>,
    /// Thresholds of the verdicts.
    pub rules: Rules,
}

/// A study file, with what the command line and the environment say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRequest {
    /// The file.
    pub path: PathBuf,
    /// The environment; only `KILN_` variables matter.
    pub environment: Vec<(String, String)>,
    /// `key=value` arguments: `seeds`, `folds`, `repeats`, `jobs`, `lease` and those of `search` are the study's, all others every
    /// experiment's.
    pub overrides: Vec<String>,
}

/// Keys that the command line may set of a study itself.
const OWN: [&str; 5] = ["seeds", "folds", "repeats", "jobs", "lease"];

impl Plan {
    /// Reads a study file and resolves every trial with every seed.
    ///
    /// # Errors
    /// Everything that is wrong with the file, its base, or any experiment.
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
        let is_search = part(&table, "search").is_some();
        let drafts = if is_search {
            none_beside_search(&file, &mut problems)
        } else {
            drafts(&file, &table, &mut problems)
        };
        let names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
        let expectations = expectation::expectations(&file, &names, &mut problems);
        let stem = request.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.value.name.clone().unwrap_or(stem);
        problems.extend(own.iter().filter_map(|argument| useless(argument, is_search)));
        if !TextRule::Name.allows(&name) {
            let allowed = TextRule::Name.words();
            problems.push(
                file.problem("", format!("{name:?} cannot be a study's name: `name` must be {allowed}")),
            );
        }
        let resolver = Resolver {
            document: &document,
            source: source(&request.path, file.value.base.as_deref()),
            request,
            experiment: part(&table, "experiment").cloned().unwrap_or_default(),
            overrides,
            folds: file.value.folds,
        };
        let seeds = seeds(&file, &mut problems);
        let (search, trials, seeds) = if is_search {
            let search = search::search(&resolver, &file, &table, seeds, &mut problems);
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

/// What is wrong with an argument for a search.
fn useless(argument: &str, is_search: bool) -> Option<Problem> {
    let key = argument.split_once('=').map_or("", |(key, _)| key.trim());
    let origin = Origin::CommandLine { text: argument.to_owned() };
    if key.starts_with("search.") && !is_search {
        Some(Problem::at(origin, format!("`{key}` has no effect: the file has no `[search]`")))
    } else if key == "search.space" || key.starts_with("search.space.") {
        Some(Problem::at(origin, "the space of a search is given in its file alone".to_owned()))
    } else {
        None
    }
}

impl Plan {
    /// Whether a plan that was read back can be worked at.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_whole = |trial: &Trial| trial.experiments.len() == self.seeds.len();
        let search = self.search.as_ref();
        if !(1.0..=86_400.0).contains(&self.lease) {
            Err(format!("lease = {}", self.lease))
        } else if self.seeds.is_empty() || search.is_some_and(|search| search.seeds.is_empty()) {
            Err("it has no seeds".to_owned())
        } else if !self.trials.iter().all(is_whole) {
            Err("a trial has not one experiment for each seed".to_owned())
        } else if search.is_some_and(|search| !search.is_sound()) {
            Err("its search cannot be".to_owned())
        } else {
            Ok(())
        }
    }
}

/// No trials: a search finds its own.
fn none_beside_search<'a>(file: &Located<StudyFile>, problems: &mut Vec<Problem>) -> Vec<Draft<'a>> {
    let StudyFile { trial, axes, expect, .. } = &file.value;
    let others = [("trial", !trial.is_empty()), ("axes", !axes.is_empty()), ("expect", !expect.is_empty())];
    for (name, _) in others.into_iter().filter(|(_, is_there)| *is_there) {
        problems.push(file.problem(name, format!("`[search]` and `{name}` exclude each other")));
    }
    Vec::new()
}

/// The seeds that the file asks for, by name or by parts; none where it leaves them to the base.
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
            let message = "`seeds` and `folds` exclude each other: a part's number is the seed of its run";
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

/// The experiment that all trials start from.
fn source(study: &Path, base: Option<&Path>) -> Source {
    match base {
        Some(base) => Source::File(study.parent().unwrap_or(Path::new("")).join(base)),
        None => Source::Text { name: study.display().to_string(), text: String::new() },
    }
}

/// Puts the layers of each experiment together.
struct Resolver<'a> {
    document: &'a Document<'a>,
    source: Source,
    request: &'a PlanRequest,
    experiment: DeTable<'a>,
    overrides: Vec<String>,
    folds: Option<u64>,
}

impl Resolver<'_> {
    /// Every trial with every seed, and the seeds.
    fn trials(
        &self,
        drafts: &[Draft<'_>],
        seeds: Option<Vec<u64>>,
        problems: &mut Vec<Problem>,
    ) -> (Vec<Trial>, Vec<u64>) {
        let seeds = seeds.or_else(|| {
            let base = self.resolve(&DeTable::new(), None);
            base.ok().map(|experiment| vec![experiment.seed])
        });
        let seeds = seeds.unwrap_or_default();
        // Without any seed the base itself is at fault, and each trial says how.
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

    /// The base with settings of another text than the study's file.
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

/// The experiment as a worker gets it. One computing thread: results must not depend on how many workers
/// share the machine.
pub(crate) fn prepared(mut experiment: Experiment, name: &str) -> Experiment {
    name.clone_into(&mut experiment.name);
    // A trial that stopped by its own clock would be given to the next worker at once.
    experiment.training.max_time = None;
    let on_cpu = matches!(
        experiment.backend.name,
        kiln_config::BackendName::Auto | kiln_config::BackendName::Flex | kiln_config::BackendName::Ndarray
    );
    if on_cpu {
        experiment.backend.threads = experiment.backend.threads.or(Some(1));
    }
    experiment
}
