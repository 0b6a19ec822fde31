//! Checkpoints: each one complete or absent, and checked when it is read.

#[cfg(test)]
mod crash_tests;
mod damage;
mod loading;
mod manifest;
mod pointer;
mod pruning;
mod store;
#[cfg(test)]
mod store_tests;

pub use damage::{Damage, DamagedCheckpoint};
pub use loading::{Checkpoint, LatestGood};
pub use store::CheckpointStore;
