//! The resolved experiment as text: for the run folder, and for people.

use toml::{Table, Value};

use crate::keys::{Key, Keys, value_at};
use crate::literal::literal;
use crate::{Experiment, Monitor, Origin, Resolved};

/// The column in which origins begin, where the values before them leave room.
const ORIGIN_COLUMN: usize = 40;

impl Experiment {
    /// The whole experiment as TOML, every key but those that are left out, in the order of the sections.
    /// [`Experiment::from_toml_str`] reads exactly this experiment back.
    ///
    /// # Panics
    /// If the experiment was built by hand and holds what no file can: a seed above 2^63 - 1, or a path that
    /// is not Unicode.
    #[must_use]
    pub fn to_toml(&self) -> String {
        rendered(&self.values(), |key, value| format!("{}\n", self.assignment(key, value)))
    }

    pub(crate) fn values(&self) -> Table {
        Table::try_from(self).expect("a valid experiment is plain TOML")
    }

    /// `lr = 0.001`. A checkpoint's figure that nobody chose, where there is no validation data to choose
    /// it, is a comment: written out, it would be a contradiction in a file that is run again.
    pub(crate) fn assignment(&self, key: &Key, value: &Value) -> String {
        let idle = key.path == "checkpoint.monitor" && self.monitors_nothing();
        format!("{}{} = {}", if idle { "# " } else { "" }, key.leaf(), literal(value))
    }

    fn monitors_nothing(&self) -> bool {
        self.checkpoint.monitor == Monitor::ValidationLoss && !self.data.has_validation()
    }
}

impl Resolved {
    /// Every key that has another origin than the default or a base that is built in, in the order of the sections, with
    /// its value as TOML.
    #[must_use]
    pub fn given(&self) -> Vec<(String, String)> {
        let values = self.experiment.values();
        let is_own = |origin: &Origin| origin.is_given() && !origin.is_of_preset();
        let is_given = |key: &&Key| self.origins.get(&key.path).is_some_and(is_own);
        let value = |key: &Key| Some((key.path.clone(), literal(value_at(&values, &key.path)?)));
        Keys::experiment().keys.iter().filter(is_given).filter_map(value).collect()
    }

    /// [`Experiment::to_toml`] of the experiment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.experiment.to_toml()
    }

    /// The same file for people: behind each value, as a comment, where it comes from.
    ///
    /// # Panics
    /// Never: a resolved experiment came out of TOML.
    #[must_use]
    pub fn show(&self) -> String {
        rendered(&self.experiment.values(), |key, value| self.line(key, value))
    }

    fn line(&self, key: &Key, value: &Value) -> String {
        let line = self.experiment.assignment(key, value);
        let origin = match self.origins.get(&key.path).unwrap_or(&Origin::Default) {
            Origin::CommandLine { .. } => "command line".to_owned(),
            origin => origin.to_string(),
        };
        let idle = key.path == "checkpoint.monitor" && self.experiment.monitors_nothing();
        let idle = if idle { "; nothing is held out, so the last checkpoint counts as best" } else { "" };
        let unused = self.unused.get(&key.path);
        let unused =
            unused.map(|(value, origin)| format!("; {} of {origin} has no effect here", literal(value)));
        format!("{line:<ORIGIN_COLUMN$} # {origin}{idle}{}\n", unused.unwrap_or_default())
    }
}

pub(crate) fn rendered(values: &Table, mut line: impl FnMut(&Key, &Value) -> String) -> String {
    let mut text = String::new();
    let mut open = "";
    for key in &Keys::experiment().keys {
        let section = key.section();
        let Some(value) = value_at(values, &key.path) else { continue };
        if section != open {
            text.extend(["\n[", section, "]\n"]);
            open = section;
        }
        text.push_str(&line(key, value));
    }
    text
}
