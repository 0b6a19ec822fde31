//! Keys that mean something only beside a certain value of another.

use std::collections::BTreeMap;

use toml::Value;

use crate::alternatives::alternatives;
use crate::keys::Keys;
use crate::literal::literal;
use crate::setting::{Findings, Setting};
use crate::{Fault, Problem};

/// `key` has an effect when `governor` is as `when` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    pub(crate) key: &'static str,
    pub(crate) governor: &'static str,
    pub(crate) when: When,
}

/// What the governing key must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// One of these names.
    Is(&'static [&'static str]),
    /// A number above zero.
    Positive,
    /// Left out.
    LeftOut,
    /// A switch that is on. Whoever switches it off on purpose may keep the rest as it is.
    On,
}

const GENERATED: When = When::Is(&["moons", "spirals", "noisy-features"]);
const DRAWN: When = When::Is(&["pytorch", "xavier-uniform", "xavier-normal", "he-uniform", "he-normal"]);
const SGD: When = When::Is(&["sgd"]);
const ADAM: When = When::Is(&["adam", "adamw"]);
const PLATEAU: When = When::Is(&["reduce-on-plateau"]);
const CPU: When = When::Is(&["auto", "flex", "ndarray"]);
const GPU: When = When::Is(&["auto", "wgpu", "vulkan", "metal", "cuda", "rocm"]);

const fn row(key: &'static str, governor: &'static str, when: When) -> Effect {
    Effect { key, governor, when }
}

/// All of them; a key that decides over others stands before it is itself decided over.
pub(crate) const EFFECTS: &[Effect] = &[
    row(
        "data.path",
        "data.source",
        When::Is(&["mnist", "fashion-mnist", "kmnist", "idx", "csv", "image-folder"]),
    ),
    row("data.test_path", "data.source", When::Is(&["csv", "image-folder"])),
    row("data.label_column", "data.source", When::Is(&["csv"])),
    row("data.image_size", "data.source", When::Is(&["image-folder"])),
    row("data.examples", "data.source", GENERATED),
    row("data.noise", "data.source", GENERATED),
    row("data.features", "data.source", When::Is(&["noisy-features"])),
    row(
        "data.test",
        "data.source",
        When::Is(&["digits", "csv", "image-folder", "moons", "spirals", "noisy-features"]),
    ),
    row("data.test", "data.test_path", When::LeftOut),
    row("model.initialization_constant", "model.initialization", When::Is(&["constant"])),
    row("model.initialization_gain", "model.initialization", DRAWN),
    row("model.weights", "model.initialization", When::Is(&["explicit"])),
    row("loss.label_smoothing", "loss.name", When::Is(&["cross-entropy"])),
    row("loss.class_weights", "loss.name", When::Is(&["cross-entropy", "nll"])),
    row("optimizer.momentum", "optimizer.name", When::Is(&["sgd", "rmsprop"])),
    row("optimizer.dampening", "optimizer.name", SGD),
    row("optimizer.dampening", "optimizer.momentum", When::Positive),
    row("optimizer.nesterov", "optimizer.name", SGD),
    row("optimizer.alpha", "optimizer.name", When::Is(&["rmsprop"])),
    row("optimizer.betas", "optimizer.name", ADAM),
    row("optimizer.eps", "optimizer.name", When::Is(&["rmsprop", "adam", "adamw"])),
    row("lr_scheduler.min_lr_factor", "lr_scheduler.name", When::Is(&["linear", "cosine"])),
    row("lr_scheduler.step_size", "lr_scheduler.name", When::Is(&["step"])),
    row("lr_scheduler.gamma", "lr_scheduler.name", When::Is(&["step", "exponential"])),
    row("lr_scheduler.monitor", "lr_scheduler.name", PLATEAU),
    row("lr_scheduler.mode", "lr_scheduler.name", PLATEAU),
    row("lr_scheduler.factor", "lr_scheduler.name", PLATEAU),
    row("lr_scheduler.patience", "lr_scheduler.name", PLATEAU),
    row("lr_scheduler.threshold", "lr_scheduler.name", PLATEAU),
    row("lr_scheduler.cooldown", "lr_scheduler.name", PLATEAU),
    row("lr_scheduler.min_lr", "lr_scheduler.name", PLATEAU),
    row("early_stopping.monitor", "early_stopping.enabled", When::On),
    row("early_stopping.mode", "early_stopping.enabled", When::On),
    row("early_stopping.patience", "early_stopping.enabled", When::On),
    row("early_stopping.min_delta", "early_stopping.enabled", When::On),
    row("backend.threads", "backend.name", CPU),
    row("backend.fused", "backend.name", When::Is(&["auto", "flex"])),
    row("backend.device", "backend.name", GPU),
];

/// Notes every given value that can have no effect. What a lower layer gave, and what a higher one took
/// the effect from, is no mistake (a base says `momentum`, the file turns to adam): such values are taken
/// out of the settings and returned.
pub(crate) fn settle(findings: &mut Findings) -> BTreeMap<String, Setting> {
    let mut unused = BTreeMap::new();
    for effect in EFFECTS {
        let doubtful = [effect.key, effect.governor].iter().any(|key| findings.doubtful.contains(*key));
        if doubtful || effect.is_fine(findings) {
            continue;
        }
        if findings.rank(effect.governor) > findings.rank(effect.key) {
            unused.extend(findings.settings.remove_entry(effect.key));
        } else {
            effect.report(findings);
        }
    }
    unused
}

impl Effect {
    /// True when the key has an effect, or does not need one: it stands at its default, or was switched off.
    fn is_fine(&self, findings: &Findings) -> bool {
        let given = findings.settings.get(self.key).map(|setting| &setting.value);
        let default = Keys::get().find(self.key).and_then(|key| key.default.as_ref());
        given.is_none() || given == default || self.when.holds(value(findings, self.governor), findings, self)
    }

    fn report(&self, findings: &mut Findings) {
        let Some(setting) = findings.settings.get(self.key) else { return };
        let governor = value(findings, self.governor).map(literal).unwrap_or_default();
        let place = findings.origin(self.governor).seen_from(&setting.origin);
        let reason = format!("with `{}` = {governor} ({place}); {}", self.governor, self.when.remedy());
        let found = crate::document::excerpt(&literal(&setting.value));
        let fault = Fault::NoEffect { key: self.key.to_owned(), found, reason };
        let problem = Problem::new(setting.origin.clone(), fault);
        findings.doubtful.insert(self.key.to_owned());
        findings.problems.push(problem);
    }

    /// The condition in words: "`optimizer.name` is "sgd"".
    pub(crate) fn words(&self) -> String {
        format!("`{}` is {}", self.governor, self.when.words())
    }
}

impl When {
    fn holds(self, governor: Option<&Value>, findings: &Findings, effect: &Effect) -> bool {
        match self {
            Self::Is(names) => governor.and_then(Value::as_str).is_some_and(|name| names.contains(&name)),
            Self::Positive => governor.and_then(Value::as_float).is_some_and(|number| number > 0.0),
            Self::LeftOut => governor.is_none(),
            Self::On => governor == Some(&Value::Boolean(true)) || !findings.is_untouched(effect.governor),
        }
    }

    fn remedy(self) -> String {
        match self {
            Self::Is(_) => format!("it is for {}", self.words()),
            Self::LeftOut => "leave one of them out".to_owned(),
            Self::Positive | Self::On => format!("it needs {}", self.words()),
        }
    }

    fn words(self) -> String {
        match self {
            Self::Is(names) => alternatives(names.iter().map(|name| format!("{name:?}"))),
            Self::Positive => "a value above 0".to_owned(),
            Self::LeftOut => "left out".to_owned(),
            Self::On => "true".to_owned(),
        }
    }
}

fn value<'a>(findings: &'a Findings, key: &str) -> Option<&'a Value> {
    let given = findings.settings.get(key).map(|setting| &setting.value);
    given.or_else(|| Keys::get().find(key).and_then(|key| key.default.as_ref()))
}
