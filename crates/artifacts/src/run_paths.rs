//! Where everything in a run folder lies.

use std::path::PathBuf;

use crate::Run;

impl Run {
    /// The resolved experiment file.
    #[must_use]
    pub fn config_toml(&self) -> PathBuf {
        self.folder().join("config.toml")
    }

    /// The experiment file as it was given.
    #[must_use]
    pub fn input_config_toml(&self) -> PathBuf {
        self.folder().join("config.input.toml")
    }

    /// The `key=value` overrides of the command line, one a line.
    #[must_use]
    pub fn overrides_txt(&self) -> PathBuf {
        self.folder().join("overrides.txt")
    }

    /// The provenance; see [`crate::Provenance`].
    #[must_use]
    pub fn run_json(&self) -> PathBuf {
        self.folder().join("run.json")
    }

    /// The uncommitted changes of the git checkout that the run was started in; absent when there were none.
    #[must_use]
    pub fn git_diff(&self) -> PathBuf {
        self.folder().join("git.diff")
    }

    /// What new examples have to be like, as the run's caller describes it.
    #[must_use]
    pub fn data_json(&self) -> PathBuf {
        self.folder().join("data.json")
    }

    /// The weights of another run that this one begins with; absent where it draws them.
    #[must_use]
    pub fn start(&self) -> PathBuf {
        self.folder().join("start.safetensors")
    }

    /// How the probabilities of the tested checkpoint are calibrated; absent where they are not.
    #[must_use]
    pub fn calibration_json(&self) -> PathBuf {
        self.folder().join("calibration.json")
    }

    /// From which probability on the tested checkpoint names a class; absent where the most probable one is named.
    #[must_use]
    pub fn threshold_json(&self) -> PathBuf {
        self.folder().join("threshold.json")
    }

    /// What is known of the training data without a network: how often each class comes, and a linear model.
    #[must_use]
    pub fn baselines(&self) -> PathBuf {
        self.folder().join("baselines")
    }

    /// How far the run is; see [`crate::Status`].
    #[must_use]
    pub fn status_json(&self) -> PathBuf {
        self.folder().join("status.json")
    }

    /// The append-only figures, without a clock; see [`crate::MetricLog`].
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.folder().join("metrics.jsonl")
    }

    /// The append-only clock; see [`crate::TimingLog`].
    #[must_use]
    pub fn timings(&self) -> PathBuf {
        self.folder().join("timings.jsonl")
    }

    /// The figures as a table, derived from [`Run::metrics`].
    #[must_use]
    pub fn metrics_csv(&self) -> PathBuf {
        self.folder().join("metrics.csv")
    }

    /// What tracing wrote.
    #[must_use]
    pub fn train_log(&self) -> PathBuf {
        self.folder().join("train.log")
    }

    /// The folder of checkpoints; see [`crate::CheckpointStore`].
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.folder().join("checkpoints")
    }

    /// The folder of everything that the evaluation `name` (`test`, `validation`, `train`) found.
    #[must_use]
    pub fn evaluation(&self, name: &str) -> PathBuf {
        self.folder().join("evaluation").join(name)
    }

    /// The folder of plots.
    #[must_use]
    pub fn plots(&self) -> PathBuf {
        self.folder().join("plots")
    }

    /// The folder of example pictures.
    #[must_use]
    pub fn gallery(&self) -> PathBuf {
        self.folder().join("gallery")
    }

    /// The self-contained report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.folder().join("report.html")
    }

    /// The file whose lock the one process that trains the run holds.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.folder().join("lock")
    }
}
