//! A wave of a search as its file keeps it.

use std::fs;
use std::path::{Path, PathBuf};

use kiln_artifacts::ArtifactError;
use kiln_files::json_text;
use serde::{Deserialize, Serialize};

use super::Search;
use crate::StudyError;
use crate::stored::{read_again, read_json};

/// What a wave is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// To find good settings.
    Search,
    /// To see whether they are good with other seeds, in round so-and-so, from 0.
    Confirmation(usize),
    /// To test the winner.
    Test,
}

/// Trials that begin, and what is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wave {
    pub(crate) stage: Stage,
    pub(crate) begun: Vec<Begun>,
    pub(crate) tasks: Vec<WaveTask>,
}

/// A trial that begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Its number; 0 is the base.
    pub(crate) trial: usize,
    pub(crate) settings: Vec<(String, String)>,
    /// Null where a coordinate does not count.
    pub(crate) coordinates: Vec<Option<f64>>,
    /// Why its settings cannot be trained.
    pub(crate) error: Option<String>,
}

/// A trial with a seed, to be trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaveTask {
    pub(crate) trial: usize,
    pub(crate) seed: u64,
    /// The epoch after which it pauses; none where it is to be tested.
    pub(crate) until: Option<usize>,
}

impl Stage {
    /// In words, with the wave's number, from 1.
    pub(crate) fn words(self, wave: usize) -> String {
        match self {
            Self::Search => format!("wave {wave}"),
            Self::Confirmation(0) => "confirmation".to_owned(),
            Self::Confirmation(round) => format!("confirmation, round {}", round + 1),
            Self::Test => "test".to_owned(),
        }
    }
}

impl Wave {
    /// The file of wave `number`, from 1.
    pub(crate) fn path(folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("wave-{number:05}.json"))
    }

    /// Wave `number` of the search in `folder`, if it was decided.
    pub(crate) fn read(folder: &Path, number: usize) -> Result<Option<Self>, StudyError> {
        read_json(&Self::path(folder, number))
    }

    /// Whether this can follow on `trials` trials of `search`.
    pub(crate) fn fits(&self, search: &Search, trials: usize) -> bool {
        let is_place = |number: &Option<f64>| number.is_none_or(|number| number >= 0.0);
        let is_point = |(number, begun): (usize, &Begun)| {
            let count = begun.coordinates.len();
            begun.trial == number
                && (count == 0 || count == search.coordinates())
                && begun.coordinates.iter().all(is_place)
        };
        let known = trials + self.begun.len();
        (trials..).zip(&self.begun).all(is_point) && self.tasks.iter().all(|task| task.trial < known)
    }

    /// Writes this as wave `number`, unless another process was faster. Gives the one that is there then.
    pub(crate) fn settle(self, folder: &Path, number: usize) -> Result<Self, StudyError> {
        let path = Self::path(folder, number);
        fs::create_dir_all(folder).map_err(|cause| StudyError::io("create", folder, cause))?;
        if kiln_files::create_file(&path, &json_text(&self)).map_err(ArtifactError::from)? {
            return Ok(self);
        }
        read_again(&path)
    }
}
