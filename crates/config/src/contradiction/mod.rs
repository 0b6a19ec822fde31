//! Values that are each allowed, but not together.

mod data;
mod loss;
mod monitor;
mod network;
mod optimizer;
mod weights;

use toml::Table;

use crate::document::excerpt;
use crate::keys::value_at;
use crate::literal::literal;
use crate::setting::Findings;
use crate::{Experiment, Fault, Problem};

/// An experiment to look through.
pub(crate) struct Case<'a> {
    pub(crate) experiment: &'a Experiment,
    /// The same, as a table.
    pub(crate) values: &'a Table,
    pub(crate) findings: &'a Findings,
    /// True for a file that was resolved before: it spells out defaults that nobody chose.
    pub(crate) resolved_before: bool,
}

/// Values that do not go together.
pub(crate) struct Contradiction {
    /// The keys that it concerns, the one to look at first in front.
    keys: Vec<&'static str>,
    message: String,
}

/// Every contradiction, but for those that concern a key with a problem of its own.
pub(crate) fn problems(case: &Case<'_>) -> Vec<Problem> {
    let groups = [
        data::contradictions,
        network::contradictions,
        loss::contradictions,
        optimizer::contradictions,
        monitor::contradictions,
    ];
    let groups = groups.into_iter().chain([weights::contradictions as fn(&Case<'_>) -> Vec<Contradiction>]);
    groups
        .flat_map(|group| group(case))
        .filter(|found| !found.keys.iter().any(|key| case.findings.doubtful.contains(*key)))
        .map(|found| found.into_problem(case.findings))
        .collect()
}

impl Contradiction {
    fn new(keys: &[&'static str], message: String) -> Self {
        Self { keys: keys.to_vec(), message }
    }

    /// The place is that of the value given last: it is the one that made the others wrong.
    fn into_problem(self, findings: &Findings) -> Problem {
        let last = self.keys.iter().rev().max_by_key(|key| findings.rank(key)).copied().unwrap_or_default();
        let origin = findings.origin(last);
        let places: Vec<String> = self
            .keys
            .iter()
            .map(|key| (key, findings.origin(key)))
            .filter(|(_, other)| other.is_given() && *other != origin)
            .map(|(key, other)| format!("; `{key}` is set in {}", other.seen_from(&origin)))
            .collect();
        let fault = Fault::Contradiction { message: self.message, places: places.concat() };
        Problem::new(origin.is_given().then_some(origin), fault)
    }
}

impl Case<'_> {
    /// "`loss.name` = "nll"".
    fn setting(&self, key: &str) -> String {
        let value = value_at(self.values, key);
        format!("`{key}` = {}", value.map_or("nothing".to_owned(), |value| excerpt(&literal(value))))
    }
}

/// "1 layer", "2 layers".
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
