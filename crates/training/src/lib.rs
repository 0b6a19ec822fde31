//! Training under Burn's Learner: exact, resumable, watched.
//!
//! Burn's `SupervisedTraining` sets up the learner, the metrics and the dashboard; [`Job::train`] gives it a
//! strategy of our own, whose loop can stop at any batch and go on from there to the bit.

mod dashboard;
mod diagnosis;
mod error;
mod event;
mod figures;
#[cfg(test)]
mod golden;
mod health;
mod job;
mod learning;
mod metric;
mod monitoring;
mod optimizer_state;
mod parity;
mod recorder;
mod saver;
mod schedule;
mod setting;
mod state;
mod step_profile;
mod stop;
mod strategy;
mod training_loop;
mod watch;

pub use dashboard::{open_dashboard, restore_terminal};
pub use error::TrainingError;
pub use event::{Event, Observer, Silent};
pub use figures::Figures;
pub use job::{Job, Trained, check};
pub use monitoring::Best;
pub use parity::{Parity, parity};
pub use schedule::unfinished_warmup;
pub use state::{check_resumable, goes_on, is_fused, is_longer, spans_whole_training, trained_with};
pub use step_profile::{StepProfile, profile_steps};
pub use stop::StopSignal;
pub use watch::watch;
