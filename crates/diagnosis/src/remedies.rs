//! What to try, as far as the experiment does not do it already.

use kiln_config::{Activation, Experiment, Initialization, LrSchedulerName, OptimizerName, listed};

use crate::FindingKind;

/// Steps to try, in the order in which they are worth trying.
pub(crate) struct Remedies<'a> {
    experiment: &'a Experiment,
    steps: Vec<String>,
}

impl<'a> Remedies<'a> {
    pub(crate) fn of(experiment: &'a Experiment) -> Self {
        Self { experiment, steps: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps as part of a sentence: `a, b or c`.
    pub(crate) fn words(&self) -> String {
        listed(self.steps.iter().cloned(), "or")
    }

    /// A remedy that names a key of the perceptron is none for another network.
    pub(crate) fn step(mut self, words: impl Into<String>) -> Self {
        let words = words.into();
        if self.experiment.model.is_mlp() || !words.contains("model.") {
            self.steps.push(words);
        }
        self
    }

    pub(crate) fn step_if(self, applies: bool, words: impl Into<String>) -> Self {
        if applies { self.step(words) } else { self }
    }

    pub(crate) fn lower_rate(self) -> Self {
        let lr = self.experiment.optimizer.lr;
        self.step(format!("a lower optimizer.lr (now {lr})"))
    }

    pub(crate) fn higher_rate(self) -> Self {
        let lr = self.experiment.optimizer.lr;
        self.step(format!("a higher optimizer.lr (now {lr})"))
    }

    pub(crate) fn clip(self) -> Self {
        match self.experiment.training.max_norm {
            None => self.step("clipping gradients (training.max_norm=1.0)"),
            Some(norm) => self.step(format!("a lower training.max_norm (now {norm})")),
        }
    }

    /// The start that keeps the size of signals and gradients for the activation (Glorot and Bengio 2010; He et
    /// al. 2015), and no gain that undoes it.
    pub(crate) fn initialization(self) -> Self {
        let model = &self.experiment.model;
        let (drawn, name) = match model.activation {
            Activation::Sigmoid | Activation::Tanh | Activation::Identity => {
                ([Initialization::XavierUniform, Initialization::XavierNormal], "xavier-uniform")
            }
            _ => ([Initialization::HeUniform, Initialization::HeNormal], "he-uniform"),
        };
        let gain = model.initialization_gain;
        self.step_if(gain != 1.0, format!("model.initialization_gain=1.0 (now {gain})"))
            .step_if(!drawn.contains(&model.initialization), format!("model.initialization=\"{name}\""))
    }

    pub(crate) fn fewer_layers(self) -> Self {
        let hidden = self.experiment.model.hidden.len();
        self.step_if(hidden > 1, format!("fewer layers in model.hidden (now {hidden})"))
    }

    pub(crate) fn activation(self, name: &str) -> Self {
        self.step(format!("model.activation=\"{name}\""))
    }

    pub(crate) fn warm_up(self) -> Self {
        let applies = self.experiment.lr_scheduler.warmup_steps == 0;
        self.step_if(applies, "smaller first steps (lr_scheduler.warmup_steps)")
    }

    pub(crate) fn schedule(self) -> Self {
        let applies = self.experiment.lr_scheduler.name == LrSchedulerName::Constant;
        self.step_if(applies, "smaller last steps (lr_scheduler.name=\"cosine\")")
    }

    /// A longer training, by whatever ended it after `done` epochs.
    pub(crate) fn more_epochs(self, done: u64) -> Self {
        let Experiment { training, early_stopping, .. } = self.experiment;
        let (epochs, patience) = (training.epochs, early_stopping.patience);
        match training.max_steps {
            Some(steps) => self.step(format!("no training.max_steps (now {steps})")),
            None if done >= epochs as u64 => self.step(format!("more training.epochs (now {epochs})")),
            None if early_stopping.enabled => {
                self.step(format!("a larger early_stopping.patience (now {patience})"))
            }
            None => self.step(format!("going on with the run: it ended after {done} of {epochs} epochs")),
        }
    }

    /// What makes plain gradient descent faster; the other rules have it.
    pub(crate) fn momentum(self) -> Self {
        let optimizer = &self.experiment.optimizer;
        let applies = optimizer.name == OptimizerName::Sgd && optimizer.momentum == 0.0;
        self.step_if(applies, "optimizer.momentum=0.9")
    }

    /// Less of each penalty that is set.
    pub(crate) fn less_regularization(self) -> Self {
        let Experiment { loss, model, optimizer, .. } = self.experiment;
        let decay = optimizer.effective_weight_decay();
        // Adamw's default decay times a usual rate is too little to hold a network back.
        let is_decayed = decay > 0.0 && optimizer.weight_decay.is_some();
        self.step_if(loss.l1 > 0.0, format!("a lower loss.l1 (now {})", loss.l1))
            .step_if(loss.l2 > 0.0, format!("a lower loss.l2 (now {})", loss.l2))
            .step_if(is_decayed, format!("a lower optimizer.weight_decay (now {decay})"))
            .step_if(
                model.dropout > 0.0 && !model.hidden.is_empty(),
                format!("a lower model.dropout (now {})", model.dropout),
            )
    }

    /// Each penalty that is not set.
    pub(crate) fn more_regularization(self) -> Self {
        let Experiment { loss, model, optimizer, .. } = self.experiment;
        let has_hidden = !model.hidden.is_empty();
        let is_penalized = loss.l1 > 0.0 || loss.l2 > 0.0 || optimizer.weight_decay.unwrap_or(0.0) > 0.0;
        self.step_if(has_hidden && model.dropout == 0.0, "model.dropout=0.2")
            .step_if(!is_penalized, "loss.l2=1e-3")
    }

    pub(crate) fn smaller_network(self) -> Self {
        let hidden = &self.experiment.model.hidden;
        let words = format!("a smaller model.hidden (now {})", shown(hidden));
        self.step_if(!hidden.is_empty(), words)
    }

    /// Room to learn more: hidden layers, an activation that bends, more units.
    pub(crate) fn larger_network(self) -> Self {
        let model = &self.experiment.model;
        if model.hidden.is_empty() {
            return self
                .step("hidden layers, without which classes are parted by planes (model.hidden=[128])");
        }
        if model.activation == Activation::Identity {
            return self.activation("relu");
        }
        let words = format!("a larger model.hidden (now {})", shown(&model.hidden));
        self.step(words)
    }

    pub(crate) fn stop_early(self) -> Self {
        let applies = !self.experiment.early_stopping.enabled;
        self.step_if(applies, "early_stopping.enabled=true")
    }

    pub(crate) fn more_data(self) -> Self {
        match self.experiment.data.limit {
            Some(limit) => self.step(format!("more examples (data.limit is {limit})")),
            None => self.step("more training examples"),
        }
    }
}

/// A list of layers, or the length of a long one.
fn shown(hidden: &[usize]) -> String {
    if hidden.len() > 3 { format!("{} layers", hidden.len()) } else { format!("{hidden:?}") }
}

/// The remedy for what other findings explain.
pub(crate) fn explained_by(causes: &[FindingKind]) -> String {
    let words: Vec<String> = causes.iter().map(|cause| format!("\"{cause}\"")).collect();
    let verb = if causes.len() == 1 { "explains" } else { "explain" };
    format!("first what is said of {}, which {verb} it", listed(words, "and"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_already_is_not_advised() {
        let mut experiment = Experiment::default();
        let words =
            |experiment: &Experiment| Remedies::of(experiment).more_regularization().stop_early().words();
        assert_eq!(words(&experiment), "model.dropout=0.2, loss.l2=1e-3 or early_stopping.enabled=true");
        experiment.model.dropout = 0.5;
        experiment.optimizer.weight_decay = Some(0.1);
        assert_eq!(words(&experiment), "early_stopping.enabled=true");
        experiment.early_stopping.enabled = true;
        assert_eq!(words(&experiment), "");
        let lighter = Remedies::of(&experiment).less_regularization().words();
        assert_eq!(lighter, "a lower optimizer.weight_decay (now 0.1) or a lower model.dropout (now 0.5)");
    }

    #[test]
    fn the_start_fits_the_activation() {
        let mut experiment = Experiment::default();
        let words = |experiment: &Experiment| Remedies::of(experiment).initialization().words();
        assert_eq!(words(&experiment), "model.initialization=\"he-uniform\"");
        experiment.model.activation = Activation::Tanh;
        experiment.model.initialization_gain = 0.4;
        assert_eq!(
            words(&experiment),
            "model.initialization_gain=1.0 (now 0.4) or model.initialization=\"xavier-uniform\""
        );
        experiment.model.initialization = Initialization::XavierNormal;
        experiment.model.initialization_gain = 1.0;
        assert_eq!(words(&experiment), "");
    }

    #[test]
    fn what_ended_a_run_is_what_to_change() {
        let mut experiment = Experiment::default();
        let words = |experiment: &Experiment, done| Remedies::of(experiment).more_epochs(done).words();
        assert_eq!(words(&experiment, 10), "more training.epochs (now 10)");
        assert_eq!(words(&experiment, 4), "going on with the run: it ended after 4 of 10 epochs");
        experiment.early_stopping.enabled = true;
        assert_eq!(words(&experiment, 4), "a larger early_stopping.patience (now 5)");
        experiment.training.max_steps = Some(20);
        assert_eq!(words(&experiment, 1), "no training.max_steps (now 20)");
    }
}
