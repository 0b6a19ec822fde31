//! `[evaluation]`: how to judge the result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{Decides, GREATEST_COUNT, between, number, plain};

/// `[evaluation]`: the pass over validation and test data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Examples per batch in validation and test passes, at least 1; figures do not depend on it.
    #[schemars(transform = number(between(1.0, GREATEST_COUNT)).unit("examples").decides(Decides::Nothing))]
    pub batch_size: usize,
    /// Which checkpoint the test pass uses; `best` is the last one where nothing is held out.
    pub ckpt: Ckpt,
    /// What is made of the network's probabilities before anyone sees them, fitted on the validation data.
    pub calibration: CalibrationName,
    /// Whether the test also asks who names the most frequent class every time, and a linear model, which is fitted for
    /// it where that is a small part of the training's work.
    #[schemars(transform = plain().decides(Decides::Nothing))]
    pub baselines: bool,
    /// Whether the test also measures what each column of a table is worth to the network, on as many examples as take a
    /// small part of the training's work.
    #[schemars(transform = plain().decides(Decides::Nothing).also_called("permutation_importance feature_importance"))]
    pub importance: bool,
}

/// What is made of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrationName {
    /// They are the network's own.
    None,
    /// Logits are divided by the number that makes validation examples likeliest (Guo and others 2017).
    Temperature,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            batch_size: 256,
            ckpt: Ckpt::Best,
            calibration: CalibrationName::None,
            baselines: true,
            importance: true,
        }
    }
}

/// Which checkpoint to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ckpt {
    /// The best by `checkpoint.monitor`.
    Best,
    /// The last one saved.
    Last,
}
