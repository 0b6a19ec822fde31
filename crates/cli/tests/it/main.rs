//! The real `kiln` program from end to end: real processes, real signals, real folders, a real terminal.
//!
//! Most tests train on the built-in digits, so that each takes seconds and none needs a network. `program.rs` starts and
//! watches `kiln`; this file holds the experiments that several test files train.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test whose setup fails should panic")]

mod architecture;
mod browser;
mod dashboard;
mod exporting;
mod output;
mod own_data;
mod program;
mod resuming;
mod schema;
mod search;
#[cfg(feature = "serve")]
mod serving;
mod stopping;
mod study;
#[cfg(feature = "serve")]
mod web;

/// As much state as a run can have: moments, dropout, warm-up, schedule, patience. A checkpoint every seventh batch falls
/// inside epochs and logging intervals.
pub(crate) const COSINE: &str = r#"
name = "cosine"
[model]
hidden = [32, 16]
dropout = 0.2
[lr_scheduler]
name = "cosine"
warmup_steps = 5
[training]
epochs = 12
batch_size = 32
[early_stopping]
enabled = true
patience = 50
[checkpoint]
interval_steps = 7
[dashboard]
log_interval = 10
[backend]
threads = 1
"#;

/// For [`COSINE`]: so long that a test can always stop it before it ends.
pub(crate) const LONG: &str = "training.epochs=300";

/// A learning rate that depends on the history of the validation loss.
pub(crate) const PLATEAU: &str = r#"
name = "plateau"
[model]
hidden = [24]
activation = "tanh"
[optimizer]
name = "rmsprop"
lr = 0.03
momentum = 0.9
[lr_scheduler]
name = "reduce-on-plateau"
factor = 0.5
patience = 0
[training]
epochs = 12
batch_size = 32
[checkpoint]
interval_steps = 7
keep_latest_k = 1
[dashboard]
log_interval = 10
[backend]
threads = 1
"#;

/// Checkpoints fall between accumulated gradients of one optimizer step; early stopping ends the run.
pub(crate) const ACCUMULATION: &str = r#"
name = "accumulation"
[model]
hidden = [24]
dropout = 0.1
[optimizer]
name = "sgd"
lr = 0.5
momentum = 0.9
[training]
epochs = 60
batch_size = 16
gradient_accumulation = 3
max_norm = 1.0
[early_stopping]
enabled = true
patience = 2
min_delta = 0.01
[checkpoint]
interval_steps = 7
interval = 2
[dashboard]
log_interval = 10
[backend]
threads = 1
"#;

/// The features of the network for tables: members trained on folds, periodic embeddings of numbers, calibration.
pub(crate) const MEMBERS: &str = r#"
name = "members"
[data]
source = "noisy-features"
examples = 400
folds = 2
[model]
members = 4
hidden = [16]
activation = "mish"
dropout = 0.2
number_embedding = "periodic"
[optimizer]
name = "adamw"
[lr_scheduler]
name = "coslog"
[training]
epochs = 12
batch_size = 32
[checkpoint]
interval_steps = 7
[dashboard]
log_interval = 10
[evaluation]
calibration = "temperature"
[backend]
threads = 1
"#;

/// Trains until a test stops it, with a checkpoint at the end of each short epoch.
pub(crate) const ENDLESS: &str = r#"
name = "endless"
[model]
hidden = [32]
dropout = 0.2
[training]
epochs = 100000
[backend]
threads = 1
"#;
