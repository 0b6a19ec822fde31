//! `[evaluation]`: how to judge the result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{
    Decides, GREATEST_COUNT, OPEN_FRACTION, POSITIVE, TextRule, When, between, number, plain, text,
};

const DECIDED: When = ("evaluation.decision", &["cost", "precision", "recall"]);
const BY_COST: When = ("evaluation.decision", &["cost"]);
const BY_WISH: When = ("evaluation.decision", &["precision", "recall"]);

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
    /// Which class an answer names, where there are two.
    #[schemars(transform = plain().also_called("decision_threshold"))]
    pub decision: DecisionName,
    /// The class that `decision` is about; left out, the second of the two.
    #[schemars(transform = text(TextRule::NotEmpty).example("\"yes\"").when(DECIDED)
        .also_called("pos_label positive_class"))]
    pub positive: Option<String>,
    /// What a false positive costs, and a miss.
    #[schemars(transform = number(POSITIVE).when(BY_COST).also_called("cost_matrix"))]
    pub costs: [f64; 2],
    /// The precision or recall that is wished.
    #[schemars(transform = number(OPEN_FRACTION).when(BY_WISH))]
    pub wished: f64,
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

/// Which of two classes an answer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionName {
    /// The more probable one; of any number of classes the most probable one.
    MostProbable,
    /// The positive one, from the probability on at which missing it is expected to cost more than naming it wrongly (Elkan
    /// 2001); `costs` says what either costs, `calibration` makes probabilities fit for it.
    Cost,
    /// The positive one, at the threshold with the greatest recall among those that have the `wished` precision on
    /// validation data.
    Precision,
    /// The positive one, at the threshold with the greatest precision among those that have the `wished` recall on
    /// validation data.
    Recall,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            batch_size: 256,
            ckpt: Ckpt::Best,
            calibration: CalibrationName::None,
            decision: DecisionName::MostProbable,
            positive: None,
            costs: [1.0, 1.0],
            wished: 0.9,
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
