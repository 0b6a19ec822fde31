//! The study file: what to try, with which seeds, and what is expected of it.

mod expectation;
mod file;
#[cfg(test)]
mod tests;
mod trial;

use std::path::{Path, PathBuf};

use kiln_config::facts::TextRule;
use kiln_config::{
    ConfigError, Document, Experiment, Patch, Problem, Request, Source, read, read_text, resolve_patched,
};
use toml::de::DeTable;

pub use expectation::{Claim, Expectation};
pub use file::Rules;
pub use trial::Trial;

use file::StudyFile;
use trial::{Draft, drafts, part, settings};

/// Everything that a study file asks for, resolved and valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The study's name: the folder below `studies/` that its results land in.
    pub name: String,
    /// What it shows, in the file's words; may be empty.
    pub about: String,
    /// The seeds that every trial is run with.
    pub seeds: Vec<u64>,
    /// Worker processes at once, where the file says.
    pub jobs: Option<usize>,
    /// What is tried.
    pub trials: Vec<Trial>,
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
    /// `key=value` arguments: `seeds` and `jobs` are the study's, all others every experiment's.
    pub overrides: Vec<String>,
}

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
            argument.split_once('=').is_some_and(|(key, _)| ["seeds", "jobs"].contains(&key.trim()))
        };
        let (own, overrides): (Vec<_>, Vec<_>) =
            request.overrides.iter().cloned().partition(|argument| is_own(&argument));
        let file = read::<StudyFile>(&document, &own)?;
        let table = document.table().map_err(ConfigError::new)?;
        let mut problems = Vec::new();
        let drafts = drafts(&file, &table, &mut problems);
        let names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
        let expectations = expectation::expectations(&file, &names, &mut problems);
        let stem = request.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.value.name.clone().unwrap_or(stem);
        if !TextRule::Name.allows(&name) {
            let allowed = TextRule::Name.words();
            problems.push(
                file.problem("", format!("{name:?} cannot be a study's name: `name` must be {allowed}")),
            );
        }
        let seeds = file.value.seeds.as_deref();
        for (index, seed) in seeds.into_iter().flatten().enumerate() {
            if seeds.is_some_and(|seeds| seeds[..index].contains(seed)) {
                problems
                    .push(file.problem(&format!("seeds[{index}]"), format!("seed {seed} is named twice")));
            }
        }
        if seeds.is_some_and(<[u64]>::is_empty) {
            problems.push(file.problem("seeds", "`seeds` must be a list with at least one value".to_owned()));
        }
        let resolver = Resolver {
            document: &document,
            source: source(&request.path, file.value.base.as_deref()),
            request,
            experiment: part(&table, "experiment").cloned().unwrap_or_default(),
            overrides,
        };
        let (trials, seeds) = resolver.trials(&drafts, file.value.seeds.clone(), &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        let StudyFile { about, jobs, rules, .. } = file.value;
        Ok(Self { name, about, seeds, jobs, trials, expectations, rules })
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
        let mut arguments = self.overrides.clone();
        arguments.extend(seed.map(|seed| format!("seed={seed}")));
        let request = Request {
            source: self.source.clone(),
            environment: self.request.environment.clone(),
            overrides: arguments,
        };
        let patch = |table| Patch { document: self.document, table };
        Ok(resolve_patched(&request, &[patch(&self.experiment), patch(overrides)])?.experiment)
    }
}

/// The experiment as a worker gets it. One computing thread: results must not depend on how many workers
/// share the machine.
fn prepared(mut experiment: Experiment, name: &str) -> Experiment {
    name.clone_into(&mut experiment.name);
    let on_cpu = matches!(
        experiment.backend.name,
        kiln_config::BackendName::Auto | kiln_config::BackendName::Flex | kiln_config::BackendName::Ndarray
    );
    if on_cpu {
        experiment.backend.threads = experiment.backend.threads.or(Some(1));
    }
    experiment
}
