//! `run.json`: everything that a run came from.

use std::{env, fs, path::Path, process};

use jiff::Timestamp;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ArtifactError, GitState, Machine, Run, git, machine, replace_file, status};

/// What the program was built from; the caller compiles it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// Kiln's version.
    pub kiln: String,
    /// Burn's version.
    pub burn: String,
    /// The compiler's version.
    pub rustc: String,
    /// SHA-256 of `Cargo.lock`.
    pub cargo_lock_sha256: String,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataFile {
    /// Its name, or its path below the data set's folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// The data set that a run learned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dataset {
    /// Its name, such as `mnist`.
    pub name: String,
    /// SHA-256 of the whole.
    pub sha256: String,
    /// The files it came from; empty for one that is embedded in the program.
    #[serde(default)]
    pub files: Vec<DataFile>,
}

/// A process that trained the run: the first started it, the others resumed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TrainingSession")]
pub struct Session {
    /// When it took the run up.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// Its command line.
    pub command_line: Vec<String>,
    /// Its machine's name.
    pub hostname: String,
    /// Its process id.
    pub pid: u32,
    /// What it was built from.
    pub build: Build,
}

/// What only the caller of [`Provenance::collect`] knows.
#[derive(Clone, Debug)]
pub struct ProvenanceInputs {
    /// What the program was built from.
    pub build: Build,
    /// The backend's name, such as `flex`.
    pub backend: String,
    /// The GPU or adapter in words, where there is one.
    pub adapter: Option<String>,
    /// Threads that compute.
    pub threads: usize,
    /// The data set.
    pub dataset: Dataset,
    /// The seed of every random stream.
    pub seed: u64,
}

/// The content of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// What the program that started the run was built from.
    pub build: Build,
    /// The git checkout that the run was started in, if it was in one. Its changes are in `git.diff`.
    pub git: Option<GitState>,
    /// The machine that the run was started on.
    pub machine: Machine,
    /// The backend's name.
    pub backend: String,
    /// The GPU or adapter in words.
    pub adapter: Option<String>,
    /// Threads that compute.
    pub threads: usize,
    /// The data set.
    pub dataset: Dataset,
    /// The seed of every random stream.
    pub seed: u64,
    /// Every process that trained the run, the first one first.
    pub sessions: Vec<Session>,
    /// The changes that [`Provenance::write`] puts in `git.diff`.
    #[serde(skip)]
    diff: Vec<u8>,
}

impl Provenance {
    /// Everything about a run that this process starts now. Asks git and the operating system, which takes
    /// some hundredths of a second.
    #[must_use]
    pub fn collect(inputs: ProvenanceInputs) -> Self {
        let (git, diff) = git::state_of(Path::new(".")).unzip();
        let ProvenanceInputs { build, backend, adapter, threads, dataset, seed } = inputs;
        Self {
            sessions: vec![Session::current(build.clone())],
            build,
            git,
            machine: Machine::detect(),
            backend,
            adapter,
            threads,
            dataset,
            seed,
            diff: diff.unwrap_or_default(),
        }
    }

    /// Notes that this process takes the run up again.
    pub fn add_session(&mut self, build: Build) {
        self.sessions.push(Session::current(build));
    }

    /// Writes `run.json`, and `git.diff` when there are uncommitted changes.
    ///
    /// # Errors
    ///
    /// When the folder is gone, full or may not be written to.
    pub fn write(&self, run: &Run) -> Result<(), ArtifactError> {
        if !self.diff.is_empty() {
            replace_file(&run.git_diff(), &self.diff)?;
        }
        replace_file(&run.run_json(), &json_text(self))
    }

    /// Reads `run.json`. The diff stays in its file.
    ///
    /// # Errors
    ///
    /// When the file is missing or malformed.
    pub fn read(run: &Run) -> Result<Self, ArtifactError> {
        let path = run.run_json();
        let bytes = fs::read(&path).map_err(|cause| ArtifactError::io("read", &path, cause))?;
        serde_json::from_slice(&bytes)
            .map_err(|problem| ArtifactError::malformed(&path, Some(problem.line()), problem))
    }
}

impl Session {
    fn current(build: Build) -> Self {
        Self {
            started: status::now(),
            command_line: env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            hostname: machine::hostname().to_owned(),
            pid: process::id(),
            build,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::TestRun;

    fn build() -> Build {
        let version = "0.1.0".to_owned();
        let cargo_lock_sha256 = "ab".repeat(32);
        Build { kiln: version.clone(), burn: version.clone(), rustc: version, cargo_lock_sha256 }
    }

    fn inputs() -> ProvenanceInputs {
        let file = DataFile { name: "train.csv".to_owned(), bytes: 3, sha256: "cd".repeat(32) };
        let dataset = Dataset { name: "digits".to_owned(), sha256: "ef".repeat(32), files: vec![file] };
        ProvenanceInputs {
            build: build(),
            backend: "flex".to_owned(),
            adapter: None,
            threads: 2,
            dataset,
            seed: 42,
        }
    }

    #[test]
    fn reads_back_what_it_wrote_and_counts_sessions() {
        let run = TestRun::new();
        let provenance = Provenance { diff: Vec::new(), ..Provenance::collect(inputs()) };
        provenance.write(&run).unwrap();
        let mut read = run.provenance().unwrap();
        assert_eq!(read, provenance);
        read.add_session(build());
        read.write(&run).unwrap();
        let sessions = run.provenance().unwrap().sessions;
        assert_eq!((sessions.len(), sessions[1].pid), (2, process::id()));
        assert!(!sessions[0].command_line.is_empty());
    }

    #[test]
    fn a_diff_has_its_own_file_and_outlives_a_resume() {
        let run = TestRun::new();
        Provenance { diff: b"+ changed".to_vec(), ..Provenance::collect(inputs()) }.write(&run).unwrap();
        run.provenance().unwrap().write(&run).unwrap();
        assert_eq!(fs::read(run.git_diff()).unwrap(), b"+ changed");
        assert!(!fs::read_to_string(run.run_json()).unwrap().contains("changed"));
    }
}
