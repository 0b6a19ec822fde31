//! The sections of an experiment file, one file each.

mod backend;
mod checkpoint;
mod dashboard;
mod data;
mod early_stopping;
mod evaluation;
mod loss;
mod lr_scheduler;
mod model;
mod monitor;
mod optimizer;
mod source;
mod training;

pub use backend::{Backend, BackendName};
pub use checkpoint::Checkpoint;
pub use dashboard::{Dashboard, Ui};
pub use data::{
    Automatic, Channels, ClassLabel, Columns, Data, Holdout, LabelColumn, Normalization, Transpose,
    Unreadable,
};
pub use early_stopping::EarlyStopping;
pub use evaluation::{CalibrationName, Ckpt, DecisionName, Evaluation};
pub use loss::{ClassWeightRule, ClassWeights, Loss, LossName};
pub use lr_scheduler::{LrScheduler, LrSchedulerName};
pub use model::{Activation, DropoutMode, Initialization, LayerWeights, Model, NumberEmbedding, Output};
pub use monitor::{Mode, Monitor};
pub use optimizer::{Optimizer, OptimizerName};
pub use source::{DataSource, SourceFacts};
pub use training::Training;
