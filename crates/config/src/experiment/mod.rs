//! The experiment: its sections, its text as TOML, and the comparison of two experiments.
//!
//! The doc comment and the facts of a field are also its explanation: `kiln config explain`, `configs/reference.toml`
//! and the JSON Schema come from them. The order of the fields is the order in which files are written.

mod data;
mod evaluation;
mod model;
mod training;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::facts::{AT_LEAST_0, Decides, TextRule, number, plain, text};
use crate::keys::{Key, Keys, insert, value_at};

pub use data::{
    Automatic, Channels, ClassLabel, Columns, Data, DataSource, Holdout, LabelColumn, Normalization,
    SourceFacts, Transpose, Unreadable,
};
pub use evaluation::{Backend, BackendName, CalibrationName, Ckpt, Dashboard, DecisionName, Evaluation, Ui};
pub use model::{
    Activation, ClassWeightRule, ClassWeights, DropoutMode, Initialization, LayerWeights, Loss, LossName,
    Model, NumberEmbedding, Output,
};
pub use training::{
    Checkpoint, EarlyStopping, LrScheduler, LrSchedulerName, Mode, Monitor, Optimizer, OptimizerName,
    Training,
};

/// One experiment, fully resolved: everything that determines a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// Name of the experiment, and of the folder under `artifacts/` for its runs. Letters, digits, `.`, `_` and `-`.
    #[schemars(transform = text(TextRule::Name).decides(Decides::Nothing))]
    pub name: String,
    /// Seed of every random stream: splits, initialization, data order, dropout.
    #[schemars(transform = number(AT_LEAST_0).also_called("random_seed random_state"))]
    pub seed: u64,
    /// Words of your choice to find the run by.
    #[schemars(transform = text(TextRule::NotEmpty).decides(Decides::Nothing))]
    pub tags: Vec<String>,
    /// The data to learn from.
    #[schemars(transform = plain().also_called("dataset"))]
    pub data: Data,
    /// The multilayer perceptron.
    #[schemars(transform = plain().also_called("network net"))]
    pub model: Model,
    /// The objective to minimize.
    #[schemars(transform = plain().also_called("criterion"))]
    pub loss: Loss,
    /// How the weights are updated.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    #[schemars(transform = plain().also_called("scheduler"))]
    pub lr_scheduler: LrScheduler,
    /// Length, batches and limits of the training.
    #[schemars(transform = plain().also_called("trainer"))]
    pub training: Training,
    /// When to stop before the last epoch.
    pub early_stopping: EarlyStopping,
    /// When to save, what to keep, what counts as best.
    pub checkpoint: Checkpoint,
    /// Where to compute.
    #[schemars(transform = plain().also_called("device"))]
    pub backend: Backend,
    /// What to show while training.
    #[schemars(transform = plain().also_called("logging logger"))]
    pub dashboard: Dashboard,
    /// How to judge the result.
    pub evaluation: Evaluation,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            name: "experiment".to_owned(),
            seed: 42,
            tags: Vec::new(),
            data: Data::default(),
            model: Model::default(),
            loss: Loss::default(),
            optimizer: Optimizer::default(),
            lr_scheduler: LrScheduler::default(),
            training: Training::default(),
            early_stopping: EarlyStopping::default(),
            checkpoint: Checkpoint::default(),
            backend: Backend::default(),
            dashboard: Dashboard::default(),
            evaluation: Evaluation::default(),
        }
    }
}

impl Experiment {
    /// The experiment as TOML: every key that has a value, in the order of the sections.
    /// [`Experiment::from_toml_str`] reads exactly this experiment back.
    ///
    /// # Panics
    /// If the experiment was built in code and contains a value that TOML cannot express: a seed above 2^63 - 1, or a
    /// path that is not Unicode.
    #[must_use]
    pub fn to_toml(&self) -> String {
        rendered(&self.values(), |key, value| format!("{}\n", self.assignment(key, value)))
    }

    pub(crate) fn values(&self) -> Table {
        Table::try_from(self).expect("a valid experiment is plain TOML")
    }

    /// `lr = 0.001`. Without validation data, the default of `checkpoint.monitor` is written as a comment: as a
    /// value, it would be a contradiction when the file is used for another run.
    pub(crate) fn assignment(&self, key: &Key, value: &Value) -> String {
        let idle = key.path == "checkpoint.monitor" && self.monitors_nothing();
        format!("{}{} = {}", if idle { "# " } else { "" }, key.leaf(), literal(value))
    }

    pub(crate) fn monitors_nothing(&self) -> bool {
        self.checkpoint.monitor == Monitor::ValidationLoss && !self.data.has_validation()
    }
}

pub(crate) fn rendered(values: &Table, mut line: impl FnMut(&Key, &Value) -> String) -> String {
    let mut text = String::new();
    let mut open = "";
    for key in &Keys::experiment().keys {
        let section = key.section();
        let Some(value) = value_at(values, &key.path) else { continue };
        if section != open {
            text.extend(["\n[", section, "]\n"]);
            open = section;
        }
        text.push_str(&line(key, value));
    }
    text
}

/// The value as TOML on one line. Floats have the fewest digits that read back to the same bits: `1e-8`, `0.1`, `1.0`.
pub(crate) fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Boolean(switch) => switch.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let fields: Vec<String> =
                table.iter().map(|(name, value)| format!("{} = {}", key(name), literal(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// Rust writes `NaN` for TOML's `nan`; otherwise, Rust's shortest form is valid TOML.
fn float(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { format!("{number:?}") }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn escaped(letter: char) -> String {
    match letter {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    }
}

/// A key with different values in two experiments.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The key, with its section.
    pub key: String,
    /// The value before, as TOML; `None` if it was left out.
    pub before: Option<String>,
    /// The value now.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |value: &Option<String>| value.clone().unwrap_or_else(|| "left out".to_owned());
        write!(f, "{} = {} (was {})", self.key, words(&self.now), words(&self.before))
    }
}

impl Experiment {
    /// The keys that change the result of a training, compared with `before`. The path of the data is not among them,
    /// because its content matters and not its place: compare the hash of the data too.
    #[must_use]
    pub fn differences(&self, before: &Self) -> Vec<Difference> {
        let (before, now) = (before.values(), self.values());
        let deciding =
            Keys::experiment().keys.iter().filter(|key| key.field.facts.decides == Decides::Result);
        deciding
            .map(|key| (key, value(&before, key), value(&now, key)))
            .filter(|(_, before, now)| before != now)
            .map(|(key, before, now)| Difference {
                key: key.path.clone(),
                before: before.map(literal),
                now: now.map(literal),
            })
            .collect()
    }

    /// [`to_toml`](Self::to_toml) with defaults for the keys that do not change the result: the same text for
    /// experiments with the same result. The path identifies the data.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut values = self.values();
        for key in &Keys::experiment().keys {
            if key.field.facts.decides == Decides::Nothing {
                match &key.field.default {
                    Some(default) => insert(&mut values, &key.path, default.clone()),
                    None => remove(&mut values, &key.path),
                }
            }
        }
        rendered(&values, |key, value| format!("{}\n", self.assignment(key, value)))
    }
}

fn value<'v>(values: &'v Table, key: &'v Key) -> Option<&'v Value> {
    value_at(values, &key.path).or(key.field.default.as_ref())
}

fn remove(values: &mut Table, path: &str) {
    match path.split_once('.') {
        None => drop(values.remove(path)),
        Some((section, rest)) => {
            if let Some(Value::Table(table)) = values.get_mut(section) {
                remove(table, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_reads_back_as_the_same_value() {
        let source = "a = [1e-8, 0.1, 1e300, -0.0, 3.0, inf]\nb = \"q\\\" \\\\ \\n \\t \\u0007 é \\u0085\"\n\
                      c = [{ d = true, \"e f\" = 1979-05-27, \"\" = -9223372036854775808 }]\n";
        let table: toml::Table = source.parse().unwrap();
        let lines: Vec<String> =
            table.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
        let written = lines.join("\n");
        assert_eq!(written.parse::<toml::Table>().unwrap(), table, "{written}");
        assert_eq!(written.lines().count(), 3);
    }

    #[test]
    fn only_keys_that_change_the_result_make_a_difference() {
        let before = Experiment::default();
        let mut now = Experiment { name: "other".into(), tags: vec!["a".into()], ..before.clone() };
        now.training.max_time = Some(1.0);
        now.checkpoint.keep_latest_k = 7;
        now.evaluation.batch_size = 7;
        assert_eq!((now.differences(&before), now.identity()), (Vec::new(), before.identity()));
        now.model.hidden = vec![3];
        now.optimizer.weight_decay = Some(0.5);
        let differences: Vec<String> = now.differences(&before).iter().map(ToString::to_string).collect();
        assert_eq!(
            differences,
            ["model.hidden = [3] (was [512, 128])", "optimizer.weight_decay = 0.5 (was left out)"]
        );
        assert_ne!(now.identity(), before.identity());
    }

    #[test]
    fn another_path_of_the_data_changes_the_identity_but_is_not_a_difference() {
        let before = Experiment::default();
        let mut now = before.clone();
        now.data.path = Some("elsewhere".into());
        assert_eq!(now.differences(&before), Vec::new());
        assert_ne!(now.identity(), before.identity());
    }
}
