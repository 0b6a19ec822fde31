//! Remedies: changes of settings to try, without those that the experiment already has.
//!
//! A new remedy is a method of [`Remedies`]; the function of a finding calls it in the order of promise.

use std::fmt;

use kiln_config::{Activation, Experiment, Initialization, LrSchedulerName, OptimizerName, listed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::FindingKind;

/// One thing to try.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// Settings as `kiln train` takes them: `optimizer.lr=0.001`. Empty if the remedy is not a setting.
    pub settings: Vec<String>,
    /// The same in words, as part of a sentence.
    pub words: String,
}

impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words)
    }
}

/// A list of remedies under construction, the most promising first. Each method appends one if it applies.
pub(crate) struct Remedies<'a> {
    experiment: &'a Experiment,
    steps: Vec<Remedy>,
}

/// A layer that is too small gets at least this many units.
const USUAL_UNITS: usize = 64;

impl<'a> Remedies<'a> {
    pub(crate) fn of(experiment: &'a Experiment) -> Self {
        Self { experiment, steps: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(crate) fn list(self) -> Vec<Remedy> {
        self.steps
    }

    /// Appends a remedy that is not a setting.
    pub(crate) fn text(mut self, words: impl Into<String>) -> Self {
        self.steps.push(Remedy { settings: Vec::new(), words: words.into() });
        self
    }

    /// Appends settings, and the current value in words. Keys of the perceptron do not apply to another network.
    fn set<const N: usize>(mut self, settings: [String; N], now: Option<String>) -> Self {
        let is_of_mlp = settings.iter().any(|setting| setting.starts_with("model."));
        if self.experiment.model.is_mlp() || !is_of_mlp {
            let now = now.map_or_else(String::new, |now| format!(" (now {now})"));
            // A shell treats brackets as a pattern.
            let quoted = |setting: &String| {
                if setting.contains('[') { format!("'{setting}'") } else { setting.clone() }
            };
            let words = settings.each_ref().map(quoted).join(" with ") + &now;
            self.steps.push(Remedy { settings: settings.into(), words });
        }
        self
    }

    fn set_if<const N: usize>(self, applies: bool, settings: [String; N], now: Option<String>) -> Self {
        if applies { self.set(settings, now) } else { self }
    }

    /// A tenth of the learning rate, or the usual one if the rate is far above it.
    pub(crate) fn lower_rate(self) -> Self {
        let (lr, usual) = (self.experiment.optimizer.lr, usual_rate(self.experiment));
        let lower = if lr >= 10.0 * usual { usual } else { rounded(lr / 10.0) };
        self.set([format!("optimizer.lr={lower}")], Some(lr.to_string()))
    }

    /// The usual learning rate, or three times the current one if that is not below it.
    pub(crate) fn higher_rate(self) -> Self {
        let (lr, usual) = (self.experiment.optimizer.lr, usual_rate(self.experiment));
        let higher = if lr < usual { usual } else { rounded(lr * 3.0) };
        self.set([format!("optimizer.lr={higher}")], Some(lr.to_string()))
    }

    pub(crate) fn clip(self) -> Self {
        match self.experiment.training.max_norm {
            None => self.set(["training.max_norm=1.0".to_owned()], None),
            Some(norm) => {
                self.set([format!("training.max_norm={}", rounded(norm / 10.0))], Some(norm.to_string()))
            }
        }
    }

    /// The initialization that suits the activation, if the current one makes all units equal or scales the signals far too
    /// much: each layer multiplies them by the gain again.
    pub(crate) fn bad_start(self) -> Self {
        let model = &self.experiment.model;
        let is_constant = model.initialization == Initialization::Constant;
        let through_all = model.initialization_gain.powf(model.hidden.len() as f64 + 1.0);
        let is_off = !(0.1..=10.0).contains(&through_all);
        if is_constant || is_off { self.initialization() } else { self }
    }

    /// A gain of 1 and the initialization that preserves the scale of signals and gradients for the activation (Glorot and
    /// Bengio 2010; He et al. 2015).
    pub(crate) fn initialization(self) -> Self {
        let model = &self.experiment.model;
        let (drawn, name) = match model.activation {
            Activation::Sigmoid | Activation::Tanh | Activation::Identity => {
                ([Initialization::XavierUniform, Initialization::XavierNormal], "xavier-uniform")
            }
            _ => ([Initialization::HeUniform, Initialization::HeNormal], "he-uniform"),
        };
        let gain = model.initialization_gain;
        if self
            .steps
            .iter()
            .any(|step| step.settings.iter().any(|set| set.starts_with("model.initialization")))
        {
            return self;
        }
        let start = [format!("model.initialization={name}")];
        self.set_if(gain != 1.0, ["model.initialization_gain=1.0".to_owned()], Some(gain.to_string())).set_if(
            !drawn.contains(&model.initialization),
            start,
            None,
        )
    }

    pub(crate) fn fewer_layers(self) -> Self {
        let hidden = &self.experiment.model.hidden;
        let fewer = &hidden[..hidden.len() / 2];
        self.set_if(hidden.len() > 1, [setting_of(fewer)], Some(shown(hidden)))
    }

    pub(crate) fn activation(self, name: &str) -> Self {
        self.set([format!("model.activation={name}")], None)
    }

    /// An activation with the initialization that suits it.
    pub(crate) fn activation_and_start(self, activation: &str, start: &str) -> Self {
        self.set([format!("model.activation={activation}"), format!("model.initialization={start}")], None)
    }

    pub(crate) fn warm_up(self) -> Self {
        let applies = self.experiment.lr_scheduler.warmup_steps == 0;
        self.set_if(applies, ["lr_scheduler.warmup_steps=100".to_owned()], None)
    }

    pub(crate) fn schedule(self) -> Self {
        let applies = self.experiment.lr_scheduler.name == LrSchedulerName::Constant;
        self.set_if(applies, ["lr_scheduler.name=cosine".to_owned()], None)
    }

    pub(crate) fn larger_batch(self) -> Self {
        let size = self.experiment.training.batch_size;
        self.set([format!("training.batch_size={}", size * 4)], Some(size.to_string()))
    }

    /// Three times the limit that ended the training after `done` epochs and `steps` steps.
    pub(crate) fn more_epochs(self, done: u64, steps: u64) -> Self {
        let Experiment { training, early_stopping, .. } = self.experiment;
        let (epochs, patience) = (training.epochs, early_stopping.patience);
        match training.max_steps {
            Some(most) if steps >= most as u64 => {
                self.set([format!("training.max_steps={}", most * 3)], Some(most.to_string()))
            }
            _ if done >= epochs as u64 => {
                self.set([format!("training.epochs={}", epochs * 3)], Some(epochs.to_string()))
            }
            _ if early_stopping.enabled => {
                self.set([format!("early_stopping.patience={}", patience * 3)], Some(patience.to_string()))
            }
            _ => self.text(format!("resuming the run: it ended after {done} of {epochs} epochs")),
        }
    }

    /// Momentum makes plain gradient descent faster; the other optimizers already have it.
    pub(crate) fn momentum(self) -> Self {
        let optimizer = &self.experiment.optimizer;
        let applies = optimizer.name == OptimizerName::Sgd && optimizer.momentum == 0.0;
        self.set_if(applies, ["optimizer.momentum=0.9".to_owned()], None)
    }

    pub(crate) fn balanced(self) -> Self {
        self.set(["loss.class_weights=balanced".to_owned()], None)
    }

    pub(crate) fn no_l1(self) -> Self {
        let l1 = self.experiment.loss.l1;
        self.set_if(l1 > 0.0, ["loss.l1=0.0".to_owned()], Some(l1.to_string()))
    }

    pub(crate) fn smaller_weights(self) -> Self {
        let Experiment { loss, optimizer, .. } = self.experiment;
        let is_decayed = loss.l2 > 0.0 || optimizer.weight_decay.unwrap_or(0.0) > 0.0;
        self.set_if(!is_decayed, ["loss.l2=1e-4".to_owned()], None)
    }

    /// A weaker version of each penalty that is set.
    pub(crate) fn less_regularization(self) -> Self {
        let Experiment { loss, model, optimizer, .. } = self.experiment;
        let decay = optimizer.effective_weight_decay();
        // AdamW's default decay, times a usual learning rate, is too weak to prevent learning.
        let is_decayed = decay > 0.0 && optimizer.weight_decay.is_some();
        let less = |key: &str, value: f64| [format!("{key}={}", rounded(value / 10.0))];
        let dropout = model.dropout;
        self.set_if(loss.l1 > 0.0, less("loss.l1", loss.l1), Some(loss.l1.to_string()))
            .set_if(loss.l2 > 0.0, less("loss.l2", loss.l2), Some(loss.l2.to_string()))
            .set_if(is_decayed, less("optimizer.weight_decay", decay), Some(decay.to_string()))
            .set_if(
                dropout > 0.0 && !model.hidden.is_empty(),
                [format!("model.dropout={}", rounded(dropout / 2.0))],
                Some(dropout.to_string()),
            )
    }

    /// An ensemble of networks with dropout. Of everything that `benchmarks/diagnosis.py` tried on networks that overfit, this
    /// lowered the validation loss most often.
    pub(crate) fn average(self) -> Self {
        let model = &self.experiment.model;
        let members = "model.members=4".to_owned();
        match () {
            () if model.hidden.is_empty() => self,
            () if model.dropout > 0.0 => self.set_if(model.members == 1, [members], None),
            () if model.members > 1 => self.set(["model.dropout=0.5".to_owned()], None),
            () => self.set(["model.dropout=0.5".to_owned(), members], None),
        }
    }

    pub(crate) fn penalty(self) -> Self {
        let applies = !is_penalized(self.experiment);
        self.set_if(applies, ["loss.l2=1e-3".to_owned()], None)
    }

    pub(crate) fn smaller_network(self) -> Self {
        let hidden = &self.experiment.model.hidden;
        let smaller: Vec<usize> = hidden.iter().map(|units| (units / 4).max(1)).collect();
        self.set_if(!hidden.is_empty(), [setting_of(&smaller)], Some(shown(hidden)))
    }

    /// More capacity: a nonlinear activation, hidden layers, or more units.
    pub(crate) fn larger_network(self) -> Self {
        let model = &self.experiment.model;
        if !model.hidden.is_empty() && model.activation == Activation::Identity {
            return self.activation("relu");
        }
        let larger: Vec<usize> =
            model.hidden.iter().map(|units| (units.saturating_mul(4)).max(USUAL_UNITS)).collect();
        let larger = if larger.is_empty() { vec![2 * USUAL_UNITS] } else { larger };
        self.set([setting_of(&larger)], Some(shown(&model.hidden)))
    }

    pub(crate) fn linear_model(self) -> Self {
        let hidden = &self.experiment.model.hidden;
        self.set_if(!hidden.is_empty(), [setting_of(&[])], Some(shown(hidden)))
    }

    pub(crate) fn stop_early(self) -> Self {
        let applies = !self.experiment.early_stopping.enabled;
        self.set_if(applies, ["early_stopping.enabled=true".to_owned()], None)
    }

    pub(crate) fn more_data(self) -> Self {
        match self.experiment.data.limit {
            Some(limit) => self.set([format!("data.limit={}", limit * 4)], Some(limit.to_string())),
            None => self.text("more training examples"),
        }
    }
}

/// The usual learning rate of the optimizer: PyTorch's default for adaptive ones, 0.1 for plain gradient descent, and 0.01
/// with momentum, which makes steps about ten times larger.
pub(crate) fn usual_rate(experiment: &Experiment) -> f64 {
    let optimizer = &experiment.optimizer;
    match optimizer.name {
        OptimizerName::Sgd if optimizer.momentum > 0.0 => 0.01,
        OptimizerName::Sgd => 0.1,
        _ => 0.001,
    }
}

/// Whether the experiment sets a penalty on the weights.
pub(crate) fn is_penalized(experiment: &Experiment) -> bool {
    let Experiment { loss, optimizer, .. } = experiment;
    loss.l1 > 0.0 || loss.l2 > 0.0 || optimizer.weight_decay.is_some_and(|decay| decay > 0.0)
}

/// Two significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

fn setting_of(hidden: &[usize]) -> String {
    format!("model.hidden={hidden:?}").replace(' ', "")
}

/// A list of layers in words; a long list by its length.
fn shown(hidden: &[usize]) -> String {
    if hidden.len() > 3 { format!("{} layers", hidden.len()) } else { format!("{hidden:?}") }
}

/// The remedy if those of another finding also apply to this one.
pub(crate) fn explained_by(cause: FindingKind) -> Vec<Remedy> {
    let words = format!("the remedies for \"{cause}\" first");
    vec![Remedy { settings: Vec::new(), words }]
}

/// Remedies in words: `a, b or c`.
pub(crate) fn words(remedies: &[Remedy]) -> String {
    listed(remedies.iter().map(Remedy::to_string), "or")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice<'a>(experiment: &'a Experiment, steps: impl Fn(Remedies<'a>) -> Remedies<'a>) -> String {
        words(&steps(Remedies::of(experiment)).list())
    }

    #[test]
    fn settings_that_the_experiment_has_are_not_advised() {
        let mut experiment = Experiment::default();
        let regular = |experiment: &Experiment| advice(experiment, |it| it.average().penalty().stop_early());
        assert_eq!(
            regular(&experiment),
            "model.dropout=0.5 with model.members=4, loss.l2=1e-3 or early_stopping.enabled=true"
        );
        experiment.model.dropout = 0.5;
        experiment.optimizer.weight_decay = Some(0.1);
        assert_eq!(regular(&experiment), "model.members=4 or early_stopping.enabled=true");
        experiment.early_stopping.enabled = true;
        experiment.model.members = 4;
        assert_eq!(regular(&experiment), "");
        let lighter = advice(&experiment, Remedies::less_regularization);
        assert_eq!(lighter, "optimizer.weight_decay=0.01 (now 0.1) or model.dropout=0.25 (now 0.5)");
    }

    #[test]
    fn a_learning_rate_that_is_far_off_becomes_the_usual_one() {
        let mut experiment = Experiment::default();
        let mut rates = |name: OptimizerName, momentum: f64, lr: f64| {
            experiment.optimizer.name = name;
            experiment.optimizer.momentum = momentum;
            experiment.optimizer.lr = lr;
            [advice(&experiment, Remedies::lower_rate), advice(&experiment, Remedies::higher_rate)]
        };
        let expected = |[lower, higher]: [&str; 2], now: &str| {
            [lower, higher].map(|rate| format!("optimizer.lr={rate} (now {now})"))
        };
        assert_eq!(rates(OptimizerName::Adam, 0.0, 0.1), expected(["0.001", "0.3"], "0.1"));
        assert_eq!(rates(OptimizerName::Adam, 0.0, 0.002), expected(["0.0002", "0.006"], "0.002"));
        assert_eq!(rates(OptimizerName::Sgd, 0.0, 1e-3), expected(["0.0001", "0.1"], "0.001"));
        assert_eq!(rates(OptimizerName::Sgd, 0.9, 3.0), expected(["0.01", "9"], "3"));
    }

    #[test]
    fn the_initialization_suits_the_activation() {
        let mut experiment = Experiment::default();
        let start = |experiment: &Experiment| advice(experiment, Remedies::initialization);
        assert_eq!(start(&experiment), "model.initialization=he-uniform");
        assert_eq!(advice(&experiment, Remedies::bad_start), "");
        experiment.model.activation = Activation::Tanh;
        experiment.model.initialization_gain = 0.1;
        let both = "model.initialization_gain=1.0 (now 0.1) or model.initialization=xavier-uniform";
        assert_eq!(start(&experiment), both);
        assert_eq!(advice(&experiment, |it| it.bad_start().initialization()), both, "once");
        experiment.model.initialization = Initialization::XavierNormal;
        experiment.model.initialization_gain = 1.0;
        assert_eq!(start(&experiment), "");
    }

    #[test]
    fn the_limit_that_ended_a_run_is_raised() {
        let mut experiment = Experiment::default();
        let longer =
            |experiment: &Experiment, done, steps| advice(experiment, |it| it.more_epochs(done, steps));
        assert_eq!(longer(&experiment, 10, 400), "training.epochs=30 (now 10)");
        assert_eq!(longer(&experiment, 4, 160), "resuming the run: it ended after 4 of 10 epochs");
        experiment.early_stopping.enabled = true;
        assert_eq!(longer(&experiment, 4, 160), "early_stopping.patience=15 (now 5)");
        experiment.training.max_steps = Some(20);
        assert_eq!(longer(&experiment, 1, 20), "training.max_steps=60 (now 20)");
        assert_eq!(longer(&experiment, 10, 19), "training.epochs=30 (now 10)");
    }

    #[test]
    fn settings_are_as_the_program_takes_them() {
        let experiment = Experiment::default();
        let steps = Remedies::of(&experiment).larger_network().fewer_layers().clip().linear_model().list();
        let settings: Vec<&str> = steps.iter().flat_map(|step| &step.settings).map(String::as_str).collect();
        let expected =
            ["model.hidden=[2048,512]", "model.hidden=[512]", "training.max_norm=1.0", "model.hidden=[]"];
        assert_eq!(settings, expected);
    }
}
