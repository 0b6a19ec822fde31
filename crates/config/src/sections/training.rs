//! `[training]`: how long, in which batches, within which limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_1, Decides, GREATEST_COUNT, POSITIVE, between, number, positive_to};

/// `[training]`: the loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Passes over the training data, at least 1.
    #[schemars(transform = number(between(1.0, 1e6)).unit("epochs").also_called("num_epochs max_epochs"))]
    pub epochs: usize,
    /// Examples per batch, at least 1.
    #[schemars(transform = number(between(1.0, GREATEST_COUNT)).unit("examples"))]
    pub batch_size: usize,
    /// Whether each epoch has an order of its own; it is a pure function of the seed and the epoch.
    pub shuffle: bool,
    /// Whether a last batch that is short is left out.
    pub drop_last: bool,
    /// Batches whose gradients are averaged into one optimizer step, at least 1.
    #[schemars(transform = number(between(1.0, 1e6)).unit("batches").also_called("accumulate_grad_batches"))]
    pub gradient_accumulation: usize,
    /// Gradients are scaled down together to this global 2-norm. `max_value` clips them before that.
    #[schemars(transform = number(POSITIVE).example("1.0")
        .also_called("clip_grad_norm grad_clip gradient_clip_val max_grad_norm"))]
    pub max_norm: Option<f64>,
    /// Each gradient entry is clipped to plus or minus this, before `max_norm` scales it.
    #[schemars(transform = number(POSITIVE).example("0.5").also_called("clip_grad_value"))]
    pub max_value: Option<f64>,
    /// Stops after this many batches, over which schedules then run; of a few, a smoke run.
    #[schemars(transform = number(AT_LEAST_1).unit("batches").example("100"))]
    pub max_steps: Option<usize>,
    /// Stops with a checkpoint after this many seconds of training in this process; `kiln resume` goes on.
    #[schemars(transform = number(positive_to(1e9)).unit("seconds").example("3600.0").decides(Decides::Nothing))]
    pub max_time: Option<f64>,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 64,
            shuffle: true,
            drop_last: false,
            gradient_accumulation: 1,
            max_norm: None,
            max_value: None,
            max_steps: None,
            max_time: None,
        }
    }
}
