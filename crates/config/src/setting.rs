//! What the layers say: the values that were given, and the problems found on the way.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use crate::{Origin, Problem};

/// A value that somebody gave.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// The layer that gave it; a higher one overrides a lower one. Defaults have 0.
    pub(crate) rank: usize,
}

/// Everything that the layers gave, by dotted key, and everything wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) settings: BTreeMap<String, Setting>,
    pub(crate) problems: Vec<Problem>,
    /// Keys that a problem concerns: what else is said of them would only confuse.
    pub(crate) doubtful: BTreeSet<String>,
    /// Where every value was found, also those within the value of a key.
    pub(crate) places: BTreeMap<String, Origin>,
}

impl Findings {
    /// True when nothing but a built-in default stands for `key`.
    pub(crate) fn is_untouched(&self, key: &str) -> bool {
        !self.settings.contains_key(key)
    }

    /// The layer that decides `key`.
    pub(crate) fn rank(&self, key: &str) -> usize {
        self.settings.get(key).map_or(0, |setting| setting.rank)
    }

    /// Where the value of `key` comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.settings.get(key).map_or(Origin::Default, |setting| setting.origin.clone())
    }
}
