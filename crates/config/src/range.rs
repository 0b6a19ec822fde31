//! What values a key may have: the one table that validation, schema and explanations share.

use std::fmt;

/// Numbers from `low` to `high`; an open end is not itself allowed. Infinite ends bound nothing, but the
/// numbers themselves are finite, also as the 32-bit floats that networks compute with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) low_open: bool,
    pub(crate) high: f64,
    pub(crate) high_open: bool,
}

/// The greatest width and batch, 2^24: beyond it a 32-bit float no longer tells counts apart.
const GREATEST_COUNT: f64 = 16_777_216.0;

const ANY: Range = Range { low: f64::NEG_INFINITY, low_open: true, high: f64::INFINITY, high_open: true };
const POSITIVE: Range = Range { low: 0.0, ..ANY };
const AT_LEAST_0: Range = Range { low_open: false, ..POSITIVE };
const AT_LEAST_1: Range = Range { low: 1.0, ..AT_LEAST_0 };
/// At least 0 and below 1.
const FRACTION: Range = Range { high: 1.0, ..AT_LEAST_0 };
/// From 0 to 1, both allowed.
const SHARE: Range = Range { high_open: false, ..FRACTION };

const fn up_to(high: f64, from: Range) -> Range {
    Range { high, high_open: false, ..from }
}

impl Range {
    pub(crate) fn allows(self, number: f64) -> bool {
        let above = if self.low_open { number > self.low } else { number >= self.low };
        let below = if self.high_open { number < self.high } else { number <= self.high };
        above && below && (number as f32).is_finite()
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = format!("{} {}", if self.low_open { "above" } else { "at least" }, self.low);
        let high = format!("{} {}", if self.high_open { "below" } else { "at most" }, self.high);
        match (self.low.is_finite(), self.high.is_finite()) {
            (true, true) => write!(f, "{low} and {high}"),
            (true, false) => f.write_str(&low),
            (false, true) => f.write_str(&high),
            (false, false) => f.write_str("any finite number"),
        }
    }
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextRule {
    /// Anything.
    Any,
    /// Anything but nothing.
    NotEmpty,
    /// The name of a folder, the same on every system.
    Name,
}

/// The longest name: run folders put a date and a file name behind it, and systems end at 255 bytes.
const LONGEST_NAME: usize = 100;

impl TextRule {
    pub(crate) fn allows(self, text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match self {
            Self::Any => true,
            Self::NotEmpty => !text.is_empty(),
            Self::Name => {
                (1..=LONGEST_NAME).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain)
            }
        }
    }

    /// What is allowed, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Any => "any text",
            Self::NotEmpty => "text that is not empty",
            Self::Name => "1 to 100 letters, digits, `.`, `_` and `-`, not beginning with `.`",
        }
    }

    /// The same as a regular expression, for the JSON Schema.
    pub(crate) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::NotEmpty => Some("^(.|\n)+$"),
            Self::Name => Some("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"),
        }
    }
}

/// What values one key may have. Numbers and texts in a list each follow it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) key: &'static str,
    pub(crate) range: Range,
    pub(crate) text: TextRule,
    /// Range of whole numbers, where they mean something else than fractions do.
    pub(crate) whole: Option<Range>,
    pub(crate) unit: &'static str,
}

/// A key whose type says all: a choice or a switch.
const fn free(key: &'static str) -> Rule {
    number(key, ANY, "")
}

const fn number(key: &'static str, range: Range, unit: &'static str) -> Rule {
    Rule { key, range, text: TextRule::Any, whole: None, unit }
}

const fn text(key: &'static str, text: TextRule) -> Rule {
    Rule { text, ..free(key) }
}

const fn holdout(key: &'static str) -> Rule {
    Rule { whole: Some(AT_LEAST_0), ..number(key, FRACTION, "") }
}

/// Every key, in the order in which files are written.
pub(crate) const RULES: &[Rule] = &[
    text("name", TextRule::Name),
    number("seed", AT_LEAST_0, ""),
    text("tags", TextRule::NotEmpty),
    free("data.source"),
    text("data.path", TextRule::NotEmpty),
    text("data.test_path", TextRule::NotEmpty),
    text("data.label_column", TextRule::NotEmpty),
    number("data.image_size", up_to(1024.0, AT_LEAST_1), "pixels"),
    number("data.examples", up_to(GREATEST_COUNT, Range { low: 10.0, ..AT_LEAST_1 }), "examples"),
    number("data.noise", AT_LEAST_0, ""),
    number("data.features", up_to(65536.0, Range { low: 2.0, ..AT_LEAST_1 }), "features"),
    number("data.label_noise", FRACTION, ""),
    holdout("data.validation"),
    holdout("data.test"),
    Rule { range: AT_LEAST_0, ..text("data.classes", TextRule::NotEmpty) },
    number("data.limit", AT_LEAST_1, "examples"),
    number("data.test_limit", AT_LEAST_1, "examples"),
    free("data.normalization"),
    free("model.name"),
    number("model.hidden", up_to(GREATEST_COUNT, AT_LEAST_1), "units"),
    free("model.activation"),
    free("model.output"),
    free("model.bias"),
    free("model.initialization"),
    number("model.initialization_constant", ANY, ""),
    number("model.initialization_gain", POSITIVE, ""),
    number("model.weights", ANY, ""),
    number("model.dropout", FRACTION, ""),
    free("model.dropout_mode"),
    free("loss.name"),
    number("loss.label_smoothing", FRACTION, ""),
    number("loss.class_weights", POSITIVE, ""),
    number("loss.l1", AT_LEAST_0, ""),
    number("loss.l2", AT_LEAST_0, ""),
    free("optimizer.name"),
    number("optimizer.lr", POSITIVE, ""),
    number("optimizer.momentum", FRACTION, ""),
    number("optimizer.dampening", SHARE, ""),
    free("optimizer.nesterov"),
    number("optimizer.alpha", FRACTION, ""),
    number("optimizer.betas", FRACTION, ""),
    number("optimizer.eps", POSITIVE, ""),
    number("optimizer.weight_decay", AT_LEAST_0, ""),
    free("lr_scheduler.name"),
    number("lr_scheduler.warmup_steps", AT_LEAST_0, "optimizer steps"),
    number("lr_scheduler.min_lr_factor", SHARE, ""),
    number("lr_scheduler.step_size", AT_LEAST_1, "epochs"),
    number("lr_scheduler.gamma", up_to(1.0, POSITIVE), ""),
    free("lr_scheduler.monitor"),
    free("lr_scheduler.mode"),
    number("lr_scheduler.factor", Range { high: 1.0, ..POSITIVE }, ""),
    number("lr_scheduler.patience", AT_LEAST_0, "epochs"),
    number("lr_scheduler.threshold", AT_LEAST_0, ""),
    number("lr_scheduler.cooldown", AT_LEAST_0, "epochs"),
    number("lr_scheduler.min_lr", AT_LEAST_0, ""),
    number("training.epochs", up_to(1e6, AT_LEAST_1), "epochs"),
    number("training.batch_size", up_to(GREATEST_COUNT, AT_LEAST_1), "examples"),
    free("training.shuffle"),
    free("training.drop_last"),
    number("training.gradient_accumulation", up_to(1e6, AT_LEAST_1), "batches"),
    number("training.max_norm", POSITIVE, ""),
    number("training.max_value", POSITIVE, ""),
    number("training.max_steps", AT_LEAST_1, "batches"),
    // A clock that is asked for more seconds than it can hold panics; 1e9 are 31 years.
    number("training.max_time", up_to(1e9, POSITIVE), "seconds"),
    free("early_stopping.enabled"),
    free("early_stopping.monitor"),
    free("early_stopping.mode"),
    number("early_stopping.patience", AT_LEAST_1, "epochs"),
    number("early_stopping.min_delta", AT_LEAST_0, ""),
    number("checkpoint.interval", AT_LEAST_1, "epochs"),
    number("checkpoint.interval_steps", AT_LEAST_1, "batches"),
    number("checkpoint.keep_latest_k", AT_LEAST_1, "checkpoints"),
    free("checkpoint.monitor"),
    free("checkpoint.mode"),
    free("backend.name"),
    number("backend.device", up_to(1023.0, AT_LEAST_0), ""),
    free("backend.fused"),
    number("backend.threads", up_to(1024.0, AT_LEAST_1), "threads"),
    free("dashboard.ui"),
    number("dashboard.log_interval", AT_LEAST_1, "batches"),
    number("evaluation.batch_size", up_to(GREATEST_COUNT, AT_LEAST_1), "examples"),
    free("evaluation.ckpt"),
];
