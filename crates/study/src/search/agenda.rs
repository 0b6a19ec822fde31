//! A search as waves of tasks for workers.

use std::path::{Path, PathBuf};

use super::Search;
use super::confirmation::{confirmation_wave, test_wave};
use super::halving::search_wave;
use super::history::History;
use super::wave::{Wave, WaveTask};
use crate::work::{Agenda, Cell, Done, Task, Tasks};
use crate::{BestTrial, StudyError};

/// Decides the waves of a search one after the other, or reads those that were decided before.
pub(crate) struct SearchAgenda<'a> {
    search: &'a Search,
    /// The study's folder.
    study: PathBuf,
    /// Where its waves are kept.
    folder: PathBuf,
    history: History,
    /// The wave in progress; its number, from 1, counts those before too.
    current: Option<Wave>,
    number: usize,
    /// Whether it decides what nobody has decided yet.
    decides: bool,
}

impl<'a> SearchAgenda<'a> {
    pub(crate) fn new(search: &'a Search, study: &Path) -> Self {
        let folder = study.join("searches").join(search.address());
        let (study, history) = (study.to_owned(), History::default());
        Self { search, study, folder, history, current: None, number: 0, decides: true }
    }

    /// The same, which only reads what others decide.
    pub(crate) fn of_others(self) -> Self {
        Self { decides: false, ..self }
    }

    /// The best trial so far.
    pub(crate) fn best(&self) -> Option<BestTrial> {
        let trials = &self.history.trials;
        self.history.in_order(0..trials.len()).into_iter().find_map(|trial| {
            let (epochs, loss) = trials[trial].last().filter(|(_, loss)| loss.is_finite())?;
            Some(BestTrial { name: trial_name(trial), epochs, figure: self.search.figure(loss) })
        })
    }

    pub(crate) fn search(&self) -> &Search {
        self.search
    }

    /// What is known, without what is in progress.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    fn decide(&self) -> Option<Wave> {
        let (search, history) = (self.search, &self.history);
        let searched = || if history.rounds == 0 { search_wave(search, history) } else { None };
        searched().or_else(|| confirmation_wave(search, history)).or_else(|| test_wave(history))
    }

    fn tasks(&self, wave: &Wave) -> Result<Vec<Task>, StudyError> {
        let task = |task: &WaveTask| {
            let settings = &self.history.trials[task.trial].settings;
            let name = trial_name(task.trial);
            let experiment = self.search.experiment(&name, settings, task.seed)?;
            let cell = Cell::new(task.trial, &experiment, &self.study);
            Ok(Task { cell, until: task.until })
        };
        wave.tasks.iter().map(task).collect()
    }
}

/// What trial `number` and its runs are called.
pub(crate) fn trial_name(number: usize) -> String {
    if number == 0 { "base".to_owned() } else { format!("trial-{number:04}") }
}

impl Agenda for SearchAgenda<'_> {
    fn next(&mut self, done: Done<'_>) -> Result<Option<Tasks>, StudyError> {
        if let Some(wave) = self.current.take() {
            self.history.end(self.search, &wave, &done()?);
        }
        self.number += 1;
        let wave = match Wave::read(&self.folder, self.number)? {
            Some(wave) => wave,
            None => match self.decide() {
                Some(wave) if self.decides => wave.settle(&self.folder, self.number)?,
                // Whoever works next decides it; until then this is how far it is.
                Some(wave) => wave,
                None => return Ok(None),
            },
        };
        if !wave.fits(self.search, self.history.trials.len()) {
            let path = Wave::path(&self.folder, self.number);
            return Err(StudyError::damaged(&path, &"it does not follow on those before it"));
        }
        self.history.begin(self.search, &wave);
        let tasks = self.tasks(&wave)?;
        let stage = wave.stage.words(self.number);
        self.current = Some(wave);
        Ok(Some(Tasks { stage: Some(stage), tasks }))
    }

    fn rests_on_results(&self) -> bool {
        true
    }
}
