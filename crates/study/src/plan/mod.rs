//! The study file: what to try, with which seeds, and what is expected of it.

mod expectation;
mod rules;
mod sheet;
#[cfg(test)]
mod tests;
mod trial;

use std::path::{Path, PathBuf};

use kiln_config::{
    ConfigError, Document, Experiment, Patch, Problem, Request, Source, read_text, resolve_patched,
};
use toml::de::DeTable;

pub use expectation::{Claim, Expectation};
pub use rules::Rules;
pub use trial::Trial;

use sheet::{Part, Sheet};
use trial::{Draft, drafts, is_name, settings};

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

const KEYS: &[&str] =
    &["name", "about", "base", "seeds", "jobs", "experiment", "trial", "axes", "expect", "rules"];

/// What the file says besides its trials.
struct Head {
    name: String,
    about: String,
    source: Source,
    seeds: Option<Vec<u64>>,
    jobs: Option<usize>,
}

impl Plan {
    /// Reads a study file and resolves every trial with every seed.
    ///
    /// # Errors
    /// Everything that is wrong with the file, its base, or any experiment.
    pub fn read(request: &PlanRequest) -> Result<Self, ConfigError> {
        let text = read_text(&request.path)?;
        let name = request.path.display().to_string();
        let document = Document::new(&name, &text);
        let table = document.table().map_err(ConfigError::new)?;
        let file = Part { name: "", table: &table };
        let mut sheet = Sheet::new(&document);
        sheet.known_keys(file, KEYS);
        let mut head = Head::read(&mut sheet, file, &request.path);
        let overrides = head.take_overrides(&mut sheet, &request.overrides);
        let drafts = drafts(&mut sheet, file);
        let names: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
        let expectations = expectation::expectations(&mut sheet, file, &names);
        let rules = Rules::read(&mut sheet, file);
        let experiment = sheet.table(file, "experiment").cloned().unwrap_or_default();
        let mut problems = sheet.problems;
        let resolver = Resolver { document: &document, head: &head, request, experiment, overrides };
        let (trials, seeds) = resolver.trials(&drafts, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError::new(problems));
        }
        let Head { name, about, jobs, .. } = head;
        Ok(Self { name, about, seeds, jobs, trials, expectations, rules })
    }
}

impl Head {
    fn read(sheet: &mut Sheet<'_>, file: Part<'_, '_>, path: &Path) -> Self {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = sheet.text(file, "name").unwrap_or(stem);
        if !is_name(&name) {
            let span = file.find("name").map(toml::Spanned::span).unwrap_or_default();
            let message = format!("{name:?} cannot be a study's name: use letters, digits, `.`, `_` and `-`");
            sheet.contradiction(&span, message);
        }
        let base = sheet.text(file, "base");
        let source = match base {
            Some(base) => Source::File(path.parent().unwrap_or(Path::new("")).join(base)),
            None => Source::Text { name: path.display().to_string(), text: String::new() },
        };
        let about = sheet.text(file, "about").unwrap_or_default();
        let jobs = sheet.whole(file, "jobs", 1).map(|jobs| jobs as usize);
        Self { name, about, source, seeds: seeds(sheet, file), jobs }
    }

    /// Takes `seeds=...` and `jobs=...` out of the arguments. Gives the others.
    fn take_overrides(&mut self, sheet: &mut Sheet<'_>, arguments: &[String]) -> Vec<String> {
        let is_own = |argument: &&String| {
            argument.split_once('=').is_some_and(|(key, _)| ["seeds", "jobs"].contains(&key.trim()))
        };
        let (own, others): (Vec<&String>, Vec<&String>) = arguments.iter().partition(is_own);
        for argument in own {
            let document = Document::new("command line", argument);
            let mut line = Sheet::new(&document);
            match document.table() {
                Ok(table) => {
                    let part = Part { name: "", table: &table };
                    self.seeds = seeds(&mut line, part).or(self.seeds.take());
                    self.jobs = line.whole(part, "jobs", 1).map(|jobs| jobs as usize).or(self.jobs);
                }
                Err(problems) => line.problems.extend(problems),
            }
            sheet.problems.extend(line.problems);
        }
        others.into_iter().cloned().collect()
    }
}

fn seeds(sheet: &mut Sheet<'_>, part: Part<'_, '_>) -> Option<Vec<u64>> {
    let found = sheet.list(part, "seeds")?;
    let mut seeds = Vec::new();
    for value in found {
        let Some(seed) = sheet.whole_of("seeds", value, 0) else { continue };
        if seeds.contains(&seed) {
            sheet.contradiction(&value.span(), format!("seed {seed} is named twice"));
        }
        seeds.push(seed);
    }
    Some(seeds)
}

/// Puts the layers of each experiment together.
struct Resolver<'a> {
    document: &'a Document<'a>,
    head: &'a Head,
    request: &'a PlanRequest,
    experiment: DeTable<'a>,
    overrides: Vec<String>,
}

impl Resolver<'_> {
    /// Every trial with every seed, and the seeds.
    fn trials(&self, drafts: &[Draft<'_>], problems: &mut Vec<Problem>) -> (Vec<Trial>, Vec<u64>) {
        let seeds = self.head.seeds.clone().or_else(|| {
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
            source: self.head.source.clone(),
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
