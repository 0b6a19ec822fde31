//! The experiments that are trained here: the built-in digits, a small network, seconds.

/// As much state as a run can have: moments, dropout, a warm-up, a schedule, patience, a checkpoint every
/// seventh batch, so within epochs and within logging intervals.
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

/// For [`COSINE`]: so long that it cannot end by itself before someone stops it.
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

/// Checkpoints fall due where an optimizer step is half accumulated; early stopping ends the run.
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

/// What the network for tables is made of: members that leave parts of the data out, waves of numbers, a calibration.
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

/// Goes on until someone stops it, with a checkpoint at the end of each short epoch.
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
