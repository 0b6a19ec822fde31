//! A search: which settings to try, how long to train each, and which to trust in the end.
//!
//! It goes in waves. What a wave tries follows from the search's seed and from what the waves before it came to, and from
//! nothing else: neither from the number of workers, nor from who was first, nor from a clock (but for a budget in seconds,
//! whose end is written down once). So a search that was killed anywhere, and one that 8 workers share, is the search that
//! one worker does alone.
//!
//! 1. *Search.* Trial 0 is the base as it is, trained in full. Each wave promotes the best of what was stopped at a rung, and
//!    fills up with new trials. A promoted trial goes on in its own run, from its checkpoint.
//! 2. *Confirmation.* The best few and the base are trained in full with seeds that the search has not seen. The best of many
//!    is lucky as well as good; fresh seeds do not flatter it.
//! 3. *Test.* The winner's runs are tested. No other run ever sees the test data.

mod agenda;
mod confirmation;
mod halving;
mod history;
mod propose;
mod report;
pub(crate) mod space;
#[cfg(test)]
mod tests;
mod wave;

use kiln_config::facts::{AT_LEAST_1, between, number};
use kiln_config::{ConfigError, Experiment, Mode, Monitor, Request, Source, resolve};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use agenda::SearchAgenda;
pub(crate) use halving::expected;
use propose::grid;
pub use report::{Importance, SearchReport, SearchedTrial, TrialStage, Winner};
pub use space::{Condition, Dimension, Domain, Interval};

use crate::plan::prepared;

/// What a search tries, resolved and valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// How trials are chosen.
    pub method: Method,
    /// The seed of the choice.
    pub seed: u64,
    /// Trials that are begun or promoted at once, before the next are chosen.
    pub wave: usize,
    /// Trials to begin, at most.
    pub trials: Option<usize>,
    /// Epochs to train in the search, at most.
    pub epochs: Option<u64>,
    /// Seconds of training in the search, at most, over all workers.
    pub seconds: Option<f64>,
    /// The figure that decides.
    pub monitor: Monitor,
    /// What is tried.
    pub space: Vec<Dimension>,
    /// How trials are stopped early; none where each is trained in full.
    pub halving: Option<Halving>,
    /// How the best are tried again.
    pub confirm: Confirm,
    /// The experiment that all trials start from.
    pub base: Experiment,
    /// The seeds that every trial is trained with in the search.
    pub seeds: Vec<u64>,
    /// Into how many parts the examples are dealt, where each is held out once.
    pub folds: Option<u64>,
}

/// How a search chooses its trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Each on its own, from the whole space.
    Random,
    /// Where the best so far were and the others were not, by tree-structured Parzen estimators.
    #[default]
    Tpe,
    /// Every point of the grid, in order.
    Grid,
}

/// Successive halving: every trial trains to the first rung, the best 1 in `factor` of them to the next, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Halving {
    /// Epochs of the first rung.
    #[schemars(transform = number(AT_LEAST_1))]
    pub min_epochs: usize,
    /// How many times as many epochs the next rung has, and one in how many trials reaches it.
    #[serde(default = "usual_factor")]
    #[schemars(transform = number(between(2.0, 1000.0)))]
    pub factor: usize,
}

/// How the best of a search are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Confirm {
    /// How many, besides the base; 0 for none.
    #[schemars(transform = number(between(0.0, 1000.0)))]
    pub best: usize,
    /// With how many fresh seeds.
    #[schemars(transform = number(between(1.0, 1000.0)))]
    pub seeds: u64,
    /// How often the two best are trained with as many seeds more, while their difference is below twice its standard error.
    #[schemars(transform = number(between(0.0, 1000.0)))]
    pub repeats: usize,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { best: 3, seeds: 3, repeats: 2 }
    }
}

fn usual_factor() -> usize {
    3
}

impl Search {
    /// The epochs after which trials are compared, the last of them the whole training.
    #[must_use]
    pub fn rungs(&self) -> Vec<usize> {
        let whole = self.base.training.epochs;
        let Some(Halving { min_epochs, factor }) = self.halving else { return vec![whole] };
        let rung = |index| factor.checked_pow(index).and_then(|power| min_epochs.checked_mul(power));
        let below = (0..).map_while(rung).take_while(|&epochs| epochs < whole);
        below.chain([whole]).collect()
    }

    /// The experiment of a trial with these settings.
    ///
    /// # Errors
    /// Where they do not go together.
    pub(crate) fn experiment(
        &self,
        name: &str,
        settings: &[(String, String)],
        seed: u64,
    ) -> Result<Experiment, ConfigError> {
        let mut overrides: Vec<String> =
            settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        overrides.push(format!("seed={seed}"));
        let source = Source::Text { name: "the search's base".to_owned(), text: self.base.to_toml() };
        let resolved = resolve(&Request { source, environment: Vec::new(), overrides })?;
        Ok(prepared(resolved.experiment, name))
    }

    /// Whether a search that was read back can go on.
    pub(crate) fn is_sound(&self) -> bool {
        let halving = self.halving.is_none_or(|halving| halving.factor >= 2 && halving.min_epochs >= 1);
        let sizes = |dimension: &Dimension| match &dimension.domain {
            Domain::Choices(choices) => !choices.is_empty(),
            Domain::List { length: [least, most], .. } => least <= most,
            Domain::Number(_) => true,
        };
        halving && self.wave > 0 && !self.space.is_empty() && self.space.iter().all(sizes)
    }

    /// How many coordinates a proposal has.
    fn coordinates(&self) -> usize {
        self.space.iter().map(|dimension| dimension.coordinates().len()).sum()
    }

    /// The points of its grid; none where it is not one.
    pub(crate) fn points(&self) -> Option<usize> {
        (self.method == Method::Grid).then(|| grid(&self.space).count())
    }

    /// The first points that it tries; those of estimators are drawn.
    pub(crate) fn first_points(&self, count: usize) -> Vec<Vec<(String, String)>> {
        match self.method {
            Method::Grid => grid(&self.space).take(count).map(|point| point.settings).collect(),
            Method::Random | Method::Tpe => self.samples(count),
        }
    }

    /// Points that are drawn from the space, whatever the method.
    pub(crate) fn samples(&self, count: usize) -> Vec<Vec<(String, String)>> {
        let random = Self { method: Method::Random, ..self.clone() };
        (1..=count).filter_map(|number| Some(propose::propose(&random, number, &[])?.settings)).collect()
    }

    /// Seeds of round `round` of the confirmation, from 0, that no earlier training had. With folds they are whole
    /// cross-validations, dealt anew.
    pub(crate) fn fresh_seeds(&self, round: usize) -> Vec<u64> {
        let whole = |seeds: u64| self.folds.map_or(seeds, |folds| seeds.div_ceil(folds) * folds);
        let first = self.seeds.iter().max().map_or(0, |seed| seed + 1);
        let first = self.folds.map_or(first, |folds| first.div_ceil(folds) * folds);
        let count = whole(self.confirm.seeds);
        let start = first + round as u64 * count;
        (start..start + count).collect()
    }

    /// `figure` as something that is better the lower it is.
    pub(crate) fn loss(&self, figure: f64) -> f64 {
        let loss = if self.monitor.mode() == Mode::Max { -figure } else { figure };
        if loss.is_nan() { f64::INFINITY } else { loss }
    }

    /// The figure that [`Search::loss`] made `loss` of.
    pub(crate) fn figure(&self, loss: f64) -> f64 {
        if self.monitor.mode() == Mode::Max { -loss } else { loss }
    }

    /// What tells this search from any other in the same study: all that decides what is tried.
    pub(crate) fn address(&self) -> String {
        let text = serde_json::to_string(&(self, self.base.identity())).expect("a search is plain data");
        kiln_files::sha256_hex(text.as_bytes())[..8].to_owned()
    }
}
