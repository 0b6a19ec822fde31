//! Schedulers that run a study's workers: what is handed to them, as text.

mod kubernetes;
mod slurm;

use std::path::PathBuf;

/// Workers that a scheduler is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// The `kiln` program, as every host finds it.
    pub program: PathBuf,
    /// The study's folder, as every host finds it.
    pub study: PathBuf,
    /// The study's name.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Trials at once in each, and processors that each asks for.
    pub jobs: usize,
    /// Time limit of each, as the scheduler writes it.
    pub time: Option<String>,
    /// Memory of each, as the scheduler writes it.
    pub memory: Option<String>,
    /// Partition (Slurm).
    pub partition: Option<String>,
    /// Seconds before the time limit at which each saves its trials and ends (Slurm).
    pub notice: u32,
    /// Container image (Kubernetes).
    pub image: String,
    /// Volume claim that holds the study's folder (Kubernetes).
    pub claim: String,
    /// More options of the scheduler.
    pub options: Vec<String>,
}
