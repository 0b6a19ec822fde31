//! Values that are each allowed, but not together.
//!
//! Each check is a function from the experiment to the contradiction that it finds. Its message names the values, says
//! why they do not fit, and what to write instead.

use std::collections::HashSet;

use toml::Table;

use crate::document::excerpt;
use crate::experiment::literal;
use crate::keys::value_at;
use crate::reader::ReaderState;
use crate::{
    CalibrationName, ClassLabel, ClassWeights, ConfigFault, DataSource, DecisionName, Experiment, Holdout,
    Initialization, LayerWeights, LossName, LrSchedulerName, Mode, Monitor, Normalization, NumberEmbedding,
    OptimizerName, Output, Problem, listed,
};

/// An experiment whose values are each allowed.
pub(crate) struct CheckedExperiment<'a> {
    pub(crate) experiment: &'a Experiment,
    /// The same experiment as a table.
    pub(crate) values: &'a Table,
    pub(crate) state: &'a ReaderState,
    /// True for a file that was resolved before: it spells out defaults that the user did not choose.
    pub(crate) resolved_before: bool,
}

/// Values that do not go together.
pub(crate) struct Contradiction {
    /// The keys involved, the one to look at first in front.
    keys: Vec<&'static str>,
    message: String,
}

type Check = fn(&CheckedExperiment<'_>) -> Option<Contradiction>;

const CHECKS: [Check; 15] = [
    missing_path,
    limit_below_validation,
    one_class,
    repeated_class,
    unknown_class,
    wrong_number_of_class_weights,
    scaling_for_tables,
    embedding_of_pictures,
    explicit_weights_of_several_networks,
    members_with_mse,
    folds_without_members,
    calibration_without_validation,
    decision_without_validation,
    output_for_loss,
    nesterov_without_momentum,
];

/// Every contradiction, unless it involves a key that already has a problem of its own.
pub(crate) fn problems(checked: &CheckedExperiment<'_>) -> Vec<Problem> {
    let found = CHECKS.iter().filter_map(|check| check(checked));
    let found = found.chain(lowest_rate(checked)).chain(monitors(checked)).chain(weights(checked));
    found
        .filter(|found| !found.keys.iter().any(|key| checked.state.reported_keys.contains(*key)))
        .map(|found| found.into_problem(checked.state))
        .collect()
}

impl Contradiction {
    fn new(keys: &[&'static str], message: String) -> Self {
        Self { keys: keys.to_vec(), message }
    }

    /// The problem is placed at the value from the highest layer, because that value made the others wrong.
    fn into_problem(self, state: &ReaderState) -> Problem {
        let last = self.keys.iter().rev().max_by_key(|key| state.rank(key)).copied().unwrap_or_default();
        let origin = state.origin(last);
        let other_origins: Vec<String> = self
            .keys
            .iter()
            .map(|key| (key, state.origin(key)))
            .filter(|(_, other)| other.is_given() && *other != origin)
            .map(|(key, other)| format!("; `{key}` is set in {}", other.seen_from(&origin)))
            .collect();
        let fault =
            ConfigFault::Contradiction { message: self.message, other_origins: other_origins.concat() };
        Problem::new(origin.is_given().then_some(origin), fault)
    }
}

impl CheckedExperiment<'_> {
    /// A contradiction between two keys. `message` gets each key with its value: "`loss.name` = "nll"".
    fn between(
        &self,
        keys: [&'static str; 2],
        message: impl FnOnce(String, String) -> String,
    ) -> Contradiction {
        Contradiction::new(&keys, message(self.setting(keys[0]), self.setting(keys[1])))
    }

    /// "`loss.name` = "nll"".
    fn setting(&self, key: &str) -> String {
        let value = value_at(self.values, key);
        format!("`{key}` = {}", value.map_or("nothing".to_owned(), |value| excerpt(&literal(value))))
    }
}

/// "1 layer", "2 layers".
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

// The data: its source, its classes and its splits.

const CLASSES: &str = "data.classes";

fn missing_path(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let data = &checked.experiment.data;
    let needed = data.source.facts().path?;
    data.path.is_none().then(|| {
        checked.between(["data.source", "data.path"], |source, _| {
            format!("{source} needs `data.path`, {needed}; it is missing")
        })
    })
}

fn limit_below_validation(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let data = &checked.experiment.data;
    let (Some(limit), Holdout::Count(validation)) = (data.limit, data.validation) else { return None };
    (validation >= limit).then(|| {
        checked.between(["data.validation", "data.limit"], |validation, limit| {
            format!("{validation} leaves nothing to train on, because {limit} includes it")
        })
    })
}

fn one_class(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    (checked.experiment.data.classes.len() == 1).then(|| {
        let message = format!("{} names one class; give at least two", checked.setting(CLASSES));
        Contradiction::new(&[CLASSES], message)
    })
}

fn repeated_class(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let mut seen = HashSet::new();
    let again = checked.experiment.data.classes.iter().find(|label| !seen.insert(written(label)))?;
    let message = format!("{} names class {} twice", checked.setting(CLASSES), written(again));
    Some(Contradiction::new(&[CLASSES], message))
}

fn unknown_class(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let data = &checked.experiment.data;
    let greatest = data.source.facts().classes? - 1;
    let is_missing = |label: &&ClassLabel| matches!(label, ClassLabel::Number(number) if *number > greatest);
    let missing = written(data.classes.iter().find(is_missing)?);
    Some(checked.between([CLASSES, "data.source"], |classes, source| {
        format!("{classes} names class {missing}, but {source} has the classes 0 to {greatest}")
    }))
}

fn wrong_number_of_class_weights(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let ClassWeights::Each(weights) = &checked.experiment.loss.class_weights else { return None };
    let given = weights.len();
    let classes = checked.experiment.data.class_count()?;
    (given > 0 && given != classes).then(|| {
        let message = format!("`loss.class_weights` has {} for {classes} classes", counted(given, "weight"));
        Contradiction::new(&["loss.class_weights", CLASSES, "data.source"], message)
    })
}

fn written(label: &ClassLabel) -> String {
    match label {
        ClassLabel::Number(number) => number.to_string(),
        ClassLabel::Name(name) => format!("{name:?}"),
    }
}

// Settings that only some networks and some data can have.

fn scaling_for_tables(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let data = &checked.experiment.data;
    let fits = matches!(data.normalization, Normalization::Unit | Normalization::Standard)
        || data.source == DataSource::Csv;
    (!fits).then(|| {
        checked.between(["data.normalization", "data.source"], |normalization, source| {
            format!(
                "{normalization} is for the columns of a table, but {source} is not a table; write \"unit\" or \
                 \"standard\""
            )
        })
    })
}

fn embedding_of_pictures(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let (data, model) = (&checked.experiment.data, &checked.experiment.model);
    let has_numbers = matches!(
        data.source,
        DataSource::Csv | DataSource::Moons | DataSource::Spirals | DataSource::NoisyFeatures
    );
    (model.number_embedding != NumberEmbedding::None && !has_numbers).then(|| {
        checked.between(["model.number_embedding", "data.source"], |embedding, source| {
            format!(
                "{embedding} is for measured numbers, but the examples of {source} are pictures; write \"none\""
            )
        })
    })
}

fn explicit_weights_of_several_networks(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let model = &checked.experiment.model;
    let other = if model.members > 1 {
        "model.members"
    } else if model.number_embedding == NumberEmbedding::None {
        return None;
    } else {
        "model.number_embedding"
    };
    (model.initialization == Initialization::Explicit).then(|| {
        checked.between(["model.initialization", other], |initialization, other| {
            format!("{initialization} gives the weights of one plain network, but {other} needs more")
        })
    })
}

fn members_with_mse(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let is_wrong = checked.experiment.model.members > 1 && checked.experiment.loss.name == LossName::Mse;
    is_wrong.then(|| {
        checked.between(["model.members", "loss.name"], |members, loss| {
            format!("{members} averages probabilities, which {loss} does not train; use \"cross-entropy\" or \"nll\"")
        })
    })
}

fn folds_without_members(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let (folds, members) = (checked.experiment.data.folds, checked.experiment.model.members);
    if folds == 0 || (folds > 1 && members.is_multiple_of(folds)) {
        return None;
    }
    Some(checked.between(["data.folds", "model.members"], |folds_setting, members| {
        if folds == 1 {
            return format!("{folds_setting} leaves its member nothing to train on; give at least two parts");
        }
        format!(
            "{folds_setting} needs that many members or a multiple, so that each part is left out equally often, but \
             {members}; for one member, set `data.folds` to 0 and `data.validation` to a share"
        )
    }))
}

fn calibration_without_validation(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let is_wanted = checked.experiment.evaluation.calibration != CalibrationName::None;
    (is_wanted && !checked.experiment.data.has_validation()).then(|| {
        checked.between(["evaluation.calibration", "data.validation"], |calibration, validation| {
            format!(
                "{calibration} is fitted on validation data, but {validation} holds out none; hold some out, or \
                 write \"none\""
            )
        })
    })
}

fn decision_without_validation(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let is_tuned =
        matches!(checked.experiment.evaluation.decision, DecisionName::Precision | DecisionName::Recall);
    (is_tuned && !checked.experiment.data.has_validation()).then(|| {
        checked.between(["evaluation.decision", "data.validation"], |decision, validation| {
            format!(
                "{decision} needs validation data to choose the threshold, but {validation} holds out none; hold some \
                 out, or write \"most-probable\""
            )
        })
    })
}

// The loss, the optimizer and the learning rate.

fn output_for_loss(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let (expects, allowed): (&str, &[Output]) = match checked.experiment.loss.name {
        LossName::CrossEntropy => ("the raw values (it takes their log-softmax itself)", &[Output::Logits]),
        LossName::Nll => ("log-probabilities", &[Output::LogSoftmax]),
        LossName::Mse => {
            ("values to compare with 0 and 1", &[Output::Logits, Output::Softmax, Output::Sigmoid])
        }
    };
    let output = checked.experiment.model.output;
    if output == Output::Auto || allowed.contains(&output) {
        return None;
    }
    let names = [Output::Auto].iter().chain(allowed).map(|output| format!("{:?}", <&str>::from(output)));
    let names = listed(names, "or");
    Some(checked.between(["model.output", "loss.name"], |output, loss| {
        format!("{output} does not fit {loss}, which expects {expects}; `model.output` must be {names}")
    }))
}

/// PyTorch's condition: "Nesterov momentum requires a momentum and zero dampening".
fn nesterov_without_momentum(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let optimizer = &checked.experiment.optimizer;
    if optimizer.name != OptimizerName::Sgd || !optimizer.nesterov {
        return None;
    }
    let (key, needed) = if optimizer.momentum <= 0.0 {
        ("optimizer.momentum", "a momentum above 0")
    } else if optimizer.dampening > 0.0 {
        ("optimizer.dampening", "no dampening")
    } else {
        return None;
    };
    Some(checked.between(["optimizer.nesterov", key], |nesterov, found| {
        format!("{nesterov} needs {needed}, found {found}")
    }))
}

fn lowest_rate(checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
    let (scheduler, lr) = (&checked.experiment.lr_scheduler, checked.experiment.optimizer.lr);
    let is_wrong = scheduler.name == LrSchedulerName::ReduceOnPlateau && scheduler.min_lr > lr;
    is_wrong.then(|| {
        checked.between(["lr_scheduler.min_lr", "optimizer.lr"], |lowest, lr| {
            format!("{lowest} is above {lr}, so the learning rate could never fall")
        })
    })
}

// Monitored figures: their direction, and whether there is data to measure them on.

/// A section that watches a figure.
struct Watcher {
    monitor: Monitor,
    mode: Mode,
    monitor_key: &'static str,
    mode_key: &'static str,
    /// The key that makes it watch. Checkpoints always watch: there, it is the figure itself.
    switch: &'static str,
    /// False if a figure that cannot be measured is replaced without harm.
    needs_figure: bool,
}

fn monitors(checked: &CheckedExperiment<'_>) -> Vec<Contradiction> {
    let watchers = watchers(checked);
    watchers
        .iter()
        .flat_map(|watcher| [watcher.unmeasured(checked), watcher.wrong_way(checked)])
        .flatten()
        .collect()
}

fn watchers(checked: &CheckedExperiment<'_>) -> Vec<Watcher> {
    let Experiment { checkpoint, early_stopping: stopping, lr_scheduler: scheduler, .. } = checked.experiment;
    let is_chosen = !checked.resolved_before && !checked.state.is_untouched("checkpoint.monitor");
    let mut watchers = vec![Watcher {
        monitor: checkpoint.monitor,
        mode: checkpoint.mode,
        monitor_key: "checkpoint.monitor",
        mode_key: "checkpoint.mode",
        switch: "checkpoint.monitor",
        needs_figure: is_chosen,
    }];
    if stopping.enabled {
        watchers.push(Watcher {
            monitor: stopping.monitor,
            mode: stopping.mode,
            monitor_key: "early_stopping.monitor",
            mode_key: "early_stopping.mode",
            switch: "early_stopping.enabled",
            needs_figure: true,
        });
    }
    if scheduler.name == LrSchedulerName::ReduceOnPlateau {
        watchers.push(Watcher {
            monitor: scheduler.monitor,
            mode: scheduler.mode,
            monitor_key: "lr_scheduler.monitor",
            mode_key: "lr_scheduler.mode",
            switch: "lr_scheduler.name",
            needs_figure: true,
        });
    }
    watchers
}

impl Watcher {
    fn unmeasured(&self, checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
        let is_measured = !self.monitor.needs_validation() || checked.experiment.data.has_validation();
        if is_measured || !self.needs_figure {
            return None;
        }
        let watching = if self.switch == self.monitor_key {
            String::new()
        } else {
            format!("{} with ", checked.setting(self.switch))
        };
        let message = format!(
            "{watching}{} needs validation data, but {} holds out none; hold some out, or watch \"train_loss\" \
             or \"train_accuracy\"",
            checked.setting(self.monitor_key),
            checked.setting("data.validation"),
        );
        Some(Contradiction::new(&[self.monitor_key, "data.validation", self.switch], message))
    }

    fn wrong_way(&self, checked: &CheckedExperiment<'_>) -> Option<Contradiction> {
        let better = self.monitor.mode();
        (self.mode != better).then(|| {
            let needed = match better {
                Mode::Min => "a lower loss is better: write \"min\"",
                Mode::Max => "a higher accuracy is better: write \"max\"",
            };
            checked.between([self.mode_key, self.monitor_key], |mode, monitor| {
                format!("{mode} does not fit {monitor}; {needed}")
            })
        })
    }
}

// Explicit weights: their shapes follow from the layers, and each layer must fit the next.

const WEIGHTS: &str = "model.weights";

fn weights(checked: &CheckedExperiment<'_>) -> Vec<Contradiction> {
    let model = &checked.experiment.model;
    if model.initialization != Initialization::Explicit {
        return Vec::new();
    }
    if model.weights.is_empty() {
        let message =
            format!("{} needs `{WEIGHTS}`, a table per layer", checked.setting("model.initialization"));
        return vec![Contradiction::new(&["model.initialization", WEIGHTS], message)];
    }
    if model.weights.len() != model.hidden.len() + 1 {
        let message = format!(
            "`{WEIGHTS}` has {}, but {} makes {}: one per hidden layer and the output layer",
            counted(model.weights.len(), "layer"),
            checked.setting("model.hidden"),
            model.hidden.len() + 1,
        );
        return vec![Contradiction::new(&[WEIGHTS, "model.hidden"], message)];
    }
    let layers = model.weights.iter().enumerate();
    layers.filter_map(|(index, layer)| wrong_layer(checked, index, layer)).collect()
}

fn wrong_layer(checked: &CheckedExperiment<'_>, index: usize, layer: &LayerWeights) -> Option<Contradiction> {
    let at = format!("`{WEIGHTS}[{index}]`");
    let outputs = layer.weight.first().map_or(0, Vec::len);
    if outputs == 0 || layer.weight.iter().any(|row| row.len() != outputs) {
        let message = format!("{at} must have rows of one length, a row per input and a number per output");
        return Some(Contradiction::new(&[WEIGHTS], message));
    }
    wrong_inputs(checked, index, layer.weight.len(), &at)
        .or_else(|| wrong_outputs(checked, index, outputs, &at))
        .or_else(|| wrong_bias(checked, layer.bias.len(), outputs, &at))
}

fn wrong_inputs(
    checked: &CheckedExperiment<'_>,
    index: usize,
    rows: usize,
    at: &str,
) -> Option<Contradiction> {
    let Experiment { model, data, .. } = checked.experiment;
    let (expected, key) = match index.checked_sub(1) {
        Some(before) => (*model.hidden.get(before)?, "model.hidden"),
        None => (data.feature_count()?, "data.source"),
    };
    (rows != expected).then(|| {
        let (rows, inputs) = (counted(rows, "row"), counted(expected, "input"));
        let message = format!("{at} has {rows}, but {} gives it {inputs}", checked.setting(key));
        Contradiction::new(&[WEIGHTS, key], message)
    })
}

fn wrong_outputs(
    checked: &CheckedExperiment<'_>,
    index: usize,
    outputs: usize,
    at: &str,
) -> Option<Contradiction> {
    let Experiment { model, data, .. } = checked.experiment;
    let (expected, key, noun) = match model.hidden.get(index) {
        Some(units) => (*units, "model.hidden", "unit"),
        None => (data.class_count()?, CLASSES, "output"),
    };
    (outputs != expected).then(|| {
        let (numbers, needed) = (counted(outputs, "number"), counted(expected, noun));
        let message = format!("the rows of {at} have {numbers}, but `{key}` asks for {needed}");
        Contradiction::new(&[WEIGHTS, key], message)
    })
}

fn wrong_bias(
    checked: &CheckedExperiment<'_>,
    given: usize,
    outputs: usize,
    at: &str,
) -> Option<Contradiction> {
    let message = match (checked.experiment.model.bias, given) {
        (false, 0) => return None,
        (false, _) => format!("{at} has a bias, but `model.bias` = false"),
        (true, _) if given == outputs => return None,
        (true, 0) => {
            format!("{at} has no bias; give {}, or set `model.bias` = false", counted(outputs, "number"))
        }
        (true, _) => {
            format!("the bias of {at} has {} for {}", counted(given, "number"), counted(outputs, "output"))
        }
    };
    Some(Contradiction::new(&[WEIGHTS, "model.bias"], message))
}
